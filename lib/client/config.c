/* SPDX-License-Identifier: Apache-2.0 */
/* A client's configuration: managers and files, kept as they were given. Reading of YAML is in yaml.c. */
#include "client/config.h"

#include "base/cleanup.h"
#include "client/address.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CERTIFICATES_SHOWN 8 /* names in the error about a directory with several */

static venv_rc no_memory(venv_error *err)
{
    return venv_error_set(err, VENV_ENOMEM, "out of memory");
}

venv_rc venv_client_config_new(venv_client_config **ret_config, venv_error *err)
{
    venv_client_config *config = calloc(1, sizeof *config);
    if (!config)
        return no_memory(err);
    config->connect_timeout = VENV_CLIENT_CONNECT_TIMEOUT;
    *ret_config = config;
    return VENV_OK;
}

void venv_client_config_free(venv_client_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->manager_count; i++)
        free(config->managers[i]);
    free(config->ca);
    free(config->certificate);
    free(config->key);
    free(config);
}

venv_rc venv_client_config_copy(const venv_client_config *config, venv_client_config **ret_copy, venv_error *err)
{
    venv_client_config *copy = NULL;
    venv_rc rc = venv_client_config_new(&copy, err);
    for (size_t i = 0; rc == VENV_OK && i < config->manager_count; i++)
        rc = venv_client_config_add_manager(copy, config->managers[i], err);
    if (rc == VENV_OK && config->ca)
        rc = venv_client_config_set_tls(copy, config->ca, config->certificate, config->key, err);
    if (rc != VENV_OK) {
        venv_client_config_free(copy);
        return rc;
    }
    copy->connect_timeout = config->connect_timeout;
    *ret_copy = copy;
    return VENV_OK;
}

venv_rc venv_client_config_add_manager(venv_client_config *config, const char *address, venv_error *err)
{
    venv_address parsed;
    venv_rc rc = venv_address_parse(address, &parsed, err);
    if (rc != VENV_OK)
        return rc;
    if (config->manager_count == VENV_CLIENT_MANAGERS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "more than %d managers", VENV_CLIENT_MANAGERS_MAX);
    char *copy = strdup(address);
    if (!copy)
        return no_memory(err);
    config->managers[config->manager_count++] = copy;
    return VENV_OK;
}

venv_rc venv_client_config_set_tls(venv_client_config *config, const char *ca_file, const char *certificate_file,
                                   const char *key_file, venv_error *err)
{
    VENV_AUTO_FREE char *ca = strdup(ca_file);
    VENV_AUTO_FREE char *certificate = strdup(certificate_file);
    VENV_AUTO_FREE char *key = strdup(key_file);
    if (!ca || !certificate || !key)
        return no_memory(err);
    free(config->ca);
    free(config->certificate);
    free(config->key);
    config->ca = VENV_TAKE(ca);
    config->certificate = VENV_TAKE(certificate);
    config->key = VENV_TAKE(key);
    return VENV_OK;
}

/* NAME of "user-NAME.crt", false if it is another file. */
static bool user_of(const char *file, char ret_name[VENV_NAME_MAX + 1])
{
    size_t size = strlen(file);
    if (size <= 9 || size - 9 > VENV_NAME_MAX || memcmp(file, "user-", 5) != 0 || strcmp(file + size - 4, ".crt") != 0)
        return false;
    memcpy(ret_name, file + 5, size - 9);
    ret_name[size - 9] = 0;
    return true;
}

/* The one user whose certificate is in a directory. */
static venv_rc find_user(const char *directory, char ret_name[VENV_NAME_MAX + 1], venv_error *err)
{
    DIR *stream = opendir(directory);
    if (!stream)
        return venv_error_set(err, errno == ENOENT ? VENV_ENOENT : VENV_EIO, "%s: %s", directory, strerror(errno));
    char name[VENV_NAME_MAX + 1], names[CERTIFICATES_SHOWN * (VENV_NAME_MAX + 2) + 8] = "";
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (!user_of(entry->d_name, name))
            continue;
        if (count < CERTIFICATES_SHOWN)
            (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", count ? ", " : "", name);
        if (count++ == 0)
            memcpy(ret_name, name, sizeof name);
    }
    (void)closedir(stream);
    if (count == 0)
        return venv_error_set(err, VENV_ENOENT, "%s: no user-NAME.crt is there; \"venvctl cert issue user NAME\" makes one", directory);
    if (count > 1)
        return venv_error_set(err, VENV_EINVAL, "%s: certificates of several users (%s); say which one", directory, names);
    return VENV_OK;
}

venv_rc venv_client_config_set_tls_dir(venv_client_config *config, const char *directory, const char *user, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    if (!user) {
        venv_rc rc = find_user(directory, name, err);
        if (rc != VENV_OK)
            return rc;
        user = name;
    }
    VENV_AUTO_FREE char *ca = NULL;
    VENV_AUTO_FREE char *certificate = NULL;
    VENV_AUTO_FREE char *key = NULL;
    if (asprintf(&ca, "%s/ca.crt", directory) < 0 || asprintf(&certificate, "%s/user-%s.crt", directory, user) < 0 ||
        asprintf(&key, "%s/user-%s.key", directory, user) < 0)
        return no_memory(err);
    return venv_client_config_set_tls(config, ca, certificate, key, err);
}

void venv_client_config_set_connect_timeout(venv_client_config *config, venv_span timeout)
{
    config->connect_timeout = timeout;
}

size_t venv_client_config_manager_count(const venv_client_config *config)
{
    return config->manager_count;
}

const char *venv_client_config_manager_at(const venv_client_config *config, size_t index)
{
    return index < config->manager_count ? config->managers[index] : NULL;
}

bool venv_client_config_has_tls(const venv_client_config *config)
{
    return config->ca != NULL;
}
