/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Choosing a driver by URI, telling ours from foreign, and listing.
 */
#include "virt/driver.h"
#include "virt/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *venv_machine_state_name(venv_machine_state state)
{
    static const char *const names[VENV_MACHINE_STATE__COUNT] = {
        [VENV_MACHINE_UNKNOWN] = "unknown",   [VENV_MACHINE_RUNNING] = "running",
        [VENV_MACHINE_PAUSED] = "paused",     [VENV_MACHINE_STOPPING] = "stopping",
        [VENV_MACHINE_STOPPED] = "stopped",   [VENV_MACHINE_FAILED] = "failed",
        [VENV_MACHINE_SAVED] = "saved",       [VENV_MACHINE_MIGRATING] = "migrating",
    };
    return (unsigned)state < VENV_MACHINE_STATE__COUNT ? names[state] : "unknown";
}

venv_rc venv_virt_init(venv_hypervisor *hypervisor, const venv_virt_driver *driver, const char *cluster,
                       venv_error *err)
{
    if (!cluster)
        cluster = "default";
    size_t size = strlen(cluster);
    if (!venv_name_is_valid((venv_str){ cluster, size }))
        return venv_error_set(err, VENV_EINVAL,
                              "'%.64s' is no name of a cluster: use a-z, 0-9, '.', '_' and '-', at most %d",
                              cluster, VENV_NAME_MAX);
    hypervisor->driver = driver;
    memcpy(hypervisor->cluster, cluster, size + 1);
    return VENV_OK;
}

venv_rc venv_virt_classify(const venv_hypervisor *hypervisor, const char *metadata, size_t size,
                           venv_virt_domain *domain, venv_error *err)
{
    venv_machine_mark mark;
    venv_error reason = { .rc = VENV_OK };
    domain->ours = false;
    venv_rc rc = venv_machine_mark_parse(metadata, size, &mark, &reason);
    if (rc == VENV_ENOMEM)
        return venv_error_set(err, rc, "%s", reason.text);
    if (rc != VENV_OK || strcmp(mark.cluster, hypervisor->cluster) != 0)
        return VENV_OK;
    domain->ours = true;
    domain->info.epoch = mark.epoch;
    memcpy(domain->info.instance, mark.instance, sizeof mark.instance);
    memcpy(domain->info.environment, mark.environment, sizeof mark.environment);
    snprintf(domain->info.console, sizeof domain->info.console, "%s", mark.console);
    return VENV_OK;
}

venv_rc venv_hypervisor_open(const char *uri, const venv_hypervisor_options *options,
                             venv_hypervisor **ret_hypervisor, venv_error *err)
{
    venv_hypervisor_options given = VENV_HYPERVISOR_OPTIONS_INIT;
    if (options) {
        if (options->size > sizeof given)
            return venv_error_set(err, VENV_EUNSUPPORTED, "the options are of a newer libvenv");
        memcpy(&given, options, options->size);
    }
    if (given.keepalive.ns == 0)
        given.keepalive.ns = 5 * VENV_NS_PER_S;
    if (given.keepalive.ns < VENV_NS_PER_S || given.keepalive.ns > VENV_HYPERVISOR_WAIT_MAX_NS)
        return venv_error_set(err, VENV_EINVAL, "the keepalive must be from 1s to 1h");
    if (!uri || !uri[0])
        return venv_error_set(err, VENV_EINVAL, "no URI of a hypervisor; for example qemu:///system");
    if (strcmp(uri, "fake:") == 0)
        return venv_fake_open(given.cluster, ret_hypervisor, err);
    if (given.saves && given.saves[0] != '/')
        return venv_error_set(err, VENV_EINVAL, "the folder for saved machines must be an absolute path, not '%.200s'", given.saves);
    return venv_libvirt_open(uri, &given, ret_hypervisor, err);
}

void venv_hypervisor_close(venv_hypervisor *hypervisor)
{
    if (hypervisor)
        hypervisor->driver->close(hypervisor);
}

venv_rc venv_hypervisor_info_get(venv_hypervisor *hypervisor, venv_hypervisor_info *ret_info, venv_error *err)
{
    return hypervisor->driver->info(hypervisor, ret_info, err);
}

venv_rc venv_hypervisor_wait(venv_hypervisor *hypervisor, venv_span timeout, venv_hypervisor_event *ret_event,
                             venv_error *err)
{
    if (timeout.ns < 0)
        timeout.ns = 0;
    if (timeout.ns > VENV_HYPERVISOR_WAIT_MAX_NS)
        timeout.ns = VENV_HYPERVISOR_WAIT_MAX_NS;
    return hypervisor->driver->wait(hypervisor, timeout, ret_event, err);
}

void venv_hypervisor_cancel(venv_hypervisor *hypervisor)
{
    hypervisor->driver->cancel(hypervisor);
}

typedef struct listing {
    venv_machine_list list;
    size_t capacity;
    size_t seen;
} listing;

static venv_rc add_to_list(void *user, const venv_virt_domain *domain, venv_error *err)
{
    listing *l = user;
    if (++l->seen > VENV_MACHINES_MAX)
        return venv_error_set(err, VENV_ELIMIT, "there are more than %u domains", VENV_MACHINES_MAX);
    if (!domain->ours) {
        if (domain->active) {
            l->list.foreign_count++;
            l->list.foreign_vcpus += domain->info.vcpus;
            l->list.foreign_memory_bytes += domain->info.memory_bytes;
        }
        return VENV_OK;
    }
    if (l->list.count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 16;
        venv_machine_info *items = reallocarray(l->list.items, capacity, sizeof *items);
        if (!items)
            return venv_error_set(err, VENV_ENOMEM, "out of memory while listing machines");
        l->list.items = items;
        l->capacity = capacity;
    }
    l->list.items[l->list.count++] = domain->info;
    return VENV_OK;
}

static int compare_ids(const void *a, const void *b)
{
    const venv_machine_info *left = a, *right = b;
    return memcmp(left->id.bytes, right->id.bytes, sizeof left->id.bytes);
}

venv_rc venv_hypervisor_list(venv_hypervisor *hypervisor, venv_machine_list *ret_list, venv_error *err)
{
    listing l = { .capacity = 0 };
    venv_rc rc = hypervisor->driver->each(hypervisor, add_to_list, &l, err);
    if (rc != VENV_OK) {
        venv_machine_list_fini(&l.list);
        return rc;
    }
    if (l.list.count)
        qsort(l.list.items, l.list.count, sizeof *l.list.items, compare_ids);
    *ret_list = l.list;
    return VENV_OK;
}

void venv_machine_list_fini(venv_machine_list *list)
{
    free(list->items);
    *list = (venv_machine_list){ .items = NULL };
}
