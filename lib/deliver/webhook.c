/* SPDX-License-Identifier: Apache-2.0 */
/* One try to POST JSON to a URL of the configuration. A redirect is an answer, and not followed. */
#include "deliver/attempt.h"

#include "net/secret.h"

#include <venv/codec.h>

#include <stdlib.h>
#include <string.h>

#define SET(option, value) do { if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value); } while (0)

/* By the status: what is worth another try (RFC 9110), and what is not. */
static void judge(attempt *a, CURLcode code)
{
    venv_delivery_outcome *o = a->outcome;
    venv_deliver_judge(a, code);
    bool cut = code == CURLE_WRITE_ERROR && a->read > VENV_DELIVERY_READ_MAX; /* its end is not wanted */
    if (code != CURLE_OK && !cut)
        return;
    o->truncated = o->truncated || cut;
    if (o->status >= 200 && o->status < 300) {
        o->rc = VENV_OK;
        o->error[0] = '\0';
    } else if (o->status >= 300 && o->status < 400) {
        venv_deliver_fail(a, VENV_EIO, false, "the server answered with redirect %ld, which is not followed; correct the url", o->status);
    } else if (o->status == 408 || o->status == 425 || o->status == 429 || o->status >= 500) {
        venv_deliver_fail(a, VENV_EIO, true, "the server answered with status %ld", o->status);
    } else {
        venv_deliver_fail(a, VENV_EIO, false, "the server refused it with status %ld", o->status);
    }
}

static bool add_token(struct curl_slist **headers, attempt *a, const venv_value *order)
{
    char path[1024], token[1024];
    if (!venv_deliver_text(order, "token_file", path, sizeof path)[0])
        return true;
    const char *wrong = venv_net_secret_read(path, token, sizeof token);
    bool added = !wrong && venv_net_curl_add(headers, "Authorization: Bearer %s", token);
    explicit_bzero(token, sizeof token);
    if (!added)
        venv_deliver_fail(a, wrong ? VENV_EDENIED : VENV_ENOMEM, !wrong, "token_file: %s (%s)", wrong ? wrong : "out of memory", path);
    return added;
}

void venv_deliver_webhook(attempt *a, const venv_value *order)
{
    CURL *easy = a->easy;
    char url[2048], id[64];
    venv_error err = { 0 };
    struct curl_slist *headers = NULL;
    char *text = NULL;
    size_t size = 0;
    const venv_value *value = venv_value_get(order, "body");
    venv_value none = venv_value_null();
    if (venv_json_print(value ? value : &none, VENV_JSON_COMPACT, &text, &size, &err) != VENV_OK) {
        venv_deliver_fail(a, err.rc, false, "the body is no JSON: %s", err.text);
        return;
    }
    if (!venv_net_curl_add(&headers, "Content-Type: application/json") || !venv_net_curl_add(&headers, "Expect:") ||
        !venv_net_curl_add(&headers, "User-Agent: venv/%s", venv_version()) ||
        !venv_net_curl_add(&headers, "Idempotency-Key: %s", venv_deliver_text(order, "id", id, sizeof id))) {
        venv_deliver_fail(a, VENV_ENOMEM, true, "out of memory");
    } else if (add_token(&headers, a, order)) {
        CURLcode code = venv_deliver_prepare(a, venv_deliver_text(order, "url", url, sizeof url), order);
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS, text);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        SET(CURLOPT_HTTPHEADER, headers);
        judge(a, code == CURLE_OK ? curl_easy_perform(easy) : code);
    }
    curl_slist_free_all(headers);
    free(text);
}
