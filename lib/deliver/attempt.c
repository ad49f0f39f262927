/* SPDX-License-Identifier: Apache-2.0 */
/* Trying, and trying again. What a protocol says is in mail.c and webhook.c. */
#include "deliver/attempt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RETRIES_MAX 5
#define PAUSE_SLICE_NS (VENV_NS_PER_S / 10)

#define SET(option, value) do { if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value); } while (0)

const char *venv_deliver_text(const venv_value *order, const char *key, char *buffer, size_t size)
{
    venv_str text = venv_value_get_text(order, key);
    buffer[0] = '\0';
    if (text.size == 0 || text.size >= size || memchr(text.data, '\0', text.size))
        return buffer;
    memcpy(buffer, text.data, text.size);
    buffer[text.size] = '\0';
    return buffer;
}

void venv_deliver_fail(attempt *a, venv_rc rc, bool again, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(a->outcome->error, sizeof a->outcome->error, format, arguments);
    va_end(arguments);
    a->outcome->rc = rc;
    a->again = again;
}

/* Of an answer the beginning is kept; one without an end is not read to it. */
static size_t take_answer(char *data, size_t one, size_t count, void *user)
{
    attempt *a = user;
    venv_delivery_outcome *o = a->outcome;
    size_t size = one * count, keep = sizeof o->answer - o->answer_size;
    keep = keep < size ? keep : size;
    memcpy(o->answer + o->answer_size, data, keep);
    o->answer_size += keep;
    o->truncated = o->truncated || keep < size;
    a->read += size;
    return a->read <= VENV_DELIVERY_READ_MAX ? size : 0;
}

static int watch(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const attempt *a = user;
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    return atomic_load(a->stop) ? 1 : 0;
}

CURLcode venv_deliver_prepare(attempt *a, const char *url, const venv_value *order)
{
    CURL *easy = a->easy;
    char ca[1024];
    venv_span timeout = { 30 * VENV_NS_PER_S };
    const venv_value *asked = venv_value_get(order, "timeout");
    if (asked)
        (void)venv_value_to_span(asked, &timeout);
    CURLcode code = venv_net_curl_secure(easy, url);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_TIMEOUT_MS, (long)(timeout.ns / 1000000));
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(timeout.ns / 1000000));
    SET(CURLOPT_WRITEFUNCTION, take_answer);
    SET(CURLOPT_WRITEDATA, a);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, watch);
    SET(CURLOPT_XFERINFODATA, a);
    if (venv_deliver_text(order, "ca", ca, sizeof ca)[0])
        SET(CURLOPT_CAINFO, ca);
    return code;
}

void venv_deliver_judge(attempt *a, CURLcode code)
{
    (void)curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &a->outcome->status);
    switch (code) {
    case CURLE_OK:
        a->outcome->rc = VENV_OK;
        a->outcome->error[0] = '\0';
        a->again = false;
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        venv_deliver_fail(a, VENV_EUNREACHABLE, true, "the server cannot be reached: %s", curl_easy_strerror(code));
        break;
    case CURLE_OPERATION_TIMEDOUT: {
        curl_off_t connected = 0;
        (void)curl_easy_getinfo(a->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
        if (connected > 0)
            venv_deliver_fail(a, VENV_ETIMEDOUT, true, "the server did not answer in time: it may or may not have taken it");
        else
            venv_deliver_fail(a, VENV_EUNREACHABLE, true, "the server cannot be reached in time");
        break;
    }
    case CURLE_ABORTED_BY_CALLBACK:
        venv_deliver_fail(a, VENV_EUNKNOWN, false, "it was stopped while it was being delivered");
        break;
    case CURLE_LOGIN_DENIED:
        venv_deliver_fail(a, VENV_EDENIED, false, "the server does not let us in; look at user and password_file");
        break;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_USE_SSL_FAILED:
    case CURLE_SSL_CACERT_BADFILE:
        venv_deliver_fail(a, VENV_EDENIED, false, "TLS with the server does not work: %s", curl_easy_strerror(code));
        break;
    case CURLE_OUT_OF_MEMORY:
        venv_deliver_fail(a, VENV_ENOMEM, true, "out of memory");
        break;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        venv_deliver_fail(a, VENV_EUNKNOWN, true, "the connection was lost: %s; it may or may not have arrived", curl_easy_strerror(code));
        break;
    default:
        venv_deliver_fail(a, VENV_EIO, false, "it was not delivered: %s", curl_easy_strerror(code));
        break;
    }
}

/* False: somebody wants it to end. */
static bool pause_for(int64_t ns, const atomic_bool *stop)
{
    for (; ns > 0; ns -= PAUSE_SLICE_NS) {
        if (atomic_load(stop))
            return false;
        struct timespec slice = { 0, (long)(ns < PAUSE_SLICE_NS ? ns : PAUSE_SLICE_NS) };
        (void)nanosleep(&slice, NULL);
    }
    return !atomic_load(stop);
}

/* Once something may have arrived, "it was not delivered" of a later try does not undo that. */
static void keep_doubt(venv_delivery_outcome *o, bool doubt)
{
    if (doubt && o->rc != VENV_OK && o->rc != VENV_EUNKNOWN && o->rc != VENV_ETIMEDOUT)
        o->rc = VENV_EUNKNOWN;
}

void venv_deliver(const venv_value *order, const atomic_bool *stop, venv_delivery_outcome *ret_outcome)
{
    venv_delivery_outcome *o = ret_outcome;
    *o = (venv_delivery_outcome){ .rc = VENV_EINVAL };
    int64_t retries = venv_value_get_int(order, "retries", 0), pause_ns = VENV_NS_PER_S;
    bool is_mail = venv_value_is_text(venv_value_get(order, "kind"), "mail"), doubt = false;
    retries = retries < 0 ? 0 : retries > RETRIES_MAX ? RETRIES_MAX : retries;
    for (int64_t n = 0; n <= retries; n++) {
        attempt a = { .stop = stop, .outcome = o };
        venv_error err = { 0 };
        o->attempts++;
        o->status = 0;
        o->answer_size = 0;
        o->truncated = false;
        if (venv_net_curl_new(&a.easy, &err) != VENV_OK)
            venv_deliver_fail(&a, err.rc, true, "%s", err.text);
        else if (is_mail)
            venv_deliver_mail(&a, order);
        else
            venv_deliver_webhook(&a, order);
        curl_easy_cleanup(a.easy);
        doubt = doubt || o->rc == VENV_EUNKNOWN || o->rc == VENV_ETIMEDOUT;
        if (!a.again || (n < retries && !pause_for(pause_ns, stop)))
            break;
        pause_ns *= 2;
    }
    keep_doubt(o, doubt);
}
