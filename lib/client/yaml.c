/* SPDX-License-Identifier: Apache-2.0 */
/*
 * venv-client.yaml(5) into a client's configuration. What the caller has set already stays: the command
 * line goes before the file.
 */
#include "client/config.h"

#include "base/cleanup.h"

#include <venv/codec.h>
#include <venv/text.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE_MAX ((size_t)64 << 10) /* bytes of a client's configuration */

/* One document while it is read. */
typedef struct yaml_source {
    venv_client_config *config;
    const char *path;
    const venv_mark *mark; /* of the whole document */
    bool take_managers, take_tls;
} yaml_source;

static venv_rc read_file(const char *path, char **ret_text, size_t *ret_size, venv_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return venv_error_set(err, errno == ENOENT || errno == ENOTDIR ? VENV_ENOENT : VENV_EIO, "%s: %s", path, strerror(errno));
    char *text = malloc(FILE_SIZE_MAX + 1);
    size_t size = 0;
    venv_rc rc = text ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    while (rc == VENV_OK && size <= FILE_SIZE_MAX) {
        ssize_t got = read(fd, text + size, FILE_SIZE_MAX + 1 - size);
        if (got == 0)
            break;
        if (got > 0)
            size += (size_t)got;
        else if (errno != EINTR)
            rc = venv_error_set(err, VENV_EIO, "%s: %s", path, strerror(errno));
    }
    (void)close(fd);
    if (rc == VENV_OK && size > FILE_SIZE_MAX)
        rc = venv_error_set(err, VENV_ELIMIT, "%s: larger than %zu bytes", path, FILE_SIZE_MAX);
    if (rc != VENV_OK) {
        free(text);
        return rc;
    }
    *ret_text = text;
    *ret_size = size;
    return VENV_OK;
}

static const venv_mark *mark_of(const venv_mark *map_mark, const venv_value *map, const char *key)
{
    const venv_mark *mark = venv_mark_get(map_mark, map, key);
    return mark ? mark : map_mark;
}

/* Every key of a map must be one of `keys`; what is not is blamed with the nearest. */
static venv_rc check_keys(const venv_value *map, const venv_mark *mark, const char *what, const char *const *keys,
                          venv_error *err)
{
    if (venv_value_kind(map) != VENV_MAP) {
        (void)venv_error_set(err, VENV_EINVAL, "%s is a map of keys and values", what);
        return venv_mark_blame(mark, err);
    }
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(map, i, &key, &value); i++) {
        bool known = false;
        for (size_t k = 0; keys[k]; k++)
            known = known || venv_value_is_text(key, keys[k]);
        if (known)
            continue;
        venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : VENV_STR("?");
        const char *near = venv_text_nearest(text, keys);
        (void)venv_error_set(err, VENV_EINVAL, "%s has no key \"%.*s\"%s%s%s", what, (int)text.size, text.data,
                             near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
        const venv_mark *at = venv_mark_at(mark, i);
        if (at)
            venv_error_at(err, at->file, at->key_line, at->key_column);
        return VENV_EINVAL;
    }
    return VENV_OK;
}

/* Text of a scalar that must be a string, as a NUL-terminated copy. */
static venv_rc take_text(const venv_value *value, const venv_mark *mark, const char *what, char **ret_text, venv_error *err)
{
    venv_str text = { "", 0 };
    if (venv_value_kind(value) == VENV_STRING)
        text = venv_value_peek_text(value);
    if (text.size == 0 || memchr(text.data, 0, text.size)) {
        (void)venv_error_set(err, VENV_EINVAL, "%s is expected here", what);
        return venv_mark_blame(mark, err);
    }
    *ret_text = strndup(text.data, text.size);
    return *ret_text ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
}

static venv_rc take_managers(const yaml_source *source, const venv_value *list, const venv_mark *mark, venv_error *err)
{
    if (venv_value_kind(list) != VENV_LIST || venv_value_count(list) == 0) {
        (void)venv_error_set(err, VENV_EINVAL, "managers is a list of addresses, as [mgr.example.org:7420]");
        return venv_mark_blame(mark, err);
    }
    for (size_t i = 0; i < venv_value_count(list); i++) {
        VENV_AUTO_FREE char *address = NULL;
        const venv_mark *at = venv_mark_at(mark, i);
        venv_rc rc = take_text(venv_value_at(list, i), at, "the address of a manager (HOST:PORT)", &address, err);
        if (rc != VENV_OK)
            return rc;
        rc = source->take_managers ? venv_client_config_add_manager(source->config, address, err) : VENV_OK;
        if (rc != VENV_OK) {
            (void)venv_mark_blame(at, err);
            return rc;
        }
    }
    return VENV_OK;
}

/* A path of the file, relative to the folder that the file is in. */
static venv_rc take_path(const yaml_source *source, const venv_value *map, const venv_mark *mark, const char *key,
                         char **ret_path, venv_error *err)
{
    VENV_AUTO_FREE char *text = NULL;
    const venv_value *value = venv_value_get(map, key);
    if (!value) {
        (void)venv_error_set(err, VENV_EINVAL, "tls lacks \"%s\", the name of a PEM file", key);
        return venv_mark_blame(mark, err);
    }
    venv_rc rc = take_text(value, mark_of(mark, map, key), "the name of a file", &text, err);
    if (rc != VENV_OK)
        return rc;
    const char *slash = strrchr(source->path, '/');
    int written = text[0] == '/' || !slash ? asprintf(ret_path, "%s", text)
                                           : asprintf(ret_path, "%.*s/%s", (int)(slash - source->path), source->path, text);
    if (written < 0) {
        *ret_path = NULL;
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    return VENV_OK;
}

static venv_rc take_tls(const yaml_source *source, const venv_value *map, const venv_mark *mark, venv_error *err)
{
    static const char *const keys[] = { "ca", "certificate", "key", NULL };
    venv_rc rc = check_keys(map, mark, "tls", keys, err);
    VENV_AUTO_FREE char *ca = NULL;
    VENV_AUTO_FREE char *certificate = NULL;
    VENV_AUTO_FREE char *key = NULL;
    if (rc == VENV_OK)
        rc = take_path(source, map, mark, "ca", &ca, err);
    if (rc == VENV_OK)
        rc = take_path(source, map, mark, "certificate", &certificate, err);
    if (rc == VENV_OK)
        rc = take_path(source, map, mark, "key", &key, err);
    if (rc == VENV_OK && source->take_tls)
        rc = venv_client_config_set_tls(source->config, ca, certificate, key, err);
    return rc;
}

static venv_rc take_document(const yaml_source *source, const venv_value *document, venv_error *err)
{
    static const char *const keys[] = { "managers", "tls", NULL };
    venv_rc rc = check_keys(document, source->mark, "a client's configuration", keys, err);
    if (rc != VENV_OK)
        return rc;
    const venv_value *managers = venv_value_get(document, "managers");
    const venv_value *tls = venv_value_get(document, "tls");
    if (managers)
        rc = take_managers(source, managers, mark_of(source->mark, document, "managers"), err);
    if (rc == VENV_OK && tls)
        rc = take_tls(source, tls, mark_of(source->mark, document, "tls"), err);
    return rc;
}

static venv_rc load_file(venv_client_config *config, const char *path, venv_error *err)
{
    VENV_AUTO_FREE char *text = NULL;
    size_t size = 0;
    venv_rc rc = read_file(path, &text, &size, err);
    if (rc != VENV_OK)
        return rc;
    venv_value document = venv_value_null();
    venv_yaml_marks *marks = NULL;
    rc = venv_yaml_parse(text, size, path, &document, &marks, err);
    if (rc != VENV_OK)
        return rc;
    yaml_source source = { config, path, venv_yaml_marks_root(marks), config->manager_count == 0, !config->ca };
    rc = take_document(&source, &document, err);
    venv_yaml_marks_free(marks);
    venv_value_unref(&document);
    return rc;
}

venv_rc venv_client_config_load(venv_client_config *config, const char *path, venv_error *err)
{
    /* Into a copy first: on failure the configuration is as it was. */
    venv_client_config *copy = NULL;
    venv_rc rc = venv_client_config_copy(config, &copy, err);
    if (rc != VENV_OK)
        return rc;
    if (path) {
        rc = load_file(copy, path, err);
    } else {
        const char *home = getenv("HOME");
        VENV_AUTO_FREE char *own = NULL;
        rc = VENV_ENOENT;
        if (home && asprintf(&own, "%s/.config/venv/client.yaml", home) >= 0)
            rc = load_file(copy, own, err);
        if (rc == VENV_ENOENT)
            rc = load_file(copy, "/etc/venv/client.yaml", err);
    }
    if (rc == VENV_OK) {
        venv_client_config old = *config;
        *config = *copy;
        *copy = old;
    }
    venv_client_config_free(copy);
    return rc;
}
