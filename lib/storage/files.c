/* SPDX-License-Identifier: Apache-2.0 */
/* What ftp and sftp share: see files.h. */
#include "storage/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static venv_rc too_long(venv_storage_error *err)
{
    return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the URL is too long");
}

venv_rc venv_storage_files_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                               char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX], now[VENV_STORAGE_TAG_MAX];
    venv_storage_info info;
    if (!venv_storage_curl_target(url, false, target, sizeof target))
        return too_long(err);
    const venv_storage_driver *driver = venv_storage_scheme_find(url->scheme)->driver;
    venv_rc rc = driver->stat(storage, url, &info, err);
    if (rc != VENV_OK)
        return rc;
    if (info.kind != VENV_STORAGE_FILE)
        return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is no file");
    if (info.size != VENV_STORAGE_SIZE_UNKNOWN) {
        if (offset > info.size)
            return venv_storage_fail_range(err);
        length = length < info.size - offset ? length : info.size - offset;
        (void)snprintf(now, sizeof now, "%" PRIu64 "-%" PRId64, info.size, info.modified.ns);
        if (!venv_storage_tag_meets(tag, now))
            return venv_storage_fail(err, VENV_STORAGE_STALE_HANDLE, VENV_STORAGE_REQUEST, "it was replaced meanwhile");
        if (length == 0)
            return VENV_OK;
    }
    bool whole = offset == 0 && (info.size == VENV_STORAGE_SIZE_UNKNOWN ? length == info.size : length == info.size);
    venv_storage_request request = { .url = url, .target = target, .sink = sink, .user = user, .offset = offset,
                                     .length = length, .ranged = !whole };
    venv_storage_response response;
    rc = venv_storage_curl_do(storage, &request, &response, err);
    uint64_t told = response.told;
    venv_storage_response_fini(&response);
    if (rc == VENV_OK && info.size != VENV_STORAGE_SIZE_UNKNOWN && told != length)
        return venv_storage_fail(err, VENV_STORAGE_TRANSFER, VENV_STORAGE_DATA,
                                 "%" PRIu64 " of %" PRIu64 " bytes came", told, length);
    return rc;
}

venv_rc venv_storage_files_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                               venv_storage_source_fn source, void *user, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX];
    if (!venv_storage_curl_target(url, false, target, sizeof target))
        return too_long(err);
    /* Neither protocol says clearly why a file cannot be made, so what can be known is asked first. */
    const venv_storage_driver *driver = venv_storage_scheme_find(url->scheme)->driver;
    venv_storage_info info;
    venv_storage_error error = { 0 };
    venv_rc rc = driver->stat(storage, url, &info, &error);
    if (rc == VENV_OK && info.kind == VENV_STORAGE_DIRECTORY)
        return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is a directory");
    if (rc == VENV_OK && (flags & VENV_STORAGE_PUT_NEW))
        return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
    if (rc != VENV_OK && error.klass != VENV_STORAGE_NOT_FOUND) {
        if (err)
            *err = error;
        return rc;
    }
    venv_storage_request request = { .url = url, .target = target, .upload = true, .source = source, .user = user,
                                     .data_size = size };
    venv_storage_response response;
    rc = venv_storage_curl_do(storage, &request, &response, err);
    venv_storage_response_fini(&response);
    if (rc == VENV_OK || !err || err->phase == VENV_STORAGE_LOGIN || err->phase == VENV_STORAGE_CONNECT || err->native == 0)
        return rc;
    venv_storage_url above = *url;
    size_t parent = venv_storage_path_parent(url->path).size;
    above.path[parent] = 0;
    above.directory = true;
    if ((err->klass == VENV_STORAGE_PERMISSION || err->klass == VENV_STORAGE_OPERATION || err->klass == VENV_STORAGE_NOT_FOUND) &&
        parent > 0 && driver->stat(storage, &above, &info, &error) != VENV_OK && error.klass == VENV_STORAGE_NOT_FOUND)
        return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "its directory does not exist");
    return rc;
}

venv_rc venv_storage_files_list(venv_storage *storage, const venv_storage_url *url, const char *command,
                                bool (*read)(char *, const char **, venv_storage_info *), venv_storage_entry_fn entry,
                                void *user, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX];
    if (!venv_storage_curl_target(url, true, target, sizeof target))
        return too_long(err);
    venv_storage_request request = { .url = url, .target = target, .method = command, .capture = true };
    venv_storage_response response;
    venv_rc rc = venv_storage_curl_do(storage, &request, &response, err);
    char *at = rc == VENV_OK && response.body.size > 0 ? (char *)(uintptr_t)venv_buf_peek_text(&response.body) : NULL;
    while (rc == VENV_OK && at && *at) {
        size_t size = strcspn(at, "\n");
        char *line = at;
        at += size + (at[size] == '\n');
        line[size] = 0;
        if (size > 0 && line[size - 1] == '\r')
            line[size - 1] = 0;
        const char *name = NULL;
        venv_storage_info info;
        if (read(line, &name, &info) && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !entry(user, name, &info))
            rc = venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the list was given up");
    }
    venv_storage_response_fini(&response);
    return rc;
}

typedef struct finder {
    const char *name;
    venv_storage_info *info;
    bool found;
} finder;

static bool compare(void *user, const char *name, const venv_storage_info *info)
{
    finder *f = user;
    if (!f->found && strcmp(name, f->name) == 0) {
        *f->info = *info;
        f->found = true;
    }
    return true;
}

venv_rc venv_storage_files_find(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                                venv_storage_error *err)
{
    if (url->path[0] == 0) {
        *ret_info = (venv_storage_info){ .kind = VENV_STORAGE_DIRECTORY, .permissions = -1 };
        return VENV_OK;
    }
    venv_storage_url above = *url;
    above.path[venv_storage_path_parent(url->path).size] = 0;
    above.directory = true;
    finder f = { .name = venv_storage_path_name(url->path), .info = ret_info };
    venv_rc rc = venv_storage_scheme_find(url->scheme)->driver->list(storage, &above, compare, &f, err);
    if (rc == VENV_OK && !f.found)
        return venv_storage_fail(err, VENV_STORAGE_NOT_FOUND, VENV_STORAGE_REQUEST, "no such object");
    return rc;
}

venv_rc venv_storage_files_command(venv_storage *storage, const venv_storage_url *url, struct curl_slist *commands,
                                   venv_storage_response *ret_response, venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX];
    if (!venv_storage_curl_origin(url, target, sizeof target - 1))
        return too_long(err);
    memcpy(target + strlen(target), "/", 2);
    venv_storage_request request = { .url = url, .target = target, .head = true, .quote = commands, .capture = true };
    return venv_storage_curl_do(storage, &request, ret_response, err);
}
