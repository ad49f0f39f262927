/* SPDX-License-Identifier: Apache-2.0 */
/* What both shells need before their loop runs. */
#include "runtime/daemon.h"

#include "runtime/zone_files.h"

#include <string.h>

venv_rc venv_shell_identity(venv_role role, const char *name, const venv_tls_files *files, venv_tls_context **ret_tls,
                            venv_error *err)
{
    venv_tls_context *tls = NULL;
    venv_rc rc = venv_tls_context_new(role == VENV_ROLE_MANAGER ? VENV_TLS_SERVER : VENV_TLS_CLIENT, files, &tls, err);
    if (rc != VENV_OK)
        return rc;
    const venv_identity *own = &venv_tls_context_peek_own(tls)->identity;
    if (own->role != role)
        rc = venv_error_set(err, VENV_EINVAL, "%s is the certificate of the %s '%s'; this program needs one of a%s %s",
                            files->certificate, venv_role_name(own->role), own->name, role == VENV_ROLE_AGENT ? "n" : "",
                            venv_role_name(role));
    else if (name[0] && strcmp(own->name, name) != 0)
        rc = venv_error_set(err, VENV_EINVAL,
                            "%s is for '%s', but the configuration calls this %s '%s': correct the name or issue a certificate for it",
                            files->certificate, own->name, venv_role_name(role), name);
    if (rc != VENV_OK) {
        venv_tls_context_free(tls);
        return rc;
    }
    *ret_tls = tls;
    return VENV_OK;
}

venv_rc venv_shell_seed(uint64_t *ret_seed, venv_error *err)
{
    return venv_identity_random(ret_seed, sizeof *ret_seed, err);
}

venv_rc venv_agent_config_load(const char *path, venv_agent_config **ret_config, venv_error *err)
{
    venv_config_files files = { .items = NULL, .count = 0 };
    venv_config_document documents[VENV_CONFIG_FILES_MAX];
    venv_rc rc = venv_config_files_read(path, &files, err);
    if (rc != VENV_OK)
        return rc;
    for (size_t i = 0; i < files.count; i++)
        documents[i] = (venv_config_document){ .file = files.items[i].path, .value = &files.items[i].value,
                                               .marks = files.items[i].marks };
    rc = venv_agent_config_new(documents, files.count, ret_config, err);
    venv_config_files_fini(&files);
    return rc;
}

size_t venv_manager_sources(const venv_config_files *files, venv_manager_source sources[VENV_CONFIG_FILES_MAX])
{
    for (size_t i = 0; i < files->count; i++)
        sources[i] = (venv_manager_source){ .file = files->items[i].path,
                                            .text = { files->items[i].text, files->items[i].size } };
    return files->count;
}

venv_rc venv_manager_config_load(const char *path, venv_manager_config **ret_config, venv_error *err)
{
    venv_config_files files = { .items = NULL, .count = 0 };
    venv_manager_source sources[VENV_CONFIG_FILES_MAX];
    venv_rc rc = venv_config_files_read(path, &files, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_manager_config_new(sources, venv_manager_sources(&files, sources), venv_zone_file_read, NULL, ret_config, err);
    venv_config_files_fini(&files);
    return rc;
}
