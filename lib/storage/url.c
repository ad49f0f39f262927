/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs. Two parsers that read one URL differently are a hole (one checks, the other connects), so this
 * one refuses whatever could be read in two ways, and drivers build what libcurl gets from its parts anew.
 */
#include "storage/url.h"

#include "base/text.h"
#include "storage/driver.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define REFUSE(...) return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, __VA_ARGS__)

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool venv_storage_decode(const char *text, size_t size, char *buffer, size_t buffer_size)
{
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (c == '%') {
            if (size - i < 3 || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
                return false;
            c = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
            if (c == 0 || c == '/')
                return false;
        }
        if (used + 1 >= buffer_size)
            return false;
        buffer[used++] = c;
    }
    if (used >= buffer_size)
        return false;
    buffer[used] = 0;
    return true;
}

bool venv_storage_encode(const char *text, bool slashes, char *buffer, size_t size)
{
    size_t used = 0;
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        bool plain = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') ||
            strchr("-._~", *at) || (slashes && *at == '/');
        if (used + (plain ? 1u : 3u) >= size)
            return false;
        if (plain) {
            buffer[used++] = (char)*at;
        } else {
            buffer[used++] = '%';
            buffer[used++] = "0123456789ABCDEF"[*at >> 4];
            buffer[used++] = "0123456789ABCDEF"[*at & 15];
        }
    }
    if (used >= size)
        return false;
    buffer[used] = 0;
    return true;
}

venv_str venv_storage_path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (venv_str){ path, slash ? (size_t)(slash - path) : 0 };
}

const char *venv_storage_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A segment of a path, decoded. Control characters include what turns text around on a terminal. */
static bool segment_is_valid(const char *name, size_t size)
{
    if (size == 0 || (size == 1 && name[0] == '.') || (size == 2 && name[0] == '.' && name[1] == '.'))
        return false;
    for (size_t i = 0; i < size;) {
        uint32_t point = 0;
        size_t step = venv_utf8_decode(name + i, size - i, &point);
        if (step == 0 || venv_text_is_control(point) || point == '/')
            return false;
        i += step;
    }
    return true;
}

bool venv_storage_entry_name_is_valid(const char *name)
{
    size_t size = strlen(name);
    return size < VENV_STORAGE_NAME_MAX && segment_is_valid(name, size);
}

static venv_rc check_segments(const char *path, venv_storage_error *err)
{
    for (const char *at = path; *at;) {
        size_t size = strcspn(at, "/");
        if (!segment_is_valid(at, size))
            REFUSE("a segment of the path is empty, `.`, `..`, not UTF-8, or has control characters");
        at += size;
        if (*at == '/' && *++at == 0)
            REFUSE("a segment of the path is empty");
    }
    return VENV_OK;
}

static venv_rc parse_port(const char *text, size_t size, uint16_t *ret_port, venv_storage_error *err)
{
    unsigned port = 0;
    if (size == 0 || size > 5)
        REFUSE("the port is not a number from 1 to 65535");
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            REFUSE("the port is not a number from 1 to 65535");
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    if (port == 0 || port > 65535)
        REFUSE("the port is not a number from 1 to 65535");
    *ret_port = (uint16_t)port;
    return VENV_OK;
}

static venv_rc parse_host(const char *text, size_t size, venv_storage_url *url, venv_storage_error *err)
{
    const char *colon;
    size_t host_size;
    if (size > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', size);
        if (!end || end == text + 1)
            REFUSE("the IPv6 address of the URL is malformed");
        text++;
        host_size = (size_t)(end - text);
        if (strspn(text, "0123456789abcdefABCDEF:.") < host_size)
            REFUSE("the IPv6 address of the URL is malformed (zones are not taken)");
        url->host_is_ipv6 = true;
        colon = host_size + 2 < size ? end + 1 : NULL;
        if (colon && *colon != ':')
            REFUSE("there is something behind the IPv6 address of the URL");
    } else {
        colon = memchr(text, ':', size);
        host_size = colon ? (size_t)(colon - text) : size;
        for (size_t i = 0; i < host_size; i++)
            if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
                REFUSE("the host of the URL has characters that no host has; write international names in their xn-- form");
    }
    if (host_size >= sizeof url->host || host_size > 253)
        REFUSE("the host of the URL is too long");
    if (colon) {
        size_t before = (size_t)(colon + 1 - text) + (url->host_is_ipv6 ? 1 : 0);
        venv_rc rc = parse_port(colon + 1, size - before, &url->port, err);
        if (rc != VENV_OK)
            return rc;
    }
    for (size_t i = 0; i < host_size; i++)
        url->host[i] = (char)tolower((unsigned char)text[i]);
    url->host[host_size] = 0;
    return VENV_OK;
}

static venv_rc parse_authority(const char *text, size_t size, venv_storage_url *url, venv_storage_error *err)
{
    const char *at = memrchr(text, '@', size);
    if (at) {
        size_t user_size = (size_t)(at - text);
        if (memchr(text, ':', user_size) || memchr(text, '@', user_size))
            REFUSE("there is a password in the URL; name a credential instead: #credential=NAME");
        if (user_size == 0 || !venv_storage_decode(text, user_size, url->user, sizeof url->user) ||
            !segment_is_valid(url->user, strlen(url->user)) || strpbrk(url->user, ":@"))
            REFUSE("the user of the URL is malformed");
        size -= user_size + 1;
        text = at + 1;
    }
    return parse_host(text, size, url, err);
}

static venv_rc parse_settings(const venv_storage_url *url, const venv_storage_scheme *scheme, venv_storage_error *err)
{
    for (const char *at = url->settings; *at;) {
        size_t size = strcspn(at, ","), key = strcspn(at, "=,");
        bool known = key == strlen("credential") && memcmp(at, "credential", key) == 0;
        for (size_t i = 0; scheme->settings && scheme->settings[i] && !known; i++)
            known = strlen(scheme->settings[i]) == key && memcmp(scheme->settings[i], at, key) == 0;
        if (!known)
            REFUSE("`%.*s` after the # is not a setting of %s", (int)(key < 32 ? key : 32), at, scheme->name);
        char name[32], value[VENV_STORAGE_SETTINGS_MAX];
        (void)snprintf(name, sizeof name, "%.*s", (int)key, at);
        if (at[key] != '=' || !venv_storage_url_setting(url, name, value, sizeof value))
            REFUSE("the setting `%s` after the # is malformed; write it as %s=VALUE", name, name);
        at += size;
        at += *at == ',';
    }
    return VENV_OK;
}

bool venv_storage_url_setting(const venv_storage_url *url, const char *key, char *buffer, size_t size)
{
    size_t key_size = strlen(key);
    for (const char *at = url->settings; *at;) {
        size_t entry = strcspn(at, ",");
        if (entry > key_size && at[key_size] == '=' && memcmp(at, key, key_size) == 0) {
            /* Values may hold slashes, plain or encoded; nothing else differs from a path. */
            size_t used = 0;
            for (size_t i = key_size + 1; i < entry; i++) {
                char c = at[i];
                if (c == '%') {
                    if (entry - i < 3 || hex(at[i + 1]) < 0 || hex(at[i + 2]) < 0)
                        return false;
                    c = (char)(hex(at[i + 1]) * 16 + hex(at[i + 2]));
                    i += 2;
                }
                if ((unsigned char)c < 0x20 || c == 0x7f || used + 1 >= size)
                    return false;
                buffer[used++] = c;
            }
            buffer[used] = 0;
            return true;
        }
        at += entry;
        at += *at == ',';
    }
    return false;
}

static venv_rc parse_path(const char *text, size_t size, const venv_storage_scheme *scheme, venv_storage_url *url,
                          venv_storage_error *err)
{
    const char *query = memchr(text, '?', size);
    if (query) {
        if (!scheme->query)
            REFUSE("a URL of %s has no `?`; write %%3F if it belongs to a name", scheme->name);
        size_t query_size = size - (size_t)(query + 1 - text);
        if (query_size >= sizeof url->query)
            REFUSE("the query of the URL is too long");
        memcpy(url->query, query + 1, query_size);
        url->query[query_size] = 0;
        size = (size_t)(query - text);
    }
    while (size > 0 && *text == '/') {
        text++;
        size--;
        if (size > 0 && *text == '/')
            REFUSE("a segment of the path is empty");
    }
    url->directory = size == 0;
    if (size > 0 && text[size - 1] == '/') {
        url->directory = true;
        size--;
    }
    if (!venv_storage_decode(text, size, url->path, sizeof url->path))
        REFUSE("the path of the URL has a malformed %%-code, or %%00 or %%2F, which no name can hold");
    return check_segments(url->path, err);
}

static void show(venv_storage_url *url, const char *path, size_t size)
{
    char port[8] = "";
    if (url->port)
        (void)snprintf(port, sizeof port, ":%u", (unsigned)url->port);
    const char *query = memchr(path, '?', size);
    if (query)
        size = (size_t)(query - path);
    (void)snprintf(url->shown, sizeof url->shown, "%s://%s%s%s%s%.*s", url->scheme, url->host_is_ipv6 ? "[" : "",
                   url->host, url->host_is_ipv6 ? "]" : "", port, (int)size, path);
}

venv_rc venv_storage_url_parse(const char *text, venv_storage_url *ret_url, venv_storage_error *err)
{
    size_t size = text ? strnlen(text, VENV_STORAGE_URL_MAX) : 0;
    if (size == 0)
        REFUSE("the URL is empty");
    if (size >= VENV_STORAGE_URL_MAX)
        REFUSE("the URL is longer than %u bytes", VENV_STORAGE_URL_MAX - 1);
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f || strchr("\\\"<>^`{|}", text[i]))
            REFUSE("byte %zu of the URL must be written as a %%-code", i + 1);

    venv_storage_url url = { 0 };
    const char *colon = strstr(text, "://");
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof url.scheme)
        REFUSE("this is no URL: it does not begin with `SCHEME://`");
    for (const char *at = text; at < colon; at++)
        url.scheme[at - text] = (char)tolower((unsigned char)*at);
    const venv_storage_scheme *scheme = venv_storage_scheme_find(url.scheme);
    if (!scheme)
        return venv_storage_fail(err, VENV_STORAGE_PROTOCOL_UNSUPPORTED, VENV_STORAGE_PARSE,
                                 "there is no driver for the scheme of the URL");

    const char *authority = colon + 3;
    const char *settings = strchr(authority, '#');
    size_t rest = settings ? (size_t)(settings - authority) : strlen(authority);
    if (settings) {
        if (strlen(settings + 1) >= sizeof url.settings)
            REFUSE("the settings after the # are too long");
        memcpy(url.settings, settings + 1, strlen(settings + 1) + 1);
    }
    size_t authority_size = strcspn(authority, "/?#");
    venv_rc rc = parse_authority(authority, authority_size, &url, err);
    if (rc == VENV_OK)
        rc = parse_path(authority + authority_size, rest - authority_size, scheme, &url, err);
    if (rc == VENV_OK)
        rc = parse_settings(&url, scheme, err);
    if (rc != VENV_OK)
        return rc;
    bool local = strcmp(url.scheme, "file") == 0;
    if (local && (url.port || url.user[0] || (url.host[0] && strcmp(url.host, "localhost") != 0)))
        REFUSE("a URL of file has no host: file:///DIRECTORY/NAME");
    if (!local && !url.host[0])
        REFUSE("the URL has no host");
    show(&url, authority + authority_size, rest - authority_size);
    *ret_url = url;
    return VENV_OK;
}

/* --- the public part -------------------------------------------------------------------------------- */

bool venv_storage_is_url(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");
    return size >= 2 && isalpha((unsigned char)text[0]) && text[size] == ':' && text[size + 1] == '/';
}

venv_rc venv_storage_url_check(const char *url, venv_storage_error *err)
{
    venv_storage_url parsed;
    return venv_storage_url_parse(url, &parsed, err);
}

venv_rc venv_storage_join(const char *url, const char *name, char *buffer, size_t size, venv_storage_error *err)
{
    venv_storage_url parsed;
    char encoded[VENV_STORAGE_URL_MAX];
    venv_rc rc = venv_storage_url_parse(url, &parsed, err);
    if (rc != VENV_OK)
        return rc;
    if (parsed.query[0])
        REFUSE("nothing can be appended to a URL with a query");
    if (!name[0])
        REFUSE("the name is empty");
    rc = check_segments(name, err);
    if (rc != VENV_OK)
        return rc;
    size_t base = strcspn(url, "?#");
    while (base > 0 && url[base - 1] == '/' && base > strlen(parsed.scheme) + 3)
        base--;
    int length = -1;
    char joined[VENV_STORAGE_URL_MAX];
    if (venv_storage_encode(name, true, encoded, sizeof encoded))
        length = snprintf(joined, sizeof joined, "%.*s/%s%s%s", (int)base, url, encoded, parsed.settings[0] ? "#" : "",
                          parsed.settings);
    if (length < 0 || (size_t)length >= sizeof joined || (size_t)length >= size) {
        rc = venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "URL and name together are too long");
        if (err)
            err->rc = VENV_ELIMIT;
        return rc == VENV_OK ? rc : VENV_ELIMIT;
    }
    memcpy(buffer, joined, (size_t)length + 1);
    return VENV_OK;
}

venv_rc venv_storage_file_url(const char *directory, const char *path, char *buffer, size_t size,
                              venv_storage_error *err)
{
    char joined[VENV_STORAGE_URL_MAX], clean[VENV_STORAGE_URL_MAX] = "", encoded[VENV_STORAGE_URL_MAX];
    bool absolute = path[0] == '/';
    if (!absolute && (!directory || directory[0] != '/'))
        REFUSE("the path is relative, and to what is not said");
    int length = snprintf(joined, sizeof joined, "%s%s%s", absolute ? "" : directory, absolute ? "" : "/", path);
    if (length < 0 || (size_t)length >= sizeof joined)
        REFUSE("the path is too long");
    /* Slashes in a row and `.` mean nothing; `..` would mean another thing after a symbolic link. */
    size_t used = 0;
    for (const char *at = joined; *at;) {
        at += strspn(at, "/");
        size_t part = strcspn(at, "/");
        if (part > 0 && !(part == 1 && at[0] == '.')) {
            clean[used++] = '/';
            memcpy(clean + used, at, part);
            used += part;
        }
        at += part;
    }
    clean[used] = 0;
    venv_rc rc = used > 0 ? check_segments(clean + 1, err) : VENV_OK;
    if (rc != VENV_OK)
        return rc;
    if (!venv_storage_encode(used > 0 ? clean : "/", true, encoded, sizeof encoded) ||
        strlen("file://") + strlen(encoded) >= (size < VENV_STORAGE_URL_MAX ? size : VENV_STORAGE_URL_MAX)) {
        (void)venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE, "the path is too long");
        if (err)
            err->rc = VENV_ELIMIT;
        return VENV_ELIMIT;
    }
    (void)snprintf(buffer, size, "file://%s", encoded);
    return VENV_OK;
}
