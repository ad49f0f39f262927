/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials by reference. A secret is read when a request needs it, lives in one struct of one request and is
 * wiped after. A credential goes only to the places beneath its `for_url`, whatever a URL asks for.
 */
#include "storage/driver.h"

#include "net/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_reference(const char *text)
{
    return strncmp(text, "env:", 4) == 0 || strncmp(text, "file:", 5) == 0 || strncmp(text, "call:", 5) == 0;
}

venv_rc venv_storage_credential_check(const venv_storage_credential *credential, venv_storage_error *err)
{
    const char *name = credential->name;
    if (!name || !venv_name_is_valid((venv_str){ name, strlen(name) }))
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE,
                                 "a credential has no valid name: letters, digits, `.`, `_`, `-`");
    const char *place = credential->for_url ? strstr(credential->for_url, "://") : NULL;
    if (!place || !place[3] || place[3] == '/' || strpbrk(credential->for_url, "@?#% "))
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE,
                                 "credential %s: for_url must say where it may be sent: SCHEME://HOST[:PORT][/PATH]", name);
    if ((credential->secret && !is_reference(credential->secret)) ||
        (credential->token && !is_reference(credential->token)))
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_PARSE,
                                 "credential %s: secret and token are references: env:NAME, file:PATH or call:NAME", name);
    return VENV_OK;
}

/* The scheme of a place without the words that mean the same servers: dav is http, s3 goes over https. */
static const char *transport(const char *scheme, size_t size)
{
    if ((size == 4 && strncasecmp(scheme, "davs", 4) == 0))
        return "https";
    if ((size == 3 && strncasecmp(scheme, "dav", 3) == 0))
        return "http";
    return NULL;
}

/* `target` is at or beneath `place`: same scheme, host and port, path by whole segments. */
static bool covers(const char *place, const char *target)
{
    size_t place_scheme = (size_t)(strstr(place, "://") - place), target_scheme = (size_t)(strstr(target, "://") - target);
    const char *a = transport(place, place_scheme), *b = transport(target, target_scheme);
    const char *left = a ? a : place, *right = b ? b : target;
    size_t left_size = a ? strlen(a) : place_scheme, right_size = b ? strlen(b) : target_scheme;
    if (left_size != right_size || strncasecmp(left, right, left_size) != 0)
        return false;
    place += place_scheme + 3;
    target += target_scheme + 3;
    size_t place_host = strcspn(place, "/"), target_host = strcspn(target, "/");
    /* The default port may be written or not. */
    static const struct { const char *scheme, *port; } ports[] = {
        { "https", ":443" }, { "http", ":80" }, { "ftp", ":21" }, { "ftps", ":990" }, { "sftp", ":22" } };
    size_t place_bare = place_host, target_bare = target_host;
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        size_t size = strlen(ports[i].port);
        if (strlen(ports[i].scheme) != left_size || strncasecmp(ports[i].scheme, left, left_size) != 0)
            continue;
        if (place_bare > size && memcmp(place + place_bare - size, ports[i].port, size) == 0)
            place_bare -= size;
        if (target_bare > size && memcmp(target + target_bare - size, ports[i].port, size) == 0)
            target_bare -= size;
    }
    if (place_bare != target_bare || strncasecmp(place, target, place_bare) != 0)
        return false;
    place += place_host;
    target += target_host;
    size_t size = strlen(place);
    while (size > 0 && place[size - 1] == '/')
        size--;
    return strncmp(place, target, size) == 0 && (target[size] == 0 || target[size] == '/' || target[size] == '?');
}

static venv_rc refuse(venv_storage_error *err, const char *name, const char *what, const char *reference)
{
    return venv_storage_fail(err, VENV_STORAGE_CREDENTIAL, VENV_STORAGE_LOGIN, "credential %s: %s (%s)", name, what,
                             reference);
}

/* The first line of a file that nobody else may read. */
static venv_rc read_file(const char *name, const char *reference, char *buffer, size_t size, venv_storage_error *err)
{
    const char *wrong = venv_net_secret_read(reference + strlen("file:"), buffer, size);
    return wrong ? refuse(err, name, wrong, reference) : VENV_OK;
}

static venv_rc read_reference(const venv_storage_settings *settings, const char *name, const char *reference,
                              char *buffer, size_t size, venv_storage_error *err)
{
    if (strncmp(reference, "file:", 5) == 0)
        return read_file(name, reference, buffer, size, err);
    if (strncmp(reference, "env:", 4) == 0) {
        const char *value = secure_getenv(reference + 4);
        if (!value || strlen(value) >= size)
            return refuse(err, name, "the variable of the environment is not set", reference);
        memcpy(buffer, value, strlen(value) + 1);
    } else if (strncmp(reference, "call:", 5) == 0) {
        if (!settings->options.secret ||
            !settings->options.secret(settings->options.secret_user, reference + 5, buffer, size))
            return refuse(err, name, "the program does not know the secret", reference);
    } else {
        if (strlen(reference) >= size)
            return refuse(err, name, "its user is too long", "user");
        memcpy(buffer, reference, strlen(reference) + 1);
    }
    buffer[size - 1] = 0;
    if (strpbrk(buffer, "\r\n")) {
        explicit_bzero(buffer, size);
        return refuse(err, name, "it has more than one line", reference);
    }
    return VENV_OK;
}

void venv_storage_secrets_wipe(venv_storage_secrets *secrets)
{
    explicit_bzero(secrets, sizeof *secrets);
}

venv_rc venv_storage_secrets_find(const venv_storage_settings *settings, const venv_storage_url *url,
                                  const char *target, venv_storage_secrets *ret_secrets, venv_storage_error *err)
{
    char name[VENV_NAME_MAX + 1] = "";
    const venv_storage_credential *found = NULL, *elsewhere = NULL;
    memset(ret_secrets, 0, sizeof *ret_secrets);
    bool named = venv_storage_url_setting(url, "credential", name, sizeof name);
    for (size_t i = 0; i < settings->options.credential_count; i++) {
        const venv_storage_credential *one = &settings->credentials[i];
        if (named && strcmp(one->name, name) != 0)
            continue;
        if (!covers(one->for_url, target))
            elsewhere = one;
        else if (!found || strlen(one->for_url) > strlen(found->for_url))
            found = one; /* the one for the narrowest place */
    }
    if (named && !found) {
        if (elsewhere)
            return venv_storage_fail(err, VENV_STORAGE_CREDENTIAL, VENV_STORAGE_LOGIN,
                                     "credential %s is only for %s", name, elsewhere->for_url);
        return venv_storage_fail(err, VENV_STORAGE_CREDENTIAL, VENV_STORAGE_LOGIN, "there is no credential %s", name);
    }
    venv_rc rc = VENV_OK;
    if (found) {
        ret_secrets->credential = found;
        if (found->user)
            rc = read_reference(settings, found->name, found->user, ret_secrets->user, sizeof ret_secrets->user, err);
        if (rc == VENV_OK && found->secret)
            rc = read_reference(settings, found->name, found->secret, ret_secrets->secret, sizeof ret_secrets->secret, err);
        if (rc == VENV_OK && found->token)
            rc = read_reference(settings, found->name, found->token, ret_secrets->token, sizeof ret_secrets->token, err);
    }
    if (rc != VENV_OK)
        venv_storage_secrets_wipe(ret_secrets);
    else if (!ret_secrets->user[0])
        memcpy(ret_secrets->user, url->user, sizeof url->user);
    return rc;
}
