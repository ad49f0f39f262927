/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings of every connection, and the judging of a peer's certificate.
 *
 * Everything is set explicitly and after SSL_CTX_new(), so that the system's configuration of OpenSSL
 * (openssl.cnf, OPENSSL_CONF) cannot weaken it. There is no way to leave a check out.
 */
#include "identity/tls_internal.h"

#include "base/text.h"

#include <openssl/err.h>

#include <stdio.h>
#include <string.h>

#define CERT_LIST_MAX 16384
#define CHAIN_DEPTH_MAX 2
#define SECURITY_LEVEL 2 /* 112 bits and more, no SHA-1 */

static const char ciphersuites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char groups[] = "X25519:P-256";
static const char signatures[] = "ed25519:ecdsa_secp256r1_sha256";

/* Who it says it is, for the text about a certificate that is refused. */
static void describe(const venv_tls *tls, X509 *x509, char *text, size_t size)
{
    char uri[VENV_IDENTITY_URI_MAX];
    venv_identity identity;

    if (x509 && !venv_x509_identity(x509, false, &identity))
        snprintf(text, size, "the certificate of %s (%s)", tls->address, venv_identity_format(&identity, uri));
    else
        snprintf(text, size, "the certificate of %s", tls->address);
}

static void fail_dates(venv_tls *tls, X509 *x509, const char *who, bool expired)
{
    char then_text[VENV_WALL_TEXT_SIZE] = "?", now_text[VENV_WALL_TEXT_SIZE];
    venv_wall then;

    if (x509 && venv_x509_time(expired ? X509_get0_notAfter(x509) : X509_get0_notBefore(x509), &then))
        venv_wall_format(then, then_text);
    venv_wall_format(tls->now, now_text);
    venv_tls_fail(tls, expired ? VENV_TLS_FAULT_EXPIRED : VENV_TLS_FAULT_NOT_YET_VALID, VENV_EDENIED,
                  expired ? "%s expired at %s, and the clock here says %s; check the clock, or issue a new certificate"
                          : "%s is valid from %s on, and the clock here says %s; check the clock on both sides",
                  who, then_text, now_text);
}

/* The chain was refused by OpenSSL. */
static void fail_chain(venv_tls *tls, X509_STORE_CTX *chain)
{
    int error = X509_STORE_CTX_get_error(chain);
    X509 *x509 = X509_STORE_CTX_get_current_cert(chain);
    char who[256];

    describe(tls, x509, who, sizeof who);
    if (X509_STORE_CTX_get_error_depth(chain) > 0)
        snprintf(who, sizeof who, "the CA that signed the certificate of %s", tls->address);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        fail_dates(tls, x509, who, true);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        fail_dates(tls, x509, who, false);
        return;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
        venv_tls_fail(tls, VENV_TLS_FAULT_OTHER_CA, VENV_EDENIED,
                      "%s is not signed by the CA of our cluster %s (%s); is it of another cluster?", who,
                      tls->context->own.identity.cluster, X509_verify_cert_error_string(error));
        return;
    case X509_V_ERR_INVALID_PURPOSE:
        venv_tls_fail(tls, VENV_TLS_FAULT_PURPOSE, VENV_EDENIED, "%s is not for the %s side of a connection", who,
                      tls->context->side == VENV_TLS_SERVER ? "client's" : "server's");
        return;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        venv_tls_fail(tls, VENV_TLS_FAULT_WEAK_KEY, VENV_EDENIED, "%s has a key or signature that is too weak (%s)",
                      who, X509_verify_cert_error_string(error));
        return;
    default:
        venv_tls_fail(tls, VENV_TLS_FAULT_CERTIFICATE, VENV_EDENIED, "%s is refused: %s", who,
                      X509_verify_cert_error_string(error));
        return;
    }
}

static bool role_may_be_there(venv_tls_side our_side, venv_role role)
{
    if (our_side == VENV_TLS_CLIENT)
        return role == VENV_ROLE_MANAGER;
    return role == VENV_ROLE_AGENT || role == VENV_ROLE_USER;
}

/* The chain is good. Is it the right kind of peer, of our cluster? */
static bool judge_peer(venv_tls *tls, X509 *x509)
{
    const venv_tls_context *context = tls->context;
    uint32_t wanted = context->side == VENV_TLS_CLIENT ? XKU_SSL_SERVER : XKU_SSL_CLIENT;
    venv_identity peer;
    char who[256];

    describe(tls, x509, who, sizeof who);
    if (!venv_x509_key_is_ours(x509)) {
        venv_tls_fail(tls, VENV_TLS_FAULT_WEAK_KEY, VENV_EDENIED, "%s has a key that is neither P-256 nor Ed25519", who);
        return false;
    }
    /* OpenSSL takes a missing extension for "any purpose". */
    if ((X509_get_extension_flags(x509) & EXFLAG_XKUSAGE) == 0 ||
        (X509_get_extended_key_usage(x509) & wanted) == 0) {
        venv_tls_fail(tls, VENV_TLS_FAULT_PURPOSE, VENV_EDENIED, "%s is not for the %s side of a connection", who,
                      context->side == VENV_TLS_SERVER ? "client's" : "server's");
        return false;
    }
    const char *fault = venv_x509_identity(x509, false, &peer);
    if (fault) {
        venv_tls_fail(tls, VENV_TLS_FAULT_IDENTITY, VENV_EDENIED, "%s is no identity of venv: %s", who, fault);
        return false;
    }
    if (strcmp(peer.cluster, context->own.identity.cluster) != 0) {
        venv_tls_fail(tls, VENV_TLS_FAULT_CLUSTER, VENV_EDENIED, "%s is of another cluster; ours is %s", who,
                      context->own.identity.cluster);
        return false;
    }
    if (!role_may_be_there(context->side, peer.role)) {
        venv_tls_fail(tls, VENV_TLS_FAULT_ROLE, VENV_EDENIED, "%s is of the wrong role: %s", who,
                      context->side == VENV_TLS_CLIENT ? "we talk to managers only"
                                                       : "a manager talks to agents and users only");
        return false;
    }
    tls->peer = peer;
    tls->peer_known = true;
    return true;
}

/* OpenSSL calls this for each certificate of the chain, the peer's own last. */
static int judge(int good, X509_STORE_CTX *chain)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    venv_tls *tls = SSL_get_app_data(ssl);

    if (!good) {
        fail_chain(tls, chain);
        return 0;
    }
    if (X509_STORE_CTX_get_error_depth(chain) > 0 || judge_peer(tls, X509_STORE_CTX_get_current_cert(chain)))
        return 1;
    X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static bool trust_only(SSL_CTX *ssl, X509 *ca, venv_tls_side side)
{
    X509_STORE *store = X509_STORE_new();
    if (!store || X509_STORE_add_cert(store, ca) != 1) {
        X509_STORE_free(store);
        return false;
    }
    SSL_CTX_set_cert_store(ssl, store);
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl);
    return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT) == 1 &&
           X509_VERIFY_PARAM_set_purpose(param, side == VENV_TLS_CLIENT ? X509_PURPOSE_SSL_SERVER
                                                                        : X509_PURPOSE_SSL_CLIENT) == 1 &&
           (side == VENV_TLS_CLIENT || SSL_CTX_add_client_CA(ssl, ca) == 1);
}

static bool configure(SSL_CTX *ssl, X509 *ca, X509 *own, EVP_PKEY *key, venv_tls_side side)
{
    SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
    SSL_CTX_clear_options(ssl, SSL_CTX_get_options(ssl));
    SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_max_cert_list(ssl, CERT_LIST_MAX);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, judge);
    SSL_CTX_set_verify_depth(ssl, CHAIN_DEPTH_MAX);
    SSL_CTX_set_quiet_shutdown(ssl, 0);
    return SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_ciphersuites(ssl, ciphersuites) == 1 && SSL_CTX_set1_groups_list(ssl, groups) == 1 &&
           SSL_CTX_set1_sigalgs_list(ssl, signatures) == 1 &&
           SSL_CTX_set1_client_sigalgs_list(ssl, signatures) == 1 && SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
           SSL_CTX_set_max_early_data(ssl, 0) == 1 && SSL_CTX_set_recv_max_early_data(ssl, 0) == 1 &&
           trust_only(ssl, ca, side) && SSL_CTX_use_certificate(ssl, own) == 1 &&
           SSL_CTX_use_PrivateKey(ssl, key) == 1;
}

/* The three files against each other. */
static venv_rc check_files(const venv_tls_files *files, venv_tls_side side, X509 *ca, X509 *own, EVP_PKEY *key,
                           venv_cert_info *ret_own, venv_error *err)
{
    venv_cert_info ca_info;
    venv_rc rc = venv_x509_info(ca, files->ca, &ca_info, err);
    if (rc == VENV_OK)
        rc = venv_x509_info(own, files->certificate, ret_own, err);
    if (rc != VENV_OK)
        return rc;
    if (!ca_info.is_ca)
        return venv_error_set(err, VENV_EINVAL, "%s is not the certificate of a CA", files->ca);
    if (ret_own->is_ca)
        return venv_error_set(err, VENV_EINVAL, "%s is the certificate of a CA; a peer needs one of its own",
                              files->certificate);
    if (X509_check_private_key(own, key) != 1) {
        ERR_clear_error();
        return venv_error_set(err, VENV_EINVAL, "the key %s does not belong to the certificate %s", files->key,
                              files->certificate);
    }
    if (X509_verify(own, X509_get0_pubkey(ca)) != 1) {
        ERR_clear_error();
        return venv_error_set(err, VENV_EINVAL, "the certificate %s is not signed by the CA %s", files->certificate,
                              files->ca);
    }
    if (strcmp(ca_info.identity.cluster, ret_own->identity.cluster) != 0)
        return venv_error_set(err, VENV_EINVAL, "the certificate %s is of cluster %s, the CA %s of cluster %s",
                              files->certificate, ret_own->identity.cluster, files->ca, ca_info.identity.cluster);
    if (!venv_x509_key_is_ours(own))
        return venv_error_set(err, VENV_EINVAL, "the certificate %s has a key that is neither P-256 nor Ed25519",
                              files->certificate);
    if (role_may_be_there(side == VENV_TLS_CLIENT ? VENV_TLS_SERVER : VENV_TLS_CLIENT, ret_own->identity.role))
        return VENV_OK;
    return venv_error_set(err, VENV_EINVAL, "the certificate %s is of role %s; here it must be %s", files->certificate,
                          venv_role_name(ret_own->identity.role),
                          side == VENV_TLS_CLIENT ? "agent or user" : "manager");
}

venv_rc venv_tls_context_new(venv_tls_side side, const venv_tls_files *files, venv_tls_context **ret_context,
                             venv_error *err)
{
    VENV_AUTO_X509 X509 *ca = NULL;
    VENV_AUTO_X509 X509 *own = NULL;
    VENV_AUTO_PKEY EVP_PKEY *key = NULL;
    venv_cert_info info;

    venv_rc rc = venv_x509_load(files->ca, &ca, err);
    if (rc == VENV_OK)
        rc = venv_x509_load(files->certificate, &own, err);
    if (rc == VENV_OK)
        rc = venv_pkey_load(files->key, &key, err);
    if (rc == VENV_OK)
        rc = check_files(files, side, ca, own, key, &info, err);
    if (rc != VENV_OK)
        return rc;
    venv_tls_context *context = calloc(1, sizeof *context);
    if (!context)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the settings of TLS");
    atomic_init(&context->references, 1);
    context->side = side;
    context->own = info;
    context->ssl = SSL_CTX_new(side == VENV_TLS_CLIENT ? TLS_client_method() : TLS_server_method());
    context->method = venv_tls_bio_method();
    if (!context->ssl || !context->method || !configure(context->ssl, ca, own, key, side)) {
        venv_tls_context_free(context);
        return venv_openssl_fail(err, VENV_EIO, "cannot set TLS up");
    }
    *ret_context = context;
    return VENV_OK;
}

venv_tls_context *venv_tls_context_ref(venv_tls_context *context)
{
    atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
    return context;
}

void venv_tls_context_free(venv_tls_context *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) > 1)
        return;
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->method);
    free(context);
}

const venv_cert_info *venv_tls_context_peek_own(const venv_tls_context *context)
{
    return &context->own;
}
