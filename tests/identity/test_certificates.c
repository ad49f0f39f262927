/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identities, the CA and the certificates it issues; the openssl program must agree with us.
 */
#include "support/tempdir.h"

#include <venv/identity.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* needs those before it */

#define NOW_S 1795371600 /* 2026-11-22T18:20:00Z */
#define DAY_NS (86400 * VENV_NS_PER_S)
static const venv_wall now = { NOW_S * VENV_NS_PER_S };

typedef struct fixture {
    char *directory;
    venv_error err;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->directory = tempdir_make();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    tempdir_remove(f->directory);
    free(f);
    return 0;
}

static void require(fixture *f, venv_rc rc)
{
    if (rc != VENV_OK)
        fail_msg("%s: %s", venv_rc_name(rc), f->err.text);
}

static bool parse(const char *uri, venv_identity *ret_identity)
{
    return venv_identity_parse((venv_str){ uri, strlen(uri) }, ret_identity);
}

static void test_uri(void **state)
{
    (void)state;
    static const char *const good[] = { "venv://perugia/agent/node07", "venv://a/manager/b", "venv://p.infn-2/user/x_y" };
    static const char *const bad[] = {
        "", "venv://", "venv://perugia", "venv://perugia/agent", "venv://perugia/agent/", "venv:///agent/x",
        "venv://perugia/root/x", "venv://perugia/AGENT/x", "venv://perugia/none/x", "venv://perugia/agent/x/",
        "venv://perugia/agent/x/y", "venv://perugia//x", "VENV://perugia/agent/x", "venv:/perugia/agent/x",
        "venv://perugia/agent/..", "venv://perugia/agent/a..b", "venv://perugia/agent/-x", "venv://perugia/agent/X",
        "venv://perugia/agent/x y", "venv://perugia/agent/x\n", "venv://perugia/agent/x%2f", "https://perugia/agent/x",
        "venv://perugia:80/agent/x", "venv://u@perugia/agent/x", "venv://perugia/agent/x?y", "venv://perugia/agent/x#y",
        "venv://perugia/agent/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        venv_identity identity;
        char uri[VENV_IDENTITY_URI_MAX];
        assert_true(parse(good[i], &identity));
        assert_string_equal(venv_identity_format(&identity, uri), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        venv_identity identity;
        if (parse(bad[i], &identity))
            fail_msg("\"%s\" was taken", bad[i]);
    }
    venv_identity identity;
    assert_false(venv_identity_parse((venv_str){ "venv://perugia/agent/x\0", 23 }, &identity));
}

static void test_random(void **state)
{
    (void)state;
    uint8_t a[64] = { 0 }, b[64] = { 0 };
    venv_id ids[64];
    assert_int_equal(venv_identity_random(a, sizeof a, NULL), VENV_OK);
    assert_int_equal(venv_identity_random(b, sizeof b, NULL), VENV_OK);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(venv_identity_random_id(&ids[i], NULL), VENV_OK);
        assert_int_equal(ids[i].bytes[6] >> 4, 4);
        assert_int_equal(ids[i].bytes[8] >> 6, 2);
        for (size_t k = 0; k < i; k++)
            assert_false(venv_id_equal(ids[i], ids[k]));
    }
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void test_ca(void **state)
{
    fixture *f = *state;
    const char *directory = tempdir_path(f->directory, "pki");
    venv_cert_info info;
    for (unsigned kind = VENV_KEY_P256; kind <= VENV_KEY_ED25519; kind++) {
        const venv_cert_options options = { .key = (venv_key_kind)kind, .replace = true };
        require(f, venv_ca_init(directory, "perugia", &options, now, &f->err));
        require(f, venv_cert_read(tempdir_path(directory, "ca.crt"), &info, &f->err));
        assert_true(info.is_ca);
        assert_string_equal(info.identity.cluster, "perugia");
        assert_int_equal(info.identity.role, VENV_ROLE_NONE);
        assert_string_equal(info.key, kind == VENV_KEY_P256 ? "P-256" : "Ed25519");
        assert_int_equal(info.not_before.ns, now.ns - 3600 * VENV_NS_PER_S);
        assert_int_equal(info.not_after.ns, now.ns + 3652 * DAY_NS);
        assert_int_equal(strlen(info.serial), 40);
        assert_int_equal(strlen(info.fingerprint), 95);
    }
    assert_mode(directory, 0700);
    assert_mode(tempdir_path(directory, "ca.key"), 0600);
    assert_mode(tempdir_path(directory, "ca.crt"), 0644);
    /* Not over what is there, unless told. */
    char before[96];
    memcpy(before, info.fingerprint, sizeof before);
    assert_int_equal(venv_ca_init(directory, "perugia", NULL, now, &f->err), VENV_EEXIST);
    assert_non_null(strstr(f->err.text, "ca.crt is there already"));
    require(f, venv_cert_read(tempdir_path(directory, "ca.crt"), &info, &f->err));
    assert_string_equal(before, info.fingerprint);
    /* Nor over a key alone. */
    assert_int_equal(remove(tempdir_path(directory, "ca.crt")), 0);
    assert_int_equal(venv_ca_init(directory, "perugia", NULL, now, &f->err), VENV_EEXIST);
    assert_non_null(strstr(f->err.text, "ca.key is there already"));
    assert_int_not_equal(access(tempdir_path(directory, "ca.crt"), F_OK), 0);
}

static void test_issue(void **state)
{
    fixture *f = *state;
    char path[VENV_CERT_PATH_MAX];
    venv_cert_info info;
    static const char *const hosts[] = { "mgr.example.org", "192.0.2.7", "2001:db8::7" };
    require(f, venv_ca_init(f->directory, "perugia", NULL, now, &f->err));
    for (int role = VENV_ROLE_MANAGER; role <= VENV_ROLE_USER; role++) {
        for (unsigned kind = VENV_KEY_P256; kind <= VENV_KEY_ED25519; kind++) {
            const venv_cert_options options = { .key = (venv_key_kind)kind, .replace = kind > 0, .days = 30,
                                                .hosts = hosts, .host_count = role == VENV_ROLE_MANAGER ? 3 : 0 };
            require(f, venv_ca_issue(f->directory, (venv_role)role, "name.x", NULL, &options, now, &f->err));
            venv_cert_path(f->directory, (venv_role)role, "name.x", "crt", path);
            require(f, venv_cert_read(path, &info, &f->err));
            assert_false(info.is_ca);
            assert_int_equal(info.identity.role, role);
            assert_string_equal(info.identity.name, "name.x");
            assert_string_equal(info.identity.cluster, "perugia");
            assert_int_equal(info.not_after.ns, now.ns + 30 * DAY_NS);
            assert_string_equal(info.hosts, role == VENV_ROLE_MANAGER ? "mgr.example.org 192.0.2.7 2001:db8::7" : "");
            venv_cert_path(f->directory, (venv_role)role, "name.x", "key", path);
            assert_mode(path, 0600);
        }
    }
    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_USER, "name.x", NULL, NULL, now, &f->err), VENV_EEXIST);
    /* Elsewhere. */
    const char *elsewhere = tempdir_path(f->directory, "out");
    require(f, venv_ca_issue(f->directory, VENV_ROLE_USER, "name.x", elsewhere, NULL, now, &f->err));
    assert_mode(elsewhere, 0700);
    assert_mode(tempdir_path(elsewhere, "user-name.x.key"), 0600);
    require(f, venv_cert_read(tempdir_path(elsewhere, "user-name.x.crt"), &info, &f->err));
    assert_int_equal(info.not_after.ns, now.ns + 365 * DAY_NS);
    /* No temporary file is left over. */
    char command[TEMPDIR_PATH_MAX + 64];
    snprintf(command, sizeof command, "! find %s -name '*.new-*' | grep .", f->directory);
    assert_int_equal(tempdir_shell(command), 0);
}

static void test_refusals(void **state)
{
    fixture *f = *state;
    static const char *const bad_names[] = { "", "A", "../x", "a/b", "a b", "-x", ".x", "a,URI:venv://x/manager/y", "ü" };
    static const char *const bad_hosts[] = { "", "a b", "x/y", "-x", "a..b", "x,DNS:y", "*.example.org" };
    const venv_cert_options long_life = { .days = 100000 }, beyond = { .days = 400 }, short_ca = { .days = 100 };

    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_AGENT, "x", NULL, NULL, now, &f->err), VENV_ENOENT);
    assert_non_null(strstr(f->err.text, "venvctl cert init"));
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++)
        assert_int_equal(venv_ca_init(f->directory, bad_names[i], NULL, now, &f->err), VENV_EINVAL);
    require(f, venv_ca_init(f->directory, "perugia", &short_ca, now, &f->err));
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++)
        assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_AGENT, bad_names[i], NULL, NULL, now, &f->err), VENV_EINVAL);
    for (size_t i = 0; i < sizeof bad_hosts / sizeof bad_hosts[0]; i++) {
        const venv_cert_options options = { .hosts = &bad_hosts[i], .host_count = 1 };
        assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_MANAGER, "x", NULL, &options, now, &f->err), VENV_EINVAL);
    }
    const char *host = "x.example.org";
    const venv_cert_options hosts = { .hosts = &host, .host_count = 1 };
    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_AGENT, "x", NULL, &hosts, now, &f->err), VENV_EINVAL);
    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_NONE, "x", NULL, NULL, now, &f->err), VENV_EINVAL);
    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_AGENT, "x", NULL, &long_life, now, &f->err), VENV_EINVAL);
    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_AGENT, "x", NULL, &beyond, now, &f->err), VENV_ERANGE);
    assert_non_null(strstr(f->err.text, "it ends in 100 days"));
    /* Nothing said: as long as the CA. */
    venv_cert_info info;
    require(f, venv_ca_issue(f->directory, VENV_ROLE_AGENT, "x", NULL, NULL, now, &f->err));
    require(f, venv_cert_read(tempdir_path(f->directory, "agent-x.crt"), &info, &f->err));
    assert_int_equal(info.not_after.ns, now.ns + 100 * DAY_NS);
    const venv_wall later = { now.ns + 101 * DAY_NS };
    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_AGENT, "y", NULL, NULL, later, &f->err), VENV_ERANGE);
    /* A CA whose key others can read is not used. */
    assert_int_equal(chmod(tempdir_path(f->directory, "ca.key"), 0644), 0);
    assert_int_equal(venv_ca_issue(f->directory, VENV_ROLE_AGENT, "y", NULL, NULL, now, &f->err), VENV_EDENIED);
    assert_int_equal(venv_cert_read(tempdir_path(f->directory, "none.crt"), &info, &f->err), VENV_ENOENT);
    assert_int_equal(venv_cert_read(tempdir_path(f->directory, "ca.key"), &info, &f->err), VENV_EINVAL);
}

/* Another program's opinion. */
static void test_openssl_agrees(void **state)
{
    fixture *f = *state;
    char command[2048];
    require(f, venv_ca_init(f->directory, "perugia", NULL, now, &f->err));
    require(f, venv_ca_issue(f->directory, VENV_ROLE_MANAGER, "mgr", NULL, NULL, now, &f->err));
    require(f, venv_ca_issue(f->directory, VENV_ROLE_AGENT, "node07", NULL, NULL, now, &f->err));
    snprintf(command, sizeof command,
             "cd %s && v='openssl verify -x509_strict -attime %d -CAfile ca.crt' && exec >/dev/null 2>&1 && set -x;"
             "$v -purpose sslserver manager-mgr.crt && $v -purpose sslclient agent-node07.crt &&"
             "! $v -purpose sslclient manager-mgr.crt && ! $v -purpose sslserver agent-node07.crt &&"
             "openssl x509 -in agent-node07.crt -noout -text | grep -q URI:venv://perugia/agent/node07 &&"
             "openssl x509 -in ca.crt -noout -text | grep -q pathlen:0", f->directory, NOW_S);
    assert_int_equal(tempdir_shell(command), 0);
}

#define TEST(test) { #test, test, setup, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_uri), TEST(test_random), TEST(test_ca), TEST(test_issue), TEST(test_refusals), TEST(test_openssl_agrees),
    };
    return cmocka_run_group_tests_name("certificates", tests, NULL, NULL);
}
