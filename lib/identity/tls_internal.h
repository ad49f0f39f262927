/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IDENTITY_TLS_INTERNAL_H
#define VENV_IDENTITY_TLS_INTERNAL_H

/* What tls_context.c (settings, judging the peer's certificate), tls.c (the engine) and tls_fault.c share. */

#include "identity/openssl.h"

#include "base/buf.h"

#include <openssl/ssl.h>

#include <stdatomic.h>

#define ADDRESS_MAX 64

struct venv_tls_context {
    atomic_uint references; /* of the creator and of each connection */
    venv_tls_side side;
    SSL_CTX *ssl;
    BIO_METHOD *method; /* of the BIOs that stand in for a socket */
    venv_cert_info own;
};

struct venv_tls {
    venv_tls_context *context;
    SSL *ssl;
    venv_tls_state state;
    venv_tls_fault fault;
    venv_error error;        /* of a failure, for every later call */
    venv_wall now;           /* when it began: what the dates of certificates are held against */
    venv_identity peer;
    bool peer_known;         /* the certificate was judged and is good */
    const uint8_t *input;    /* what venv_tls_feed() was given and is not yet taken */
    size_t input_size;
    size_t handshake_size;   /* bytes that came before it was open */
    venv_buf plain, output;
    size_t plain_start, output_start; /* bytes at the front that are gone */
    char address[ADDRESS_MAX];
};

venv_tls_context *venv_tls_context_ref(venv_tls_context *context);

/* The kind of BIO that stands in for a socket; its data is the venv_tls. NULL if out of memory. */
BIO_METHOD *venv_tls_bio_method(void);

/* Note a fault and its text, unless one is noted already: the first is the cause. Returns its code. */
venv_rc venv_tls_fail(venv_tls *tls, venv_tls_fault fault, venv_rc rc, const char *format, ...) VENV_PRINTF(4, 5);

/* The same for what OpenSSL's queue of errors says. */
venv_rc venv_tls_fail_openssl(venv_tls *tls);

#endif
