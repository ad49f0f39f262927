/* SPDX-License-Identifier: Apache-2.0 */
/* What a machine stands on, as data. Nothing here opens a file. */
#include "environment/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool venv_machine_text_dup(const char *text, char **ret_copy)
{
    size_t size = text ? strlen(text) + 1 : 0;
    char *copy = text ? malloc(size) : NULL;
    if (copy)
        memcpy(copy, text, size);
    *ret_copy = copy;
    return !text || copy;
}

void venv_machine_files_free(venv_machine_files *files)
{
    if (!files)
        return;
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].name);
        free(files->items[i].base);
        free(files->items[i].path);
    }
    free(files->directory);
    free(files->hypervisor);
    free(files->meta_data);
    free(files->user_data);
    free(files->network_config);
    free(files->user_data_file);
    free(files);
}

venv_rc venv_machine_files_dup(const venv_machine_files *files, venv_machine_files **ret_files, venv_error *err)
{
    venv_machine_files *copy = malloc(sizeof *copy);
    if (!copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the files of a machine");
    *copy = *files;
    copy->count = 0;
    copy->directory = copy->hypervisor = copy->meta_data = copy->user_data = copy->network_config = copy->user_data_file = NULL;
    bool done = venv_machine_text_dup(files->directory, &copy->directory) && venv_machine_text_dup(files->hypervisor, &copy->hypervisor) &&
                venv_machine_text_dup(files->meta_data, &copy->meta_data) &&
                venv_machine_text_dup(files->user_data, &copy->user_data) && venv_machine_text_dup(files->network_config, &copy->network_config) &&
                venv_machine_text_dup(files->user_data_file, &copy->user_data_file);
    venv_rc rc = done ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory for the files of a machine");
    for (size_t i = 0; i < files->count && rc == VENV_OK; i++)
        rc = venv_machine_files_add(copy, &files->items[i], err);
    if (rc != VENV_OK) {
        venv_machine_files_free(copy);
        return rc;
    }
    *ret_files = copy;
    return VENV_OK;
}

venv_rc venv_machine_files_add(venv_machine_files *files, const venv_machine_file *file, venv_error *err)
{
    if (files->count == VENV_MACHINE_FILES_MAX)
        return venv_error_set(err, VENV_ELIMIT, "more than %u files for one machine", VENV_MACHINE_FILES_MAX);
    venv_machine_file copy = *file;
    copy.name = copy.base = copy.path = NULL;
    if (!venv_machine_text_dup(file->name, &copy.name) || !venv_machine_text_dup(file->base, &copy.base) || !venv_machine_text_dup(file->path, &copy.path)) {
        free(copy.name);
        free(copy.base);
        free(copy.path);
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the files of a machine");
    }
    files->items[files->count++] = copy;
    return VENV_OK;
}

bool venv_machine_files_own(const venv_machine_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].kind != VENV_FILE_USED)
            return true;
    return false;
}

venv_rc venv_machine_file_path(const char *directory, venv_id id, const char *name, char *ret_path, size_t size, venv_error *err)
{
    char text[VENV_ID_TEXT_SIZE];
    int length = snprintf(ret_path, size, "%s/%s/%s", directory, venv_id_format(id, text), name);
    if (length < 0 || (size_t)length >= size)
        return venv_error_set(err, VENV_ELIMIT, "the path of the machine's files is too long: '%s' must be shorter", directory);
    return VENV_OK;
}

bool venv_seed_host_name(const char *instance, char ret_name[VENV_NAME_MAX + 1])
{
    size_t label = 0, size = strlen(instance);
    if (size == 0 || size > VENV_NAME_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        char c = instance[i] == '_' ? '-' : instance[i];
        bool is_end = i + 1 == size || instance[i + 1] == '.';
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (c == '.' ? label == 0 || i + 1 == size : !is_letter && (c != '-' || label == 0 || is_end))
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63)
            return false;
        ret_name[i] = c;
    }
    ret_name[size] = '\0';
    return true;
}

/* JSON, which YAML 1.2 contains: nothing in a text can end it early. */
static venv_rc print(const venv_value *value, char **ret_text, venv_error *err)
{
    char *text = NULL;
    size_t size = 0;
    venv_rc rc = venv_json_print(value, VENV_JSON_PRETTY, &text, &size, err);
    if (rc == VENV_OK && size > VENV_SEED_TEXT_MAX)
        rc = venv_error_set(err, VENV_ELIMIT, "a text for cloud-init is longer than %u bytes", VENV_SEED_TEXT_MAX);
    if (rc != VENV_OK) {
        free(text);
        return rc;
    }
    free(*ret_text);
    *ret_text = text;
    return VENV_OK;
}

static venv_rc make_meta_data(venv_machine_files *files, venv_error *err)
{
    char host[VENV_NAME_MAX + 1], id[VENV_NAME_MAX + 32];
    if (!venv_seed_host_name(files->instance, host))
        return venv_error_set(err, VENV_EINVAL, "'%s' makes no host name for cloud-init: labels of 1 to 63 letters, digits and '-'", files->instance);
    snprintf(id, sizeof id, "%s-%llu", files->instance, (unsigned long long)files->epoch);
    venv_map_builder map;
    venv_value value = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, "instance-id", id);
    venv_map_put_z(&map, "local-hostname", host);
    venv_rc rc = venv_map_take(&map, &value, err);
    if (rc == VENV_OK)
        rc = print(&value, &files->meta_data, err);
    venv_value_unref(&value);
    return rc;
}

venv_rc venv_seed_texts(venv_machine_files *files, venv_str user_data, const venv_value *network, venv_error *err)
{
    if (user_data.size > VENV_SEED_TEXT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "cloud_init.user_data is longer than %u bytes", VENV_SEED_TEXT_MAX);
    if (network && venv_value_kind(network) != VENV_MAP)
        return venv_error_set(err, VENV_EINVAL, "cloud_init.network must be a map");
    venv_rc rc = make_meta_data(files, err);
    if (rc == VENV_OK && network)
        rc = print(network, &files->network_config, err);
    if (rc != VENV_OK)
        return rc;
    char *copy = malloc(user_data.size + 1);
    if (!copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the seed of cloud-init");
    if (user_data.size > 0)
        memcpy(copy, user_data.data, user_data.size);
    copy[user_data.size] = '\0';
    free(files->user_data);
    files->user_data = copy;
    return VENV_OK;
}
