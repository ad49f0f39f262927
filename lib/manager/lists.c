/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: the keys are those of venv/message.def. */
#include "manager/internal.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* --- views of one thing --------------------------------------------------------------------------------- */

venv_value venv_mgr_property_view(venv_manager *m, const agent *a, const kept_property *p)
{
    venv_map_builder map;
    venv_map_init(&map);
    /* A value of an agent that is away is what it was: its quality says so. */
    venv_quality quality = a->peer || p->quality != VENV_QUALITY_OK ? p->quality : VENV_QUALITY_STALE;
    venv_map_put_z(&map, "agent", a->name);
    venv_map_put_z(&map, "label", p->label);
    venv_map_put_z(&map, "type", p->type);
    if (p->unit && p->unit[0])
        venv_map_put_z(&map, "unit", p->unit);
    venv_map_put(&map, "value", venv_value_ref(&p->value));
    venv_map_put_z(&map, "quality", venv_quality_name(quality));
    venv_map_put(&map, "every", venv_value_int(p->every));
    if (p->has_time)
        venv_map_put(&map, "time", venv_value_from_wall(p->time));
    if (p->reason)
        venv_map_put_text(&map, "reason", p->reason, strlen(p->reason));
    else if (!a->peer)
        venv_map_put_z(&map, "reason", "the agent is not connected");
    return venv_mgr_take_map(m, &map);
}

static int64_t instances_on(venv_manager *m, const char *node)
{
    int64_t count = 0;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        count += i->node && strcmp(i->node, node) == 0 && !venv_instance_is_final(i->state);
    }
    return count;
}

static venv_value duplicate_view(venv_manager *m, const duplicate *d)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "refused", venv_value_uint(d->count));
    venv_map_put_text(&map, "address", d->address, strlen(d->address));
    venv_map_put_id(&map, "machine", d->machine);
    venv_map_put(&map, "first", venv_value_from_wall(d->first));
    venv_map_put(&map, "last", venv_value_from_wall(d->last));
    return venv_mgr_take_map(m, &map);
}

/* Only what is not closed is worth a word. */
static void put_breaker(venv_manager *m, venv_map_builder *map, bool of_node, const char *name)
{
    const breaker *b = venv_mgr_breaker_of(m, of_node, name);
    if (b && b->state != BREAKER_CLOSED)
        venv_map_put_z(map, "breaker", venv_mgr_breaker_state(b));
}

static venv_value agent_view(venv_manager *m, const agent *a, bool whole)
{
    const venv_member *member = venv_groups_member(m->groups, a->name);
    venv_map_builder map;
    venv_list_builder list;
    venv_map_init(&map);
    venv_list_init(&list);
    for (size_t i = 0; member && i < member->group_count; i++)
        venv_list_add_text(&list, venv_groups_group_of(member, i));
    venv_map_put_z(&map, "name", a->name);
    venv_map_put_z(&map, "state", venv_member_state_name(member ? member->state : VENV_MEMBER_LOST));
    venv_map_put(&map, "groups", venv_mgr_take_list(m, &list));
    if (member) {
        venv_map_put(&map, "since", venv_value_from_wall((venv_wall){ m->now.wall.ns - (m->now.mono.ns - member->since.ns) }));
        if (member->heard_wall.ns != 0)
            venv_map_put(&map, "heard", venv_value_from_wall(member->heard_wall));
    }
    if (a->address)
        venv_map_put_z(&map, "address", a->address);
    if (a->program)
        venv_map_put_text(&map, "program", a->program, strlen(a->program));
    venv_map_put(&map, "properties", venv_value_int((int64_t)a->property_count));
    venv_map_put(&map, "instances", venv_value_int(instances_on(m, a->name)));
    venv_map_put(&map, "hypervisor", venv_value_bool(a->hypervisor));
    if (a->duplicate.count > 0)
        venv_map_put(&map, "duplicate", duplicate_view(m, &a->duplicate));
    put_breaker(m, &map, true, a->name);
    if (a->maintenance) {
        venv_map_put(&map, "maintenance", venv_mgr_maintenance_view(m, a));
        venv_map_put_z(&map, "maintenance_by", a->maintenance->by);
    }
    if (a->hypervisor) {
        venv_map_put(&map, "reachable", venv_value_bool(a->peer && a->machines_known && a->reachable));
        venv_map_put(&map, "node", venv_value_ref(&a->node));
    }
    if (a->hypervisor && a->peer && a->machines_known && !a->reachable && a->unreachable_reason)
        venv_map_put_text(&map, "reason", a->unreachable_reason, strlen(a->unreachable_reason));
    if (whole) {
        venv_list_init(&list);
        for (size_t i = 0; i < a->property_count; i++)
            venv_list_add(&list, venv_mgr_property_view(m, a, &a->properties[i]));
        venv_map_put(&map, "values", venv_mgr_take_list(m, &list));
        if (!venv_id_is_none(a->machine))
            venv_map_put_id(&map, "machine", a->machine);
        venv_map_put(&map, "dropped", venv_value_int((int64_t)a->dropped));
    }
    return venv_mgr_take_map(m, &map);
}

static venv_value group_view(venv_manager *m, const char *name)
{
    venv_map_builder map;
    venv_list_builder list;
    venv_map_init(&map);
    venv_list_init(&list);
    int64_t connected = 0;
    const venv_member *member;
    for (size_t i = 0; (member = venv_groups_member_of(m->groups, name, i)); i++) {
        venv_list_add_text(&list, member->name);
        connected += member->state == VENV_MEMBER_CONNECTED;
    }
    venv_map_put_z(&map, "name", name);
    venv_map_put(&map, "agents", venv_mgr_take_list(m, &list));
    venv_map_put(&map, "connected", venv_value_int(connected));
    return venv_mgr_take_map(m, &map);
}

static venv_value environment_view(venv_manager *m, const venv_environment *environment, bool whole)
{
    venv_map_builder map;
    venv_map_init(&map);
    const char *name = venv_environment_name(environment);
    int64_t instances = 0, running = 0;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        const instance *i = item;
        bool mine = strcmp(i->environment, name) == 0;
        instances += mine && !venv_instance_is_final(i->state);
        running += mine && i->state == VENV_INSTANCE_RUNNING;
    }
    venv_map_put_z(&map, "name", name);
    venv_map_put_z(&map, "hypervisor", venv_hypervisor_kind_name(venv_environment_hypervisor(environment)));
    venv_map_put(&map, "vcpus", venv_value_int(venv_environment_vcpus(environment)));
    venv_map_put(&map, "memory", venv_value_int((int64_t)venv_environment_memory_bytes(environment)));
    venv_map_put(&map, "instances", venv_value_int(instances));
    venv_map_put(&map, "running", venv_value_int(running));
    venv_map_put(&map, "version", venv_value_uint(venv_mgr_catalog_newest(m, name)));
    venv_map_put(&map, "files", venv_value_bool(venv_value_get(&m->config->environments, name) != NULL));
    const char *image = venv_environment_peek(environment)->image;
    if (image)
        venv_map_put_z(&map, "image", image);
    put_breaker(m, &map, false, name);
    venv_value scale = venv_mgr_scale_view(m, environment);
    if (venv_value_kind(&scale) != VENV_NULL)
        venv_map_put(&map, "scale", scale);
    venv_value definition = venv_value_null();
    if (whole && venv_environment_to_value(environment, &definition, NULL) == VENV_OK)
        venv_map_put(&map, "definition", definition);
    return venv_mgr_take_map(m, &map);
}

static venv_value instance_whole(venv_manager *m, const instance *i)
{
    venv_value view = venv_mgr_instance_view(m, i);
    venv_map_builder map;
    venv_map_init(&map);
    const venv_value *key, *value;
    for (size_t n = 0; venv_value_entry(&view, n, &key, &value); n++)
        venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    venv_map_put(&map, "definition", venv_value_ref(&i->definition));
    if (!venv_id_is_none(i->start))
        venv_map_put_id(&map, "start_action", i->start);
    if (!venv_id_is_none(i->stop))
        venv_map_put_id(&map, "stop_action", i->stop);
    venv_value_unref(&view);
    return venv_mgr_take_map(m, &map);
}

/* --- lists ------------------------------------------------------------------------------------------------ */

static void list_agents(venv_manager *m, venv_list_builder *list)
{
    size_t cursor = 0;
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor)))
        if (member->data)
            venv_list_add(list, agent_view(m, member->data, false));
}

static void list_groups(venv_manager *m, venv_list_builder *list)
{
    size_t cursor = 0;
    const char *name;
    while ((name = venv_groups_next_group(m->groups, &cursor)))
        venv_list_add(list, group_view(m, name));
}

static void list_environments(venv_manager *m, venv_list_builder *list)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->environments, &cursor, NULL, &item))
        venv_list_add(list, environment_view(m, item, false));
}

static void list_instances(venv_manager *m, venv_list_builder *list)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item))
        venv_list_add(list, venv_mgr_instance_view(m, item));
}

static venv_value trigger_row(venv_manager *m, const venv_value *whole, const venv_value *unit)
{
    static const char *const shared[] = { "name", "mode", "when", "at", "zone", "next", "enabled", "disabled", "disabled_by", "disabled_why" };
    static const char *const own[] = { "state", "since", "fired", "last_fired", "held", "hold", "error" };
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t k = 0; k < VENV_COUNT_OF(shared); k++) {
        const venv_value *value = venv_value_get(whole, shared[k]);
        if (value)
            venv_map_put(&map, shared[k], venv_value_ref(value));
    }
    for (size_t k = 0; k < VENV_COUNT_OF(own); k++) {
        const venv_value *value = venv_value_get(unit ? unit : whole, own[k]);
        if (value)
            venv_map_put(&map, own[k], venv_value_ref(value));
    }
    const venv_value *element = unit ? venv_value_get(unit, "unit") : NULL;
    if (element && venv_value_peek_text(element).size > 0)
        venv_map_put(&map, "element", venv_value_ref(element));
    return venv_mgr_take_map(m, &map);
}

static void list_triggers(venv_manager *m, venv_list_builder *list)
{
    const char *name;
    for (size_t i = 0; (name = venv_triggers_name(m->triggers, i)); i++) {
        venv_value whole = venv_value_null();
        if (venv_triggers_describe(m->triggers, name, m->now, &whole, NULL) != VENV_OK) {
            venv_mgr_no_memory(m);
            return;
        }
        const venv_value *units = venv_value_get(&whole, "units");
        size_t count = units ? venv_value_count(units) : 0;
        if (count < 2)
            venv_list_add(list, trigger_row(m, &whole, NULL));
        for (size_t k = 0; count >= 2 && k < count; k++)
            venv_list_add(list, trigger_row(m, &whole, venv_value_at(units, k)));
        venv_value_unref(&whole);
    }
}

static void list_deeds(venv_manager *m, venv_list_builder *list)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->deeds, &cursor, NULL, &item))
        venv_list_add(list, venv_mgr_deed_view(m, item, false));
}

static void list_breakers(venv_manager *m, venv_list_builder *list)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->breakers, &cursor, NULL, &item))
        venv_list_add(list, venv_mgr_breaker_view(m, item));
}

static void list_proposals(venv_manager *m, venv_list_builder *list)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->proposals, &cursor, NULL, &item))
        venv_list_add(list, venv_mgr_proposal_view(m, item, false));
}

static const struct {
    const char *many, *one, *key;
    void (*list)(venv_manager *m, venv_list_builder *list);
} kinds[] = {
    { "agents", "agent", "name", list_agents },
    { "groups", "group", "name", list_groups },
    { "environments", "environment", "name", list_environments },
    { "instances", "instance", "name", list_instances },
    { "triggers", "trigger", "name", list_triggers },
    { "actions", "action", "made", list_deeds },
    { "proposals", "proposal", "made", list_proposals },
    { "breakers", "breaker", "name", list_breakers },
};

typedef struct sort_item {
    const venv_value *value, *key;
    size_t at;
} sort_item;

/* Text with numbers in it in the order of the numbers: class2-9 before class2-10. */
static int compare_text(venv_str a, venv_str b)
{
    size_t i = 0, j = 0;
    while (i < a.size && j < b.size) {
        bool digits = a.data[i] >= '0' && a.data[i] <= '9' && b.data[j] >= '0' && b.data[j] <= '9';
        if (!digits) {
            if (a.data[i] != b.data[j])
                return (unsigned char)a.data[i] < (unsigned char)b.data[j] ? -1 : 1;
            i++, j++;
            continue;
        }
        size_t begin_i, begin_j;
        while (i < a.size && a.data[i] == '0')
            i++;
        while (j < b.size && b.data[j] == '0')
            j++;
        begin_i = i;
        begin_j = j;
        while (i < a.size && a.data[i] >= '0' && a.data[i] <= '9')
            i++;
        while (j < b.size && b.data[j] >= '0' && b.data[j] <= '9')
            j++;
        if (i - begin_i != j - begin_j)
            return i - begin_i < j - begin_j ? -1 : 1;
        int order = i > begin_i ? memcmp(a.data + begin_i, b.data + begin_j, i - begin_i) : 0;
        if (order != 0)
            return order;
    }
    return a.size - i < b.size - j ? -1 : a.size - i > b.size - j ? 1 : 0;
}

static int compare_items(const void *x, const void *y)
{
    const sort_item *a = x, *b = y;
    int order = 0;
    if (a->key && b->key && venv_value_kind(a->key) == VENV_STRING && venv_value_kind(b->key) == VENV_STRING)
        order = compare_text(venv_value_peek_text(a->key), venv_value_peek_text(b->key));
    else if (a->key && b->key)
        order = venv_value_compare(a->key, b->key);
    return order != 0 ? order : a->at < b->at ? -1 : 1;
}

static venv_value sorted(venv_manager *m, const venv_value *list, const char *key)
{
    size_t count = venv_value_count(list);
    sort_item *items = calloc(count + 1, sizeof *items);
    if (!items) {
        venv_mgr_no_memory(m);
        return venv_value_null();
    }
    for (size_t i = 0; i < count; i++) {
        const venv_value *value = venv_value_at(list, i);
        items[i] = (sort_item){ value, venv_value_get(value, key), i };
    }
    qsort(items, count, sizeof *items, compare_items);
    venv_list_builder out;
    venv_list_init(&out);
    for (size_t i = 0; i < count; i++)
        venv_list_add(&out, venv_value_ref(items[i].value));
    free(items);
    return venv_mgr_take_list(m, &out);
}

static bool is_word(venv_str text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static venv_rc no_such_kind(venv_str what, venv_error *err)
{
    return venv_error_set(err, VENV_EINVAL, "there is no kind of things called '%.*s'; there are: agents groups environments "
                          "instances triggers actions proposals breakers", (int)(what.size < 32 ? what.size : 32), what.data ? what.data : "");
}

venv_rc venv_mgr_list_things(venv_manager *m, venv_str what, venv_value *ret_items, venv_error *err)
{
    for (size_t k = 0; k < VENV_COUNT_OF(kinds); k++) {
        if (!is_word(what, kinds[k].many))
            continue;
        venv_list_builder list;
        venv_list_init(&list);
        kinds[k].list(m, &list);
        venv_value all = venv_mgr_take_list(m, &list);
        *ret_items = sorted(m, &all, kinds[k].key);
        venv_value_unref(&all);
        return VENV_OK;
    }
    return no_such_kind(what, err);
}

venv_rc venv_mgr_show_thing(venv_manager *m, venv_str what, venv_str name, venv_value *ret_item, venv_error *err)
{
    char text[VENV_NAME_MAX + 1] = "";
    if (name.size > 0 && name.size <= VENV_NAME_MAX && !memchr(name.data, '\0', name.size)) {
        memcpy(text, name.data, name.size);
        text[name.size] = '\0';
    }
    venv_value found = venv_value_null();
    bool known = false;
    for (size_t k = 0; k < VENV_COUNT_OF(kinds); k++)
        known = known || is_word(what, kinds[k].one);
    if (!known)
        return no_such_kind(what, err);
    if (is_word(what, "agent") && venv_mgr_agent_find(m, text))
        found = agent_view(m, venv_mgr_agent_find(m, text), true);
    else if (is_word(what, "group") && venv_groups_size(m->groups, text) > 0)
        found = group_view(m, text);
    else if (is_word(what, "environment") && venv_mgr_environment_find(m, text))
        found = environment_view(m, venv_mgr_environment_find(m, text), true);
    else if (is_word(what, "instance") && venv_mgr_instance_named(m, text))
        found = instance_whole(m, venv_mgr_instance_named(m, text));
    else if (is_word(what, "action") && venv_mgr_deed_by_text(m, name))
        found = venv_mgr_deed_view(m, venv_mgr_deed_by_text(m, name), true);
    else if (is_word(what, "proposal") && venv_mgr_proposal_by_text(m, name))
        found = venv_mgr_proposal_view(m, venv_mgr_proposal_by_text(m, name), true);
    else if (is_word(what, "breaker")) {
        breaker *b = NULL;
        venv_rc rc = venv_mgr_breaker_by_text(m, name, &b, err);
        if (rc != VENV_OK)
            return rc;
        found = venv_mgr_breaker_view(m, b);
    } else if (is_word(what, "trigger")) {
        venv_rc rc = venv_triggers_describe(m->triggers, text, m->now, &found, err);
        if (rc != VENV_OK)
            return rc;
    }
    if (venv_value_kind(&found) == VENV_NULL)
        return venv_error_set(err, VENV_ENOENT, "no %.*s is called '%s'", (int)what.size, what.data, text);
    *ret_item = found;
    return VENV_OK;
}

/* --- status ------------------------------------------------------------------------------------------------ */

static venv_value instances_status(venv_manager *m)
{
    int64_t counts[VENV_INSTANCE__COUNT] = { 0 }, total = 0;
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->instances, &cursor, NULL, &item)) {
        counts[((instance *)item)->state]++;
        total += !venv_instance_is_final(((instance *)item)->state);
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "total", venv_value_int(total));
    for (int s = 0; s < VENV_INSTANCE__COUNT; s++)
        if (counts[s] > 0)
            venv_map_put(&map, venv_instance_state_name((venv_instance_state)s), venv_value_int(counts[s]));
    return venv_mgr_take_map(m, &map);
}

static venv_value triggers_status(venv_manager *m)
{
    int64_t firing = 0, failing = 0;
    const char *name;
    for (size_t i = 0; (name = venv_triggers_name(m->triggers, i)); i++) {
        venv_value whole = venv_value_null();
        if (venv_triggers_describe(m->triggers, name, m->now, &whole, NULL) != VENV_OK) {
            venv_mgr_no_memory(m);
            break;
        }
        const venv_value *state = venv_value_get(&whole, "state");
        firing += state && venv_value_is_text(state, "active");
        failing += venv_value_get(&whole, "error") != NULL;
        venv_value_unref(&whole);
    }
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "total", venv_value_int((int64_t)venv_triggers_count(m->triggers)));
    venv_map_put(&map, "firing", venv_value_int(firing));
    venv_map_put(&map, "failing", venv_value_int(failing));
    return venv_mgr_take_map(m, &map);
}

static venv_value manager_status(venv_manager *m)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", m->config->name);
    if (m->config->cluster)
        venv_map_put_z(&map, "cluster", m->config->cluster);
    venv_map_put_z(&map, "version", venv_version());
    venv_map_put_id(&map, "boot", m->boot);
    venv_map_put(&map, "since", venv_value_from_wall(m->started.wall));
    venv_map_put(&map, "wall", venv_value_from_wall(m->now.wall));
    venv_map_put(&map, "tick", venv_value_from_span(m->config->tick));
    return venv_mgr_take_map(m, &map);
}

venv_value venv_mgr_status_view(venv_manager *m)
{
    int64_t connected = 0, known = 0, open = 0, dropped = 0;
    size_t cursor = 0;
    const venv_member *member;
    while ((member = venv_groups_next_member(m->groups, &cursor))) {
        known++;
        connected += member->state == VENV_MEMBER_CONNECTED;
        dropped += member->data ? (int64_t)((agent *)member->data)->dropped : 0;
    }
    void *item;
    cursor = 0;
    while (venv_table_next(m->deeds, &cursor, NULL, &item))
        open += venv_mgr_deed_is_open(item);
    venv_map_builder map, agents, actions;
    venv_map_init(&agents);
    venv_map_put(&agents, "connected", venv_value_int(connected));
    venv_map_put(&agents, "known", venv_value_int(known));
    venv_map_init(&actions);
    venv_map_put(&actions, "open", venv_value_int(open));
    venv_map_init(&map);
    venv_map_put(&map, "manager", manager_status(m));
    venv_map_put(&map, "agents", venv_mgr_take_map(m, &agents));
    venv_map_put(&map, "groups", venv_value_int((int64_t)venv_groups_group_count(m->groups)));
    venv_map_put(&map, "environments", venv_value_int((int64_t)venv_table_count(m->environments)));
    venv_map_put(&map, "instances", instances_status(m));
    venv_map_put(&map, "triggers", triggers_status(m));
    venv_map_put(&map, "actions", venv_mgr_take_map(m, &actions));
    venv_map_put(&map, "revision", venv_value_uint(m->revision));
    if (dropped > 0)
        venv_map_put(&map, "dropped", venv_value_int(dropped));
    venv_mgr_guard_status(m, &map);
    if (venv_mgr_sender_count(m) > 0)
        venv_map_put(&map, "queued", venv_value_uint(venv_mgr_sender_count(m)));
    if (venv_mgr_sender_dropped(m) > 0)
        venv_map_put(&map, "unsent", venv_value_uint(venv_mgr_sender_dropped(m)));
    return venv_mgr_take_map(m, &map);
}
