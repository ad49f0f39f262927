/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a definition says: as a value that can be read back, and part by part.
 */
#include "base/buf.h"
#include "environment/definition.h"

#include <stdio.h>
#include <string.h>

static void put_disks(venv_map_builder *map, const venv_environment *environment)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < environment->disk_count; i++) {
        const venv_environment_disk *disk = &environment->disks[i];
        venv_map_builder item;
        venv_value made = venv_value_null();
        venv_map_init(&item);
        venv_map_put_z(&item, "file", disk->file);
        venv_map_put(&item, "format", venv_value_literal(venv_disk_format_names[disk->format]));
        venv_map_put(&item, "bus", venv_value_literal(venv_disk_bus_names[disk->bus]));
        venv_map_put(&item, "readonly", venv_value_bool(disk->readonly));
        if (venv_map_take(&item, &made, NULL) != VENV_OK)
            list.rc = VENV_ENOMEM;
        venv_list_add(&list, made);
    }
    venv_value made = venv_value_null();
    if (venv_list_take(&list, &made, NULL) != VENV_OK)
        map->rc = VENV_ENOMEM;
    venv_map_put(map, "disks", made);
}

static void put_networks(venv_map_builder *map, const venv_environment *environment)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < environment->network_count; i++) {
        const venv_environment_network *network = &environment->networks[i];
        const char *kind = venv_network_kind_names[network->kind];
        venv_map_builder item;
        venv_value made = venv_value_null();
        venv_map_init(&item);
        if (network->kind == VENV_NETWORK_USER)
            venv_map_put(&item, kind, venv_value_bool(true));
        else
            venv_map_put_z(&item, kind, network->name);
        if (network->has_mac) {
            const uint8_t *m = network->mac;
            char text[18];
            snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
            venv_map_put_z(&item, "mac", text);
        }
        if (venv_map_take(&item, &made, NULL) != VENV_OK)
            list.rc = VENV_ENOMEM;
        venv_list_add(&list, made);
    }
    venv_value made = venv_value_null();
    if (venv_list_take(&list, &made, NULL) != VENV_OK)
        map->rc = VENV_ENOMEM;
    venv_map_put(map, "networks", made);
}

static void put_text(venv_map_builder *map, const char *key, const char *text)
{
    if (text)
        venv_map_put_z(map, key, text);
}

venv_rc venv_environment_to_value(const venv_environment *environment, venv_value *ret_value, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", environment->name);
    venv_map_put(&map, "hypervisor", venv_value_literal(venv_hypervisor_kind_name(environment->hypervisor)));
    venv_map_put(&map, "vcpus", venv_value_int(environment->vcpus));
    venv_map_put(&map, "memory", venv_value_int((int64_t)environment->memory_bytes));
    put_text(&map, "kernel", environment->kernel);
    put_text(&map, "initrd", environment->initrd);
    put_text(&map, "cmdline", environment->cmdline);
    if (environment->disk_count)
        put_disks(&map, environment);
    if (environment->network_count)
        put_networks(&map, environment);
    put_text(&map, "where", environment->where_text);
    put_text(&map, "prefer", environment->prefer_text);
    venv_map_put(&map, "ready", venv_value_literal("running"));
    venv_map_put(&map, "priority", venv_value_int(environment->priority));
    return venv_map_take(&map, ret_value, err);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_devices(const venv_environment *a, const venv_environment *b)
{
    if (a->disk_count != b->disk_count || a->network_count != b->network_count)
        return false;
    for (size_t i = 0; i < a->disk_count; i++) {
        const venv_environment_disk *x = &a->disks[i], *y = &b->disks[i];
        if (!same_text(x->file, y->file) || x->format != y->format || x->bus != y->bus ||
            x->readonly != y->readonly)
            return false;
    }
    for (size_t i = 0; i < a->network_count; i++) {
        const venv_environment_network *x = &a->networks[i], *y = &b->networks[i];
        if (x->kind != y->kind || strcmp(x->name, y->name) != 0 || x->has_mac != y->has_mac ||
            memcmp(x->mac, y->mac, sizeof x->mac) != 0)
            return false;
    }
    return true;
}

bool venv_environment_equal(const venv_environment *a, const venv_environment *b)
{
    return a == b ||
           (strcmp(a->name, b->name) == 0 && a->hypervisor == b->hypervisor && a->vcpus == b->vcpus &&
            a->memory_bytes == b->memory_bytes && a->priority == b->priority &&
            same_text(a->kernel, b->kernel) && same_text(a->initrd, b->initrd) &&
            same_text(a->cmdline, b->cmdline) && same_text(a->where_text, b->where_text) &&
            same_text(a->prefer_text, b->prefer_text) && same_devices(a, b));
}

const char *venv_environment_name(const venv_environment *environment)
{
    return environment->name;
}

venv_hypervisor_kind venv_environment_hypervisor(const venv_environment *environment)
{
    return environment->hypervisor;
}

uint32_t venv_environment_vcpus(const venv_environment *environment)
{
    return environment->vcpus;
}

uint64_t venv_environment_memory_bytes(const venv_environment *environment)
{
    return environment->memory_bytes;
}

int32_t venv_environment_priority(const venv_environment *environment)
{
    return environment->priority;
}

const venv_expr *venv_environment_where(const venv_environment *environment)
{
    return environment->where;
}

const venv_expr *venv_environment_prefer(const venv_environment *environment)
{
    return environment->prefer;
}

const char *venv_environment_file(const venv_environment *environment, size_t index)
{
    const char *boot[2];
    size_t count = 0;
    if (environment->kernel)
        boot[count++] = environment->kernel;
    if (environment->initrd)
        boot[count++] = environment->initrd;
    if (index < count)
        return boot[index];
    index -= count;
    return index < environment->disk_count ? environment->disks[index].file : NULL;
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
                       environment->name, file, count ? venv_buf_peek_text(&list) : "none");
        venv_buf_fini(&list);
        return VENV_EDENIED;
    }
    return VENV_OK;
}
