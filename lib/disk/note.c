/* SPDX-License-Identifier: Apache-2.0 */
/* The note in the folder of a machine: JSON, since a person may look for whose it is. */
#include "disk/parts.h"

#include "sync/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool keeps_any(const venv_machine_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].kind != VENV_FILE_USED && files->items[i].keep)
            return true;
    return false;
}

static venv_rc to_value(const venv_machine_files *files, venv_value *ret_value, venv_error *err)
{
    venv_map_builder map;
    venv_list_builder list;
    venv_value items = venv_value_null();
    venv_list_init(&list);
    for (size_t i = 0; i < files->count; i++) {
        const venv_machine_file *file = &files->items[i];
        venv_value item = venv_value_null();
        if (file->kind == VENV_FILE_USED)
            continue;
        venv_map_init(&map);
        venv_map_put_z(&map, "name", file->name);
        venv_map_put(&map, "keep", venv_value_bool(file->keep));
        if (file->base)
            venv_map_put_z(&map, "base", file->base);
        venv_rc rc = venv_map_take(&map, &item, err);
        if (rc != VENV_OK) {
            venv_list_fini(&list);
            return rc;
        }
        venv_list_add(&list, item);
    }
    venv_rc rc = venv_list_take(&list, &items, err);
    if (rc != VENV_OK)
        return rc;
    char text[VENV_ID_TEXT_SIZE];
    venv_map_init(&map);
    venv_map_put_z(&map, "id", venv_id_format(files->id, text));
    venv_map_put_z(&map, "cluster", files->cluster);
    venv_map_put_z(&map, "node", files->node);
    if (files->hypervisor)
        venv_map_put_z(&map, "hypervisor", files->hypervisor);
    venv_map_put_z(&map, "instance", files->instance);
    venv_map_put_z(&map, "environment", files->environment);
    venv_map_put(&map, "epoch", venv_value_uint(files->epoch));
    venv_map_put(&map, "files", items);
    return venv_map_take(&map, ret_value, err);
}

static venv_rc write_new(int fd, const char *text, size_t size, bool durable, venv_error *err)
{
    int file = venv_files_open(fd, VENV_NOTE_NAME, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (file < 0)
        return venv_files_fail(err, errno, "make", VENV_NOTE_NAME);
    venv_rc rc = venv_files_write_at(file, text, size, 0, VENV_NOTE_NAME, err);
    if (rc == VENV_OK && durable && fsync(file) != 0)
        rc = venv_files_fail(err, errno, "write", VENV_NOTE_NAME);
    close(file);
    return rc;
}

venv_rc venv_note_write(int fd, const venv_machine_files *files, bool replace, venv_error *err)
{
    venv_value value = venv_value_null();
    char *text = NULL;
    size_t size = 0;
    venv_rc rc = to_value(files, &value, err);
    if (rc == VENV_OK)
        rc = venv_json_print(&value, VENV_JSON_PRETTY, &text, &size, err);
    if (rc == VENV_OK)
        rc = replace ? venv_files_put(fd, VENV_NOTE_NAME, text, size, false, err) : write_new(fd, text, size, keeps_any(files), err);
    free(text);
    venv_value_unref(&value);
    return rc;
}

venv_rc venv_note_move(int fd, const venv_note *note, const char *node, venv_error *err)
{
    venv_map_builder map;
    venv_value value = venv_value_null();
    char *text = NULL;
    size_t size = 0;
    venv_map_init(&map);
    venv_map_put_z(&map, "node", node);
    for (size_t i = 0; i < venv_value_count(&note->map); i++) {
        const venv_value *key = NULL, *item = NULL;
        if (!venv_value_entry(&note->map, i, &key, &item) || venv_value_is_text(key, "node"))
            continue;
        venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(item));
    }
    venv_rc rc = venv_map_take(&map, &value, err);
    if (rc == VENV_OK)
        rc = venv_json_print(&value, VENV_JSON_PRETTY, &text, &size, err);
    if (rc == VENV_OK)
        rc = venv_files_put(fd, VENV_NOTE_NAME, text, size, false, err);
    free(text);
    venv_value_unref(&value);
    return rc;
}

static bool take_name(const venv_value *map, const char *key, char ret_name[VENV_NAME_MAX + 1])
{
    venv_str text = venv_value_get_text(map, key);
    if (!venv_name_is_valid(text))
        return false;
    memcpy(ret_name, text.data, text.size);
    ret_name[text.size] = '\0';
    return true;
}

venv_rc venv_note_read(int fd, venv_note *ret_note, venv_error *err)
{
    uint8_t *data = NULL;
    size_t size = 0;
    venv_note note = { .map = venv_value_null() };
    venv_rc rc = venv_files_get(fd, VENV_NOTE_NAME, VENV_NOTE_SIZE_MAX, &data, &size, err);
    if (rc == VENV_OK && size == 0)
        rc = venv_error_set(err, VENV_ENOENT, "'" VENV_NOTE_NAME "' is empty");
    if (rc == VENV_OK)
        rc = venv_json_parse((const char *)data, size, VENV_NOTE_SIZE_MAX, &note.map, err);
    free(data);
    if (rc == VENV_OK && !(take_name(&note.map, "cluster", note.cluster) && take_name(&note.map, "node", note.node) &&
                           take_name(&note.map, "instance", note.instance)))
        rc = venv_error_set(err, VENV_EINVAL, "'" VENV_NOTE_NAME "' does not say whose the folder is");
    if (rc != VENV_OK) {
        venv_value_unref(&note.map);
        return rc;
    }
    *ret_note = note;
    return VENV_OK;
}

void venv_note_fini(venv_note *note)
{
    venv_value_unref(&note->map);
}

bool venv_note_keeps(const venv_note *note, const char *name)
{
    const venv_value *files = venv_value_get(&note->map, "files");
    for (size_t i = 0; i < venv_value_count(files); i++)
        if (venv_value_is_text(venv_value_get(venv_value_at(files, i), "name"), name))
            return venv_value_get_bool(venv_value_at(files, i), "keep", false);
    return false;
}

bool venv_note_is_of(const venv_note *note, const venv_machine_place *place)
{
    return strcmp(note->cluster, place->cluster) == 0 && strcmp(note->node, place->node) == 0 &&
           venv_value_is_text(venv_value_get(&note->map, "hypervisor"), place->hypervisor);
}

bool venv_note_keeps_any(const venv_note *note)
{
    const venv_value *files = venv_value_get(&note->map, "files");
    for (size_t i = 0; i < venv_value_count(files); i++)
        if (venv_value_get_bool(venv_value_at(files, i), "keep", false))
            return true;
    return false;
}
