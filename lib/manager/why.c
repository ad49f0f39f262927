/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why: WHY and EVALUATE. What is asked about is looked up in the rows; the revisions in them say which events tell
 * the rest, and those are read out of the log, one after the other. When all are there, chain.c puts the
 * chain together. An event that was trimmed is a step that says so, never a guess.
 */
#include "manager/why.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = { "instance", "node", "trigger", "action", "environment" };

static void drop(venv_manager *m, size_t index)
{
    why_job *job = &m->whys[index];
    for (size_t i = 0; i < job->count; i++)
        venv_value_unref(&job->events[i]);
    free(job->agent);
    memmove(job, job + 1, (m->why_count - index - 1) * sizeof *job);
    m->why_count--;
}

void venv_mgr_whys_forget_peer(venv_manager *m, uint64_t number)
{
    for (size_t i = m->why_count; i-- > 0;)
        if (m->whys[i].peer == number)
            drop(m, i);
}

void venv_mgr_whys_free(venv_manager *m)
{
    while (m->why_count > 0)
        drop(m, m->why_count - 1);
    free(m->whys);
}

/* --- which events tell it --------------------------------------------------------------------------------- */

static void want(why_job *job, uint64_t revision)
{
    for (size_t i = 0; i < job->count; i++)
        if (job->revisions[i] == revision)
            return;
    if (revision == 0 || job->count == WHY_EVENTS_MAX)
        return;
    job->revisions[job->count] = revision;
    job->events[job->count++] = venv_value_null();
}

static void want_deed(venv_manager *m, why_job *job, venv_id id)
{
    const deed *d = venv_mgr_deed_find(m, id);
    if (d)
        want(job, d->origin);
}

static void want_instance(venv_manager *m, why_job *job, const instance *i)
{
    want_deed(m, job, i->start);
    want(job, i->placed);
    want_deed(m, job, i->stop);
    want(job, i->changed);
}

/* The instance that a start or stop of one is about. */
instance *venv_mgr_why_instance_of(venv_manager *m, const deed *d)
{
    instance *i = venv_mgr_instance_named(m, d->subject);
    return i && (venv_id_equal(i->start, d->id) || venv_id_equal(i->stop, d->id)) ? i : NULL;
}

static void not_found(venv_error *err, const char *what, const char *name)
{
    bool ends = strcmp(what, "instance") == 0 || strcmp(what, "action") == 0;
    venv_error_set(err, VENV_ENOENT, "no %s is called '%s'%s", what, name, ends ? ", or it ended so long ago that nothing is kept of it" : "");
}

static bool find_subject(venv_manager *m, why_job *job, venv_error *err)
{
    bool known = false;
    if (strcmp(job->what, "instance") == 0) {
        const instance *i = venv_mgr_instance_named(m, job->name);
        if (i)
            want_instance(m, job, i);
        known = i != NULL;
    } else if (strcmp(job->what, "node") == 0) {
        known = venv_mgr_agent_find(m, job->name) != NULL;
    } else if (strcmp(job->what, "environment") == 0) {
        known = venv_mgr_environment_find(m, job->name) != NULL;
    } else if (strcmp(job->what, "trigger") == 0) {
        const last_firing *f = venv_table_find(m->firings, job->name, strlen(job->name));
        for (size_t i = 0; i < venv_triggers_count(m->triggers); i++)
            known = known || strcmp(venv_triggers_name(m->triggers, i), job->name) == 0;
        if (known && f)
            want(job, f->revision);
    } else {
        const deed *d = venv_mgr_deed_by_text(m, (venv_str){ job->name, strlen(job->name) });
        known = d != NULL;
        if (d) {
            want(job, d->origin);
            if (venv_mgr_why_instance_of(m, d))
                want_instance(m, job, venv_mgr_why_instance_of(m, d));
        }
    }
    if (known)
        return true;
    not_found(err, job->what, job->name);
    return false;
}

/* --- one after the other ---------------------------------------------------------------------------------- */

static void answer(venv_manager *m, size_t index)
{
    why_job *job = &m->whys[index];
    peer *p = venv_mgr_peer_find(m, job->peer);
    venv_error err = { 0 };
    why_job again = *job; /* what it is about may have gone away while the events were read */
    again.count = WHY_EVENTS_MAX;
    if (p && !p->closing) {
        if (find_subject(m, &again, &err))
            venv_mgr_request_result(m, p, job->request, venv_mgr_why_chain(m, job));
        else
            venv_mgr_request_failed(m, p, job->request, &err);
    }
    drop(m, index);
}

static void read_next(venv_manager *m, size_t index)
{
    why_job *job = &m->whys[index];
    if (job->next == job->count) {
        answer(m, index);
        return;
    }
    job->token = venv_mgr_next_number(m);
    venv_mgr_effect_read(m, job->token, job->revisions[job->next] - 1, 1);
}

bool venv_mgr_why_history(venv_manager *m, uint64_t token, const venv_value *rows)
{
    size_t index = 0;
    while (index < m->why_count && m->whys[index].token != token)
        index++;
    if (index == m->why_count)
        return false;
    why_job *job = &m->whys[index];
    const venv_value *event = venv_value_at(rows, 0);
    if (event && venv_mgr_get_uint(event, "revision") == job->revisions[job->next] &&
        venv_value_dup(event, &job->events[job->next], NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    job->next++;
    read_next(m, index);
    return true;
}

void venv_mgr_why_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body)
{
    venv_error err = { 0 };
    why_job job = { .peer = p->number, .request = request };
    venv_str what = venv_value_get_text(body, "what"), name = venv_value_get_text(body, "name");
    venv_str context = venv_value_get_text(body, "agent");
    for (size_t k = 0; k < VENV_COUNT_OF(kinds); k++)
        if (what.size == strlen(kinds[k]) && memcmp(what.data, kinds[k], what.size) == 0)
            job.what = kinds[k];
    if (!job.what)
        venv_error_set(&err, VENV_EINVAL, "what: expected instance, node, environment, trigger or action");
    else if (name.size == 0 || memchr(name.data, '\0', name.size))
        venv_error_set(&err, VENV_EINVAL, "name: expected the name of the %s", job.what);
    else if (name.size >= sizeof job.name)
        venv_error_set(&err, VENV_ENOENT, "no %s has so long a name", job.what);
    else if (m->why_count == WHYS_MAX)
        venv_error_set(&err, VENV_ELIMIT, "too many ask why at once; try again later");
    if (err.rc == VENV_OK) {
        memcpy(job.name, name.data, name.size);
        find_subject(m, &job, &err);
    }
    if (err.rc != VENV_OK) {
        venv_mgr_request_failed(m, p, request, &err);
        return;
    }
    if (context.size > 0)
        job.agent = venv_mgr_copy_str(m, context);
    if (!m->whys && !(m->whys = calloc(WHYS_MAX, sizeof *m->whys))) {
        free(job.agent);
        venv_mgr_no_memory(m);
        return;
    }
    m->whys[m->why_count++] = job;
    read_next(m, m->why_count - 1);
}

/* --- a trigger, tried ------------------------------------------------------------------------------------- */

static venv_rc explain_all(venv_manager *m, venv_triggers *set, const char *only, const char *context, venv_value *ret_list, venv_error *err)
{
    venv_trigger_world world = venv_mgr_world_of(m);
    venv_list_builder list;
    venv_rc rc = VENV_OK;
    bool any = false;
    venv_list_init(&list);
    for (size_t i = 0; rc == VENV_OK && i < venv_triggers_count(set); i++) {
        const char *name = venv_triggers_name(set, i);
        venv_value value = venv_value_null();
        if (only && strcmp(name, only) != 0)
            continue;
        any = true;
        rc = venv_triggers_explain(set, name, context, m->now, &world, &value, err);
        venv_list_add(&list, value);
    }
    if (rc == VENV_OK && !any)
        rc = only ? venv_error_set(err, VENV_ENOENT, "no trigger is called '%s'", only)
                  : venv_error_set(err, VENV_EINVAL, "there is no trigger in it");
    if (rc == VENV_OK)
        return venv_list_take(&list, ret_list, err);
    venv_list_fini(&list);
    return rc;
}

static venv_rc no_such(venv_error *err, const char *what, venv_str name)
{
    int size = name.size < VENV_NAME_MAX ? (int)name.size : VENV_NAME_MAX;
    return venv_error_set(err, VENV_ENOENT, "no %s is called '%.*s'", what, size, name.data);
}

/* EVALUATE: nothing is done, and a set that came with the request leaves no trace. */
void venv_mgr_evaluate_request(venv_manager *m, peer *p, uint64_t request, const venv_value *body)
{
    char only[VENV_NAME_MAX + 1], context[VENV_NAME_MAX + 1];
    venv_str trigger_name = venv_value_get_text(body, "trigger"), agent_name = venv_value_get_text(body, "agent");
    bool has_only = venv_mgr_fits_name(trigger_name, only), has_agent = venv_mgr_fits_name(agent_name, context);
    const venv_value *definitions = venv_value_get(body, "definitions");
    venv_triggers *own = NULL;
    venv_value list = venv_value_null();
    venv_error err = { 0 };
    venv_rc rc = VENV_OK;
    /* What cannot be a name is that of nobody: without this it would be as if nothing had been named. */
    if (trigger_name.size > 0 && !has_only)
        rc = no_such(&err, "trigger", trigger_name);
    else if (agent_name.size > 0 && !(has_agent && venv_mgr_agent_find(m, context)))
        rc = no_such(&err, "agent", agent_name);
    if (rc == VENV_OK && definitions)
        rc = venv_triggers_new(definitions, &(venv_trigger_options){ m->config->tick, m->config->zone, m->config->zone_user }, &own, &err);
    if (rc == VENV_OK)
        rc = explain_all(m, own ? own : m->triggers, has_only ? only : NULL, has_agent ? context : NULL, &list, &err);
    venv_triggers_free(own);
    if (rc != VENV_OK) {
        venv_mgr_request_failed(m, p, request, &err);
        return;
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "triggers", list);
    venv_mgr_request_result(m, p, request, venv_mgr_take_map(m, &map));
}
