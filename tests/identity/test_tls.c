/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS engine against itself, and against every wrong peer: each is refused, for the right reason,
 * in words that say what to do.
 */
#include "strangers.h"
#include "support/tempdir.h"

#include <venv/identity.h>

#include <openssl/err.h>
#include <openssl/rand.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h> /* needs those before it */

#define NOW_S 1795371600 /* 2026-11-22T18:20:00Z */
#define DAY_S 86400
static const venv_wall now = { NOW_S * VENV_NS_PER_S };

typedef struct fixture {
    char *directory; /* of cluster "perugia" */
    char *other;     /* of another cluster of the same name */
    venv_tls_context *server, *client, *user;
    X509 *ca;
    EVP_PKEY *ca_key;
    venv_error err;
} fixture;

static venv_rc open_context(const char *directory, venv_tls_side side, const char *peer, venv_tls_context **ret_context,
                            venv_error *err)
{
    char ca[TEMPDIR_PATH_MAX], certificate[TEMPDIR_PATH_MAX], key[TEMPDIR_PATH_MAX];
    snprintf(ca, sizeof ca, "%s/ca.crt", directory);
    snprintf(certificate, sizeof certificate, "%s/%s.crt", directory, peer);
    snprintf(key, sizeof key, "%s/%s.key", directory, peer);
    const venv_tls_files files = { ca, certificate, key };
    return venv_tls_context_new(side, &files, ret_context, err);
}

static void require(fixture *f, venv_rc rc)
{
    if (rc != VENV_OK)
        fail_msg("%s: %s", venv_rc_name(rc), f->err.text);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    const venv_cert_options ed25519 = { .key = VENV_KEY_ED25519 };
    f->directory = tempdir_make();
    f->other = tempdir_make();
    require(f, venv_ca_init(f->directory, "perugia", NULL, now, &f->err));
    require(f, venv_ca_init(f->other, "perugia", NULL, now, &f->err));
    require(f, venv_ca_issue(f->directory, VENV_ROLE_MANAGER, "mgr", NULL, NULL, now, &f->err));
    require(f, venv_ca_issue(f->directory, VENV_ROLE_AGENT, "node07", NULL, NULL, now, &f->err));
    require(f, venv_ca_issue(f->directory, VENV_ROLE_USER, "alice", NULL, &ed25519, now, &f->err));
    require(f, venv_ca_issue(f->other, VENV_ROLE_MANAGER, "mgr", NULL, NULL, now, &f->err));
    require(f, venv_ca_issue(f->other, VENV_ROLE_AGENT, "node07", NULL, NULL, now, &f->err));
    require(f, open_context(f->directory, VENV_TLS_SERVER, "manager-mgr", &f->server, &f->err));
    require(f, open_context(f->directory, VENV_TLS_CLIENT, "agent-node07", &f->client, &f->err));
    require(f, open_context(f->directory, VENV_TLS_CLIENT, "user-alice", &f->user, &f->err));
    stranger_load_ca(f->directory, &f->ca, &f->ca_key);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    venv_tls_context_free(f->server);
    venv_tls_context_free(f->client);
    venv_tls_context_free(f->user);
    X509_free(f->ca);
    EVP_PKEY_free(f->ca_key);
    tempdir_remove(f->directory);
    tempdir_remove(f->other);
    free(f);
    return 0;
}

/* Move what one has to send to the other, in pieces of `piece` bytes. Returns whether there was any. */
static bool carry(venv_tls *from, venv_tls *to, size_t piece)
{
    bool any = false;
    venv_str bytes;
    while ((bytes = venv_tls_output(from)).size > 0) {
        size_t n = bytes.size < piece ? bytes.size : piece;
        (void)!venv_tls_feed(to, bytes.data, n, NULL);
        venv_tls_drop_output(from, n);
        any = true;
    }
    return any;
}

static void converse(venv_tls *a, venv_tls *b, size_t piece)
{
    for (unsigned i = 0; i < 50; i++) {
        bool moved = carry(a, b, piece);
        moved = carry(b, a, piece) || moved;
        if (!moved)
            return;
    }
    fail_msg("they never stop talking");
}

static void open_pair(fixture *f, venv_tls_context *client_context, size_t piece, venv_tls **ret_client,
                      venv_tls **ret_server)
{
    require(f, venv_tls_new(client_context, now, "mgr:7420", ret_client, &f->err));
    require(f, venv_tls_new(f->server, now, "192.0.2.7:40112", ret_server, &f->err));
    converse(*ret_client, *ret_server, piece);
}

static void test_right_ones(void **state)
{
    fixture *f = *state;
    static const size_t pieces[] = { 1, 7, 1000, 100000 };
    for (unsigned i = 0; i < 8; i++) {
        venv_tls *client, *server;
        open_pair(f, i % 2 ? f->user : f->client, pieces[i / 2], &client, &server);
        assert_int_equal(venv_tls_state_of(client), VENV_TLS_OPEN);
        assert_int_equal(venv_tls_state_of(server), VENV_TLS_OPEN);
        assert_int_equal(venv_tls_peek_peer(client)->role, VENV_ROLE_MANAGER);
        assert_string_equal(venv_tls_peek_peer(client)->name, "mgr");
        assert_string_equal(venv_tls_peek_peer(client)->cluster, "perugia");
        assert_int_equal(venv_tls_peek_peer(server)->role, i % 2 ? VENV_ROLE_USER : VENV_ROLE_AGENT);
        assert_string_equal(venv_tls_peek_peer(server)->name, i % 2 ? "alice" : "node07");

        char text[64];
        require(f, venv_tls_write(client, "hello, ", 7, &f->err));
        require(f, venv_tls_write(client, "manager", 7, &f->err));
        require(f, venv_tls_write(server, "hello, agent", 12, &f->err));
        converse(client, server, pieces[i / 2]);
        assert_int_equal(venv_tls_peek(server).size, 14);
        assert_int_equal(venv_tls_read(server, text, 5), 5);
        assert_memory_equal(text, "hello", 5);
        assert_int_equal(venv_tls_read(server, text, sizeof text), 9);
        assert_memory_equal(text, ", manager", 9);
        assert_int_equal(venv_tls_read(server, text, sizeof text), 0);
        assert_int_equal(venv_tls_read(client, text, sizeof text), 12);
        assert_memory_equal(text, "hello, agent", 12);

        venv_tls_close(client);
        converse(client, server, pieces[i / 2]);
        assert_int_equal(venv_tls_state_of(server), VENV_TLS_ENDED);
        require(f, venv_tls_feed_end(server, &f->err));
        assert_int_equal(venv_tls_write(server, "x", 1, &f->err), VENV_ECONFLICT);
        venv_tls_free(client);
        venv_tls_free(server);
    }
}

static void test_much_data(void **state)
{
    fixture *f = *state;
    venv_tls *client, *server;
    size_t size = 700000, got = 0;
    uint8_t *data = malloc(size), *back = malloc(size);
    open_pair(f, f->client, 65536, &client, &server);
    assert_int_equal(RAND_bytes(data, (int)size), 1);
    require(f, venv_tls_write(client, data, size, &f->err));
    while (venv_tls_output(client).size > 0) {
        venv_str bytes = venv_tls_output(client);
        size_t n = bytes.size < 65536 ? bytes.size : 65536;
        require(f, venv_tls_feed(server, bytes.data, n, &f->err));
        venv_tls_drop_output(client, n);
        got += venv_tls_read(server, back + got, size - got);
    }
    assert_int_equal(got, size);
    assert_memory_equal(data, back, size);
    free(data);
    free(back);
    venv_tls_free(client);
    venv_tls_free(server);
}

static void test_limits(void **state)
{
    fixture *f = *state;
    venv_tls *client, *server;
    size_t size = 2u << 20;
    char *data = calloc(1, size);
    open_pair(f, f->client, 65536, &client, &server);
    /* Nobody sends what we write: it is refused, and the connection stays usable. */
    venv_rc rc = VENV_OK;
    unsigned writes = 0;
    while ((rc = venv_tls_write(client, data, size, &f->err)) == VENV_OK)
        writes++;
    assert_int_equal(rc, VENV_ELIMIT);
    assert_true(writes == VENV_TLS_OUTPUT_MAX / size - 1);
    assert_int_equal(venv_tls_state_of(client), VENV_TLS_OPEN);
    /* Nobody reads what comes: the connection fails instead of growing. */
    size_t taken_size = 0;
    uint8_t *taken = venv_tls_take_output(client, &taken_size);
    assert_int_equal(venv_tls_output(client).size, 0);
    assert_int_equal(venv_tls_feed(server, taken, taken_size, &f->err), VENV_ELIMIT);
    assert_int_equal(venv_tls_fault_of(server), VENV_TLS_FAULT_LIMIT);
    assert_true(venv_tls_peek(server).size <= VENV_TLS_PLAIN_MAX);
    free(taken);
    free(data);
    venv_tls_free(client);
    venv_tls_free(server);
}

static void test_ends(void **state)
{
    fixture *f = *state;
    venv_tls *client, *server;
    open_pair(f, f->client, 4096, &client, &server);
    assert_int_equal(venv_tls_feed_end(server, &f->err), VENV_EUNREACHABLE);
    assert_int_equal(venv_tls_fault_of(server), VENV_TLS_FAULT_CUT);
    assert_null(venv_tls_peek_peer(server));
    assert_int_equal(venv_tls_feed(server, "x", 1, &f->err), VENV_EUNREACHABLE); /* it sticks */
    /* One bit changed on the way. */
    require(f, venv_tls_write(client, "value", 5, &f->err));
    venv_str bytes = venv_tls_output(client);
    char copy[256];
    assert_true(bytes.size <= sizeof copy);
    memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size - 1] ^= 1;
    venv_tls *client2, *server2;
    open_pair(f, f->client, 4096, &client2, &server2);
    assert_int_equal(venv_tls_feed(server2, copy, bytes.size, &f->err), VENV_EPROTO);
    assert_int_equal(venv_tls_fault_of(server2), VENV_TLS_FAULT_PROTOCOL);
    venv_tls_free(client2);
    venv_tls_free(server2);
    venv_tls_free(client);
    venv_tls_free(server);
    /* The end before the handshake. */
    require(f, venv_tls_new(f->client, now, "mgr:7420", &client, &f->err));
    assert_true(venv_tls_output(client).size > 0);
    assert_int_equal(venv_tls_write(client, "early", 5, &f->err), VENV_ECONFLICT);
    assert_int_equal(venv_tls_feed_end(client, &f->err), VENV_EUNREACHABLE);
    assert_non_null(strstr(f->err.text, "mgr:7420 closed the connection before the handshake"));
    venv_tls_free(client);
}

/* Let an engine and a stranger talk until neither has anything to say. The stranger's last error is kept. */
static unsigned long talk(venv_tls *tls, stranger *peer, bool *ret_peer_done)
{
    unsigned long error = 0;
    char buffer[16384];
    for (unsigned i = 0; i < 20; i++) {
        bool moved = false;
        int done = SSL_do_handshake(peer->ssl);
        if (done == 1) {
            *ret_peer_done = true;
            int n = SSL_read(peer->ssl, buffer, sizeof buffer);
            done = n > 0 ? 1 : n;
        }
        if (done <= 0 && SSL_get_error(peer->ssl, done) == SSL_ERROR_SSL && error == 0)
            error = ERR_peek_error();
        ERR_clear_error();
        int n = BIO_read(peer->out, buffer, sizeof buffer);
        if (n > 0) {
            (void)!venv_tls_feed(tls, buffer, (size_t)n, NULL);
            moved = true;
        }
        venv_str bytes = venv_tls_output(tls);
        if (bytes.size > 0) {
            BIO_write(peer->in, bytes.data, (int)bytes.size);
            venv_tls_drop_output(tls, bytes.size);
            moved = true;
        }
        if (!moved)
            break;
    }
    return error;
}

typedef struct wrong_peer {
    const char *what;
    stranger_cert cert;
    bool without_cert, from_other_ca;
    int version;
    venv_tls_fault fault;
    const char *text;  /* that our error must hold */
    int alert;         /* that the stranger must see; 0: any */
} wrong_peer;

#define CERT(uri_, usage_, from_, until_) .uri = (uri_), .usage = (usage_), .from_s = (from_), .until_s = (until_)
#define AGENT "venv://perugia/agent/node07"
#define MANAGER "venv://perugia/manager/mgr"
#define GOOD_AGENT CERT(AGENT, "clientAuth", -DAY_S, DAY_S)
#define GOOD_MANAGER CERT(MANAGER, "serverAuth", -DAY_S, DAY_S)

static void refuse(fixture *f, const wrong_peer *wrong, venv_tls_side our_side)
{
    stranger_cert how = wrong->cert;
    stranger peer;
    venv_tls *tls;
    X509 *x509 = NULL, *other_ca = NULL;
    EVP_PKEY *key = NULL, *other_key = NULL;
    bool peer_done = false;

    how.now_s = NOW_S;
    if (wrong->from_other_ca) {
        stranger_load_ca(f->other, &other_ca, &other_key);
        how.ca = other_ca;
        how.ca_key = other_key;
    } else if (!how.is_ca) { /* is_ca stands for "signed by itself" here */
        how.ca = f->ca;
        how.ca_key = f->ca_key;
    }
    how.is_ca = false;
    if (!wrong->without_cert)
        stranger_make(&how, &x509, &key);
    stranger_open(&peer, our_side == VENV_TLS_CLIENT, x509, key, wrong->version ? wrong->version : TLS1_3_VERSION);
    require(f, venv_tls_new(our_side == VENV_TLS_CLIENT ? f->client : f->server, now, "192.0.2.9:5555", &tls, &f->err));
    unsigned long error = talk(tls, &peer, &peer_done);

    memset(&f->err, 0, sizeof f->err);
    venv_rc rc = venv_tls_feed(tls, "", 0, &f->err);
    if (wrong->fault == VENV_TLS_FAULT_NONE) {
        if (rc != VENV_OK || venv_tls_state_of(tls) != VENV_TLS_OPEN)
            fail_msg("%s: should be let in, but: %s", wrong->what, f->err.text);
    } else {
        if (venv_tls_state_of(tls) != VENV_TLS_FAILED || venv_tls_fault_of(tls) != wrong->fault)
            fail_msg("%s: state %d, fault %s, not %s (%s)", wrong->what, venv_tls_state_of(tls),
                     venv_tls_fault_name(venv_tls_fault_of(tls)), venv_tls_fault_name(wrong->fault), f->err.text);
        assert_true(rc != VENV_OK);
        assert_null(venv_tls_peek_peer(tls));
        if (!strstr(f->err.text, wrong->text) || !strstr(f->err.text, "192.0.2.9:5555"))
            fail_msg("%s: \"%s\" does not say \"%s\"", wrong->what, f->err.text, wrong->text);
        if (wrong->alert && ERR_GET_REASON(error) != SSL_AD_REASON_OFFSET + wrong->alert)
            fail_msg("%s: the stranger saw error %d, not alert %d", wrong->what, ERR_GET_REASON(error), wrong->alert);
        print_message("    %-28s %s\n", wrong->what, f->err.text);
    }
    venv_tls_free(tls);
    stranger_close(&peer);
    X509_free(x509);
    EVP_PKEY_free(key);
    X509_free(other_ca);
    EVP_PKEY_free(other_key);
}

static void test_wrong_clients(void **state)
{
    fixture *f = *state;
    const wrong_peer wrong[] = {
        { "right: the control", { GOOD_AGENT }, .fault = VENV_TLS_FAULT_NONE },
        { "right: Ed25519", { GOOD_AGENT, .group = "ED25519" }, .fault = VENV_TLS_FAULT_NONE },
        { "no certificate", .without_cert = true, .fault = VENV_TLS_FAULT_NO_CERTIFICATE,
          .text = "showed no certificate", .alert = 116 },
        { "other CA", { GOOD_AGENT }, .from_other_ca = true, .fault = VENV_TLS_FAULT_OTHER_CA,
          .text = "not signed by the CA of our cluster perugia", .alert = SSL_AD_UNKNOWN_CA },
        { "self-signed", { GOOD_AGENT, .is_ca = true }, .fault = VENV_TLS_FAULT_OTHER_CA, .text = "not signed by",
          .alert = SSL_AD_UNKNOWN_CA },
        { "expired", { CERT(AGENT, "clientAuth", -DAY_S, -60) }, .fault = VENV_TLS_FAULT_EXPIRED,
          .text = "(venv://perugia/agent/node07) expired at 2026-11-22T18:19:00.000Z, and the clock here says "
                  "2026-11-22T18:20:00.000Z; check the clock",
          .alert = SSL_AD_CERTIFICATE_EXPIRED },
        { "not yet valid", { CERT(AGENT, "clientAuth", 60, DAY_S) }, .fault = VENV_TLS_FAULT_NOT_YET_VALID,
          .text = "is valid from 2026-11-22T18:21:00.000Z on, and the clock here says 2026-11-22T18:20:00.000Z; check" },
        { "a manager as client", { .uri = "venv://perugia/manager/mgr", .usage = "clientAuth", .from_s = -DAY_S,
                                   .until_s = DAY_S }, .fault = VENV_TLS_FAULT_ROLE,
          .text = "(venv://perugia/manager/mgr) is of the wrong role: a manager talks to agents and users only",
          .alert = SSL_AD_HANDSHAKE_FAILURE },
        { "the manager's own certificate", { GOOD_MANAGER }, .fault = VENV_TLS_FAULT_PURPOSE,
          .text = "not for the client's side" },
        { "an agent for servers", { CERT(AGENT, "serverAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_PURPOSE,
          .text = "not for the client's side" },
        { "no usage at all", { CERT(AGENT, NULL, -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_PURPOSE,
          .text = "not for the client's side" },
        { "any usage", { CERT(AGENT, "anyExtendedKeyUsage", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_PURPOSE,
          .text = "not for the client's side" },
        { "wrong cluster", { CERT("venv://padova/agent/node07", "clientAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_CLUSTER,
          .text = "(venv://padova/agent/node07) is of another cluster; ours is perugia" },
        { "no identity", { CERT(NULL, "clientAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_IDENTITY, .text = "names nobody" },
        { "two identities", { GOOD_AGENT, .second_uri = "venv://perugia/agent/node08" },
          .fault = VENV_TLS_FAULT_IDENTITY, .text = "names more than one" },
        { "unknown role", { CERT("venv://perugia/root/node07", "clientAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_IDENTITY,
          .text = "venv://CLUSTER/ROLE/NAME" },
        { "a path in the name", { CERT("venv://perugia/agent/../x", "clientAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_IDENTITY,
          .text = "venv://CLUSTER/ROLE/NAME" },
        { "a web address", { CERT("https://example.org/", "clientAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_IDENTITY,
          .text = "venv://CLUSTER/ROLE/NAME" },
        { "TLS 1.2", { GOOD_AGENT }, .version = TLS1_2_VERSION, .fault = VENV_TLS_FAULT_VERSION,
          .text = "does not speak TLS 1.3", .alert = SSL_AD_PROTOCOL_VERSION },
        { "TLS 1.0", { GOOD_AGENT }, .version = TLS1_VERSION, .fault = VENV_TLS_FAULT_VERSION,
          .text = "does not speak TLS 1.3" },
        /* These cannot sign with what we accept, and so come without a certificate. */
        { "RSA-512", { GOOD_AGENT, .group = "RSA-512" }, .fault = VENV_TLS_FAULT_NO_CERTIFICATE,
          .text = "none of a kind that we use" },
        { "RSA-2048", { GOOD_AGENT, .group = "RSA-2048" }, .fault = VENV_TLS_FAULT_NO_CERTIFICATE,
          .text = "none of a kind that we use" },
        { "P-384", { GOOD_AGENT, .group = "P-384" }, .fault = VENV_TLS_FAULT_NO_CERTIFICATE,
          .text = "none of a kind that we use" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refuse(f, &wrong[i], VENV_TLS_SERVER);
}

static void test_wrong_servers(void **state)
{
    fixture *f = *state;
    const wrong_peer wrong[] = {
        { "right: the control", { GOOD_MANAGER }, .fault = VENV_TLS_FAULT_NONE },
        { "other CA", { GOOD_MANAGER }, .from_other_ca = true, .fault = VENV_TLS_FAULT_OTHER_CA,
          .text = "not signed by the CA of our cluster perugia", .alert = SSL_AD_UNKNOWN_CA },
        { "self-signed", { GOOD_MANAGER, .is_ca = true }, .fault = VENV_TLS_FAULT_OTHER_CA, .text = "not signed by" },
        { "expired", { CERT(MANAGER, "serverAuth", -DAY_S, -60) }, .fault = VENV_TLS_FAULT_EXPIRED, .text = "check the clock",
          .alert = SSL_AD_CERTIFICATE_EXPIRED },
        { "not yet valid", { CERT(MANAGER, "serverAuth", 60, DAY_S) }, .fault = VENV_TLS_FAULT_NOT_YET_VALID, .text = "check the clock" },
        { "an agent with a server's usage", { CERT(AGENT, "serverAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_ROLE,
          .text = "we talk to managers only" },
        { "a user with a server's usage", { CERT("venv://perugia/user/alice", "serverAuth", -DAY_S, DAY_S) },
          .fault = VENV_TLS_FAULT_ROLE, .text = "we talk to managers only" },
        { "an agent's certificate", { GOOD_AGENT }, .fault = VENV_TLS_FAULT_PURPOSE, .text = "not for the server's side" },
        { "wrong cluster", { CERT("venv://padova/manager/mgr", "serverAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_CLUSTER,
          .text = "another cluster" },
        { "no identity", { CERT(NULL, "serverAuth", -DAY_S, DAY_S) }, .fault = VENV_TLS_FAULT_IDENTITY, .text = "names nobody" },
        /* OpenSSL's server does not offer TLS 1.3 without a certificate. */
        { "no certificate", .without_cert = true, .fault = VENV_TLS_FAULT_VERSION, .text = "refused the connection" },
        { "TLS 1.2", { GOOD_MANAGER }, .version = TLS1_2_VERSION, .fault = VENV_TLS_FAULT_VERSION,
          .text = "does not speak TLS 1.3" },
        { "RSA-2048", { GOOD_MANAGER, .group = "RSA-2048" }, .fault = VENV_TLS_FAULT_REFUSED, .text = "kind of key" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refuse(f, &wrong[i], VENV_TLS_CLIENT);
}

/* A client without a certificate believes that it is in, until it reads (RFC 8446, 4.4.2.4 and 6.2). */
static void test_refused_client_learns_why(void **state)
{
    fixture *f = *state;
    venv_tls_context *context;
    venv_tls *client, *server;
    /* Of the other cluster, but it trusts this manager: so the manager refuses it, and not it the manager. */
    char ca[TEMPDIR_PATH_MAX];
    X509 *x509;
    EVP_PKEY *key;
    const stranger_cert how = { CERT(AGENT, "clientAuth", -DAY_S, 10 * DAY_S), .now_s = NOW_S, .ca = f->ca, .ca_key = f->ca_key };
    stranger_make(&how, &x509, &key);
    snprintf(ca, sizeof ca, "%s/ca.crt", f->directory);
    const char *crt_path = tempdir_path(f->other, "x.crt"), *key_path = tempdir_path(f->other, "x.key");
    stranger_save(crt_path, x509, key_path, key);
    assert_int_equal(chmod(key_path, 0600), 0);
    const venv_tls_files files = { ca, crt_path, key_path };
    require(f, venv_tls_context_new(VENV_TLS_CLIENT, &files, &context, &f->err));
    require(f, venv_tls_new(context, now, "mgr:7420", &client, &f->err));
    /* The manager's clock is two weeks ahead. */
    const venv_wall later = { (NOW_S + 14 * DAY_S) * VENV_NS_PER_S };
    require(f, venv_tls_new(f->server, later, "192.0.2.7:1", &server, &f->err));
    carry(client, server, 100000);
    carry(server, client, 100000);
    assert_int_equal(venv_tls_state_of(client), VENV_TLS_OPEN); /* so it thinks */
    require(f, venv_tls_write(client, "HELLO", 5, &f->err));
    carry(client, server, 100000);
    assert_int_equal(venv_tls_fault_of(server), VENV_TLS_FAULT_EXPIRED);
    assert_int_equal(venv_tls_peek(server).size, 0); /* not a byte of it got in */
    carry(server, client, 100000);
    assert_int_equal(venv_tls_feed(client, "", 0, &f->err), VENV_EUNREACHABLE);
    assert_int_equal(venv_tls_fault_of(client), VENV_TLS_FAULT_REFUSED);
    assert_non_null(strstr(f->err.text, "by its clock our certificate is expired"));
    venv_tls_free(client);
    venv_tls_free(server);
    venv_tls_context_free(context);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void test_no_tls(void **state)
{
    fixture *f = *state;
    static const char *const texts[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-OpenSSH_9.2p1\r\n",
                                         "\x16\x03\x01\xff\xff garbage that says it is TLS",
                                         "\x80\x2e\x01\x03\x01", "{\"type\": 1}      ", "CONNECT mgr:7420 HTTP/1.1\r\n" };
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            venv_tls *tls;
            venv_rc rc = VENV_OK;
            require(f, venv_tls_new(side ? f->client : f->server, now, "192.0.2.9:5555", &tls, &f->err));
            for (unsigned n = 0; n < 5000 && rc == VENV_OK; n++)
                rc = venv_tls_feed(tls, texts[i], strlen(texts[i]), &f->err);
            if (rc != VENV_EPROTO && rc != VENV_ELIMIT)
                fail_msg("\"%s\": %s, %s", texts[i], venv_rc_name(rc), f->err.text);
            assert_int_equal(venv_tls_state_of(tls), VENV_TLS_FAILED);
            if (i < 2)
                assert_int_equal(venv_tls_fault_of(tls), VENV_TLS_FAULT_NOT_TLS);
            venv_tls_free(tls);
        }
        /* Random bytes, some of which begin like a record. */
        for (unsigned i = 0; i < 2000; i++) {
            unsigned char bytes[512];
            venv_tls *tls;
            assert_int_equal(RAND_bytes(bytes, sizeof bytes), 1);
            if (i % 2)
                memcpy(bytes, "\x16\x03\x01\x01\xfb\x01\x00\x01\xf7\x03\x03", i % 11);
            require(f, venv_tls_new(side ? f->client : f->server, now, NULL, &tls, &f->err));
            venv_rc rc = venv_tls_feed(tls, bytes, sizeof bytes, &f->err);
            assert_true(rc != VENV_OK || venv_tls_state_of(tls) == VENV_TLS_HANDSHAKE);
            venv_tls_free(tls);
        }
    }
}

/* A hello that never ends. */
static void test_slow_hello(void **state)
{
    fixture *f = *state;
    venv_tls *tls;
    venv_rc rc = VENV_OK;
    size_t fed = 0;
    /* Records that are valid and empty of meaning: one byte of a handshake message each. */
    static const unsigned char record[] = { 0x16, 3, 1, 0, 1, 1 };
    require(f, venv_tls_new(f->server, now, "192.0.2.9:5555", &tls, &f->err));
    while (rc == VENV_OK && fed < (1u << 20)) {
        rc = venv_tls_feed(tls, record, sizeof record, &f->err);
        fed += sizeof record;
    }
    assert_true(rc == VENV_ELIMIT || rc == VENV_EPROTO);
    assert_true(fed <= VENV_TLS_HANDSHAKE_MAX + sizeof record);
    venv_tls_free(tls);
}

/* Each connection is a full handshake; the server hands out nothing to resume with. */
static void test_no_resumption(void **state)
{
    fixture *f = *state;
    X509 *x509;
    EVP_PKEY *key;
    SSL_SESSION *session = NULL;
    const stranger_cert how = { GOOD_AGENT, .now_s = NOW_S, .ca = f->ca, .ca_key = f->ca_key };
    stranger_make(&how, &x509, &key);
    for (unsigned round = 0; round < 2; round++) {
        stranger peer;
        venv_tls *tls;
        bool done = false;
        stranger_open(&peer, false, x509, key, TLS1_3_VERSION);
        SSL_CTX_set_session_cache_mode(peer.context, SSL_SESS_CACHE_CLIENT);
        if (session)
            SSL_set_session(peer.ssl, session);
        require(f, venv_tls_new(f->server, now, "192.0.2.9:5555", &tls, &f->err));
        talk(tls, &peer, &done);
        assert_true(done);
        assert_int_equal(venv_tls_state_of(tls), VENV_TLS_OPEN);
        assert_int_equal(SSL_session_reused(peer.ssl), 0);
        SSL_SESSION_free(session);
        session = SSL_get1_session(peer.ssl);
        assert_int_equal(SSL_SESSION_is_resumable(session), 0);
        venv_tls_free(tls);
        stranger_close(&peer);
    }
    SSL_SESSION_free(session);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void test_context_refuses(void **state)
{
    fixture *f = *state;
    venv_tls_context *context = NULL;
    static const struct {
        venv_tls_side side;
        const char *ca, *crt, *key, *text;
        venv_rc rc;
    } cases[] = {
        { VENV_TLS_SERVER, "ca.crt", "agent-node07.crt", "agent-node07.key", "is of role agent; here it must be manager", VENV_EINVAL },
        { VENV_TLS_CLIENT, "ca.crt", "manager-mgr.crt", "manager-mgr.key", "is of role manager; here it must be agent or user", VENV_EINVAL },
        { VENV_TLS_CLIENT, "ca.crt", "agent-node07.crt", "user-alice.key", "does not belong to the certificate", VENV_EINVAL },
        { VENV_TLS_CLIENT, "user-alice.crt", "agent-node07.crt", "agent-node07.key", "not the certificate of a CA", VENV_EINVAL },
        { VENV_TLS_CLIENT, "ca.crt", "ca.crt", "ca.key", "is the certificate of a CA", VENV_EINVAL },
        { VENV_TLS_CLIENT, "ca.crt", "agent-node07.key", "agent-node07.key", "not a certificate in PEM form", VENV_EINVAL },
        { VENV_TLS_CLIENT, "ca.crt", "agent-node07.crt", "none.key", "No such file", VENV_ENOENT },
        { VENV_TLS_CLIENT, "none.crt", "agent-node07.crt", "agent-node07.key", "No such file", VENV_ENOENT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const venv_tls_files files = { tempdir_path(f->directory, cases[i].ca), tempdir_path(f->directory, cases[i].crt),
                                       tempdir_path(f->directory, cases[i].key) };
        assert_int_equal(venv_tls_context_new(cases[i].side, &files, &context, &f->err), cases[i].rc);
        if (!strstr(f->err.text, cases[i].text))
            fail_msg("\"%s\" does not say \"%s\"", f->err.text, cases[i].text);
    }
    venv_tls_files files = { tempdir_path(f->other, "ca.crt"), tempdir_path(f->directory, "agent-node07.crt"),
                             tempdir_path(f->directory, "agent-node07.key") };
    assert_int_equal(venv_tls_context_new(VENV_TLS_CLIENT, &files, &context, &f->err), VENV_EINVAL);
    assert_non_null(strstr(f->err.text, "is not signed by the CA"));
    files.ca = tempdir_path(f->directory, "ca.crt");
    static const unsigned modes[] = { 0644, 0604, 0660, 0602 };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(chmod(files.key, modes[i]), 0);
        assert_int_equal(venv_tls_context_new(VENV_TLS_CLIENT, &files, &context, &f->err), VENV_EDENIED);
        assert_non_null(strstr(f->err.text, "chmod 600"));
    }
    assert_null(context);
}

/* The context may go before its connections. */
static void test_context_goes_first(void **state)
{
    fixture *f = *state;
    venv_tls *client, *server;
    open_pair(f, f->client, 4096, &client, &server);
    venv_tls_context_free(f->client);
    f->client = NULL;
    require(f, venv_tls_write(client, "x", 1, &f->err));
    converse(client, server, 4096);
    assert_int_equal(venv_tls_peek(server).size, 1);
    venv_tls_free(client);
    venv_tls_free(server);
}

#define TEST(test) { #test, test, setup, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_right_ones), TEST(test_much_data), TEST(test_limits), TEST(test_ends),
        TEST(test_wrong_clients), TEST(test_wrong_servers), TEST(test_refused_client_learns_why),
        TEST(test_no_tls), TEST(test_slow_hello), TEST(test_no_resumption), TEST(test_context_refuses),
        TEST(test_context_goes_first),
    };
    return cmocka_run_group_tests_name("tls", tests, NULL, NULL);
}
