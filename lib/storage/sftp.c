/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver sftp (version 3 of the protocol, as OpenSSH has it). Paths are absolute. Replacing by rename is delete and
 * rename, as the protocol has nothing else: a crash between the two leaves the new content under its temporary name.
 */
#include "storage/files.h"
#include "storage/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static venv_rc sftp_list(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                         venv_storage_error *err)
{
    venv_rc rc = venv_storage_files_list(storage, url, NULL, venv_storage_listing_unix, entry, user, err);
    venv_storage_info info;
    if (rc != VENV_OK && err && err->klass != VENV_STORAGE_CANCELED && url->path[0] &&
        venv_storage_files_find(storage, url, &info, NULL) == VENV_OK && info.kind != VENV_STORAGE_DIRECTORY)
        return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is no directory");
    return rc;
}

/* The protocol has a stat, libcurl does not show it: the name is looked up in the list of its directory. */
static venv_rc sftp_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                         venv_storage_error *err)
{
    return venv_storage_files_find(storage, url, ret_info, err);
}

/* libcurl splits commands at spaces, but for what stands in quotes. */
static bool quote(const char *path, char *buffer, size_t size)
{
    size_t used = 0;
    if (size < 4)
        return false;
    buffer[used++] = '"';
    buffer[used++] = '/';
    for (; *path; path++) {
        if (used + 4 > size)
            return false;
        if (*path == '"' || *path == '\\')
            buffer[used++] = '\\';
        buffer[used++] = *path;
    }
    buffer[used++] = '"';
    buffer[used] = 0;
    return true;
}

static venv_rc command(venv_storage *storage, const venv_storage_url *url, const char *verb, const char *second,
                       venv_storage_response *ret_response, venv_storage_error *err)
{
    char path[VENV_STORAGE_URL_MAX], other[VENV_STORAGE_URL_MAX] = "";
    struct curl_slist *commands = NULL;
    venv_storage_response response;
    if (!quote(url->path, path, sizeof path) || (second && !quote(second, other, sizeof other)))
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the path is too long");
    if (!venv_net_curl_add(&commands, "%s %s%s%s", verb, path, second ? " " : "", other)) {
        curl_slist_free_all(commands);
        return venv_storage_fail_memory(err);
    }
    venv_rc rc = venv_storage_files_command(storage, url, commands, &response, err);
    curl_slist_free_all(commands);
    if (ret_response)
        *ret_response = response;
    else
        venv_storage_response_fini(&response);
    return rc;
}

static venv_rc sftp_make_directory(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    venv_rc rc = command(storage, url, "mkdir", NULL, NULL, err);
    venv_storage_info info;
    if (rc != VENV_OK && err && err->klass == VENV_STORAGE_OPERATION && sftp_stat(storage, url, &info, NULL) == VENV_OK)
        return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
    return rc;
}

static venv_rc sftp_remove(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err)
{
    venv_storage_info info;
    venv_rc rc = sftp_stat(storage, url, &info, err);
    if (rc == VENV_OK)
        rc = command(storage, url, info.kind == VENV_STORAGE_DIRECTORY ? "rmdir" : "rm", NULL, NULL, err);
    return rc;
}

static venv_rc sftp_rename(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to, bool replace,
                           venv_storage_error *err)
{
    venv_storage_info info;
    venv_rc rc = sftp_stat(storage, from, &info, err);
    if (rc != VENV_OK)
        return rc;
    if (sftp_stat(storage, to, &info, NULL) == VENV_OK) {
        if (!replace)
            return venv_storage_fail(err, VENV_STORAGE_EXISTS, VENV_STORAGE_REQUEST, "it exists");
        if (info.kind == VENV_STORAGE_DIRECTORY)
            return venv_storage_fail(err, VENV_STORAGE_OPERATION, VENV_STORAGE_REQUEST, "it is a directory");
        rc = command(storage, to, "rm", NULL, NULL, err);
        if (rc != VENV_OK)
            return rc;
    }
    return command(storage, from, "rename", to->path, NULL, err);
}

static venv_rc sftp_set_permissions(venv_storage *storage, const venv_storage_url *url, uint32_t permissions,
                                    venv_storage_error *err)
{
    char verb[32];
    (void)snprintf(verb, sizeof verb, "chmod %03o", (unsigned)permissions);
    return command(storage, url, verb, NULL, NULL, err);
}

/* A field of the answer, `f_bavail: 123`. */
static bool field(const char *text, const char *name, uint64_t *ret_number)
{
    const char *at = strstr(text, name);
    if (!at)
        return false;
    *ret_number = strtoull(at + strlen(name), NULL, 10);
    return true;
}

static venv_rc sftp_space(venv_storage *storage, const venv_storage_url *url, uint64_t *ret_total, uint64_t *ret_free,
                          venv_storage_error *err)
{
    venv_storage_response response;
    uint64_t unit = 0, blocks = 0, available = 0;
    venv_rc rc = command(storage, url, "statvfs", NULL, &response, err);
    if (rc != VENV_OK) {
        venv_storage_response_fini(&response);
        return rc;
    }
    const char *text = venv_buf_peek_text(&response.body);
    bool told = field(text, "f_frsize:", &unit) && field(text, "f_blocks:", &blocks) && field(text, "f_bavail:", &available);
    venv_storage_response_fini(&response);
    if (!told)
        return venv_storage_fail(err, VENV_STORAGE_PROTOCOL_UNSUPPORTED, VENV_STORAGE_REQUEST, "the server does not tell");
    *ret_total = blocks * unit;
    *ret_free = available * unit;
    return VENV_OK;
}

const venv_storage_driver venv_storage_sftp_driver = {
    .stat = sftp_stat, .list = sftp_list, .make_directory = sftp_make_directory, .get = venv_storage_files_get,
    .put = venv_storage_files_put, .rename = sftp_rename, .remove = sftp_remove, .set_permissions = sftp_set_permissions,
    .space = sftp_space,
};
