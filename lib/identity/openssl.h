/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IDENTITY_OPENSSL_H
#define VENV_IDENTITY_OPENSSL_H

/* What the files of this folder share about OpenSSL's objects. No other folder includes OpenSSL. */

#include <venv/identity.h>

#include "base/cleanup.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#define VENV_PEM_FILE_MAX (64u << 10)

static inline void venv_cleanup_x509(X509 **x509)
{
    X509_free(*x509);
}
static inline void venv_cleanup_pkey(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}
static inline void venv_cleanup_bio(BIO **bio)
{
    BIO_free(*bio);
}
#define VENV_AUTO_X509 VENV_CLEANUP(venv_cleanup_x509)
#define VENV_AUTO_PKEY VENV_CLEANUP(venv_cleanup_pkey)
#define VENV_AUTO_BIO VENV_CLEANUP(venv_cleanup_bio)

/* Set the error to "TEXT: what OpenSSL says", and empty OpenSSL's queue of errors. */
venv_rc venv_openssl_fail(venv_error *err, venv_rc rc, const char *format, ...) VENV_PRINTF(3, 4);

/*
 * The URI SAN of a certificate: exactly one URI, and that is ours. For a CA it is venv://CLUSTER, with role none.
 * Returns NULL if it is well formed, else what is wrong with it.
 */
const char *venv_x509_identity(X509 *x509, bool is_ca, venv_identity *ret_identity);

/* "P-256", "Ed25519", or what OpenSSL calls it. */
void venv_x509_key_name(X509 *x509, char *name, size_t size);
/* One of the two kinds of key that venv uses. */
bool venv_x509_key_is_ours(X509 *x509);

/* The instant of a certificate's time; saturates. False if it is malformed. */
bool venv_x509_time(const ASN1_TIME *time, venv_wall *ret_wall);

/* Everything of it that people want to see. VENV_EINVAL: no identity. `path` is for the text. */
venv_rc venv_x509_info(X509 *x509, const char *path, venv_cert_info *ret_info, venv_error *err);

/* One certificate or one private key from a PEM file. A key's file must not be readable by others. */
venv_rc venv_x509_load(const char *path, X509 **ret_x509, venv_error *err);
venv_rc venv_pkey_load(const char *path, EVP_PKEY **ret_key, venv_error *err);

#endif
