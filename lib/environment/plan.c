/* SPDX-License-Identifier: Apache-2.0 */
/* From a definition to the files that one machine of it stands on, and to what is told a guest by cloud-init. */
#include "environment/files.h"

#include "environment/definition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The list keeps a copy of the file, and of its path. */
static venv_rc add_made(venv_machine_files *files, const venv_machine_site *site, const venv_machine_file *file, venv_error *err)
{
    char path[VENV_ENVIRONMENT_PATH_MAX];
    venv_machine_file made = *file;
    venv_rc rc = venv_machine_file_path(site->directory, files->id, file->name, path, sizeof path, err);
    made.path = path;
    return rc == VENV_OK ? venv_machine_files_add(files, &made, err) : rc;
}

static venv_rc add_disk(venv_machine_files *files, const venv_environment *environment, size_t index, const venv_machine_site *site, venv_error *err)
{
    const venv_environment_disk *disk = &environment->is.disks[index];
    char name[32];
    venv_machine_file file = { .disk = index, .format = disk->format, .size = disk->size_bytes, .keep = disk->at_end == VENV_DISK_KEEP };
    switch (disk->source) {
    case VENV_DISK_FILE:
    case VENV_DISK_PARTITION:
    case VENV_DISK_VOLUME:
        file.kind = VENV_FILE_USED;
        file.name = (char *)disk->path;
        return venv_machine_files_add(files, &file, err);
    case VENV_DISK_MADE:
        break;
    case VENV_DISK_DIRECTORY: /* not one of blocks, or not of this node: the hypervisor finds out */
    case VENV_DISK_NETWORK:
    case VENV_DISK_SOURCE__COUNT:
        return VENV_OK;
    }
    file.kind = disk->image ? VENV_FILE_OVERLAY : VENV_FILE_BLANK;
    snprintf(name, sizeof name, "disk%zu.%s", index, venv_disk_format_names[disk->format]);
    file.name = name;
    if (disk->image) {
        const char *base = site->bases[index];
        if (!base || !venv_environment_path_check((venv_str){ base, strlen(base) }))
            return venv_error_set(err, VENV_EINVAL, "environment %s: the image %s for disk %zu is not there", environment->is.name, disk->image, index);
        file.base = (char *)base;
        file.format = VENV_DISK_RAW;
    }
    return add_made(files, site, &file, err);
}

/* --- cloud-init ------------------------------------------------------------------------------------------ */

static venv_rc put_static(const venv_environment_network *network, venv_map_builder *map, venv_error *err)
{
    char address[128];
    venv_list_builder list;
    venv_value addresses = venv_value_null();
    snprintf(address, sizeof address, "%s/%u", network->address, network->prefix);
    venv_list_init(&list);
    venv_list_add_text(&list, address);
    venv_rc rc = venv_list_take(&list, &addresses, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_put(map, "addresses", addresses);
    if (network->gateway)
        venv_map_put_z(map, network->family == 6 ? "gateway6" : "gateway4", network->gateway);
    return VENV_OK;
}

static venv_rc put_name_servers(const venv_environment_network *network, venv_map_builder *map, venv_error *err)
{
    venv_list_builder list;
    venv_map_builder servers;
    venv_value items = venv_value_null(), value = venv_value_null();
    if (network->dns.count == 0)
        return VENV_OK;
    venv_list_init(&list);
    for (size_t i = 0; i < network->dns.count; i++)
        venv_list_add_text(&list, network->dns.items[i]);
    venv_rc rc = venv_list_take(&list, &items, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&servers);
    venv_map_put(&servers, "addresses", items);
    rc = venv_map_take(&servers, &value, err);
    if (rc == VENV_OK)
        venv_map_put(map, "nameservers", value);
    return rc;
}

static venv_rc interface_value(const venv_environment_network *network, venv_id id, size_t index, venv_value *ret_value, venv_error *err)
{
    char mac[18];
    venv_map_builder map, match;
    venv_value value = venv_value_null();
    venv_map_init(&match);
    venv_map_put_z(&match, "macaddress", venv_network_mac(network, id, index, mac));
    venv_rc rc = venv_map_take(&match, &value, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&map);
    venv_map_put(&map, "match", value);
    if (network->address)
        rc = put_static(network, &map, err);
    else
        venv_map_put(&map, "dhcp4", venv_value_bool(true));
    if (rc == VENV_OK)
        rc = put_name_servers(network, &map, err);
    if (rc != VENV_OK) {
        venv_map_fini(&map);
        return rc;
    }
    return venv_map_take(&map, ret_value, err);
}

/* Version 2 of cloud-init's network configuration, each interface found by its hardware address. */
static venv_rc network_value(const venv_environment *environment, venv_id id, venv_value *ret_value, venv_error *err)
{
    venv_map_builder map, all;
    venv_value value = venv_value_null();
    venv_rc rc = VENV_OK;
    venv_map_init(&all);
    for (size_t i = 0; i < environment->is.network_count && rc == VENV_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "id%zu", i);
        rc = interface_value(&environment->is.networks[i], id, i, &value, err);
        if (rc == VENV_OK)
            venv_map_put(&all, name, value);
    }
    if (rc != VENV_OK) {
        venv_map_fini(&all);
        return rc;
    }
    rc = venv_map_take(&all, &value, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&map);
    venv_map_put(&map, "version", venv_value_int(2));
    venv_map_put(&map, "ethernets", value);
    return venv_map_take(&map, ret_value, err);
}

static venv_rc add_seed(venv_machine_files *files, const venv_environment *environment, const venv_machine_site *site, venv_error *err)
{
    const venv_definition_seed *seed = &environment->is.cloud_init;
    venv_machine_file file = { .kind = VENV_FILE_SEED, .name = (char *)"seed.iso", .disk = VENV_ENVIRONMENT_DISKS_MAX };
    venv_value network = venv_value_null();
    venv_rc rc = VENV_OK;
    if (!seed->network && environment->is.network_count > 0)
        rc = network_value(environment, files->id, &network, err);
    const char *text = seed->user_data ? seed->user_data : "";
    const venv_value *given = seed->network ? seed->network : environment->is.network_count > 0 ? &network : NULL;
    if (rc == VENV_OK)
        rc = venv_seed_texts(files, (venv_str){ text, strlen(text) }, given, err);
    venv_value_unref(&network);
    if (rc == VENV_OK && !venv_machine_text_dup(seed->user_data_file, &files->user_data_file))
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for the seed of cloud-init");
    return rc == VENV_OK ? add_made(files, site, &file, err) : rc;
}

/* --- the whole ---------------------------------------------------------------------------------------------- */

static venv_rc name_all(venv_machine_files *files, const venv_environment *environment, const venv_machine_mark *mark,
                        const venv_machine_site *site, venv_error *err)
{
    files->id = mark->id;
    files->epoch = mark->epoch;
    snprintf(files->cluster, sizeof files->cluster, "%s", mark->cluster);
    snprintf(files->instance, sizeof files->instance, "%s", mark->instance);
    snprintf(files->node, sizeof files->node, "%s", site->node);
    snprintf(files->environment, sizeof files->environment, "%s", environment->is.name);
    return venv_machine_text_dup(site->directory, &files->directory) && venv_machine_text_dup(site->hypervisor, &files->hypervisor) ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory for the files of a machine");
}

venv_rc venv_machine_plan(const venv_environment *environment, const venv_machine_mark *mark, const venv_machine_site *site,
                          venv_machine_files **ret_files, venv_error *err)
{
    const venv_definition *is = &environment->is;
    *ret_files = NULL;
    if (is->hypervisor == VENV_HYPERVISOR_TEST)
        return VENV_OK; /* there is no guest that could miss a disk */
    venv_machine_files *files = calloc(1, sizeof *files);
    if (!files)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the files of a machine");
    venv_rc rc = name_all(files, environment, mark, site, err);
    for (size_t i = 0; i < is->disk_count && rc == VENV_OK; i++)
        rc = add_disk(files, environment, i, site, err);
    if (rc == VENV_OK && is->cloud_init.given && is->hypervisor != VENV_HYPERVISOR_LXC)
        rc = add_seed(files, environment, site, err);
    if (rc != VENV_OK || files->count == 0) {
        venv_machine_files_free(files);
        return rc;
    }
    *ret_files = files;
    return VENV_OK;
}

void venv_machine_files_lend(const venv_machine_files *files, venv_domain_files *ret_files)
{
    *ret_files = (venv_domain_files){ .seed = NULL };
    for (size_t i = 0; files && i < files->count; i++) {
        const venv_machine_file *file = &files->items[i];
        if (file->kind == VENV_FILE_SEED) {
            ret_files->seed = file->path;
        } else if (file->kind != VENV_FILE_USED) {
            ret_files->disks[file->disk].path = file->path;
            ret_files->disks[file->disk].base = file->base;
            ret_files->disks[file->disk].base_format = VENV_DISK_RAW;
        }
    }
}
