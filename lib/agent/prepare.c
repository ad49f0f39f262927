/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be there before a machine is started: its definition read and allowed, and every image that a disk of it stands on brought
 * here, one after the other. Then the plan of its files and its domain XML are made, and the driver is called.
 */

#include "agent/machines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void venv_agent_preparation_free(agent_preparation *preparation)
{
    if (!preparation)
        return;
    venv_environment_unref(preparation->definition);
    for (size_t i = 0; i < VENV_ENVIRONMENT_DISKS_MAX; i++)
        free(preparation->bases[i]);
    free(preparation);
}

static venv_rc read_mark(const venv_agent_config *config, const agent_ask *ask, venv_machine_mark *mark, venv_error *why)
{
    venv_str instance = venv_value_get_text(ask->body, "instance");
    venv_str environment = venv_value_get_text(ask->body, "environment");
    if (!venv_name_is_valid(instance) || !venv_name_is_valid(environment) || !venv_value_get(ask->body, "definition"))
        return venv_error_set(why, VENV_EINVAL, "`instance`, `environment` or `definition` is missing or malformed");
    memcpy(mark->instance, instance.data, instance.size);
    memcpy(mark->environment, environment.data, environment.size);
    snprintf(mark->cluster, sizeof(mark->cluster), "%s", config->cluster);
    int size = snprintf(mark->console, sizeof(mark->console), "%s/%s.log", config->console_dir, mark->instance);
    if (size < 0 || (size_t)size >= sizeof(mark->console))
        return venv_error_set(why, VENV_EINVAL, "the path of the console is too long; correct agent.console_dir");
    mark->id = ask->machine;
    mark->epoch = ask->epoch;
    return VENV_OK;
}

/* The disk at or after `from` whose image is not here yet; the count of disks if there is none. */
static size_t next_image(const agent_preparation *preparation, size_t from)
{
    const venv_definition *is = venv_environment_peek(preparation->definition);
    while (from < is->disk_count && !(is->disks[from].source == VENV_DISK_MADE && is->disks[from].image && !preparation->bases[from]))
        from++;
    return from;
}

bool venv_agent_preparation_waits(const agent_preparation *preparation)
{
    const venv_definition *is = venv_environment_peek(preparation->definition);
    return is->hypervisor != VENV_HYPERVISOR_TEST && next_image(preparation, 0) < is->disk_count;
}

venv_rc venv_agent_preparation_new(agent_step *step, const agent_ask *ask, agent_preparation **ret_preparation, venv_error *why)
{
    const venv_agent_config *config = step->agent->config;
    agent_preparation *preparation = calloc(1, sizeof(*preparation));
    if (!preparation)
        return VENV_ENOMEM;
    venv_rc rc = read_mark(config, ask, &preparation->mark, why);
    if (rc == VENV_OK)
        rc = venv_environment_from_value(preparation->mark.environment, venv_value_get(ask->body, "definition"), NULL, NULL,
                                         &preparation->definition, why);
    if (rc == VENV_OK)
        rc = venv_environment_check_files(preparation->definition, (const char *const *)config->paths, config->path_count, why);
    if (rc == VENV_OK && venv_agent_preparation_waits(preparation) && !config->images_repository[0])
        rc = venv_error_set(why, VENV_EUNSUPPORTED, "its disk is made of an image, and this agent has no repository of images: agent.images is not set");
    if (rc != VENV_OK) {
        venv_agent_preparation_free(preparation);
        return rc;
    }
    *ret_preparation = preparation;
    return VENV_OK;
}

venv_rc venv_agent_preparation_finish(agent_step *step, const agent_preparation *preparation, venv_machine_files **ret_files, char **ret_xml,
                                      venv_error *why)
{
    const venv_agent_config *config = step->agent->config;
    venv_machine_site site = { .node = config->name, .hypervisor = config->hypervisor, .directory = config->machines_dir };
    venv_domain_files lent;
    for (size_t i = 0; i < VENV_ENVIRONMENT_DISKS_MAX; i++)
        site.bases[i] = preparation->bases[i];
    venv_rc rc = venv_machine_plan(preparation->definition, &preparation->mark, &site, ret_files, why);
    if (rc != VENV_OK)
        return rc;
    venv_machine_files_lend(*ret_files, &lent);
    rc = venv_environment_domain_xml(preparation->definition, &preparation->mark, &lent, ret_xml, why);
    if (rc != VENV_OK) {
        venv_machine_files_free(*ret_files);
        *ret_files = NULL;
    }
    return rc;
}

/* --- images -------------------------------------------------------------------------------------------------- */

void venv_agent_preparation_go(agent_step *step, agent_machine *machine)
{
    agent_preparation *preparation = machine->preparation;
    const venv_definition *is = venv_environment_peek(preparation->definition);
    preparation->disk = next_image(preparation, 0);
    const char *image = is->disks[preparation->disk].image;
    venv_agent_action *action = venv_agent_act(step, VENV_AGENT_ACT_SYNC);
    if (!action || !venv_agent_text_dup(step, image, strlen(image), &action->name))
        return;
    action->base = true;
    action->timeout = (venv_span){ AGENT_SYNC_TIMEOUT_S * VENV_NS_PER_S };
    action->token = preparation->token = venv_agent_token(step);
}

static agent_machine *find_waiting(const agent_step *step, uint64_t token)
{
    const agent_machines *machines = &step->agent->machines;
    size_t cursor = 0;
    void *item = NULL;
    while (machines->table && token && venv_table_next(machines->table, &cursor, NULL, &item)) {
        agent_machine *machine = item;
        if (machine->preparation && machine->preparation->token == token)
            return machine;
    }
    return NULL;
}

/* Every disk that is made of this image has its base now. */
static bool take_base(agent_step *step, agent_preparation *preparation, venv_str path)
{
    const venv_definition *is = venv_environment_peek(preparation->definition);
    const char *image = is->disks[preparation->disk].image;
    for (size_t i = 0; i < is->disk_count; i++)
        if (is->disks[i].source == VENV_DISK_MADE && is->disks[i].image && strcmp(is->disks[i].image, image) == 0 && !preparation->bases[i] &&
            !venv_agent_text_dup(step, path.data, path.size, &preparation->bases[i]))
            return false;
    return true;
}

void venv_agent_preparation_synced(agent_step *step, const venv_agent_event *event)
{
    agent_machine *machine = find_waiting(step, event->token);
    if (!machine)
        return;
    agent_preparation *preparation = machine->preparation;
    venv_error why = { 0 };
    venv_rc rc = event->rc;
    venv_str path = venv_value_get_text(event->value, "path");
    if (rc == VENV_OK && path.size == 0)
        rc = VENV_EIO;
    if (rc != VENV_OK)
        (void)venv_error_set(&why, rc, "image %s: %s", venv_environment_peek(preparation->definition)->disks[preparation->disk].image,
                             event->text && event->text[0] ? event->text : venv_rc_name(rc));
    else if (!take_base(step, preparation, path))
        return;
    if (rc == VENV_OK && venv_agent_preparation_waits(preparation))
        venv_agent_preparation_go(step, machine);
    else
        venv_agent_machines_prepared(step, machine, rc, &why);
}
