/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a message or an action is for: `target` names agents and groups, `where`, if there is one, chooses among them by an
 * expression. An agent of which it cannot be told is not chosen, and is told about.
 */
#include "manager/internal.h"

#include "trigger/where.h"

#include <stdio.h>
#include <string.h>

typedef struct selecting {
    venv_manager *m;
    venv_where *where;
    venv_groups_each_fn each;
    venv_mgr_untold_fn untold;
    void *user;
    venv_rc rc;
    venv_error *err;
} selecting;

static bool each_candidate(void *user, const venv_member *member)
{
    selecting *x = user;
    venv_where_verdict verdict = VENV_WHERE_NO;
    char why[REASON_MAX];
    x->rc = venv_where_ask(x->where, member->name, x->m->now, &verdict, why, sizeof why, x->err);
    if (x->rc != VENV_OK)
        return false;
    if (verdict == VENV_WHERE_YES)
        return x->each(x->user, member);
    if (verdict == VENV_WHERE_CANNOT_TELL && x->untold && member->data) {
        char safe[REASON_MAX];
        venv_mgr_set_reason(safe, why);
        x->untold(x->user, member, safe);
    }
    return true;
}

venv_rc venv_mgr_target(const venv_value *arguments, char ret_target[VENV_GROUPS_SELECTOR_MAX + 1], venv_error *err)
{
    venv_str text = venv_value_get_text(arguments, "target");
    venv_rc rc = venv_selector_check(text, err);
    if (rc != VENV_OK)
        return rc;
    memcpy(ret_target, text.data ? text.data : "", text.size);
    ret_target[text.size] = '\0';
    return VENV_OK;
}

venv_rc venv_mgr_label(const venv_value *arguments, char ret_label[VENV_LABEL_MAX + 1], venv_error *err)
{
    const venv_value *value = venv_value_get(arguments, "label");
    venv_str text = venv_value_get_text(arguments, "label");
    char shown[80];
    ret_label[0] = '\0';
    if (!value)
        return VENV_OK;
    if (!venv_label_is_valid(text)) {
        venv_value_print(value, shown, sizeof shown);
        return venv_error_set(err, VENV_EINVAL, "label: %s is no name of a property; without a label all of an agent are meant", shown);
    }
    memcpy(ret_label, text.data, text.size);
    ret_label[text.size] = '\0';
    return VENV_OK;
}

venv_rc venv_mgr_select(venv_manager *m, const char *target, const venv_value *arguments, venv_groups_each_fn each,
                        venv_mgr_untold_fn untold, void *user, venv_error *err)
{
    const venv_value *source = arguments ? venv_value_get(arguments, "where") : NULL;
    venv_str selector = { target, strlen(target) };
    if (!source)
        return venv_groups_select(m->groups, selector, each, user, err);
    if (venv_value_kind(source) != VENV_STRING)
        return venv_error_set(err, VENV_EKIND, "where: expected an expression");
    const venv_trigger_options options = { m->config->tick, m->config->zone, m->config->zone_user };
    venv_trigger_world world = venv_mgr_world_of(m);
    selecting x = { m, NULL, each, untold, user, VENV_OK, err };
    venv_rc rc = venv_where_new(venv_value_peek_text(source), &options, &world, &x.where, err);
    if (rc != VENV_OK)
        return rc == VENV_ENOMEM ? rc : venv_error_prefix(err, "where");
    rc = venv_groups_select(m->groups, selector, each_candidate, &x, err);
    venv_where_free(x.where);
    return rc == VENV_OK ? x.rc : rc;
}

venv_value venv_mgr_untold_item(venv_manager *m, const char *agent_name, const char *label, const char *why)
{
    char text[REASON_MAX + 32];
    snprintf(text, sizeof text, "could not tell: %s", why);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "agent", agent_name);
    if (label && label[0])
        venv_map_put_z(&map, "label", label);
    venv_map_put_z(&map, "rc", venv_rc_name(VENV_EUNKNOWN));
    venv_map_put_text(&map, "error", text, strlen(text));
    venv_map_put(&map, "selected", venv_value_bool(false));
    return venv_mgr_take_map(m, &map);
}
