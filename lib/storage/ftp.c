/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver ftp and ftps (RFC 959, 4217, 3659). Paths are relative to the directory that a login begins in. The
 * working directory is never changed, so that a connection can be used again.
 */
#include "storage/files.h"
#include "storage/listing.h"

#include <stdio.h>
#include <string.h>

/* MLSD says it exactly; servers without it write `ls -l`. */
static venv_rc ftp_list(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                        venv_storage_error *err)
{
    venv_storage_error error = { 0 };
    if (url->path[0]) { /* some servers list nothing where nothing is */
        venv_storage_info info;
        venv_rc rc = venv_storage_files_find(storage, url, &info, err);
        if (rc != VENV_OK)
            return rc;
        if (info.kind == VENV_STORAGE_FILE)
            return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is no directory");
    }
    char server[sizeof storage->without_mlsd];
    (void)snprintf(server, sizeof server, "%s:%u", url->host, (unsigned)url->port);
    if (strcmp(server, storage->without_mlsd) == 0)
        return venv_storage_files_list(storage, url, "LIST -a", venv_storage_listing_unix, entry, user, err);
    venv_rc rc = venv_storage_files_list(storage, url, "MLSD", venv_storage_listing_facts, entry, user, &error);
    if (rc == VENV_OK || (error.native != 500 && error.native != 502 && error.native != 504)) {
        if (rc != VENV_OK && err)
            *err = error;
        return rc;
    }
    memcpy(storage->without_mlsd, server, sizeof server);
    return venv_storage_files_list(storage, url, "LIST -a", venv_storage_listing_unix, entry, user, err);
}

static venv_rc ftp_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                        venv_storage_error *err)
{
    char target[VENV_STORAGE_URL_MAX];
    if (url->path[0] && !url->directory) {
        if (!venv_storage_curl_target(url, false, target, sizeof target))
            return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the URL is too long");
        venv_storage_request request = { .url = url, .target = target, .head = true, .file_time = true, .capture = true };
        venv_storage_response response;
        venv_storage_error error = { 0 };
        venv_rc rc = venv_storage_curl_do(storage, &request, &response, &error);
        bool told = rc == VENV_OK && response.size != VENV_STORAGE_SIZE_UNKNOWN && response.modified >= 0;
        if (told)
            *ret_info = (venv_storage_info){ .kind = VENV_STORAGE_FILE, .size = response.size, .permissions = -1,
                                             .modified = { response.modified * VENV_NS_PER_S } };
        venv_storage_response_fini(&response);
        if (told)
            return VENV_OK;
        if (rc != VENV_OK && error.klass != VENV_STORAGE_NOT_FOUND && error.klass != VENV_STORAGE_PERMISSION &&
            error.klass != VENV_STORAGE_OPERATION) {
            if (err)
                *err = error;
            return rc;
        }
    }
    return venv_storage_files_find(storage, url, ret_info, err);
}

static venv_rc command(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err, const char *first,
                       const char *first_path, const char *second, const char *second_path)
{
    struct curl_slist *commands = NULL;
    venv_storage_response response;
    if (!venv_net_curl_add(&commands, "%s %s", first, first_path) ||
        (second && !venv_net_curl_add(&commands, "%s %s", second, second_path))) {
        curl_slist_free_all(commands);
        return venv_storage_fail_memory(err);
    }
    venv_rc rc = venv_storage_files_command(storage, url, commands, &response, err);
    curl_slist_free_all(commands);
    venv_storage_response_fini(&response);
    return rc;
}

static venv_rc ftp_make_directory(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    venv_rc rc = command(storage, url, err, "MKD", url->path, NULL, NULL);
    venv_storage_info info;
    if (rc != VENV_OK && err && (err->native == 550 || err->native == 521 || err->native == 553)) {
        if (ftp_stat(storage, url, &info, NULL) == VENV_OK)
            return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
        venv_storage_url above = *url;
        above.path[venv_storage_path_parent(url->path).size] = 0;
        above.directory = true;
        if (ftp_stat(storage, &above, &info, NULL) == VENV_OK)
            return venv_storage_fail(err, VENV_STORAGE_PERMISSION, VENV_STORAGE_REQUEST, "the server refuses (FTP 550)");
    }
    return rc;
}

static venv_rc ftp_rename(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to, bool replace,
                          venv_storage_error *err)
{
    venv_storage_info info;
    venv_rc rc = ftp_stat(storage, from, &info, err);
    if (rc != VENV_OK)
        return rc;
    if (!replace && ftp_stat(storage, to, &info, NULL) == VENV_OK)
        return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
    return command(storage, from, err, "RNFR", from->path, "RNTO", to->path);
}

static venv_rc ftp_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    venv_storage_info info;
    venv_rc rc = ftp_stat(storage, url, &info, err);
    if (rc != VENV_OK)
        return rc;
    bool directory = info.kind == VENV_STORAGE_DIRECTORY;
    rc = command(storage, url, err, directory ? "RMD" : "DELE", url->path, NULL, NULL);
    if (rc != VENV_OK && err && err->native == 550)
        return venv_storage_fail(err, directory ? VENV_STORAGE_OPERATION : VENV_STORAGE_PERMISSION, VENV_STORAGE_REQUEST,
                                 directory ? "the directory is not empty, or the server refuses (FTP 550)"
                                           : "the server refuses (FTP 550)");
    return rc;
}

static venv_rc ftp_set_permissions(venv_storage *storage, const venv_storage_url *url, uint32_t permissions,
                                   venv_storage_error *err)
{
    char verb[32];
    (void)snprintf(verb, sizeof verb, "SITE CHMOD %03o", (unsigned)permissions);
    venv_rc rc = command(storage, url, err, verb, url->path, NULL, NULL);
    venv_storage_info info;
    if (rc != VENV_OK && err && err->native == 550 && ftp_stat(storage, url, &info, NULL) == VENV_OK)
        return venv_storage_fail(err, VENV_STORAGE_PERMISSION, VENV_STORAGE_REQUEST, "the server refuses (FTP 550)");
    return rc;
}

const venv_storage_driver venv_storage_ftp_driver = {
    .stat = ftp_stat, .list = ftp_list, .make_directory = ftp_make_directory, .get = venv_storage_files_get,
    .put = venv_storage_files_put, .rename = ftp_rename, .remove = ftp_remove, .set_permissions = ftp_set_permissions,
};
