/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be asked for, by people and by triggers alike: start and stop instances, ask agents for
 * properties, run commands on them, steer them.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

venv_environment *venv_mgr_environment_find(venv_manager *m, const char *name)
{
    return venv_table_find(m->environments, name, strlen(name));
}

/* --- start ---------------------------------------------------------------------------------------------- */

static bool start_one(venv_manager *m, deed *d, venv_environment *environment, const venv_value *definition, const char *node)
{
    char name[VENV_NAME_MAX + 24];
    const char *environment_name = venv_environment_name(environment);
    if (!venv_mgr_instance_next_name(m, environment_name, name, sizeof name))
        return false;
    venv_id id = venv_random_id(&m->random), child = venv_random_id(&m->random);
    instance *i = venv_mgr_instance_new(m, id, name, environment_name);
    deed *start = i ? venv_mgr_deed_new(m, child, d->id, "start", name, d->by) : NULL;
    if (!start)
        return false;
    i->definition = venv_value_ref(definition);
    i->version = venv_mgr_catalog_newest(m, environment_name);
    i->vcpus = venv_environment_vcpus(environment);
    i->memory = venv_environment_memory_bytes(environment);
    i->start = child;
    i->grace = m->config->grace;
    i->give_up = venv_mgr_after(m, m->config->pending_timeout);
    if (node)
        i->asked_node = venv_mgr_copy_text(m, node);
    snprintf(i->by, sizeof i->by, "%s", d->by);
    venv_mgr_instance_touch(m, i);
    venv_mgr_event_add(m, "instance-pending", name, child, venv_value_null(), "%s is asked for by %s", name, d->by);
    venv_triggers_note_instances(m->triggers, environment_name);
    venv_mgr_place_instance(m, i);
    return true;
}

venv_rc venv_mgr_verb_start(venv_manager *m, deed *d, const char *environment_name, const char *node, int64_t count,
                   venv_error *err)
{
    venv_environment *environment = venv_mgr_environment_find(m, environment_name);
    if (!environment)
        return venv_error_set(err, VENV_ENOENT, "no environment is called '%s'", environment_name);
    if (node && !venv_mgr_agent_find(m, node))
        return venv_error_set(err, VENV_ENOENT, "no agent is called '%s'", node);
    if (count < 0 || count > (int64_t)START_COUNT_MAX)
        return venv_error_set(err, VENV_ERANGE, "%lld instances; 1 to %u can be asked for at once", (long long)count,
                              START_COUNT_MAX);
    if (venv_table_count(m->instances) + (size_t)count > INSTANCES_MAX || venv_table_count(m->deeds) + (size_t)count > DEEDS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "there are too many instances or actions; old ones go away by themselves");
    venv_value definition = venv_value_null();
    if (venv_environment_to_value(environment, &definition, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    venv_mgr_deed_children_begin(m, d);
    for (int64_t n = 0; n < count && m->rc == VENV_OK; n++)
        start_one(m, d, environment, &definition, node);
    venv_value_unref(&definition);
    venv_mgr_deed_children_made(m, d);
    return VENV_OK;
}

/* --- stop ------------------------------------------------------------------------------------------------ */

/* Whom a stop takes first: those that never ran, then the youngest. */
static int stop_order(const void *a, const void *b)
{
    const instance *x = *(instance *const *)a, *y = *(instance *const *)b;
    bool up_x = x->confirmed, up_y = y->confirmed;
    if (up_x != up_y)
        return up_x ? 1 : -1;
    if (x->made.ns != y->made.ns)
        return x->made.ns > y->made.ns ? -1 : 1;
    return strcmp(y->name, x->name);
}

venv_rc venv_mgr_verb_stop_select(venv_manager *m, const venv_value *arguments, instance ***ret_items, size_t *ret_count,
                         venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    venv_str one = venv_value_get_text(arguments, "instance"), all = venv_value_get_text(arguments, "environment");
    int64_t count = venv_value_get_int(arguments, "count", -1);
    if (count < -1 || count > (int64_t)INSTANCES_MAX)
        return venv_error_set(err, VENV_ERANGE, "count: expected 0 to %u", INSTANCES_MAX);
    instance **items = calloc(venv_table_count(m->instances) + 1, sizeof *items);
    if (!items)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    *ret_count = 0;
    *ret_items = items;
    if (venv_value_get(arguments, "instance")) { /* also if it is empty: one was meant, not all of an environment */
        instance *i = venv_mgr_fits_name(one, name) ? venv_mgr_instance_named(m, name) : NULL;
        if (i) {
            if (!venv_instance_is_final(i->state) || i->inspect)
                items[(*ret_count)++] = i;
            return VENV_OK;
        }
        free(items);
        return venv_error_set(err, VENV_ENOENT, "no instance is called '%.*s'", (int)(one.size < 64 ? one.size : 64), one.data ? one.data : "");
    }
    bool known = venv_mgr_fits_name(all, name) && venv_mgr_environment_find(m, name);
    size_t cursor = 0;
    void *item;
    while (venv_mgr_fits_name(all, name) && venv_table_next(m->instances, &cursor, NULL, &item)) {
        instance *i = item;
        if (strcmp(i->environment, name) != 0)
            continue;
        known = true;
        if (!venv_instance_is_final(i->state) && (!i->stop_wanted || count < 0))
            items[(*ret_count)++] = i;
    }
    if (!known) {
        free(items);
        return all.size == 0 ? venv_error_set(err, VENV_EINVAL, "name an instance or an environment that is to be stopped")
                             : venv_error_set(err, VENV_ENOENT, "no environment is called '%.*s'",
                                              (int)(all.size < 64 ? all.size : 64), all.data);
    }
    if (*ret_count > 0)
        qsort(items, *ret_count, sizeof(instance *), stop_order);
    if (count >= 0 && (size_t)count < *ret_count)
        *ret_count = (size_t)count;
    return VENV_OK;
}

venv_rc venv_mgr_stop_begin(venv_manager *m, instance *i, venv_id parent, const char *by, bool force, venv_span grace, venv_error *err)
{
    deed *old = venv_mgr_deed_find(m, i->stop);
    deed *child = venv_mgr_deed_new(m, venv_random_id(&m->random), parent, "stop", i->name, by);
    if (!child)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_mgr_deed_run(m, child, (venv_span){ m->config->action_timeout.ns + grace.ns });
    if (old)
        venv_mgr_deed_end(m, old, VENV_ECANCELED, "a stop by force took its place");
    venv_mgr_instance_stop(m, i, child->id, force, grace);
    return VENV_OK;
}

/* How a stop is meant. */
typedef struct stop_wish {
    bool force, drain;
    venv_span grace, time; /* time: to drain; 0: without end */
} stop_wish;

static venv_rc read_span(const venv_value *arguments, const char *key, int64_t hours, venv_span *span, venv_error *err)
{
    const venv_value *asked = venv_value_get(arguments, key);
    if (!asked || (venv_value_to_span(asked, span) && span->ns >= 0 && span->ns <= hours * 3600 * VENV_NS_PER_S))
        return VENV_OK;
    return venv_error_set(err, VENV_ERANGE, "%s: expected a time from 0s to %lldh", key, (long long)hours);
}

static venv_rc read_stop(venv_manager *m, const venv_value *arguments, stop_wish *wish, venv_error *err)
{
    *wish = (stop_wish){ .force = venv_value_get_bool(arguments, "force", false), .drain = venv_value_get_bool(arguments, "drain", false),
                         .grace = m->config->grace };
    venv_rc rc = read_span(arguments, "grace", 1, &wish->grace, err);
    if (rc == VENV_OK)
        rc = read_span(arguments, "drain_timeout", 24 * 30, &wish->time, err);
    if (rc == VENV_OK && wish->force && wish->drain)
        rc = venv_error_set(err, VENV_EINVAL, "either it is drained, or it is stopped by force");
    return rc;
}

static venv_rc stop_one(venv_manager *m, instance *i, const deed *d, const stop_wish *wish)
{
    if (!wish->drain || i->state != VENV_INSTANCE_RUNNING || i->change_kind != CHANGE_NONE)
        return venv_mgr_stop_begin(m, i, d->id, d->by, wish->force, wish->grace, NULL);
    drain_wish drain = { .time = wish->time, .grace = wish->grace };
    snprintf(drain.why, sizeof drain.why, "it is drained for %s, and then stopped", d->by);
    return venv_mgr_drain_begin(m, i, d->id, d->by, &drain, NULL);
}

venv_rc venv_mgr_verb_stop(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err)
{
    instance **items = NULL;
    size_t count = 0;
    stop_wish wish;
    venv_rc rc = read_stop(m, arguments, &wish, err);
    if (rc == VENV_OK)
        rc = venv_mgr_verb_stop_select(m, arguments, &items, &count, err);
    if (rc != VENV_OK)
        return rc;
    venv_mgr_deed_children_begin(m, d);
    for (size_t n = 0; n < count && m->rc == VENV_OK; n++) {
        instance *i = items[n];
        if ((i->stop_wanted && !(wish.force && !i->force)) || (wish.drain && venv_mgr_drain_is_on(i)))
            continue;
        if (stop_one(m, i, d, &wish) != VENV_OK)
            break;
    }
    venv_mgr_deed_children_made(m, d);
    free(items);
    return VENV_OK;
}

/* Those of the selection that still drain go on as if nothing had been. VENV_ECONFLICT: none does, and why. */
venv_rc venv_mgr_verb_stop_abandon(venv_manager *m, const char *by, instance *const *items, size_t count, venv_error *err)
{
    char why[REASON_MAX];
    size_t abandoned = 0;
    snprintf(why, sizeof why, "abandoned by %s", by);
    for (size_t n = 0; n < count; n++)
        if (venv_mgr_drain_is_on(items[n])) {
            venv_mgr_drain_abandon(m, items[n], why);
            abandoned++;
        }
    if (abandoned > 0)
        return VENV_OK;
    const instance *i = count > 0 ? items[0] : NULL;
    return venv_error_set(err, VENV_ECONFLICT, i && i->stop_wanted ? "%s: the last step has been taken, its node is to shut it down"
                                                                   : "%s is not being drained: there is nothing to abandon",
                          i ? i->name : "none of them");
}

venv_rc venv_mgr_verb_destroy(venv_manager *m, deed *d, const venv_value *arguments, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(arguments, i, &key, &value); i++)
        if (!venv_value_is_text(key, "force"))
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    venv_map_put(&map, "force", venv_value_bool(true));
    venv_value forced = venv_mgr_take_map(m, &map);
    venv_rc rc = venv_mgr_verb_stop(m, d, &forced, err);
    venv_value_unref(&forced);
    return rc;
}

/* --- requests to agents --------------------------------------------------------------------------------- */

typedef struct asking {
    venv_manager *m;
    gather *g;
    const char *label;
    const venv_value *arguments;
    venv_id id;
    int16_t type;
} asking;

static void ask_property(asking *x, agent *a, const char *label)
{
    size_t index;
    if (!venv_mgr_gather_add(x->m, x->g, a->name, label, &index))
        return;
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "label", label);
    venv_mgr_gather_call(x->m, x->g, index, a, x->type, venv_mgr_take_map(x->m, &map));
}

static bool each_property(void *user, const venv_member *member)
{
    asking *x = user;
    agent *a = member->data;
    if (!a)
        return true;
    if (x->label)
        ask_property(x, a, x->label);
    else
        for (size_t i = 0; i < a->property_count; i++)
            ask_property(x, a, a->properties[i].label);
    return x->m->rc == VENV_OK;
}

/* An agent of which `where` cannot tell: an item of the answer, and no request to it. */
static void add_untold(void *user, const venv_member *member, const char *why)
{
    asking *x = user;
    const char *label = x->label ? x->label : "";
    size_t index;
    if (venv_mgr_gather_add(x->m, x->g, member->name, label, &index))
        venv_mgr_gather_set(x->m, x->g, index, venv_mgr_untold_item(x->m, member->name, label, why));
}

venv_rc venv_mgr_verb_fetch(venv_manager *m, gather *g, const char *target, const venv_value *arguments, const char *label, bool kept,
                   venv_error *err)
{
    asking x = { m, g, label && label[0] ? label : NULL, NULL, { { 0 } }, kept ? VENV_MSG_GETPROP : VENV_MSG_FETCHPROP };
    return venv_mgr_select(m, target, arguments, each_property, add_untold, &x, err);
}

/* One message with some of the arguments, to each agent of the selection. */
static bool each_told(asking *x, const venv_member *member, const char *const *keys, size_t count)
{
    agent *a = member->data;
    size_t index;
    if (!a || !venv_mgr_gather_add(x->m, x->g, a->name, "", &index))
        return x->m->rc == VENV_OK;
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t k = 0; k < count; k++) {
        const venv_value *value = venv_value_get(x->arguments, keys[k]);
        if (value)
            venv_map_put(&map, keys[k], venv_value_ref(value));
    }
    if (!venv_id_is_none(x->id))
        venv_map_put_id(&map, "id", x->id);
    venv_mgr_gather_call(x->m, x->g, index, a, x->type, venv_mgr_take_map(x->m, &map));
    return x->m->rc == VENV_OK;
}

static bool each_exec(void *user, const venv_member *member)
{
    static const char *const keys[] = { "command", "args", "timeout" };
    return each_told(user, member, keys, 3);
}

venv_rc venv_mgr_verb_exec(venv_manager *m, gather *g, const char *target, const venv_value *arguments, venv_id id, venv_error *err)
{
    asking x = { m, g, NULL, arguments, id, VENV_MSG_EXECUTE };
    const venv_value *args = venv_value_get(arguments, "args");
    for (size_t i = 0; args && i < venv_value_count(args); i++)
        if (venv_value_kind(venv_value_at(args, i)) != VENV_STRING)
            return venv_error_set(err, VENV_EKIND, "args: expected a list of texts");
    return venv_mgr_select(m, target, arguments, each_exec, add_untold, &x, err);
}

static bool each_steer(void *user, const venv_member *member)
{
    static const char *const keys[] = { "verb", "groups", "after" };
    return each_told(user, member, keys, 3);
}

venv_rc venv_mgr_verb_steer(venv_manager *m, gather *g, const char *target, const venv_value *arguments, venv_error *err)
{
    asking x = { m, g, NULL, arguments, { { 0 } }, VENV_MSG_CONTROL };
    return venv_mgr_select(m, target, arguments, each_steer, add_untold, &x, err);
}

static bool each_sync(void *user, const venv_member *member)
{
    static const char *const keys[] = { "image", "timeout" };
    return each_told(user, member, keys, 2);
}

venv_rc venv_mgr_verb_sync(venv_manager *m, gather *g, const char *target, const venv_value *arguments, venv_id id, venv_error *err)
{
    asking x = { m, g, NULL, arguments, id, VENV_MSG_SYNC };
    if (venv_value_get_text(arguments, "image").size == 0)
        return venv_error_set(err, VENV_EINVAL, "image: the name of an image is expected, NAME or NAME@VERSION");
    return venv_mgr_select(m, target, arguments, each_sync, add_untold, &x, err);
}
