/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One try to hand a mail to the SMTP server of the configuration (RFC 5321). All recipients or none: a server that refuses one
 * of them gets no text.
 */
#include "deliver/attempt.h"

#include "net/secret.h"

#include <stdio.h>
#include <string.h>

#define SET(option, value) do { if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value); } while (0)

typedef struct reader {
    const uint8_t *data;
    size_t size, at;
} reader;

static size_t give(char *buffer, size_t one, size_t count, void *user)
{
    reader *r = user;
    size_t size = one * count;
    size = r->size - r->at < size ? r->size - r->at : size;
    memcpy(buffer, r->data + r->at, size);
    r->at += size;
    return size;
}

static struct curl_slist *recipients(const venv_value *list)
{
    struct curl_slist *to = NULL;
    for (size_t i = 0; i < venv_value_count(list); i++) {
        venv_str address = venv_value_peek_text(venv_value_at(list, i));
        if (!venv_net_curl_add(&to, "<%.*s>", (int)address.size, address.data)) {
            curl_slist_free_all(to);
            return NULL;
        }
    }
    return to;
}

/* The server's own last words are better than libcurl's. */
static void judge(attempt *a, CURLcode code, const reader *r)
{
    venv_deliver_judge(a, code);
    venv_delivery_outcome *o = a->outcome;
    if (code == CURLE_OK)
        return;
    if (o->status >= 400 && o->status < 600 && code != CURLE_OPERATION_TIMEDOUT && code != CURLE_LOGIN_DENIED)
        venv_deliver_fail(a, VENV_EIO, o->status < 500, "the mail server refused it with reply %ld%s", o->status,
                     r->at == 0 ? " to a sender or recipient; look at from and recipients of the section mail" : "");
    else if ((o->rc == VENV_EUNKNOWN || o->rc == VENV_ETIMEDOUT) && r->at < r->size)
        venv_deliver_fail(a, VENV_EUNREACHABLE, true, "the mail server went away, or did not answer, before it had the mail");
}

static void send_text(attempt *a, const venv_value *order, const venv_buf *text)
{
    CURL *easy = a->easy;
    char url[1024], from[300], user[256], path[1024], password[512] = "";
    reader r = { text->data, text->size, 0 };
    (void)venv_deliver_text(order, "server", url, sizeof url);
    venv_str sender = venv_value_get_text(order, "from");
    (void)snprintf(from, sizeof from, "<%.*s>", (int)sender.size, sender.data ? sender.data : "");
    struct curl_slist *to = recipients(venv_value_get(order, "to"));
    CURLcode code = to ? venv_deliver_prepare(a, url, order) : CURLE_OUT_OF_MEMORY;
    SET(CURLOPT_MAIL_FROM, from);
    SET(CURLOPT_MAIL_RCPT, to);
    SET(CURLOPT_USE_SSL, venv_value_get_bool(order, "tls", true) ? (long)CURLUSESSL_ALL : (long)CURLUSESSL_NONE);
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_READFUNCTION, give);
    SET(CURLOPT_READDATA, &r);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)r.size);
    if (venv_deliver_text(order, "user", user, sizeof user)[0]) {
        const char *wrong = venv_net_secret_read(venv_deliver_text(order, "password_file", path, sizeof path), password, sizeof password);
        if (wrong) {
            curl_slist_free_all(to);
            venv_deliver_fail(a, VENV_EDENIED, false, "mail.password_file: %s (%s)", wrong, path);
            return;
        }
        SET(CURLOPT_USERNAME, user);
        SET(CURLOPT_PASSWORD, password);
    }
    explicit_bzero(password, sizeof password);
    judge(a, code == CURLE_OK ? curl_easy_perform(easy) : code, &r);
    curl_slist_free_all(to);
}

void venv_deliver_mail(attempt *a, const venv_value *order)
{
    venv_error err = { 0 };
    venv_buf text;
    venv_buf_init(&text, VENV_MAIL_TEXT_MAX * 4);
    if (venv_mail_compose(order, &text, &err) == VENV_OK)
        send_text(a, order, &text);
    else
        venv_deliver_fail(a, err.rc, false, "%s", err.text);
    venv_buf_fini(&text);
}
