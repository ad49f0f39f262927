/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_IDENTITY_STRANGERS_H
#define VENV_TESTS_IDENTITY_STRANGERS_H

/*
 * Peers that libvenv would never make: OpenSSL used directly, with any certificate and any settings.
 * They are what the real engine has to refuse.
 */

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdbool.h>
#include <stddef.h>

/* A key and certificate made by hand. */
typedef struct stranger_cert {
    const char *group;      /* "P-256", "ED25519", "RSA-512", "P-384"; NULL: P-256 */
    const char *uri;        /* NULL: no subjectAltName */
    const char *second_uri; /* NULL: none */
    const char *usage;      /* of the extended key usage; NULL: no extension */
    long from_s, until_s;   /* relative to `now_s` */
    long now_s;
    X509 *ca;               /* NULL: signed by itself */
    EVP_PKEY *ca_key;
    bool is_ca;
} stranger_cert;

void stranger_make(const stranger_cert *how, X509 **ret_x509, EVP_PKEY **ret_key);
/* Load what venv_ca_init() wrote. */
void stranger_load_ca(const char *directory, X509 **ret_x509, EVP_PKEY **ret_key);
void stranger_save(const char *crt_path, X509 *x509, const char *key_path, EVP_PKEY *key);

/* A connection over memory, which asks for a certificate and takes any. */
typedef struct stranger {
    SSL_CTX *context;
    SSL *ssl;
    BIO *in, *out;
} stranger;

void stranger_open(stranger *peer, bool is_server, X509 *x509, EVP_PKEY *key, int version);
void stranger_close(stranger *peer);

#endif
