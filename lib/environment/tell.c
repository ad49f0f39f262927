/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a definition says: as a value that can be read back, part by part, and which files of its node it needs.
 */
#include "base/buf.h"
#include "environment/definition.h"

#include <string.h>

venv_rc venv_environment_to_value(const venv_environment *environment, venv_value *ret_value, venv_error *err)
{
    (void)err; /* it is there already */
    *ret_value = venv_value_ref(&environment->settings);
    return VENV_OK;
}

bool venv_environment_equal(const venv_environment *a, const venv_environment *b)
{
    return a == b || venv_value_equal(&a->settings, &b->settings);
}

const venv_definition *venv_environment_peek(const venv_environment *environment)
{
    return &environment->is;
}

const char *venv_environment_name(const venv_environment *environment)
{
    return environment->is.name;
}

venv_hypervisor_kind venv_environment_hypervisor(const venv_environment *environment)
{
    return environment->is.hypervisor;
}

uint32_t venv_environment_vcpus(const venv_environment *environment)
{
    return environment->is.vcpus;
}

uint64_t venv_environment_memory_bytes(const venv_environment *environment)
{
    return environment->is.memory_bytes;
}

int32_t venv_environment_priority(const venv_environment *environment)
{
    return environment->is.priority;
}

const venv_expr *venv_environment_where(const venv_environment *environment)
{
    return environment->where;
}

const venv_expr *venv_environment_prefer(const venv_environment *environment)
{
    return environment->prefer;
}

const venv_expr *venv_environment_desired(const venv_environment *environment)
{
    return environment->desired;
}

const venv_expr *venv_environment_idle(const venv_environment *environment)
{
    return environment->idle;
}

const char *venv_environment_file(const venv_environment *environment, size_t index)
{
    const venv_definition *is = &environment->is;
    const char *boot[] = { is->kernel, is->initrd, is->cloud_init.user_data_file };
    for (size_t i = 0; i < sizeof boot / sizeof boot[0]; i++)
        if (boot[i] && index-- == 0)
            return boot[i];
    for (size_t i = 0; i < is->disk_count; i++)
        if (is->disks[i].path && index-- == 0)
            return is->disks[i].path;
    return NULL;
}

/* `path` is normal (venv_environment_path_check()), so a prefix that ends at a slash is a directory above it. */
static bool lies_in(const char *path, const char *directory)
{
    size_t size = strlen(directory);
    while (size && directory[size - 1] == '/')
        size--;
    return strncmp(path, directory, size) == 0 && path[size] == '/';
}

venv_rc venv_environment_check_files(const venv_environment *environment, const char *const *directories,
                                     size_t count, venv_error *err)
{
    const char *file;
    for (size_t i = 0; (file = venv_environment_file(environment, i)); i++) {
        bool allowed = false;
        for (size_t k = 0; k < count && !allowed; k++)
            allowed = directories[k][0] == '/' && lies_in(file, directories[k]);
        if (allowed)
            continue;
        venv_buf list;
        venv_buf_init(&list, VENV_ERROR_TEXT_MAX);
        for (size_t k = 0; k < count; k++)
            venv_buf_printf(&list, "%s%s", k ? ", " : "", directories[k]);
        venv_error_set(err, VENV_EDENIED, "environment %s: %s lies in none of the directories that this node allows (%s)",
                       environment->is.name, file, count ? venv_buf_peek_text(&list) : "none");
        venv_buf_fini(&list);
        return VENV_EDENIED;
    }
    return VENV_OK;
}
