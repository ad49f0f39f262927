/* SPDX-License-Identifier: Apache-2.0 */
/* Driver dav and davs: WebDAV (RFC 4918). Objects are http's; looking, listing and names are PROPFIND, MKCOL and MOVE. */
#include "storage/http.h"
#include "storage/markup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char question[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><propfind xmlns=\"DAV:\"><prop><resourcetype/><getcontentlength/>"
    "<getlastmodified/><getetag/><quota-available-bytes/><quota-used-bytes/></prop></propfind>";

/* One <response> of an answer. */
typedef struct resource {
    char path[VENV_STORAGE_URL_MAX]; /* decoded, without slashes at its ends */
    venv_storage_info info;
    uint64_t quota_free, quota_used;
} resource;

/* @return false to stop. */
typedef bool (*resource_fn)(void *user, const resource *one);

/* The path of a <href>: a path or a whole URL, percent-encoded. */
static bool read_href(const char *text, resource *one)
{
    const char *authority = strstr(text, "://");
    const char *path = authority ? strchr(authority + 3, '/') : text;
    if (!path)
        path = "";
    path += strspn(path, "/");
    size_t size = strcspn(path, "?#");
    while (size > 0 && path[size - 1] == '/')
        size--;
    return venv_storage_decode(path, size, one->path, sizeof one->path);
}

static void read_property(const venv_storage_markup *markup, resource *one)
{
    const char *name = markup->name, *text = markup->text;
    if (strcmp(name, "collection") == 0)
        one->info.kind = VENV_STORAGE_DIRECTORY;
    else if (strcmp(name, "getcontentlength") == 0 && text[0])
        one->info.size = strtoull(text, NULL, 10);
    else if (strcmp(name, "getlastmodified") == 0)
        one->info.modified.ns = venv_storage_http_date(text);
    else if (strcmp(name, "getetag") == 0 && text[0] == '"' && strlen(text) < sizeof one->info.tag)
        memcpy(one->info.tag, text, strlen(text) + 1);
    else if (strcmp(name, "quota-available-bytes") == 0 && text[0])
        one->quota_free = strtoull(text, NULL, 10);
    else if (strcmp(name, "quota-used-bytes") == 0 && text[0])
        one->quota_used = strtoull(text, NULL, 10);
}

static venv_rc read_answer(const venv_buf *body, resource_fn fn, void *user, venv_storage_error *err)
{
    venv_storage_markup *markup = malloc(sizeof *markup);
    resource *one = malloc(sizeof *one);
    venv_rc rc = markup && one ? VENV_OK : venv_storage_fail_memory(err);
    if (rc == VENV_OK)
        venv_storage_markup_init(markup, body->data, body->size);
    bool within = false, named = false;
    while (rc == VENV_OK) {
        venv_storage_markup_event event = venv_storage_markup_next(markup);
        if (event == VENV_STORAGE_MARKUP_END)
            break;
        if (event == VENV_STORAGE_MARKUP_BROKEN) {
            rc = venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_DATA, "its answer to PROPFIND is malformed");
        } else if (event == VENV_STORAGE_MARKUP_OPEN && strcmp(markup->name, "response") == 0) {
            *one = (resource){ .info = { .permissions = -1, .size = VENV_STORAGE_SIZE_UNKNOWN },
                               .quota_free = VENV_STORAGE_SIZE_UNKNOWN, .quota_used = VENV_STORAGE_SIZE_UNKNOWN };
            within = true;
            named = false;
        } else if (event == VENV_STORAGE_MARKUP_CLOSE && within && strcmp(markup->name, "href") == 0 && !named) {
            named = read_href(markup->text, one);
        } else if (event == VENV_STORAGE_MARKUP_CLOSE && within && strcmp(markup->name, "response") == 0) {
            within = false;
            if (one->info.kind == VENV_STORAGE_DIRECTORY)
                one->info.size = 0;
            if (named && !fn(user, one))
                rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the list was given up");
        } else if (event == VENV_STORAGE_MARKUP_CLOSE && within) {
            read_property(markup, one);
        }
    }
    free(markup);
    free(one);
    return rc;
}

static venv_rc ask(venv_storage *storage, const venv_storage_url *url, bool directory, int depth, resource_fn fn,
                   void *user, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX + VENV_STORAGE_QUERY_MAX];
    if (!venv_storage_curl_target(url, directory, target, sizeof target))
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the URL is too long");
    venv_storage_request request = { .url = url, .target = target, .method = "PROPFIND", .upload = true, .capture = true,
                                     .data = question, .data_size = sizeof question - 1 };
    venv_storage_response response;
    if (!venv_net_curl_add(&request.headers, "Depth: %d", depth) ||
        !venv_net_curl_add(&request.headers, "Content-Type: application/xml") ||
        !venv_net_curl_add(&request.headers, "Expect:")) {
        curl_slist_free_all(request.headers);
        return venv_storage_fail_memory(err);
    }
    venv_rc rc = venv_storage_curl_do(storage, &request, &response, err);
    curl_slist_free_all(request.headers);
    if (rc == VENV_OK && (response.status == 301 || response.status == 302 || response.status == 307 || response.status == 308) &&
        !directory) {
        venv_storage_response_fini(&response); /* the server wants the slash of a collection */
        return ask(storage, url, true, depth, fn, user, err);
    }
    if (rc == VENV_OK)
        rc = venv_storage_http_result(&response, err);
    if (rc == VENV_OK && response.status != 207)
        rc = venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_REQUEST, "the server does not speak WebDAV");
    if (rc == VENV_OK)
        rc = read_answer(&response.body, fn, user, err);
    venv_storage_response_fini(&response);
    return rc;
}

static bool keep_first(void *user, const resource *one)
{
    resource *kept = user;
    if (kept->quota_used == 1) { /* nothing yet */
        *kept = *one;
        if (kept->quota_used == 1)
            kept->quota_used = 0;
    }
    return true;
}

static venv_rc look(venv_storage *storage, const venv_storage_url *url, resource *kept, venv_storage_error *err)
{
    *kept = (resource){ .quota_used = 1 };
    venv_rc rc = ask(storage, url, url->directory, 0, keep_first, kept, err);
    if (rc == VENV_OK && kept->quota_used == 1)
        rc = venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_DATA, "its answer to PROPFIND is empty");
    return rc;
}

static venv_rc dav_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                        venv_storage_error *err)
{
    resource kept;
    venv_rc rc = look(storage, url, &kept, err);
    if (rc == VENV_OK)
        *ret_info = kept.info;
    return rc;
}

static venv_rc dav_space(venv_storage *storage, const venv_storage_url *url, uint64_t *ret_total, uint64_t *ret_free,
                         venv_storage_error *err)
{
    resource kept;
    venv_rc rc = look(storage, url, &kept, err);
    if (rc == VENV_OK && kept.quota_free == VENV_STORAGE_SIZE_UNKNOWN)
        return venv_storage_fail(err, VENV_STORAGE_PROTOCOL_UNSUPPORTED, VENV_STORAGE_REQUEST, "the server tells no quota");
    if (rc == VENV_OK) {
        *ret_free = kept.quota_free;
        *ret_total = kept.quota_used == VENV_STORAGE_SIZE_UNKNOWN ? kept.quota_used : kept.quota_free + kept.quota_used;
    }
    return rc;
}

typedef struct lister {
    const char *directory;
    venv_storage_entry_fn entry;
    void *user;
    bool is_file;
} lister;

static bool tell(void *user, const resource *one)
{
    lister *l = user;
    if (strcmp(one->path, l->directory) == 0) { /* itself */
        l->is_file = one->info.kind != VENV_STORAGE_DIRECTORY;
        return true;
    }
    venv_str parent = venv_storage_path_parent(one->path);
    if (parent.size != strlen(l->directory) || memcmp(parent.data, l->directory, parent.size) != 0)
        return true; /* what was not asked for */
    return l->entry(l->user, venv_storage_path_name(one->path), &one->info);
}

static venv_rc dav_list(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                        venv_storage_error *err)
{
    lister l = { .directory = url->path, .entry = entry, .user = user };
    venv_rc rc = ask(storage, url, true, 1, tell, &l, err);
    if (rc == VENV_OK && l.is_file)
        rc = venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is no directory");
    return rc;
}

static venv_rc dav_make_directory(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    long status = 0;
    venv_rc rc = venv_storage_http_simple(storage, url, "MKCOL", true, NULL, &status, err);
    if (rc != VENV_OK && status == 405)
        return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists (HTTP 405)");
    if (rc != VENV_OK && status == 409)
        return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "its directory does not exist (HTTP 409)");
    return rc;
}

/* Servers differ in what a missing directory above is, and some make it: it is an error here, as on a disk. */
static venv_rc check_parent(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    venv_storage_url above = *url;
    size_t size = venv_storage_path_parent(url->path).size;
    if (size == 0)
        return VENV_OK;
    above.path[size] = 0;
    above.directory = true;
    resource kept;
    venv_rc rc = look(storage, &above, &kept, err);
    if (rc == VENV_ENOENT)
        return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "its directory does not exist");
    return rc;
}

static venv_rc dav_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                       venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    venv_rc rc = check_parent(storage, url, err);
    if (rc == VENV_OK)
        rc = venv_storage_http_put(storage, url, size, flags, source, user, err);
    if (rc != VENV_OK && err && err->native == 409)
        return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is a directory, or is in none (HTTP 409)");
    return rc;
}

static venv_rc dav_rename(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to, bool replace,
                          venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX];
    struct curl_slist *headers = NULL;
    long status = 0;
    venv_storage_info info;
    venv_storage_error error = { 0 };
    venv_rc rc = check_parent(storage, to, err);
    if (rc != VENV_OK)
        return rc;
    if (!replace && dav_stat(storage, to, &info, &error) == VENV_OK)
        return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
    if (!venv_storage_curl_target(to, false, target, sizeof target))
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the URL is too long");
    if (!venv_net_curl_add(&headers, "Destination: %s", target) ||
        !venv_net_curl_add(&headers, "Overwrite: %s", replace ? "T" : "F")) {
        curl_slist_free_all(headers);
        return venv_storage_fail_memory(err);
    }
    rc = venv_storage_http_simple(storage, from, "MOVE", from->directory, headers, &status, err);
    curl_slist_free_all(headers);
    if (rc != VENV_OK && status == 412)
        return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists (HTTP 412)");
    return rc;
}

typedef struct counter {
    const char *directory;
    size_t count;
} counter;

static bool count_children(void *user, const resource *one)
{
    counter *c = user;
    c->count += strcmp(one->path, c->directory) != 0;
    return true;
}

/* DELETE of a collection takes everything in it: that is not what was asked for, so it must be empty. */
static venv_rc dav_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    resource kept;
    venv_rc rc = look(storage, url, &kept, err);
    if (rc != VENV_OK)
        return rc;
    bool directory = kept.info.kind == VENV_STORAGE_DIRECTORY;
    counter c = { .directory = url->path };
    if (directory)
        rc = ask(storage, url, true, 1, count_children, &c, err);
    if (rc == VENV_OK && c.count > 0)
        rc = venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "the directory is not empty");
    return rc == VENV_OK ? venv_storage_http_simple(storage, url, "DELETE", directory, NULL, NULL, err) : rc;
}

const venv_storage_driver venv_storage_dav_driver = {
    .stat = dav_stat, .list = dav_list, .make_directory = dav_make_directory, .get = venv_storage_http_get,
    .put = dav_put, .rename = dav_rename, .remove = dav_remove, .space = dav_space,
};
