/* SPDX-License-Identifier: Apache-2.0 */
/* The requests that most programs make, as functions: bodies in, the interesting part of the answer out. */
#include "client/client.h"

static venv_rc finish(venv_client *client, venv_client_verb verb, venv_map_builder *map, venv_value *ret_answer,
                      venv_error *err)
{
    venv_value body = venv_value_null();
    venv_rc rc = venv_map_take(map, &body, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_client_request(client, verb, &body, ret_answer, err);
    venv_value_unref(&body);
    return rc;
}

/* One key of an answer, of a kind that it must be. */
static venv_rc take_part(venv_value *answer, const char *key, venv_kind kind, venv_value *ret_part, venv_error *err)
{
    const venv_value *part = venv_value_get(answer, key);
    venv_rc rc = VENV_OK;
    if (part && venv_value_kind(part) == kind)
        *ret_part = venv_value_ref(part);
    else
        rc = venv_error_set(err, VENV_EPROTO, "the manager's answer has no \"%s\"", key);
    venv_value_unref(answer);
    return rc;
}

venv_rc venv_client_status(venv_client *client, venv_value *ret_status, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    return finish(client, VENV_CLIENT_STATUS, &map, ret_status, err);
}

venv_rc venv_client_list(venv_client *client, const char *what, venv_value *ret_items, venv_error *err)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, "what", what);
    venv_rc rc = finish(client, VENV_CLIENT_LIST, &map, &answer, err);
    return rc == VENV_OK ? take_part(&answer, "items", VENV_LIST, ret_items, err) : rc;
}

venv_rc venv_client_show(venv_client *client, const char *kind, const char *name, venv_value *ret_item, venv_error *err)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, "what", kind);
    venv_map_put_z(&map, "name", name);
    venv_rc rc = finish(client, VENV_CLIENT_SHOW, &map, &answer, err);
    return rc == VENV_OK ? take_part(&answer, "item", VENV_MAP, ret_item, err) : rc;
}

/* What START and STOP have in common. */
static void put_common(venv_map_builder *map, venv_id id, int64_t count, const char *wait, venv_span timeout, bool dry_run)
{
    if (!venv_id_is_none(id))
        venv_map_put_id(map, "id", id);
    if (count != 0)
        venv_map_put(map, "count", venv_value_int(count));
    if (wait)
        venv_map_put_z(map, "wait", wait);
    if (timeout.ns > 0)
        venv_map_put(map, "timeout", venv_value_from_span(timeout));
    if (dry_run)
        venv_map_put(map, "dry_run", venv_value_bool(true));
}

venv_rc venv_client_start(venv_client *client, const char *environment, const venv_client_start_options *options,
                          venv_value *ret_answer, venv_error *err)
{
    static const venv_client_start_options none;
    venv_map_builder map;
    options = options ? options : &none;
    venv_map_init(&map);
    venv_map_put_z(&map, "environment", environment);
    if (options->node)
        venv_map_put_z(&map, "node", options->node);
    put_common(&map, options->id, options->count, options->wait, options->timeout, options->dry_run);
    return finish(client, VENV_CLIENT_START, &map, ret_answer, err);
}

venv_rc venv_client_stop(venv_client *client, const venv_client_stop_options *options, venv_value *ret_answer, venv_error *err)
{
    venv_map_builder map;
    if (!options->instance == !options->environment)
        return venv_error_set(err, VENV_EINVAL, "either an instance or an environment is to be stopped");
    venv_map_init(&map);
    if (options->instance)
        venv_map_put_z(&map, "instance", options->instance);
    if (options->environment)
        venv_map_put_z(&map, "environment", options->environment);
    if (options->force)
        venv_map_put(&map, "force", venv_value_bool(true));
    if (options->drain)
        venv_map_put(&map, "drain", venv_value_bool(true));
    if (options->drain_timeout.ns > 0)
        venv_map_put(&map, "drain_timeout", venv_value_from_span(options->drain_timeout));
    if (options->abandon)
        venv_map_put(&map, "abandon", venv_value_bool(true));
    if (options->has_grace)
        venv_map_put(&map, "grace", venv_value_from_span(options->grace));
    put_common(&map, options->id, options->count, options->wait, options->timeout, options->dry_run);
    return finish(client, VENV_CLIENT_STOP, &map, ret_answer, err);
}

venv_rc venv_client_change(venv_client *client, const char *verb, const venv_client_instance_options *options, venv_value *ret_answer,
                           venv_error *err)
{
    venv_map_builder map;
    if (!options->instance == !options->environment)
        return venv_error_set(err, VENV_EINVAL, "either an instance or an environment is to be named");
    venv_map_init(&map);
    venv_map_put_z(&map, "verb", verb);
    if (options->instance)
        venv_map_put_z(&map, "instance", options->instance);
    if (options->environment)
        venv_map_put_z(&map, "environment", options->environment);
    if (options->node)
        venv_map_put_z(&map, "node", options->node);
    if (options->has_grace)
        venv_map_put(&map, "grace", venv_value_from_span(options->grace));
    if (options->limit.ns > 0)
        venv_map_put(&map, "limit", venv_value_from_span(options->limit));
    if (options->bandwidth > 0)
        venv_map_put(&map, "bandwidth", venv_value_uint(options->bandwidth));
    if (options->copy_disks)
        venv_map_put(&map, "copy_disks", venv_value_bool(true));
    if (options->auto_converge)
        venv_map_put(&map, "auto_converge", venv_value_bool(true));
    put_common(&map, options->id, options->count, options->wait, options->timeout, options->dry_run);
    return finish(client, VENV_CLIENT_CHANGE, &map, ret_answer, err);
}

/* A change that a person makes to one thing; `part` of the answer is what became of it. */
static venv_rc change(venv_client *client, venv_client_verb verb, const char *part, const char *name, const char *what,
                      const venv_client_change_options *options, venv_value *ret_part, venv_error *err)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    venv_map_init(&map);
    venv_map_put_z(&map, part, name);
    if (what)
        venv_map_put_z(&map, "verb", what);
    if (options && !venv_id_is_none(options->id))
        venv_map_put_id(&map, "id", options->id);
    if (options && options->why)
        venv_map_put_z(&map, "why", options->why);
    venv_rc rc = finish(client, verb, &map, &answer, err);
    return rc == VENV_OK ? take_part(&answer, part, VENV_MAP, ret_part, err) : rc;
}

venv_rc venv_client_apply(venv_client *client, const char *proposal, const venv_client_change_options *options,
                          venv_value *ret_proposal, venv_error *err)
{
    return change(client, VENV_CLIENT_PROPOSAL, "proposal", proposal, "apply", options, ret_proposal, err);
}

venv_rc venv_client_reject(venv_client *client, const char *proposal, const venv_client_change_options *options,
                           venv_value *ret_proposal, venv_error *err)
{
    return change(client, VENV_CLIENT_PROPOSAL, "proposal", proposal, "reject", options, ret_proposal, err);
}

venv_rc venv_client_set_trigger_enabled(venv_client *client, const char *trigger, bool enabled,
                                        const venv_client_change_options *options, venv_value *ret_trigger, venv_error *err)
{
    return change(client, VENV_CLIENT_TRIGGER, "trigger", trigger, enabled ? "enable" : "disable", options, ret_trigger, err);
}

venv_rc venv_client_reset_breaker(venv_client *client, const char *breaker, const venv_client_change_options *options,
                                  venv_value *ret_breaker, venv_error *err)
{
    return change(client, VENV_CLIENT_RESET, "breaker", breaker, NULL, options, ret_breaker, err);
}

venv_rc venv_client_forget_agent(venv_client *client, const char *agent, const venv_client_change_options *options,
                                 venv_value *ret_agent, venv_error *err)
{
    return change(client, VENV_CLIENT_FORGET, "agent", agent, NULL, options, ret_agent, err);
}

static venv_rc node(venv_client *client, const char *agent, const char *verb, const venv_client_node_options *options, venv_value *ret_agent,
                    venv_error *err)
{
    static const venv_client_node_options none;
    venv_map_builder map;
    venv_value answer = venv_value_null();
    options = options ? options : &none;
    venv_map_init(&map);
    venv_map_put_z(&map, "agent", agent);
    venv_map_put_z(&map, "verb", verb);
    if (options->by)
        venv_map_put_z(&map, "by", options->by);
    if (options->why)
        venv_map_put_z(&map, "why", options->why);
    if (options->wait)
        venv_map_put(&map, "wait", venv_value_bool(true));
    put_common(&map, options->id, 0, NULL, options->timeout, false);
    venv_rc rc = finish(client, VENV_CLIENT_NODE, &map, &answer, err);
    return rc == VENV_OK ? take_part(&answer, "agent", VENV_MAP, ret_agent, err) : rc;
}

venv_rc venv_client_node_drain(venv_client *client, const char *agent, const venv_client_node_options *options, venv_value *ret_agent,
                               venv_error *err)
{
    return node(client, agent, "drain", options, ret_agent, err);
}

venv_rc venv_client_node_resume(venv_client *client, const char *agent, const venv_client_node_options *options, venv_value *ret_agent,
                                venv_error *err)
{
    return node(client, agent, "resume", options, ret_agent, err);
}

venv_rc venv_client_environments_apply(venv_client *client, const venv_value *definitions, bool dry_run, venv_id id,
                                       venv_value *ret_items, venv_error *err)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    venv_map_init(&map);
    if (!venv_id_is_none(id))
        venv_map_put_id(&map, "id", id);
    venv_map_put(&map, "environments", venv_value_ref(definitions));
    if (dry_run)
        venv_map_put(&map, "dry_run", venv_value_bool(true));
    venv_rc rc = finish(client, VENV_CLIENT_APPLY, &map, &answer, err);
    if (rc == VENV_OK) {
        venv_value part = venv_value_null();
        rc = take_part(&answer, "environments", VENV_MAP, &part, err);
        return rc == VENV_OK ? take_part(&part, "items", VENV_LIST, ret_items, err) : rc;
    }
    return rc;
}

venv_rc venv_client_environment_delete(venv_client *client, const char *name, uint64_t version, bool dry_run, venv_id id,
                                       venv_value *ret_environment, venv_error *err)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    venv_map_init(&map);
    if (!venv_id_is_none(id))
        venv_map_put_id(&map, "id", id);
    venv_map_put_z(&map, "name", name);
    if (version)
        venv_map_put(&map, "version", venv_value_uint(version));
    if (dry_run)
        venv_map_put(&map, "dry_run", venv_value_bool(true));
    venv_rc rc = finish(client, VENV_CLIENT_DELETE_ENVIRONMENT, &map, &answer, err);
    return rc == VENV_OK ? take_part(&answer, "environment", VENV_MAP, ret_environment, err) : rc;
}

venv_rc venv_client_environment_versions(venv_client *client, const char *name, uint64_t version, uint64_t from,
                                         venv_value *ret_versions, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", name);
    if (version)
        venv_map_put(&map, "version", venv_value_uint(version));
    if (from)
        venv_map_put(&map, "from", venv_value_uint(from));
    return finish(client, VENV_CLIENT_VERSIONS, &map, ret_versions, err);
}

venv_rc venv_client_reload(venv_client *client, bool dry_run, venv_value *ret_difference, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    if (dry_run)
        venv_map_put(&map, "dry_run", venv_value_bool(true));
    return finish(client, VENV_CLIENT_RELOAD, &map, ret_difference, err);
}

venv_rc venv_client_why(venv_client *client, const char *kind, const char *name, const char *agent, venv_value *ret_why, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "what", kind);
    venv_map_put_z(&map, "name", name);
    if (agent)
        venv_map_put_z(&map, "agent", agent);
    return finish(client, VENV_CLIENT_WHY, &map, ret_why, err);
}

venv_rc venv_client_evaluate(venv_client *client, const char *trigger, const venv_value *definitions, const char *agent,
                             venv_value *ret_triggers, venv_error *err)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    venv_map_init(&map);
    if (trigger)
        venv_map_put_z(&map, "trigger", trigger);
    if (definitions)
        venv_map_put(&map, "definitions", venv_value_ref(definitions));
    if (agent)
        venv_map_put_z(&map, "agent", agent);
    venv_rc rc = finish(client, VENV_CLIENT_EVALUATE, &map, &answer, err);
    return rc == VENV_OK ? take_part(&answer, "triggers", VENV_LIST, ret_triggers, err) : rc;
}

venv_rc venv_client_dump(venv_client *client, venv_value *ret_data, venv_error *err)
{
    venv_map_builder map;
    venv_value answer = venv_value_null();
    venv_map_init(&map);
    venv_rc rc = finish(client, VENV_CLIENT_DUMP, &map, &answer, err);
    return rc == VENV_OK ? take_part(&answer, "data", VENV_BYTES, ret_data, err) : rc;
}
