/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver s3: the object store of Amazon and those that speak like it. `s3://BUCKET/KEY#region=R,endpoint=URL`; requests
 * are https://ENDPOINT/BUCKET/KEY, signed with version 4 by libcurl, each body with its SHA-256. What is
 * larger than a part goes as a multipart upload, so that nothing is visible before all is there.
 */
#include "storage/http.h"
#include "storage/markup.h"

#include "base/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_MIN (8u << 20)
#define PARTS_MAX 10000u
#define COPY_MAX (UINT64_C(5) << 30) /* what one request may copy */
#define TARGET_MAX ((int)(VENV_STORAGE_URL_MAX + VENV_STORAGE_QUERY_MAX))

typedef struct place {
    char base[1024]; /* https://endpoint/bucket */
    char region[64];
} place;

static venv_rc find_place(const venv_storage *storage, const venv_storage_url *url, place *ret_place, venv_storage_error *err)
{
    char endpoint[512], bucket[VENV_STORAGE_HOST_MAX];
    venv_storage_url parsed;
    const venv_storage_settings *settings = &storage->shared->settings;
    if (!venv_storage_url_setting(url, "region", ret_place->region, sizeof ret_place->region))
        (void)snprintf(ret_place->region, sizeof ret_place->region, "us-east-1");
    if (ret_place->region[strspn(ret_place->region, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the region is malformed");
    if (!venv_storage_url_setting(url, "endpoint", endpoint, sizeof endpoint))
        (void)snprintf(endpoint, sizeof endpoint, "https://s3.%s.amazonaws.com", ret_place->region);
    venv_rc rc = venv_storage_url_parse(endpoint, &parsed, err);
    if (rc != VENV_OK)
        return rc;
    bool plain = strcmp(parsed.scheme, "http") == 0;
    if ((!plain && strcmp(parsed.scheme, "https") != 0) || parsed.path[0] || parsed.query[0])
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the endpoint is not https://HOST[:PORT]");
    /* Being allowed to use s3 is being allowed to use https, not http. */
    if (plain || settings->hosts) {
        venv_storage_settings as_https = *settings;
        const venv_storage_scheme *scheme;
        for (size_t i = 0; (scheme = venv_storage_scheme_at(i)) != NULL; i++)
            if (strcmp(scheme->name, "https") == 0)
                as_https.schemes |= UINT64_C(1) << i;
        rc = venv_storage_rules_check_url(&as_https, &parsed, err);
        if (rc != VENV_OK)
            return rc;
    }
    if (url->port || url->user[0])
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "a URL of s3 names a bucket, without port and user");
    if (!venv_storage_curl_origin(&parsed, endpoint, sizeof endpoint) ||
        !venv_storage_encode(url->host, false, bucket, sizeof bucket))
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the endpoint is too long");
    (void)snprintf(ret_place->base, sizeof ret_place->base, "%s/%s", endpoint, bucket);
    return VENV_OK;
}

static bool key_target(const place *where, const char *path, const char *query, char target[TARGET_MAX])
{
    int used = snprintf(target, TARGET_MAX, "%s/", where->base);
    if (used < 0 || !venv_storage_encode(path, true, target + used, (size_t)(TARGET_MAX - used)))
        return false;
    used += (int)strlen(target + used);
    int more = snprintf(target + used, (size_t)(TARGET_MAX - used), "%s%s", query[0] ? "?" : "", query);
    return more >= 0 && used + more < TARGET_MAX;
}

/* The text of the first element of this name. */
static bool element(const venv_buf *body, const char *name, char *buffer, size_t size)
{
    venv_storage_markup *markup = malloc(sizeof *markup);
    bool found = false;
    if (!markup)
        return false;
    venv_storage_markup_init(markup, body->data ? body->data : (const uint8_t *)"", body->size);
    for (;;) {
        venv_storage_markup_event event = venv_storage_markup_next(markup);
        if (event == VENV_STORAGE_MARKUP_END || event == VENV_STORAGE_MARKUP_BROKEN)
            break;
        if (event == VENV_STORAGE_MARKUP_CLOSE && strcmp(markup->name, name) == 0 && strlen(markup->text) < size) {
            memcpy(buffer, markup->text, strlen(markup->text) + 1);
            found = true;
            break;
        }
    }
    free(markup);
    return found;
}

/* The `Code` of an error document says more than the status. */
static venv_rc result(const venv_storage_response *response, venv_storage_error *err)
{
    char code[64] = "", message[256] = "";
    bool named = element(&response->body, "Code", code, sizeof code);
    if (response->status >= 200 && response->status < 300 && !(named && response->body.size < 4096 && strstr((const char *)response->body.data, "<Error")))
        return VENV_OK;
    if (!named || !venv_storage_row_find(VENV_STORAGE_FAMILY_S3, -1, code))
        return venv_storage_http_result(response, err);
    (void)element(&response->body, "Message", message, sizeof message);
    venv_rc rc = venv_storage_fail_code(err, VENV_STORAGE_FAMILY_S3, response->status, code, VENV_STORAGE_TRANSFER,
                                        "%s: %s (HTTP %ld)", code, message, response->status);
    if (err) {
        err->retry_after = (venv_span){ response->retry_after * VENV_NS_PER_S };
        venv_storage_output(err, response->body.data, response->body.size);
    }
    return rc;
}

/* One signed request with a body from memory. `response` is to be released whatever is returned. */
static venv_rc send_signed(venv_storage *storage, const venv_storage_url *url, const place *where, const char *target,
                           const char *method, const void *data, size_t size, struct curl_slist *headers,
                           venv_storage_response *ret_response, venv_storage_error *err)
{
    uint8_t digest[VENV_SHA256_SIZE];
    char text[2 * VENV_SHA256_SIZE + 1];
    bool upload = strcmp(method, "PUT") == 0 || strcmp(method, "POST") == 0;
    venv_sha256_of(data, size, digest);
    *ret_response = (venv_storage_response){ 0 };
    venv_storage_request request = { .url = url, .target = target, .sign_region = where->region, .headers = headers,
                                     .method = strcmp(method, "HEAD") == 0 ? NULL : method,
                                     .head = strcmp(method, "HEAD") == 0, .capture = true, .upload = upload,
                                     .data = data, .data_size = size };
    if (!venv_net_curl_add(&request.headers, "x-amz-content-sha256: %s", venv_sha256_text(digest, text))) {
        curl_slist_free_all(request.headers);
        return venv_storage_fail_memory(err);
    }
    venv_rc rc = venv_storage_curl_do(storage, &request, ret_response, err);
    curl_slist_free_all(request.headers);
    return rc == VENV_OK ? result(ret_response, err) : rc;
}

static venv_rc too_long(venv_storage_error *err)
{
    return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the key is too long");
}

/* --- looking ---------------------------------------------------------------------------------------------- */

typedef struct page {
    const char *prefix;
    venv_storage_entry_fn entry;
    void *user;
    size_t count;
    char next[1024]; /* token of the next page, "" if this is the last */
} page;

static bool tell(page *p, char *key, const venv_storage_info *info)
{
    char name[VENV_STORAGE_URL_MAX];
    size_t size = strlen(key), skip = strlen(p->prefix);
    /* Keys come encoded: an encoded slash is a plain one here. */
    char plain[VENV_STORAGE_URL_MAX];
    size_t used = 0;
    for (size_t i = 0; i < size && used + 1 < sizeof plain; i++) {
        if (size - i >= 3 && key[i] == '%' && key[i + 1] == '2' && (key[i + 2] == 'F' || key[i + 2] == 'f')) {
            plain[used++] = '/';
            i += 2;
        } else {
            plain[used++] = key[i] == '+' ? ' ' : key[i];
        }
    }
    char decoded[VENV_STORAGE_URL_MAX];
    size_t at = 0, out = 0;
    while (at < used) { /* by segments, as a decoded one must hold no slash */
        size_t part = 0;
        while (at + part < used && plain[at + part] != '/')
            part++;
        if (!venv_storage_decode(plain + at, part, name, sizeof name) || out + strlen(name) + 2 > sizeof decoded)
            return true;
        memcpy(decoded + out, name, strlen(name));
        out += strlen(name);
        at += part;
        if (at < used) {
            decoded[out++] = '/';
            at++;
        }
    }
    decoded[out] = 0;
    if (out > 0 && decoded[out - 1] == '/')
        decoded[--out] = 0;
    if (out < skip || strncmp(decoded, p->prefix, skip) != 0 || (out == skip || !decoded[skip]))
        return true; /* the marker of the directory itself */
    p->count++;
    return !p->entry || p->entry(p->user, decoded + skip, info);
}

static venv_rc read_page(const venv_buf *body, page *p, venv_storage_error *err)
{
    venv_storage_markup *markup = malloc(sizeof *markup);
    char *key = malloc(VENV_STORAGE_MARKUP_TEXT_MAX);
    venv_rc rc = markup && key ? VENV_OK : venv_storage_fail_memory(err);
    venv_storage_info info = { 0 };
    bool prefixes = false;
    p->next[0] = 0;
    if (rc == VENV_OK)
        venv_storage_markup_init(markup, body->data ? body->data : (const uint8_t *)"", body->size);
    while (rc == VENV_OK) {
        venv_storage_markup_event event = venv_storage_markup_next(markup);
        const char *name = markup->name;
        if (event == VENV_STORAGE_MARKUP_END)
            break;
        if (event == VENV_STORAGE_MARKUP_BROKEN) {
            rc = venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_DATA, "its list is malformed");
        } else if (event == VENV_STORAGE_MARKUP_OPEN) {
            if (strcmp(name, "Contents") == 0 || strcmp(name, "CommonPrefixes") == 0) {
                prefixes = name[1] == 'o' && name[2] == 'm';
                key[0] = 0;
                info = (venv_storage_info){ .kind = prefixes ? VENV_STORAGE_DIRECTORY : VENV_STORAGE_FILE, .permissions = -1 };
            }
        } else if (strcmp(name, "Key") == 0 || (strcmp(name, "Prefix") == 0 && prefixes)) {
            memcpy(key, markup->text, strlen(markup->text) + 1);
        } else if (strcmp(name, "Size") == 0) {
            info.size = strtoull(markup->text, NULL, 10);
        } else if (strcmp(name, "LastModified") == 0) {
            info.modified.ns = venv_storage_http_date(markup->text);
        } else if (strcmp(name, "NextContinuationToken") == 0 && strlen(markup->text) < sizeof p->next) {
            memcpy(p->next, markup->text, strlen(markup->text) + 1);
        } else if (strcmp(name, "Contents") == 0 || strcmp(name, "CommonPrefixes") == 0) {
            prefixes = false;
            if (!tell(p, key, &info))
                rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the list was given up");
        }
    }
    free(markup);
    free(key);
    return rc;
}

static venv_rc list_pages(venv_storage *storage, const venv_storage_url *url, page *p, bool one, venv_storage_error *err)
{
    place where;
    char target[TARGET_MAX], prefix[3 * 1024], token[3 * 1024], query[TARGET_MAX];
    venv_rc rc = find_place(storage, url, &where, err);
    p->next[0] = 0;
    while (rc == VENV_OK) {
        venv_storage_response response;
        if (!venv_storage_encode(p->prefix, false, prefix, sizeof prefix) ||
            !venv_storage_encode(p->next, false, token, sizeof token))
            return too_long(err);
        /* In the order of a canonical request; libcurl signs them as they stand. */
        int size = snprintf(query, sizeof query, "%s%s%sdelimiter=%%2F&encoding-type=url&list-type=2&max-keys=%d&prefix=%s",
                            token[0] ? "continuation-token=" : "", token, token[0] ? "&" : "", one ? 1 : 1000, prefix);
        if (size < 0 || (size_t)size >= sizeof query || !key_target(&where, "", query, target))
            return too_long(err);
        rc = send_signed(storage, url, &where, target, "GET", "", 0, NULL, &response, err);
        if (rc == VENV_OK)
            rc = read_page(&response.body, p, err);
        venv_storage_response_fini(&response);
        if (p->next[0] == 0 || one || p->count > VENV_STORAGE_ENTRIES_MAX)
            break;
    }
    return rc;
}

static bool make_prefix(const venv_storage_url *url, char *prefix, size_t size)
{
    int length = snprintf(prefix, size, "%s%s", url->path, url->path[0] ? "/" : "");
    return length >= 0 && (size_t)length < size;
}

static venv_rc s3_list(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                       venv_storage_error *err)
{
    char prefix[1100];
    page p = { .prefix = prefix, .entry = entry, .user = user };
    if (!make_prefix(url, prefix, sizeof prefix))
        return too_long(err);
    venv_rc rc = list_pages(storage, url, &p, false, err);
    if (rc == VENV_OK && p.count == 0 && url->path[0])
        return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "nothing is beneath it");
    return rc;
}

static venv_rc s3_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                       venv_storage_error *err)
{
    place where;
    char target[TARGET_MAX], prefix[1100];
    venv_rc rc = find_place(storage, url, &where, err);
    if (rc != VENV_OK)
        return rc;
    if (url->path[0] && !url->directory) {
        venv_storage_response response;
        venv_storage_error error = { 0 };
        if (!key_target(&where, url->path, "", target))
            return too_long(err);
        rc = send_signed(storage, url, &where, target, "HEAD", "", 0, NULL, &response, &error);
        if (rc == VENV_OK) {
            *ret_info = (venv_storage_info){ .kind = VENV_STORAGE_FILE, .size = response.size, .permissions = -1,
                                             .modified = { response.modified < 0 ? 0 : response.modified * VENV_NS_PER_S } };
            memcpy(ret_info->tag, response.tag, sizeof response.tag);
        }
        venv_storage_response_fini(&response);
        if (rc != VENV_OK && error.native == 403) { /* an answer to HEAD has no words: ask for some */
            page none = { .prefix = "" };
            rc = list_pages(storage, url, &none, true, err);
            if (rc != VENV_OK)
                return rc;
            rc = VENV_EDENIED;
        }
        if (rc == VENV_OK || error.klass != VENV_STORAGE_NOT_FOUND) {
            if (rc != VENV_OK && err)
                *err = error;
            return rc;
        }
    }
    page p = { .prefix = prefix };
    if (!make_prefix(url, prefix, sizeof prefix))
        return too_long(err);
    rc = list_pages(storage, url, &p, true, err);
    if (rc == VENV_OK && p.count == 0 && url->path[0])
        return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "no such object");
    if (rc == VENV_OK)
        *ret_info = (venv_storage_info){ .kind = VENV_STORAGE_DIRECTORY, .permissions = -1 };
    return rc;
}

/* There is nothing to make: a prefix is there when something is beneath it. */
static venv_rc s3_make_directory(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    place where;
    return find_place(storage, url, &where, err);
}

/* --- reading and writing ------------------------------------------------------------------------------------ */

static venv_rc s3_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length, char *tag,
                      venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    place where;
    char target[TARGET_MAX];
    venv_rc rc = find_place(storage, url, &where, err);
    if (rc == VENV_OK && !key_target(&where, url->path, "", target))
        rc = too_long(err);
    return rc == VENV_OK ? venv_storage_http_get_target(storage, url, target, where.region, offset, length, tag, sink, user, err)
                         : rc;
}

/* One part, as much of it as the source has. False if the source gave up. */
static bool fill(venv_storage_source_fn source, void *user, uint8_t *buffer, size_t size, size_t *ret_got)
{
    size_t used = 0;
    while (used < size) {
        int64_t got = source(user, buffer + used, size - used);
        if (got < 0)
            return false;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    *ret_got = used;
    return true;
}

static venv_rc gave_up(venv_storage_error *err)
{
    return venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the writer gave up");
}

static venv_rc put_whole(venv_storage *storage, const venv_storage_url *url, const place *where, uint32_t flags,
                         const void *data, size_t size, venv_storage_error *err)
{
    char target[TARGET_MAX];
    struct curl_slist *headers = NULL;
    venv_storage_response response;
    if (!key_target(where, url->path, "", target))
        return too_long(err);
    if ((flags & VENV_STORAGE_PUT_NEW) && !venv_net_curl_add(&headers, "If-None-Match: *"))
        return venv_storage_fail_memory(err);
    venv_rc rc = send_signed(storage, url, where, target, "PUT", data, size, headers, &response, err);
    venv_storage_response_fini(&response);
    return rc;
}

typedef struct upload {
    venv_storage *storage;
    const venv_storage_url *url;
    const place *where;
    char id[3 * 512]; /* encoded */
    venv_buf parts;   /* of the document that ends it */
    unsigned count;
    uint64_t done;
} upload;

static venv_rc begin_upload(upload *u, venv_storage_error *err)
{
    char target[TARGET_MAX], id[512] = "";
    venv_storage_response response;
    if (!key_target(u->where, u->url->path, "uploads=", target))
        return too_long(err);
    venv_rc rc = send_signed(u->storage, u->url, u->where, target, "POST", "", 0, NULL, &response, err);
    if (rc == VENV_OK && (!element(&response.body, "UploadId", id, sizeof id) || !id[0] ||
                          !venv_storage_encode(id, false, u->id, sizeof u->id)))
        rc = venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_REQUEST, "it gave no id for the upload");
    venv_storage_response_fini(&response);
    return rc;
}

static venv_rc put_part(upload *u, const void *data, size_t size, venv_storage_error *err)
{
    char target[TARGET_MAX], query[2048];
    venv_storage_response response;
    if (++u->count > PARTS_MAX)
        return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_DATA, "it has more than %u parts; say its size", PARTS_MAX);
    (void)snprintf(query, sizeof query, "partNumber=%u&uploadId=%s", u->count, u->id);
    if (!key_target(u->where, u->url->path, query, target))
        return too_long(err);
    venv_rc rc = send_signed(u->storage, u->url, u->where, target, "PUT", data, size, NULL, &response, err);
    if (rc == VENV_OK)
        venv_buf_printf(&u->parts, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", u->count, response.tag);
    u->done += size;
    venv_storage_response_fini(&response);
    return rc;
}

static venv_rc end_upload(upload *u, uint32_t flags, venv_storage_error *err)
{
    char target[TARGET_MAX], query[2048];
    struct curl_slist *headers = NULL;
    venv_storage_response response;
    (void)snprintf(query, sizeof query, "uploadId=%s", u->id);
    venv_buf_append_text(&u->parts, "</CompleteMultipartUpload>");
    if (u->parts.rc != VENV_OK || ((flags & VENV_STORAGE_PUT_NEW) && !venv_net_curl_add(&headers, "If-None-Match: *")))
        return venv_storage_fail_memory(err);
    if (!key_target(u->where, u->url->path, query, target)) {
        curl_slist_free_all(headers);
        return too_long(err);
    }
    venv_rc rc = send_signed(u->storage, u->url, u->where, target, "POST", u->parts.data, u->parts.size, headers, &response, err);
    if (rc != VENV_OK && err && err->phase != VENV_STORAGE_LOGIN)
        err->phase = VENV_STORAGE_COMMIT;
    venv_storage_response_fini(&response);
    return rc;
}

static void abort_upload(upload *u)
{
    char target[TARGET_MAX], query[2048];
    venv_storage_response response;
    (void)snprintf(query, sizeof query, "uploadId=%s", u->id);
    if (!key_target(u->where, u->url->path, query, target))
        return;
    bool cleaning = u->storage->cleaning;
    u->storage->cleaning = true; /* also after a cancel: parts that nobody sees cost money */
    venv_storage_begin(u->storage);
    (void)send_signed(u->storage, u->url, u->where, target, "DELETE", "", 0, NULL, &response, NULL);
    u->storage->cleaning = cleaning;
    venv_storage_response_fini(&response);
}

static venv_rc s3_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                      venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    place where;
    venv_rc rc = find_place(storage, url, &where, err);
    if (rc != VENV_OK)
        return rc;
    size_t part = PART_MIN, got = 0;
    if (size != VENV_STORAGE_SIZE_UNKNOWN && size / 9000 > part)
        part = (size_t)(size / 9000);
    uint8_t *buffer = malloc(part);
    if (!buffer)
        return venv_storage_fail_memory(err);
    rc = fill(source, user, buffer, part, &got) ? VENV_OK : gave_up(err);
    upload u = { .storage = storage, .url = url, .where = &where };
    venv_buf_init(&u.parts, PARTS_MAX * 256u);
    if (rc == VENV_OK && size != VENV_STORAGE_SIZE_UNKNOWN && (got < part ? got != size : size < part))
        rc = venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_DATA, "another number of bytes was promised");
    else if (rc == VENV_OK && got < part)
        rc = put_whole(storage, url, &where, flags, buffer, got, err);
    else if (rc == VENV_OK) {
        venv_buf_append_text(&u.parts, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        rc = begin_upload(&u, err);
        while (rc == VENV_OK && got > 0) {
            rc = put_part(&u, buffer, got, err);
            if (rc == VENV_OK && !fill(source, user, buffer, part, &got))
                rc = gave_up(err);
        }
        if (rc == VENV_OK && size != VENV_STORAGE_SIZE_UNKNOWN && u.done != size)
            rc = venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_DATA, "another number of bytes was promised");
        if (rc == VENV_OK)
            rc = end_upload(&u, flags, err);
        if (rc != VENV_OK && u.id[0])
            abort_upload(&u);
    }
    venv_buf_fini(&u.parts);
    free(buffer);
    return rc;
}

static venv_rc s3_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    place where;
    char target[TARGET_MAX];
    venv_storage_info info;
    venv_storage_response response;
    venv_rc rc = s3_stat(storage, url, &info, err); /* a delete of nothing is a success to S3 */
    if (rc == VENV_OK && info.kind == VENV_STORAGE_DIRECTORY)
        rc = venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "the directory is not empty");
    if (rc == VENV_OK)
        rc = find_place(storage, url, &where, err);
    if (rc == VENV_OK && !key_target(&where, url->path, "", target))
        rc = too_long(err);
    if (rc != VENV_OK)
        return rc;
    rc = send_signed(storage, url, &where, target, "DELETE", "", 0, NULL, &response, err);
    venv_storage_response_fini(&response);
    return rc;
}

/* There is no rename: the store copies within itself, and the old name is deleted. */
static venv_rc s3_rename(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to, bool replace,
                         venv_storage_error *err)
{
    place where;
    char target[TARGET_MAX], encoded[VENV_STORAGE_URL_MAX];
    venv_storage_info info, other;
    struct curl_slist *headers = NULL;
    venv_storage_response response;
    venv_rc rc = s3_stat(storage, from, &info, err);
    if (rc == VENV_OK && (info.kind != VENV_STORAGE_FILE || info.size > COPY_MAX))
        rc = venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is no object, or larger than 5 GiB");
    if (rc == VENV_OK && !replace && s3_stat(storage, to, &other, NULL) == VENV_OK && other.kind == VENV_STORAGE_FILE)
        rc = venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
    if (rc == VENV_OK)
        rc = find_place(storage, from, &where, err);
    if (rc != VENV_OK)
        return rc;
    if (!key_target(&where, to->path, "", target) || !venv_storage_encode(from->path, true, encoded, sizeof encoded))
        return too_long(err);
    if (!venv_net_curl_add(&headers, "x-amz-copy-source: /%s/%s", from->host, encoded))
        return venv_storage_fail_memory(err);
    rc = send_signed(storage, from, &where, target, "PUT", "", 0, headers, &response, err);
    venv_storage_response_fini(&response);
    if (rc != VENV_OK || !key_target(&where, from->path, "", target))
        return rc;
    rc = send_signed(storage, from, &where, target, "DELETE", "", 0, NULL, &response, err);
    venv_storage_response_fini(&response);
    return rc;
}

const venv_storage_driver venv_storage_s3_driver = {
    .stat = s3_stat, .list = s3_list, .make_directory = s3_make_directory, .get = s3_get, .put = s3_put,
    .rename = s3_rename, .remove = s3_remove,
};
