/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting and ending machines, over the steps of any driver: what is ours, what is a success, what is
 * left behind. It knows nothing of libvirt.
 */
#include "environment/domain.h"
#include "virt/driver.h"

#include <stdio.h>
#include <string.h>

#define PRESS_AGAIN_NS (2 * VENV_NS_PER_S)     /* between two presses of the power button */
#define LOOK_AGAIN_NS (VENV_NS_PER_S / 4)      /* at most between two looks at a machine that stops */

static venv_rc not_ours(venv_error *err, venv_id id)
{
    char text[VENV_ID_TEXT_SIZE];
    return venv_error_set(err, VENV_EDENIED,
                          "the domain %s does not carry the mark of venv for this cluster: it is left alone",
                          venv_id_format(id, text));
}

/* Find a machine of ours: VENV_OK, VENV_ENOENT, VENV_EDENIED, or what the driver says. Released unless VENV_OK. */
static venv_rc find_ours(venv_hypervisor *hypervisor, venv_id id, venv_virt_domain *ret_domain,
                         venv_error *err)
{
    venv_virt_domain domain = { .handle = NULL };
    venv_rc rc = hypervisor->driver->find(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (!domain.ours) {
        hypervisor->driver->release(hypervisor, &domain);
        return not_ours(err, id);
    }
    *ret_domain = domain;
    return VENV_OK;
}

venv_rc venv_machine_get(venv_hypervisor *hypervisor, venv_id id, venv_machine_info *ret_info,
                         venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    *ret_info = domain.info;
    hypervisor->driver->release(hypervisor, &domain);
    return VENV_OK;
}

/* A definition is in the way: same id under another name, or the same name under another id. */
static venv_rc remove_leftover(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    venv_rc rc = hypervisor->driver->undefine(hypervisor, domain, err);
    return rc == VENV_ENOENT ? VENV_OK : rc;
}

/* Make sure that no other domain has the name. */
static venv_rc clear_name(venv_hypervisor *hypervisor, const venv_domain_summary *summary, venv_error *err)
{
    venv_virt_domain other = { .handle = NULL };
    venv_rc rc = hypervisor->driver->find_name(hypervisor, summary->name, &other, err);
    if (rc == VENV_ENOENT)
        return VENV_OK;
    if (rc != VENV_OK)
        return rc;
    if (venv_id_equal(other.info.id, summary->mark.id))
        rc = VENV_OK;
    else if (other.ours && !other.active)
        rc = remove_leftover(hypervisor, &other, err);
    else
        rc = venv_error_set(err, VENV_EEXIST, "another domain is named '%s'%s", summary->name,
                            other.ours ? " and runs" : " and is not ours");
    hypervisor->driver->release(hypervisor, &other);
    return rc;
}

/* What is there under the id already. `*ret_done`: it runs, there is nothing to do. */
static venv_rc look_before_start(venv_hypervisor *hypervisor, const venv_domain_summary *summary,
                                 bool *ret_done, venv_error *err)
{
    *ret_done = false;
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, summary->mark.id, &domain, err);
    if (rc == VENV_ENOENT)
        return VENV_OK;
    if (rc != VENV_OK)
        return rc;
    if (domain.info.epoch > summary->mark.epoch)
        rc = venv_error_set(err, VENV_ECONFLICT,
                            "instance %s is here under epoch %llu, later than the asked %llu",
                            domain.info.instance, (unsigned long long)domain.info.epoch,
                            (unsigned long long)summary->mark.epoch);
    else if (domain.info.state == VENV_MACHINE_STOPPING)
        rc = venv_error_set(err, VENV_ECONFLICT, "instance %s is shutting down", domain.info.instance);
    else if (domain.active)
        *ret_done = true;
    else if (domain.info.state == VENV_MACHINE_SAVED)
        rc = venv_error_set(err, VENV_ECONFLICT, "instance %s is saved here: restore it, or destroy it", domain.info.instance);
    else if (strcmp(domain.info.instance, summary->mark.instance) != 0)
        rc = remove_leftover(hypervisor, &domain, err); /* defining it anew cannot change its name */
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

static venv_rc define_and_boot(venv_hypervisor *hypervisor, const char *xml, venv_error *err)
{
    const venv_virt_driver *driver = hypervisor->driver;
    venv_virt_domain domain = { .handle = NULL };
    venv_rc rc = driver->define(hypervisor, xml, &domain, err);
    if (rc == VENV_EUNKNOWN)
        return venv_error_set(err, VENV_EUNREACHABLE, "the connection to the hypervisor was lost before the "
                                                      "machine was started");
    if (rc != VENV_OK)
        return rc;
    rc = driver->boot(hypervisor, &domain, err);
    if (rc == VENV_ECONFLICT) { /* somebody else started it in between: look at what it is now */
        venv_virt_domain now = { .handle = NULL };
        if (driver->find(hypervisor, domain.info.id, &now, NULL) == VENV_OK) {
            if (now.ours && now.active)
                rc = VENV_OK;
            driver->release(hypervisor, &now);
        }
    }
    if (rc != VENV_OK && rc != VENV_EUNREACHABLE && rc != VENV_EUNKNOWN)
        (void)driver->undefine(hypervisor, &domain, NULL); /* the first failure is the one to tell */
    driver->release(hypervisor, &domain);
    return rc;
}

static venv_rc start(venv_hypervisor *hypervisor, venv_id id, const char *xml, venv_error *err)
{
    venv_domain_summary summary;
    venv_rc rc = venv_domain_summary_parse(xml, strlen(xml), &summary, err);
    if (rc != VENV_OK)
        return rc == VENV_ENOENT ? venv_error_set(err, VENV_EINVAL, "the domain XML has no mark of venv") : rc;
    if (!venv_id_equal(summary.mark.id, id))
        return venv_error_set(err, VENV_EINVAL, "the domain XML is of another machine than the one asked for");
    if (strcmp(summary.mark.cluster, hypervisor->cluster) != 0)
        return venv_error_set(err, VENV_EINVAL, "the domain XML is for cluster %s, this is cluster %s",
                              summary.mark.cluster, hypervisor->cluster);
    bool done;
    rc = look_before_start(hypervisor, &summary, &done, err);
    if (rc != VENV_OK || done)
        return rc;
    rc = clear_name(hypervisor, &summary, err);
    return rc == VENV_OK ? define_and_boot(hypervisor, xml, err) : rc;
}

static venv_rc shut_down(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (domain.active) {
        rc = hypervisor->driver->press(hypervisor, &domain, err);
        if (rc == VENV_ECONFLICT || rc == VENV_ENOENT)
            rc = VENV_OK; /* it ended in between */
    }
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

static venv_rc destroy(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc == VENV_ENOENT ? VENV_OK : rc;
    if (domain.active)
        rc = hypervisor->driver->power_off(hypervisor, &domain, err);
    if (rc == VENV_ECONFLICT || rc == VENV_ENOENT)
        rc = VENV_OK; /* it ended in between */
    if (rc == VENV_OK) {
        rc = hypervisor->driver->undefine(hypervisor, &domain, err);
        if (rc == VENV_ENOENT)
            rc = VENV_OK;
    }
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

/* Press and look until it does not run: VENV_OK; VENV_ETIMEDOUT after `grace`; or what went wrong. */
static venv_rc wait_for_end(venv_hypervisor *hypervisor, venv_id id, venv_span grace, venv_error *err)
{
    const venv_virt_driver *driver = hypervisor->driver;
    int64_t begin = driver->now(hypervisor).ns;
    int64_t pressed = INT64_MIN;
    for (;;) {
        int64_t now = driver->now(hypervisor).ns;
        int64_t left = grace.ns - (now - begin);
        if (left <= 0)
            return VENV_ETIMEDOUT;
        venv_virt_domain domain;
        venv_rc rc = find_ours(hypervisor, id, &domain, err);
        if (rc != VENV_OK)
            return rc;
        bool active = domain.active;
        if (active && (pressed == INT64_MIN || now - pressed >= PRESS_AGAIN_NS)) {
            rc = driver->press(hypervisor, &domain, err);
            pressed = now;
        }
        driver->release(hypervisor, &domain);
        if (!active || rc == VENV_ECONFLICT || rc == VENV_ENOENT)
            return VENV_OK;
        /* A hypervisor that has no power button: the grace is for nothing. */
        if (rc == VENV_EUNSUPPORTED)
            return VENV_ETIMEDOUT;
        if (rc != VENV_OK)
            return rc;
        rc = driver->pause(hypervisor, (venv_span){ left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS }, err);
        if (rc != VENV_OK)
            return rc;
    }
}

static venv_rc stop(venv_hypervisor *hypervisor, venv_id id, venv_span grace, venv_error *err)
{
    if (grace.ns < 0 || grace.ns > VENV_HYPERVISOR_WAIT_MAX_NS)
        return venv_error_set(err, VENV_EINVAL, "the grace of a stop must be from 0 to 1h");
    venv_rc rc = grace.ns == 0 ? VENV_ETIMEDOUT : wait_for_end(hypervisor, id, grace, err);
    if (rc == VENV_ENOENT)
        return VENV_OK;
    if (rc != VENV_OK && rc != VENV_ETIMEDOUT)
        return rc;
    return destroy(hypervisor, id, err);
}

/* --- changing what runs ------------------------------------------------------------------------------
 * Each is one step, in one state, that is a success where its end is reached already. */

static venv_rc wrong_state(const venv_virt_domain *domain, const char *what, venv_error *err)
{
    return venv_error_set(err, VENV_ECONFLICT, "instance %s is %s: it cannot be %s", domain->info.instance,
                          venv_machine_state_name(domain->info.state), what);
}

/* Only a guest that runs or is paused. */
static bool is_up(const venv_virt_domain *domain)
{
    return domain->active && (domain->info.state == VENV_MACHINE_RUNNING || domain->info.state == VENV_MACHINE_PAUSED);
}

typedef venv_rc (*step_fn)(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err);

static venv_rc change(venv_hypervisor *hypervisor, venv_id id, venv_machine_state end, step_fn step, const char *what,
                      venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (domain.info.state != end)
        rc = is_up(&domain) ? step(hypervisor, &domain, err) : wrong_state(&domain, what, err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

static venv_rc restore(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (domain.info.state == VENV_MACHINE_SAVED)
        rc = hypervisor->driver->restore(hypervisor, &domain, err);
    else if (!is_up(&domain))
        rc = wrong_state(&domain, "restored", err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

/* Something that libvirt takes for the URI of a machine elsewhere, and no option or command for anybody. */
static bool is_remote_uri(const char *uri)
{
    const char *place = strstr(uri, "://");
    if (!place || place == uri || !place[3])
        return false;
    for (const char *c = uri; *c; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("\"'`\\<>|;$", *c))
            return false;
    return true;
}

static venv_rc take_options(const venv_migrate_options *given, venv_migrate_options *ret_options, venv_error *err)
{
    *ret_options = (venv_migrate_options)VENV_MIGRATE_OPTIONS_INIT;
    if (given && given->size > sizeof *ret_options)
        return venv_error_set(err, VENV_EUNSUPPORTED, "the options are of a newer libvenv");
    if (given)
        memcpy(ret_options, given, given->size);
    if (ret_options->timeout.ns < 0)
        return venv_error_set(err, VENV_EINVAL, "the time-out of a migration is negative");
    return VENV_OK;
}

static venv_rc migrate(venv_hypervisor *hypervisor, venv_id id, const char *uri, uint64_t epoch, const venv_migrate_options *given,
                       venv_error *err)
{
    venv_migrate_options options;
    if (!is_remote_uri(uri))
        return venv_error_set(err, VENV_EINVAL, "'%.100s' is no URI of another hypervisor", uri);
    venv_virt_domain domain;
    venv_rc rc = take_options(given, &options, err);
    if (rc == VENV_OK)
        rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (domain.info.state != VENV_MACHINE_RUNNING && domain.info.state != VENV_MACHINE_SAVED)
        rc = wrong_state(&domain, "migrated", err);
    else if (domain.info.epoch >= epoch)
        rc = venv_error_set(err, VENV_ECONFLICT, "instance %s is here under epoch %llu, not before the asked %llu", domain.info.instance,
                            (unsigned long long)domain.info.epoch, (unsigned long long)epoch);
    else
        rc = hypervisor->driver->migrate(hypervisor, &domain, uri, epoch, &options, err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

/* Press, and look for a reboot until `grace` is over: VENV_OK, VENV_ETIMEDOUT, or what went wrong. */
static venv_rc wait_for_reboot(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_span grace, venv_error *err)
{
    const venv_virt_driver *driver = hypervisor->driver;
    int64_t begin = driver->now(hypervisor).ns, pressed = INT64_MIN;
    uint64_t before = driver->reboots(hypervisor, domain->info.id);
    for (;;) {
        int64_t now = driver->now(hypervisor).ns, left = grace.ns - (now - begin);
        venv_rc rc = VENV_OK;
        if (driver->reboots(hypervisor, domain->info.id) != before)
            return VENV_OK;
        if (left <= 0)
            return VENV_ETIMEDOUT;
        if (pressed == INT64_MIN || now - pressed >= PRESS_AGAIN_NS) {
            rc = driver->press_reboot(hypervisor, domain, err);
            pressed = now;
        }
        if (rc == VENV_EUNSUPPORTED)
            return VENV_ETIMEDOUT;
        if (rc == VENV_OK)
            rc = driver->pause(hypervisor, (venv_span){ left < LOOK_AGAIN_NS ? left : LOOK_AGAIN_NS }, err);
        if (rc != VENV_OK)
            return rc;
    }
}

static venv_rc reboot(venv_hypervisor *hypervisor, venv_id id, venv_span grace, venv_error *err)
{
    venv_virt_domain domain;
    if (grace.ns < 0 || grace.ns > VENV_HYPERVISOR_WAIT_MAX_NS)
        return venv_error_set(err, VENV_EINVAL, "the grace of a reboot must be from 0 to 1h");
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (domain.info.state != VENV_MACHINE_RUNNING)
        rc = wrong_state(&domain, "rebooted", err);
    else if (grace.ns > 0)
        rc = wait_for_reboot(hypervisor, &domain, grace, err);
    else
        rc = VENV_ETIMEDOUT;
    if (rc == VENV_ETIMEDOUT)
        rc = hypervisor->driver->reset(hypervisor, &domain, err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

/* One that runs. */
static venv_rc checkpoint(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    rc = domain.info.state == VENV_MACHINE_RUNNING ? hypervisor->driver->checkpoint(hypervisor, &domain, err)
                                                   : wrong_state(&domain, "checkpointed", err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

static venv_rc revert(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    rc = hypervisor->driver->revert(hypervisor, &domain, err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

/* --- the public functions --------------------------------------------------------------------------
 * Looking for what is not there is a step of many a success; its error must not reach the caller, whose own is
 * filled on failure only. */

static venv_rc finish(venv_rc rc, const venv_error *inner, venv_error *err)
{
    if (rc != VENV_OK && err)
        *err = *inner;
    return rc;
}

venv_rc venv_machine_start(venv_hypervisor *hypervisor, venv_id id, const char *xml, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(start(hypervisor, id, xml, &inner), &inner, err);
}

venv_rc venv_machine_shutdown(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(shut_down(hypervisor, id, &inner), &inner, err);
}

venv_rc venv_machine_stop(venv_hypervisor *hypervisor, venv_id id, venv_span grace, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(stop(hypervisor, id, grace, &inner), &inner, err);
}

venv_rc venv_machine_destroy(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(destroy(hypervisor, id, &inner), &inner, err);
}

venv_rc venv_machine_pause(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(change(hypervisor, id, VENV_MACHINE_PAUSED, hypervisor->driver->freeze, "paused", &inner), &inner, err);
}

static venv_rc probe(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    if (domain.info.state != VENV_MACHINE_RUNNING)
        rc = venv_error_set(err, VENV_ECONFLICT, "instance %s does not run: it is %s", domain.info.instance, venv_machine_state_name(domain.info.state));
    else
        rc = hypervisor->driver->probe(hypervisor, &domain, err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

venv_rc venv_machine_probe(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(probe(hypervisor, id, &inner), &inner, err);
}

venv_rc venv_machine_resume(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(change(hypervisor, id, VENV_MACHINE_RUNNING, hypervisor->driver->thaw, "resumed", &inner), &inner, err);
}

venv_rc venv_machine_save(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(change(hypervisor, id, VENV_MACHINE_SAVED, hypervisor->driver->save, "saved", &inner), &inner, err);
}

venv_rc venv_machine_restore(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(restore(hypervisor, id, &inner), &inner, err);
}

venv_rc venv_machine_migrate(venv_hypervisor *hypervisor, venv_id id, const char *uri, uint64_t epoch,
                             const venv_migrate_options *options, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(migrate(hypervisor, id, uri, epoch, options, &inner), &inner, err);
}

venv_rc venv_machine_reboot(venv_hypervisor *hypervisor, venv_id id, venv_span grace, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(reboot(hypervisor, id, grace, &inner), &inner, err);
}

venv_rc venv_machine_checkpoint(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(checkpoint(hypervisor, id, &inner), &inner, err);
}

venv_rc venv_machine_revert(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_error inner = { .rc = VENV_OK };
    return finish(revert(hypervisor, id, &inner), &inner, err);
}

venv_rc venv_machine_screenshot(venv_hypervisor *hypervisor, venv_id id, char ret_media[VENV_MEDIA_MAX],
                                venv_machine_sink_fn sink, void *user, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    rc = domain.active ? hypervisor->driver->screenshot(hypervisor, &domain, ret_media, sink, user, err)
                       : wrong_state(&domain, "looked at", err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

venv_rc venv_machine_cancel(venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    rc = hypervisor->driver->abort_job(hypervisor, &domain, err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

venv_rc venv_machine_progress_get(venv_hypervisor *hypervisor, venv_id id, venv_machine_progress *ret_progress, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    rc = hypervisor->driver->progress(hypervisor, &domain, ret_progress, err);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

/* --- consoles ---------------------------------------------------------------------------------------- */

venv_rc venv_console_open(venv_hypervisor *hypervisor, venv_id id, bool take, venv_console **ret_console, venv_error *err)
{
    venv_virt_domain domain;
    venv_rc rc = find_ours(hypervisor, id, &domain, err);
    if (rc != VENV_OK)
        return rc;
    rc = domain.active ? hypervisor->driver->console(hypervisor, &domain, take, ret_console, err)
                       : venv_error_set(err, VENV_ECONFLICT, "instance %s does not run: it has no console", domain.info.instance);
    hypervisor->driver->release(hypervisor, &domain);
    return rc;
}

venv_rc venv_console_read(venv_console *console, void *buffer, size_t size, venv_span timeout, size_t *ret_size, venv_error *err)
{
    if (timeout.ns < 0)
        timeout.ns = 0;
    if (timeout.ns > VENV_HYPERVISOR_WAIT_MAX_NS)
        timeout.ns = VENV_HYPERVISOR_WAIT_MAX_NS;
    return console->driver->read(console, buffer, size, timeout, ret_size, err);
}

venv_rc venv_console_write(venv_console *console, const void *data, size_t size, size_t *ret_size, venv_error *err)
{
    return console->driver->write(console, data, size, ret_size, err);
}

void venv_console_wake(venv_console *console)
{
    console->driver->wake(console);
}

void venv_console_close(venv_console *console)
{
    if (console)
        console->driver->close(console);
}
