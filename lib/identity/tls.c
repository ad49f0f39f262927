/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection as a machine from bytes to bytes. OpenSSL reads from and writes to a BIO of our own,
 * which lends it the bytes of one venv_tls_feed() and collects what is to be sent: nothing is copied
 * twice, and an idle connection holds no buffer.
 */
#include "identity/tls_internal.h"

#include <openssl/err.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define READ_CHUNK 4096
#define RECORD_PLAIN_MAX 16384 /* RFC 8446, 5.1 */
#define RECORD_OVERHEAD_MAX 64 /* header, type, tag, and to spare */
#define OUTPUT_RESERVE 4096    /* for alerts and key updates, beyond what writers may fill */
#define DROP_MOVE_SIZE 65536   /* bytes gone at the front before the rest is moved */

static int bio_read(BIO *bio, char *data, size_t size, size_t *ret_size)
{
    venv_tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (tls->input_size == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    size_t n = size < tls->input_size ? size : tls->input_size;
    memcpy(data, tls->input, n);
    tls->input += n;
    tls->input_size -= n;
    *ret_size = n;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *ret_size)
{
    venv_tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    venv_buf_append(&tls->output, data, size);
    if (tls->output.rc != VENV_OK)
        return 0;
    *ret_size = size;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *venv_tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 127, "venv");
    if (method && BIO_meth_set_read_ex(method, bio_read) == 1 && BIO_meth_set_write_ex(method, bio_write) == 1 &&
        BIO_meth_set_ctrl(method, bio_control) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* Go on with the handshake. After success everything about the peer is looked at once more. */
static void shake_hands(venv_tls *tls)
{
    int done = SSL_do_handshake(tls->ssl);
    if (done == 1) {
        if (tls->peer_known && SSL_get_verify_result(tls->ssl) == X509_V_OK &&
            SSL_version(tls->ssl) == TLS1_3_VERSION && !SSL_session_reused(tls->ssl))
            tls->state = VENV_TLS_OPEN;
        else
            venv_tls_fail(tls, VENV_TLS_FAULT_INTERNAL, VENV_EINTERNAL,
                          "the handshake with %s ended without a verified peer", tls->address);
        return;
    }
    int error = SSL_get_error(tls->ssl, done);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
        venv_tls_fail_openssl(tls);
}

/* Decrypt everything that is there. */
static void read_plain(venv_tls *tls)
{
    for (;;) {
        if (tls->plain.size - tls->plain_start > VENV_TLS_PLAIN_MAX - READ_CHUNK) {
            venv_tls_fail(tls, VENV_TLS_FAULT_LIMIT, VENV_ELIMIT, "more than %u bytes of %s wait to be read",
                          VENV_TLS_PLAIN_MAX, tls->address);
            return;
        }
        size_t n = 0;
        uint8_t *room = venv_buf_reserve(&tls->plain, READ_CHUNK);
        if (!room) {
            venv_tls_fail(tls, VENV_TLS_FAULT_INTERNAL, VENV_ENOMEM, "out of memory for %s", tls->address);
            return;
        }
        int done = SSL_read_ex(tls->ssl, room, READ_CHUNK, &n);
        if (done == 1) {
            venv_buf_grew(&tls->plain, n);
            continue;
        }
        int error = SSL_get_error(tls->ssl, done);
        if (error == SSL_ERROR_ZERO_RETURN)
            tls->state = VENV_TLS_ENDED;
        else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            venv_tls_fail_openssl(tls);
        return;
    }
}

/* Give memory back when nothing is in it. */
static void settle(venv_buf *buf, size_t *start)
{
    if (*start == buf->size) {
        size_t max = buf->max;
        venv_buf_fini(buf);
        venv_buf_init(buf, max);
        *start = 0;
    } else if (*start >= DROP_MOVE_SIZE) {
        venv_buf_drop(buf, *start);
        *start = 0;
    }
}

/* After every step: has something failed? */
static venv_rc conclude(venv_tls *tls, venv_error *err)
{
    ERR_clear_error();
    settle(&tls->plain, &tls->plain_start);
    if (tls->fault == VENV_TLS_FAULT_NONE)
        return VENV_OK;
    tls->state = VENV_TLS_FAILED;
    tls->peer_known = false;
    if (err)
        *err = tls->error;
    return tls->error.rc;
}

venv_rc venv_tls_new(const venv_tls_context *context, venv_wall now, const char *address, venv_tls **ret_tls,
                     venv_error *err)
{
    venv_tls *tls = calloc(1, sizeof *tls);
    BIO *bio = BIO_new(context->method);
    SSL *ssl = SSL_new(context->ssl);

    if (!tls || !bio || !ssl) {
        SSL_free(ssl);
        BIO_free(bio);
        free(tls);
        ERR_clear_error();
        return venv_error_set(err, VENV_ENOMEM, "out of memory for a connection");
    }
    tls->context = venv_tls_context_ref((venv_tls_context *)(uintptr_t)context);
    tls->ssl = ssl;
    tls->now = now;
    snprintf(tls->address, sizeof tls->address, "%s", address && address[0] ? address : "the peer");
    venv_buf_init(&tls->plain, VENV_TLS_PLAIN_MAX + DROP_MOVE_SIZE);
    venv_buf_init(&tls->output, VENV_TLS_OUTPUT_MAX + DROP_MOVE_SIZE + OUTPUT_RESERVE);
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio); /* owns it now */
    SSL_set_app_data(ssl, tls);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), (time_t)(now.ns / VENV_NS_PER_S));
    if (context->side == VENV_TLS_SERVER) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
        shake_hands(tls);
    }
    venv_rc rc = conclude(tls, err);
    if (rc != VENV_OK) {
        venv_tls_free(tls);
        return rc;
    }
    *ret_tls = tls;
    return VENV_OK;
}

void venv_tls_free(venv_tls *tls)
{
    if (!tls)
        return;
    SSL_free(tls->ssl);
    venv_buf_fini(&tls->plain);
    venv_buf_fini(&tls->output);
    venv_tls_context_free(tls->context);
    free(tls);
}

venv_tls_state venv_tls_state_of(const venv_tls *tls)
{
    return tls->state;
}

venv_tls_fault venv_tls_fault_of(const venv_tls *tls)
{
    return tls->fault;
}

const venv_identity *venv_tls_peek_peer(const venv_tls *tls)
{
    return tls->peer_known && (tls->state == VENV_TLS_OPEN || tls->state == VENV_TLS_ENDED) ? &tls->peer : NULL;
}

venv_rc venv_tls_feed(venv_tls *tls, const void *data, size_t size, venv_error *err)
{
    if (tls->state == VENV_TLS_FAILED)
        return conclude(tls, err);
    if (tls->state == VENV_TLS_ENDED)
        return VENV_OK; /* after the farewell nothing counts (RFC 8446, 6.1) */
    ERR_clear_error();
    tls->input = data;
    tls->input_size = size;
    if (tls->state == VENV_TLS_HANDSHAKE) {
        tls->handshake_size = size > SIZE_MAX - tls->handshake_size ? SIZE_MAX : tls->handshake_size + size;
        shake_hands(tls);
    }
    if (tls->state == VENV_TLS_HANDSHAKE && tls->handshake_size > VENV_TLS_HANDSHAKE_MAX)
        venv_tls_fail(tls, VENV_TLS_FAULT_LIMIT, VENV_ELIMIT, "%s sent %u bytes and is still unknown", tls->address,
                      VENV_TLS_HANDSHAKE_MAX);
    if (tls->state == VENV_TLS_OPEN && tls->fault == VENV_TLS_FAULT_NONE)
        read_plain(tls);
    tls->input = NULL;
    tls->input_size = 0;
    return conclude(tls, err);
}

venv_rc venv_tls_feed_end(venv_tls *tls, venv_error *err)
{
    if (tls->state == VENV_TLS_ENDED)
        return VENV_OK;
    if (tls->state == VENV_TLS_HANDSHAKE)
        venv_tls_fail(tls, VENV_TLS_FAULT_CUT, VENV_EUNREACHABLE,
                      "%s closed the connection before the handshake was done; its log may say why", tls->address);
    else
        venv_tls_fail(tls, VENV_TLS_FAULT_CUT, VENV_EUNREACHABLE, "%s closed the connection without a farewell",
                      tls->address);
    return conclude(tls, err);
}

venv_str venv_tls_peek(const venv_tls *tls)
{
    if (tls->plain.size == tls->plain_start)
        return (venv_str){ "", 0 };
    return (venv_str){ (const char *)tls->plain.data + tls->plain_start, tls->plain.size - tls->plain_start };
}

void venv_tls_drop(venv_tls *tls, size_t size)
{
    size_t waiting = tls->plain.size - tls->plain_start;
    tls->plain_start += size < waiting ? size : waiting;
    settle(&tls->plain, &tls->plain_start);
}

size_t venv_tls_read(venv_tls *tls, void *data, size_t size)
{
    venv_str waiting = venv_tls_peek(tls);
    size_t n = size < waiting.size ? size : waiting.size;
    if (n > 0)
        memcpy(data, waiting.data, n);
    venv_tls_drop(tls, n);
    return n;
}

venv_rc venv_tls_write(venv_tls *tls, const void *data, size_t size, venv_error *err)
{
    size_t written = 0;

    if (tls->state == VENV_TLS_FAILED)
        return conclude(tls, err);
    if (tls->state != VENV_TLS_OPEN)
        return venv_error_set(err, VENV_ECONFLICT, "the connection to %s is not open", tls->address);
    if (size == 0)
        return VENV_OK;
    size_t waiting = tls->output.size - tls->output_start;
    if (size > VENV_TLS_OUTPUT_MAX ||
        waiting + size + (size / RECORD_PLAIN_MAX + 1) * RECORD_OVERHEAD_MAX > VENV_TLS_OUTPUT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu bytes wait to be sent to %s already", waiting, tls->address);
    ERR_clear_error();
    if (SSL_write_ex(tls->ssl, data, size, &written) != 1 || written != size)
        venv_tls_fail_openssl(tls);
    return conclude(tls, err);
}

void venv_tls_close(venv_tls *tls)
{
    if (tls->state != VENV_TLS_OPEN && tls->state != VENV_TLS_ENDED)
        return;
    /* Does nothing the second time. */
    if (SSL_shutdown(tls->ssl) < 0)
        ERR_clear_error();
}

venv_str venv_tls_output(const venv_tls *tls)
{
    if (tls->output.size == tls->output_start)
        return (venv_str){ "", 0 };
    return (venv_str){ (const char *)tls->output.data + tls->output_start, tls->output.size - tls->output_start };
}

void venv_tls_drop_output(venv_tls *tls, size_t size)
{
    size_t waiting = tls->output.size - tls->output_start;
    tls->output_start += size < waiting ? size : waiting;
    settle(&tls->output, &tls->output_start);
}

uint8_t *venv_tls_take_output(venv_tls *tls, size_t *ret_size)
{
    if (tls->output_start > 0)
        venv_buf_drop(&tls->output, tls->output_start);
    tls->output_start = 0;
    if (tls->output.size == 0 || tls->output.rc != VENV_OK) {
        *ret_size = 0;
        return NULL;
    }
    return venv_buf_take(&tls->output, ret_size);
}
