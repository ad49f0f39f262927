/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver in memory. Its clock is a number that moves when somebody waits.
 */
#include "virt/fake.h"

#include "environment/domain.h"
#include "virt/driver.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fake_domain {
    bool has_mark;
    venv_domain_summary summary;
    venv_machine_state state;
    const char *reason;
    int64_t ends_ns; /* STOPPING: when the guest is down */
    int64_t reboots_ns; /* when it starts anew; 0: not */
    uint64_t reboots;   /* so often */
    bool has_checkpoint;
    bool moves;      /* on its way: it runs and leaves, or comes and does not run yet */
} fake_domain;

typedef struct fake_failure {
    venv_fake_when when;
    venv_rc rc;
    uint32_t count;
} fake_failure;

typedef struct fake_connection {
    venv_hypervisor base;
    venv_fake_world *world;
    struct fake_connection *next;
    uint64_t generation;  /* of the world when it was opened */
    venv_hypervisor_event events[VENV_HYPERVISOR_EVENTS_MAX];
    size_t first, count;
    bool gap;
    atomic_bool canceled;
} fake_connection;

struct venv_fake_world {
    uint32_t references;
    uint32_t cpus;
    uint64_t memory_bytes;
    fake_domain *domains[VENV_MACHINES_MAX];
    size_t count;
    fake_connection *connections;
    fake_failure failures[VENV_FAKE_CALL__COUNT];
    bool unreachable, disobedient;
    uint64_t generation, start_count;
    int64_t now_ns;
    struct {
        const char *uri;
        venv_fake_world *world;
    } links[VENV_FAKE_LINKS_MAX];
    size_t link_count;
};

static const char *const call_names[VENV_FAKE_CALL__COUNT] = {
    [VENV_FAKE_OPEN] = "open",   [VENV_FAKE_INFO] = "info",         [VENV_FAKE_LIST] = "list",
    [VENV_FAKE_GET] = "get",     [VENV_FAKE_START] = "start",       [VENV_FAKE_SHUTDOWN] = "shutdown",
    [VENV_FAKE_DESTROY] = "destroy", [VENV_FAKE_PAUSE] = "pause", [VENV_FAKE_RESUME] = "resume",
    [VENV_FAKE_SAVE] = "save",       [VENV_FAKE_MIGRATE] = "migrate",     [VENV_FAKE_REBOOT] = "reboot",
    [VENV_FAKE_CHECKPOINT] = "checkpoint", [VENV_FAKE_PROBE] = "probe",
};

static bool is_active(const fake_domain *domain)
{
    return domain->state == VENV_MACHINE_RUNNING || domain->state == VENV_MACHINE_PAUSED ||
           domain->state == VENV_MACHINE_STOPPING;
}

static void tell(venv_fake_world *world, venv_id id, venv_machine_state state)
{
    for (fake_connection *c = world->connections; c; c = c->next) {
        if (c->count == VENV_HYPERVISOR_EVENTS_MAX) {
            c->count = 0;
            c->gap = true;
        }
        if (c->gap)
            continue;
        c->events[(c->first + c->count++) % VENV_HYPERVISOR_EVENTS_MAX] =
            (venv_hypervisor_event){ VENV_HYPERVISOR_CHANGED, id, state };
    }
}

static void become(venv_fake_world *world, fake_domain *domain, venv_machine_state state, const char *reason)
{
    domain->state = state;
    domain->reason = reason;
    tell(world, domain->summary.mark.id, state);
}

/* Guests whose time has come are down. */
static void settle(venv_fake_world *world)
{
    for (size_t i = 0; i < world->count; i++) {
        fake_domain *domain = world->domains[i];
        if (domain->state == VENV_MACHINE_STOPPING && domain->ends_ns <= world->now_ns)
            become(world, domain, VENV_MACHINE_STOPPED, "shut down");
        if (domain->reboots_ns && domain->reboots_ns <= world->now_ns) {
            domain->reboots_ns = 0;
            domain->reboots++;
        }
    }
}

static fake_domain *domain_of(const venv_fake_world *world, venv_id id)
{
    for (size_t i = 0; i < world->count; i++)
        if (venv_id_equal(world->domains[i]->summary.mark.id, id))
            return world->domains[i];
    return NULL;
}

/* --- the world ------------------------------------------------------------------------------------ */

venv_rc venv_fake_world_new(uint32_t cpus, uint64_t memory_bytes, venv_fake_world **ret_world, venv_error *err)
{
    venv_fake_world *world = calloc(1, sizeof *world);
    if (!world)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    world->references = 1;
    world->cpus = cpus;
    world->memory_bytes = memory_bytes;
    *ret_world = world;
    return VENV_OK;
}

void venv_fake_world_free(venv_fake_world *world)
{
    if (!world || --world->references)
        return;
    for (size_t i = 0; i < world->count; i++)
        free(world->domains[i]);
    free(world);
}

void venv_fake_world_fail(venv_fake_world *world, venv_fake_call call, venv_fake_when when, venv_rc rc,
                          uint32_t count)
{
    assert(call >= 0 && call < VENV_FAKE_CALL__COUNT && rc != VENV_OK);
    world->failures[call] = (fake_failure){ when, rc, count };
}

void venv_fake_world_reachable(venv_fake_world *world, bool reachable)
{
    if (!reachable && !world->unreachable)
        world->generation++;
    world->unreachable = !reachable;
}

void venv_fake_world_obedient(venv_fake_world *world, bool obedient)
{
    world->disobedient = !obedient;
}

void venv_fake_world_advance(venv_fake_world *world, venv_span span)
{
    if (span.ns > 0 && !__builtin_add_overflow(world->now_ns, span.ns, &world->now_ns))
        settle(world);
}

static venv_rc add_domain(venv_fake_world *world, const venv_domain_summary *summary, bool has_mark,
                          fake_domain **ret_domain, venv_error *err)
{
    if (world->count == VENV_MACHINES_MAX)
        return venv_error_set(err, VENV_ELIMIT, "the fake hypervisor holds %u domains", VENV_MACHINES_MAX);
    fake_domain *domain = calloc(1, sizeof *domain);
    if (!domain)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    domain->summary = *summary;
    domain->has_mark = has_mark;
    domain->state = VENV_MACHINE_STOPPED;
    domain->reason = "never started";
    world->domains[world->count++] = domain;
    *ret_domain = domain;
    return VENV_OK;
}

venv_rc venv_fake_world_add_foreign(venv_fake_world *world, venv_id id, const char *name, uint32_t vcpus,
                                    uint64_t memory_bytes, venv_error *err)
{
    venv_domain_summary summary = { .vcpus = vcpus, .memory_bytes = memory_bytes };
    fake_domain *domain = NULL;
    summary.mark.id = id;
    snprintf(summary.name, sizeof summary.name, "%s", name);
    venv_rc rc = add_domain(world, &summary, false, &domain, err);
    if (rc == VENV_OK)
        become(world, domain, VENV_MACHINE_RUNNING, "booted");
    return rc;
}

void venv_fake_world_link(venv_fake_world *world, const char *uri, venv_fake_world *other)
{
    assert(world->link_count < VENV_FAKE_LINKS_MAX);
    world->links[world->link_count].uri = uri;
    world->links[world->link_count++].world = other;
}

bool venv_fake_world_end_guest(venv_fake_world *world, venv_id id, bool crashed)
{
    fake_domain *domain = domain_of(world, id);
    if (!domain || !is_active(domain))
        return false;
    become(world, domain, crashed ? VENV_MACHINE_FAILED : VENV_MACHINE_STOPPED, crashed ? "crashed" : "shut down");
    return true;
}

uint64_t venv_fake_world_start_count(const venv_fake_world *world)
{
    return world->start_count;
}

uint32_t venv_fake_world_running_count(const venv_fake_world *world)
{
    uint32_t count = 0;
    for (size_t i = 0; i < world->count; i++)
        count += is_active(world->domains[i]) ? 1u : 0u;
    return count;
}

bool venv_fake_world_is_running(const venv_fake_world *world, venv_id id)
{
    const fake_domain *domain = domain_of(world, id);
    return domain && is_active(domain);
}

venv_machine_state venv_fake_world_state(const venv_fake_world *world, venv_id id)
{
    const fake_domain *domain = domain_of(world, id);
    return domain ? domain->state : VENV_MACHINE_UNKNOWN;
}

uint64_t venv_fake_world_epoch(const venv_fake_world *world, venv_id id)
{
    const fake_domain *domain = domain_of(world, id);
    return domain ? domain->summary.mark.epoch : 0;
}

uint32_t venv_fake_world_cpus(const venv_fake_world *world)
{
    return world->cpus;
}

static void forget_domain(venv_fake_world *world, venv_id id)
{
    for (size_t i = 0; i < world->count; i++) {
        if (!venv_id_equal(world->domains[i]->summary.mark.id, id))
            continue;
        free(world->domains[i]);
        memmove(&world->domains[i], &world->domains[i + 1], (world->count - i - 1) * sizeof world->domains[0]);
        world->count--;
        tell(world, id, VENV_MACHINE_UNKNOWN);
        return;
    }
}

/* --- failing where a test says so ------------------------------------------------------------------ */

static venv_rc injected(venv_fake_world *world, venv_fake_call call, venv_fake_when when, venv_error *err)
{
    fake_failure *failure = &world->failures[call];
    if (failure->count == 0 || failure->when != when)
        return VENV_OK;
    failure->count--;
    return venv_error_set(err, failure->rc, "injected failure of %s", call_names[call]);
}

static venv_rc enter(venv_hypervisor *hypervisor, venv_fake_call call, venv_fake_world **ret_world,
                     venv_error *err)
{
    fake_connection *c = (fake_connection *)hypervisor;
    *ret_world = c->world;
    if (c->generation != c->world->generation || c->world->unreachable)
        return venv_error_set(err, VENV_EUNREACHABLE, "the fake hypervisor is gone");
    return injected(c->world, call, VENV_FAKE_BEFORE, err);
}

/* --- the driver ------------------------------------------------------------------------------------ */

static void fake_close(venv_hypervisor *hypervisor)
{
    fake_connection *c = (fake_connection *)hypervisor;
    fake_connection **link = &c->world->connections;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    venv_fake_world_free(c->world);
    free(c);
}

static venv_rc fake_info(venv_hypervisor *hypervisor, venv_hypervisor_info *ret_info, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_INFO, &world, err);
    if (rc != VENV_OK)
        return rc;
    uint64_t used = 0;
    for (size_t i = 0; i < world->count; i++)
        if (is_active(world->domains[i]))
            used += world->domains[i]->summary.memory_bytes;
    *ret_info = (venv_hypervisor_info){
        .cpus = world->cpus,
        .memory_bytes = world->memory_bytes,
        .memory_free_bytes = used < world->memory_bytes ? world->memory_bytes - used : 0,
        .kinds = (1u << VENV_HYPERVISOR__COUNT) - 1,
        .cpu_model = "fake",
        .driver = "fake",
        .hostname = "localhost",
    };
    return VENV_OK;
}

static void fill(const venv_hypervisor *hypervisor, const fake_domain *domain, venv_virt_domain *ret_domain)
{
    const venv_machine_mark *mark = &domain->summary.mark;
    venv_machine_info *info = &ret_domain->info;
    *ret_domain = (venv_virt_domain){
        .active = is_active(domain) || domain->moves,
        .ours = domain->has_mark && strcmp(mark->cluster, hypervisor->cluster) == 0,
    };
    info->id = mark->id;
    info->state = domain->moves ? VENV_MACHINE_MIGRATING : domain->state;
    info->vcpus = domain->summary.vcpus;
    info->memory_bytes = domain->summary.memory_bytes;
    snprintf(info->reason, sizeof info->reason, "%s", domain->reason);
    if (!ret_domain->ours)
        return;
    info->epoch = mark->epoch;
    memcpy(info->instance, mark->instance, sizeof info->instance);
    memcpy(info->environment, mark->environment, sizeof info->environment);
    snprintf(info->console, sizeof info->console, "%s", mark->console);
}

static venv_rc fake_each(venv_hypervisor *hypervisor,
                         venv_rc (*callback)(void *user, const venv_virt_domain *domain, venv_error *err),
                         void *user, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_LIST, &world, err);
    for (size_t i = 0; rc == VENV_OK && i < world->count; i++) {
        venv_virt_domain domain;
        fill(hypervisor, world->domains[i], &domain);
        rc = callback(user, &domain, err);
    }
    return rc;
}

static venv_rc fake_find(venv_hypervisor *hypervisor, venv_id id, venv_virt_domain *ret_domain, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_GET, &world, err);
    if (rc != VENV_OK)
        return rc;
    fake_domain *domain = domain_of(world, id);
    if (!domain)
        return venv_error_set(err, VENV_ENOENT, "no such domain");
    fill(hypervisor, domain, ret_domain);
    return VENV_OK;
}

static venv_rc fake_find_name(venv_hypervisor *hypervisor, const char *name, venv_virt_domain *ret_domain,
                              venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_GET, &world, err);
    for (size_t i = 0; rc == VENV_OK && i < world->count; i++) {
        if (strcmp(world->domains[i]->summary.name, name) == 0) {
            fill(hypervisor, world->domains[i], ret_domain);
            return VENV_OK;
        }
    }
    return rc != VENV_OK ? rc : venv_error_set(err, VENV_ENOENT, "no domain is named '%s'", name);
}

static void fake_release(venv_hypervisor *hypervisor, venv_virt_domain *domain)
{
    (void)hypervisor; /* it is looked up by its id each time */
    domain->handle = NULL;
}

static venv_rc fake_define(venv_hypervisor *hypervisor, const char *xml, venv_virt_domain *ret_domain,
                           venv_error *err)
{
    fake_connection *c = (fake_connection *)hypervisor;
    venv_domain_summary summary;
    venv_rc rc = venv_domain_summary_parse(xml, strlen(xml), &summary, err);
    if (rc != VENV_OK)
        return rc;
    fake_domain *domain = domain_of(c->world, summary.mark.id);
    if (domain)
        domain->summary = summary;
    else if ((rc = add_domain(c->world, &summary, true, &domain, err)) != VENV_OK)
        return rc;
    fill(hypervisor, domain, ret_domain);
    return VENV_OK;
}

static venv_rc fake_boot(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_START, &world, err);
    if (rc != VENV_OK)
        return rc;
    fake_domain *domain = domain_of(world, handle->info.id);
    if (!domain)
        return venv_error_set(err, VENV_ENOENT, "no such domain");
    if (is_active(domain))
        return venv_error_set(err, VENV_ECONFLICT, "the domain runs already");
    bool saved = domain->state == VENV_MACHINE_SAVED;
    world->start_count += !saved;
    become(world, domain, VENV_MACHINE_RUNNING, saved ? "restored" : "booted");
    return injected(world, VENV_FAKE_START, VENV_FAKE_AFTER, err);
}

static venv_rc fake_press(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_SHUTDOWN, &world, err);
    if (rc != VENV_OK)
        return rc;
    fake_domain *domain = domain_of(world, handle->info.id);
    if (!domain || !is_active(domain))
        return venv_error_set(err, VENV_ECONFLICT, "the domain does not run");
    if (!world->disobedient && domain->state != VENV_MACHINE_STOPPING) {
        domain->ends_ns = world->now_ns + VENV_FAKE_SHUTDOWN_NS;
        become(world, domain, VENV_MACHINE_STOPPING, "power button");
    }
    return injected(world, VENV_FAKE_SHUTDOWN, VENV_FAKE_AFTER, err);
}

static venv_rc fake_power_off(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_DESTROY, &world, err);
    if (rc != VENV_OK)
        return rc;
    fake_domain *domain = domain_of(world, handle->info.id);
    if (!domain || !is_active(domain))
        return venv_error_set(err, VENV_ECONFLICT, "the domain does not run");
    become(world, domain, VENV_MACHINE_STOPPED, "powered off");
    return injected(world, VENV_FAKE_DESTROY, VENV_FAKE_AFTER, err);
}

static venv_rc set_state(venv_hypervisor *hypervisor, const venv_virt_domain *handle, venv_fake_call call, venv_machine_state state,
                         const char *reason, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, call, &world, err);
    if (rc != VENV_OK)
        return rc;
    fake_domain *domain = domain_of(world, handle->info.id);
    if (!domain || !is_active(domain))
        return venv_error_set(err, VENV_ECONFLICT, "the domain does not run");
    become(world, domain, state, reason);
    return injected(world, call, VENV_FAKE_AFTER, err);
}

static venv_rc fake_freeze(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    return set_state(hypervisor, handle, VENV_FAKE_PAUSE, VENV_MACHINE_PAUSED, "", err);
}

static venv_rc fake_probe(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    (void)handle;
    return enter(hypervisor, VENV_FAKE_PROBE, &world, err);
}

static venv_rc fake_thaw(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    return set_state(hypervisor, handle, VENV_FAKE_RESUME, VENV_MACHINE_RUNNING, "", err);
}

static venv_rc fake_save(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    return set_state(hypervisor, handle, VENV_FAKE_SAVE, VENV_MACHINE_SAVED, "saved", err);
}

/* The same for a domain that has to run. */
static venv_rc enter_active(venv_hypervisor *hypervisor, const venv_virt_domain *handle, venv_fake_call call, venv_fake_world **ret_world,
                            fake_domain **ret_domain, venv_error *err)
{
    venv_rc rc = enter(hypervisor, call, ret_world, err);
    if (rc != VENV_OK)
        return rc;
    *ret_domain = domain_of(*ret_world, handle->info.id);
    return *ret_domain && is_active(*ret_domain) ? VENV_OK : venv_error_set(err, VENV_ECONFLICT, "the domain does not run");
}

static venv_rc fake_press_reboot(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    fake_domain *domain = NULL;
    venv_rc rc = enter_active(hypervisor, handle, VENV_FAKE_REBOOT, &world, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (!world->disobedient && !domain->reboots_ns)
        domain->reboots_ns = world->now_ns + VENV_FAKE_REBOOT_NS;
    return injected(world, VENV_FAKE_REBOOT, VENV_FAKE_AFTER, err);
}

static venv_rc fake_reset(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    fake_domain *domain = NULL;
    venv_rc rc = enter_active(hypervisor, handle, VENV_FAKE_REBOOT, &world, &domain, err);
    if (rc != VENV_OK)
        return rc;
    domain->reboots_ns = 0;
    domain->reboots++;
    return injected(world, VENV_FAKE_REBOOT, VENV_FAKE_AFTER, err);
}

static uint64_t fake_reboots(venv_hypervisor *hypervisor, venv_id id)
{
    const fake_domain *domain = domain_of(((fake_connection *)hypervisor)->world, id);
    return domain ? domain->reboots : 0;
}

static venv_rc fake_checkpoint(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    fake_domain *domain = NULL;
    venv_rc rc = enter_active(hypervisor, handle, VENV_FAKE_CHECKPOINT, &world, &domain, err);
    if (rc != VENV_OK)
        return rc;
    domain->has_checkpoint = true;
    return injected(world, VENV_FAKE_CHECKPOINT, VENV_FAKE_AFTER, err);
}

static venv_rc fake_revert(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world;
    venv_rc rc = enter(hypervisor, VENV_FAKE_CHECKPOINT, &world, err);
    fake_domain *domain = rc == VENV_OK ? domain_of(world, handle->info.id) : NULL;
    if (rc != VENV_OK)
        return rc;
    if (!domain || !domain->has_checkpoint)
        return venv_error_set(err, VENV_ENOENT, "there is no checkpoint");
    become(world, domain, VENV_MACHINE_RUNNING, "restored");
    return injected(world, VENV_FAKE_CHECKPOINT, VENV_FAKE_AFTER, err);
}

static venv_rc fake_screenshot(venv_hypervisor *hypervisor, venv_virt_domain *handle, char ret_media[VENV_MEDIA_MAX],
                               venv_machine_sink_fn sink, void *user, venv_error *err)
{
    static const char picture[] = "P6\n1 1\n255\n\0\0"; /* one black point; the last byte is the literal's */
    (void)hypervisor;
    (void)handle;
    snprintf(ret_media, VENV_MEDIA_MAX, "image/x-portable-pixmap");
    return sink(user, picture, sizeof picture) ? VENV_OK : venv_error_set(err, VENV_ECANCELED, "no more was wanted");
}

static venv_rc fake_abort_job(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    (void)hypervisor;
    return venv_error_set(err, VENV_ECONFLICT, "nothing takes long with instance %s", handle->info.instance);
}

static venv_rc fake_progress(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_machine_progress *ret_progress, venv_error *err)
{
    (void)hypervisor;
    (void)ret_progress;
    return venv_error_set(err, VENV_ENOENT, "nothing takes long with instance %s", handle->info.instance);
}

/* --- a console that echoes ---------------------------------------------------------------------------- */

#define FAKE_CONSOLE_MAX 4096u

typedef struct fake_console {
    venv_console base;
    char kept[FAKE_CONSOLE_MAX];
    size_t size;
    atomic_bool woken;
} fake_console;

static venv_rc fake_console_read(venv_console *console, void *buffer, size_t size, venv_span timeout, size_t *ret_size, venv_error *err)
{
    fake_console *c = (fake_console *)console;
    (void)timeout;
    if (atomic_exchange(&c->woken, false))
        return venv_error_set(err, VENV_ECANCELED, "woken");
    if (c->size == 0)
        return venv_error_set(err, VENV_ETIMEDOUT, "the guest wrote nothing");
    size = size < c->size ? size : c->size;
    memcpy(buffer, c->kept, size);
    memmove(c->kept, c->kept + size, c->size - size);
    c->size -= size;
    *ret_size = size;
    return VENV_OK;
}

static venv_rc fake_console_write(venv_console *console, const void *data, size_t size, size_t *ret_size, venv_error *err)
{
    fake_console *c = (fake_console *)console;
    (void)err;
    size = size < FAKE_CONSOLE_MAX - c->size ? size : FAKE_CONSOLE_MAX - c->size;
    if (size)
        memcpy(c->kept + c->size, data, size);
    c->size += size;
    *ret_size = size;
    return VENV_OK;
}

static void fake_console_wake(venv_console *console)
{
    atomic_store(&((fake_console *)console)->woken, true);
}

static void fake_console_close(venv_console *console)
{
    free(console);
}

static venv_rc fake_console_open(venv_hypervisor *hypervisor, venv_virt_domain *handle, bool take, venv_console **ret_console,
                                 venv_error *err)
{
    static const venv_virt_console_driver driver = { fake_console_read, fake_console_write, fake_console_wake, fake_console_close };
    (void)hypervisor;
    (void)handle;
    (void)take;
    fake_console *c = calloc(1, sizeof *c);
    if (!c)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    c->base.driver = &driver;
    *ret_console = &c->base;
    return VENV_OK;
}

static venv_rc fake_undefine(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err);

static venv_rc fake_migrate(venv_hypervisor *hypervisor, venv_virt_domain *handle, const char *uri, uint64_t epoch,
                            const venv_migrate_options *options, venv_error *err)
{
    (void)options; /* it is done at once */
    venv_fake_world *world, *other = NULL;
    fake_domain *there = NULL;
    venv_rc rc = enter(hypervisor, VENV_FAKE_MIGRATE, &world, err);
    for (size_t i = 0; rc == VENV_OK && i < world->link_count; i++)
        if (strcmp(world->links[i].uri, uri) == 0)
            other = world->links[i].world;
    const fake_domain *here = rc == VENV_OK ? domain_of(world, handle->info.id) : NULL;
    if (rc != VENV_OK)
        return rc;
    if (!other || other->unreachable)
        return venv_error_set(err, VENV_EIO, "the fake hypervisor at %s does not answer", uri);
    if (!here || domain_of(other, handle->info.id))
        return venv_error_set(err, VENV_EIO, "the domain is gone here, or is there already");
    rc = add_domain(other, &here->summary, true, &there, err);
    if (rc != VENV_OK)
        return rc;
    there->summary.mark.epoch = epoch;
    there->has_checkpoint = here->has_checkpoint;
    become(other, there, here->state, "migrated");
    rc = fake_undefine(hypervisor, handle, err);
    return rc == VENV_OK ? injected(world, VENV_FAKE_MIGRATE, VENV_FAKE_AFTER, err) : rc;
}

static venv_rc fake_undefine(venv_hypervisor *hypervisor, venv_virt_domain *handle, venv_error *err)
{
    venv_fake_world *world = ((fake_connection *)hypervisor)->world;
    if (!domain_of(world, handle->info.id))
        return venv_error_set(err, VENV_ENOENT, "no such domain");
    forget_domain(world, handle->info.id);
    return VENV_OK;
}

/* --- a migration in its phases ---------------------------------------------------------------------- */

bool venv_fake_move_begin(venv_fake_world *from, venv_fake_world *to, venv_id id, uint64_t epoch)
{
    fake_domain *here = domain_of(from, id), *there = NULL;
    if (!here || here->state != VENV_MACHINE_RUNNING || here->moves || domain_of(to, id) ||
        add_domain(to, &here->summary, true, &there, NULL) != VENV_OK)
        return false;
    there->summary.mark.epoch = epoch;
    there->reason = "comes";
    there->moves = here->moves = true;
    tell(to, id, VENV_MACHINE_MIGRATING);
    tell(from, id, VENV_MACHINE_MIGRATING);
    return true;
}

bool venv_fake_move_over(venv_fake_world *from, venv_fake_world *to, venv_id id)
{
    fake_domain *here = domain_of(from, id), *there = domain_of(to, id);
    if (!here || !there || !there->moves || here->state != VENV_MACHINE_RUNNING)
        return false;
    here->moves = there->moves = false;
    become(from, here, VENV_MACHINE_PAUSED, "migrated");
    become(to, there, VENV_MACHINE_RUNNING, "migrated");
    return true;
}

void venv_fake_move_end(venv_fake_world *from, venv_id id)
{
    forget_domain(from, id);
}

void venv_fake_move_undo(venv_fake_world *from, venv_fake_world *to, venv_id id)
{
    fake_domain *here = domain_of(from, id), *there = domain_of(to, id);
    if (there && there->moves)
        forget_domain(to, id);
    if (here && here->moves) {
        here->moves = false;
        tell(from, id, here->state);
    }
}

static bool take_event(fake_connection *c, venv_hypervisor_event *ret_event)
{
    if (c->gap) {
        c->gap = false;
        *ret_event = (venv_hypervisor_event){ .kind = VENV_HYPERVISOR_GAP };
        return true;
    }
    if (c->count == 0)
        return false;
    *ret_event = c->events[c->first];
    c->first = (c->first + 1) % VENV_HYPERVISOR_EVENTS_MAX;
    c->count--;
    return true;
}

static venv_rc check_waiting(fake_connection *c, venv_error *err)
{
    if (atomic_exchange(&c->canceled, false))
        return venv_error_set(err, VENV_ECANCELED, "canceled");
    if (c->generation != c->world->generation || c->world->unreachable)
        return venv_error_set(err, VENV_EUNREACHABLE, "the fake hypervisor is gone");
    return VENV_OK;
}

static venv_rc fake_wait(venv_hypervisor *hypervisor, venv_span timeout, venv_hypervisor_event *ret_event,
                         venv_error *err)
{
    fake_connection *c = (fake_connection *)hypervisor;
    venv_rc rc = check_waiting(c, err);
    if (rc != VENV_OK || take_event(c, ret_event))
        return rc;
    venv_fake_world_advance(c->world, timeout);
    return take_event(c, ret_event) ? VENV_OK : venv_error_set(err, VENV_ETIMEDOUT, "nothing happened");
}

static venv_rc fake_pause(venv_hypervisor *hypervisor, venv_span span, venv_error *err)
{
    fake_connection *c = (fake_connection *)hypervisor;
    venv_rc rc = check_waiting(c, err);
    if (rc == VENV_OK)
        venv_fake_world_advance(c->world, span);
    return rc;
}

static venv_instant fake_now(venv_hypervisor *hypervisor)
{
    return (venv_instant){ ((fake_connection *)hypervisor)->world->now_ns };
}

static void fake_cancel(venv_hypervisor *hypervisor)
{
    atomic_store(&((fake_connection *)hypervisor)->canceled, true);
}

static const venv_virt_driver fake_driver = {
    .close = fake_close,
    .info = fake_info,
    .each = fake_each,
    .find = fake_find,
    .find_name = fake_find_name,
    .release = fake_release,
    .define = fake_define,
    .boot = fake_boot,
    .press = fake_press,
    .power_off = fake_power_off,
    .freeze = fake_freeze,
    .probe = fake_probe,
    .thaw = fake_thaw,
    .save = fake_save,
    .restore = fake_boot,
    .migrate = fake_migrate,
    .reset = fake_reset,
    .press_reboot = fake_press_reboot,
    .reboots = fake_reboots,
    .checkpoint = fake_checkpoint,
    .revert = fake_revert,
    .screenshot = fake_screenshot,
    .abort_job = fake_abort_job,
    .progress = fake_progress,
    .console = fake_console_open,
    .undefine = fake_undefine,
    .wait = fake_wait,
    .pause = fake_pause,
    .now = fake_now,
    .cancel = fake_cancel,
};

venv_rc venv_fake_world_open(venv_fake_world *world, const char *cluster, venv_hypervisor **ret_hypervisor,
                             venv_error *err)
{
    if (world->unreachable)
        return venv_error_set(err, VENV_EUNREACHABLE, "the fake hypervisor is not there");
    venv_rc rc = injected(world, VENV_FAKE_OPEN, VENV_FAKE_BEFORE, err);
    if (rc != VENV_OK)
        return rc;
    fake_connection *c = calloc(1, sizeof *c);
    if (!c)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    rc = venv_virt_init(&c->base, &fake_driver, cluster, err);
    if (rc != VENV_OK) {
        free(c);
        return rc;
    }
    c->world = world;
    c->generation = world->generation;
    c->next = world->connections;
    world->connections = c;
    world->references++;
    *ret_hypervisor = &c->base;
    return VENV_OK;
}

venv_rc venv_fake_open(const char *cluster, venv_hypervisor **ret_hypervisor, venv_error *err)
{
    venv_fake_world *world = NULL;
    venv_rc rc = venv_fake_world_new(8, UINT64_C(16) << 30, &world, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_fake_world_open(world, cluster, ret_hypervisor, err);
    venv_fake_world_free(world); /* the connection holds it */
    return rc;
}
