/* SPDX-License-Identifier: Apache-2.0 */
/* Driver http and https (RFC 9110): HEAD, GET with ranges, PUT, DELETE. WebDAV is in dav.c and begins from here. */
#include "storage/http.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static venv_rc too_long(venv_storage_error *err)
{
    return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the URL is too long");
}

/* A validator that changes when the bytes do; a weak one does not promise that. */
static void make_tag(const venv_storage_response *response, char tag[VENV_STORAGE_TAG_MAX])
{
    if (response->tag[0] == '"')
        (void)snprintf(tag, VENV_STORAGE_TAG_MAX, "%s", response->tag);
    else
        tag[0] = 0;
}

venv_rc venv_storage_http_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                               venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX + VENV_STORAGE_QUERY_MAX];
    if (!venv_storage_curl_target(url, url->directory, target, sizeof target))
        return too_long(err);
    venv_storage_request request = { .url = url, .target = target, .head = true, .follow = true };
    venv_storage_response response;
    venv_rc rc = venv_storage_curl_do(storage, &request, &response, err);
    if (rc == VENV_OK)
        rc = venv_storage_http_result(&response, err);
    if (rc == VENV_OK) {
        *ret_info = (venv_storage_info){
            .kind = url->directory ? VENV_STORAGE_DIRECTORY : VENV_STORAGE_FILE,
            .size = url->directory ? 0 : response.size,
            .modified = { response.modified < 0 ? 0 : response.modified * VENV_NS_PER_S },
            .permissions = -1,
        };
        make_tag(&response, ret_info->tag);
    }
    venv_storage_response_fini(&response);
    return rc;
}

/* What came is what was asked for: the same object, the whole range. */
static venv_rc check_get(const venv_storage_request *request, const venv_storage_response *response, char *tag,
                         venv_storage_error *err)
{
    char now[VENV_STORAGE_TAG_MAX];
    if (response->status == 412)
        return venv_storage_fail(err, VENV_STORAGE_STALE_HANDLE, VENV_STORAGE_REQUEST, "it was replaced meanwhile");
    if (response->status == 416) {
        /* Past the end. A range that begins at the end is empty, and no failure. */
        if (response->object_size == request->offset)
            return VENV_OK;
        return venv_storage_fail_range(err);
    }
    venv_rc rc = venv_storage_http_result(response, err);
    if (rc != VENV_OK)
        return rc;
    make_tag(response, now);
    if (!venv_storage_tag_meets(tag, now) && response->told == 0)
        return venv_storage_fail(err, VENV_STORAGE_STALE_HANDLE, VENV_STORAGE_REQUEST, "it was replaced meanwhile");
    return VENV_OK;
}

venv_rc venv_storage_http_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                              char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX + VENV_STORAGE_QUERY_MAX];
    if (!venv_storage_curl_target(url, url->directory, target, sizeof target))
        return too_long(err);
    return venv_storage_http_get_target(storage, url, target, NULL, offset, length, tag, sink, user, err);
}

venv_rc venv_storage_http_get_target(venv_storage *storage, const venv_storage_url *url, const char *target,
                                     const char *region, uint64_t offset, uint64_t length, char *tag,
                                     venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    venv_storage_request request = { .url = url, .target = target, .follow = region == NULL, .sink = sink, .user = user,
                                     .sign_region = region, .offset = offset, .length = length,
                                     .ranged = offset > 0 || length != VENV_STORAGE_SIZE_UNKNOWN };
    venv_storage_response response;
    bool added = true;
    if (tag && tag[0])
        added = venv_net_curl_add(&request.headers, "If-Match: %s", tag);
    if (added && region) /* of an empty body */
        added = venv_net_curl_add(&request.headers, "x-amz-content-sha256: "
                                      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    if (!added) {
        curl_slist_free_all(request.headers);
        return venv_storage_fail_memory(err);
    }
    venv_rc rc = venv_storage_curl_do(storage, &request, &response, err);
    curl_slist_free_all(request.headers);
    if (rc == VENV_OK)
        rc = check_get(&request, &response, tag, err);
    else if (response.told > 0 && tag && !tag[0])
        make_tag(&response, tag); /* for the next attempt, which goes on here */
    if (rc == VENV_OK && response.status == 200 && request.ranged && !response.complete && response.told == 0 &&
        response.size != VENV_STORAGE_SIZE_UNKNOWN && offset > response.size)
        rc = venv_storage_fail_range(err);
    venv_storage_response_fini(&response);
    return rc;
}

venv_rc venv_storage_http_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                              venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX + VENV_STORAGE_QUERY_MAX];
    if (!venv_storage_curl_target(url, false, target, sizeof target))
        return too_long(err);
    if (flags & VENV_STORAGE_PUT_NEW) { /* few servers mind the header below, so we look as well */
        venv_storage_info info;
        venv_storage_error error = { 0 };
        venv_rc rc = venv_storage_http_stat(storage, url, &info, &error);
        if (rc == VENV_OK)
            return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
        if (error.klass != VENV_STORAGE_NOT_FOUND) {
            if (err)
                *err = error;
            return rc;
        }
    }
    venv_storage_request request = { .url = url, .target = target, .upload = true, .source = source, .user = user,
                                     .data_size = size };
    venv_storage_response response;
    /* Without `Expect` a refusal costs the bytes that were sent, with it each put costs a second where the server is silent. */
    if (!venv_net_curl_add(&request.headers, "Content-Type: application/octet-stream") ||
        ((flags & VENV_STORAGE_PUT_NEW) && !venv_net_curl_add(&request.headers, "If-None-Match: *"))) {
        curl_slist_free_all(request.headers);
        return venv_storage_fail_memory(err);
    }
    venv_rc rc = venv_storage_curl_do(storage, &request, &response, err);
    curl_slist_free_all(request.headers);
    if (rc == VENV_OK && response.status == 412 && (flags & VENV_STORAGE_PUT_NEW))
        rc = venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_COMMIT, "it exists");
    else if (rc == VENV_OK)
        rc = venv_storage_http_result(&response, err);
    venv_storage_response_fini(&response);
    return rc;
}

venv_rc venv_storage_http_simple(venv_storage *storage, const venv_storage_url *url, const char *method, bool directory,
                                 struct curl_slist *headers, long *ret_status, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX + VENV_STORAGE_QUERY_MAX];
    if (!venv_storage_curl_target(url, directory, target, sizeof target))
        return too_long(err);
    venv_storage_request request = { .url = url, .target = target, .method = method, .headers = headers, .capture = true };
    venv_storage_response response;
    venv_rc rc = venv_storage_curl_do(storage, &request, &response, err);
    if (rc == VENV_OK)
        rc = venv_storage_http_result(&response, err);
    if (ret_status)
        *ret_status = response.status;
    venv_storage_response_fini(&response);
    return rc;
}

int64_t venv_storage_http_date(const char *text)
{
    time_t seconds = curl_getdate(text, NULL); /* knows those of RFC 9110 */
    struct tm tm = { 0 };
    if (seconds < 0 && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm)) /* RFC 3339, of S3: always UTC */
        seconds = timegm(&tm);
    return seconds < 0 ? 0 : (int64_t)seconds * VENV_NS_PER_S;
}

static venv_rc http_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    return venv_storage_http_simple(storage, url, "DELETE", url->directory, NULL, NULL, err);
}

const venv_storage_driver venv_storage_http_driver = {
    .stat = venv_storage_http_stat, .get = venv_storage_http_get, .put = venv_storage_http_put, .remove = http_remove,
};
