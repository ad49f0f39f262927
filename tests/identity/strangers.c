/* SPDX-License-Identifier: Apache-2.0 */
#include "strangers.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "strangers: %s failed\n", what);
        ERR_print_errors_fp(stderr);
        abort();
    }
}

static EVP_PKEY *make_key(const char *group)
{
    EVP_PKEY *key = !group                          ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
                    : strcmp(group, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                    : strcmp(group, "RSA-512") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)512)
                    : strcmp(group, "RSA-2048") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                                                    : EVP_PKEY_Q_keygen(NULL, NULL, "EC", group);
    require(key != NULL, "key");
    return key;
}

static void extend(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    require(extension && X509_add_ext(x509, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

void stranger_make(const stranger_cert *how, X509 **ret_x509, EVP_PKEY **ret_key)
{
    EVP_PKEY *key = make_key(how->group);
    X509 *x509 = X509_new();
    X509 *issuer = how->ca ? how->ca : x509;
    EVP_PKEY *issuer_key = how->ca ? how->ca_key : key;
    unsigned char serial[8];
    long number = 0;

    RAND_bytes(serial, sizeof serial);
    memcpy(&number, serial, sizeof number);
    X509_set_version(x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), number & 0x7fffffff);
    ASN1_TIME_set(X509_getm_notBefore(x509), how->now_s + how->from_s);
    ASN1_TIME_set(X509_getm_notAfter(x509), how->now_s + how->until_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC, (const unsigned char *)"stranger", -1,
                               -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(issuer));
    X509_set_pubkey(x509, key);
    extend(x509, issuer, NID_basic_constraints, how->is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
    extend(x509, issuer, NID_key_usage, how->is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    extend(x509, issuer, NID_subject_key_identifier, "hash");
    if (how->ca)
        extend(x509, issuer, NID_authority_key_identifier, "keyid:always");
    if (how->usage)
        extend(x509, issuer, NID_ext_key_usage, how->usage);
    if (how->uri) {
        char names[512];
        snprintf(names, sizeof names, "URI:%s%s%s", how->uri, how->second_uri ? ",URI:" : "",
                 how->second_uri ? how->second_uri : "");
        extend(x509, issuer, NID_subject_alt_name, names);
    }
    require(X509_sign(x509, issuer_key, EVP_PKEY_is_a(issuer_key, "ED25519") ? NULL : EVP_sha256()) > 0, "sign");
    *ret_x509 = x509;
    *ret_key = key;
}

void stranger_load_ca(const char *directory, X509 **ret_x509, EVP_PKEY **ret_key)
{
    char path[512];
    snprintf(path, sizeof path, "%s/ca.crt", directory);
    FILE *file = fopen(path, "r");
    require(file && (*ret_x509 = PEM_read_X509(file, NULL, NULL, NULL)), path);
    fclose(file);
    snprintf(path, sizeof path, "%s/ca.key", directory);
    file = fopen(path, "r");
    require(file && (*ret_key = PEM_read_PrivateKey(file, NULL, NULL, NULL)), path);
    fclose(file);
}

void stranger_save(const char *crt_path, X509 *x509, const char *key_path, EVP_PKEY *key)
{
    FILE *file = fopen(crt_path, "w");
    require(file && PEM_write_X509(file, x509) == 1 && fclose(file) == 0, crt_path);
    BIO *bio = BIO_new_file(key_path, "w");
    require(bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1, key_path);
    BIO_free(bio);
}

/* It does not care who we are. */
static int accept_any(int good, X509_STORE_CTX *chain)
{
    (void)good;
    (void)chain;
    return 1;
}

void stranger_open(stranger *peer, bool is_server, X509 *x509, EVP_PKEY *key, int version)
{
    peer->context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_security_level(peer->context, 0);
    SSL_CTX_set_verify(peer->context, SSL_VERIFY_PEER, accept_any);
    require(SSL_CTX_set_min_proto_version(peer->context, version) == 1 &&
                SSL_CTX_set_max_proto_version(peer->context, version) == 1, "version");
    if (x509)
        require(SSL_CTX_use_certificate(peer->context, x509) == 1 && SSL_CTX_use_PrivateKey(peer->context, key) == 1,
                "certificate");
    peer->ssl = SSL_new(peer->context);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    if (is_server)
        SSL_set_accept_state(peer->ssl);
    else
        SSL_set_connect_state(peer->ssl);
}

void stranger_close(stranger *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->context);
    ERR_clear_error();
}
