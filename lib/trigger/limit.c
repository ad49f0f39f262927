/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `limit`: how much a trigger may do in a time, whatever its conditions say.
 *
 *   {actions: 5, per: 10m}                   so many actions; orders are cut down to what is left
 *   {share: 10%, of: GROUP, per: 1h}         so many different agents of a group: its share, rounded down, at least one
 *
 * A start counts once for each instance, a stop and what is like it once for each instance that it would touch, anything
 * else once. What was spent is remembered with the trigger's row, so a restart frees nothing.
 */
#include "trigger/internal.h"

#include <venv/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_WHOLE 10000u            /* 100 %, in hundredths of a percent */
#define TOUCHES_MAX 131072u           /* agents and instances that the orders of one firing touch */
#define LOOK_AGAIN  (60 * VENV_NS_PER_S) /* groups grow: what no time frees is looked at again */

static venv_instant later(venv_instant at, venv_span by)
{
    venv_instant sum;
    return __builtin_add_overflow(at.ns, by.ns, &sum.ns) ? VENV_INSTANT_NEVER : sum;
}

/* --- the definition -------------------------------------------------------------------------------------- */

/* "10%", "2.5%" to hundredths of a percent; 0 if it is none. */
static uint32_t parse_share(const venv_value *value)
{
    venv_str text = venv_value_kind(value) == VENV_STRING ? venv_value_peek_text(value) : VENV_STR("");
    uint32_t whole = 0, digits = 0;
    bool point = false;
    if (text.size < 2 || text.size > 6 || text.data[text.size - 1] != '%' || text.data[0] == '.')
        return 0;
    for (size_t i = 0; i + 1 < text.size; i++) {
        char c = text.data[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9' || (point && ++digits > 2))
            return 0;
        whole = whole * 10 + (uint32_t)(c - '0');
    }
    for (uint32_t i = digits; i < 2; i++)
        whole *= 10;
    return whole <= SHARE_WHOLE ? whole : 0;
}

static venv_rc read_group(const venv_value *value, limit *l, venv_error *err)
{
    venv_str group = venv_value_get_text(value, "of");
    if (group.size == 0 || group.size > VENV_NAME_MAX || memchr(group.data, '\0', group.size))
        return venv_error_set(err, VENV_EINVAL, "limit: share: 10%% needs `of`: the group whose members are counted");
    l->group = strndup(group.data, group.size);
    return l->group ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
}

static venv_rc read_one(trigger *t, const venv_value *value, venv_error *err)
{
    const venv_value *actions = venv_value_get(value, "actions"), *share = venv_value_get(value, "share"),
                     *of = venv_value_get(value, "of"), *per = venv_value_get(value, "per");
    size_t known = (size_t)(actions != NULL) + (share != NULL) + (of != NULL) + (per != NULL);
    limit *l = &t->limits[t->limit_count];
    if (venv_value_kind(value) != VENV_MAP || venv_value_count(value) != known || (!actions && !share) || !per)
        return venv_error_set(err, VENV_EINVAL, "limit: expected {actions: 5, per: 10m}, {share: 10%%, of: GROUP, per: 1h}, or a "
                              "list of them");
    t->limit_count++;
    if (!venv_trigger_read_span(per, &l->per) || l->per.ns <= 0)
        return venv_error_set(err, VENV_EINVAL, "limit: per: expected a time such as 10m");
    int64_t count = actions ? venv_value_get_int(value, "actions", 0) : 0;
    if (actions && (count < 1 || count > (int64_t)VENV_TRIGGER_LIMIT_MAX))
        return venv_error_set(err, VENV_EINVAL, "limit: actions: expected 1 to %u", VENV_TRIGGER_LIMIT_MAX);
    l->actions = (uint32_t)count;
    if (share && (l->share = parse_share(share)) == 0)
        return venv_error_set(err, VENV_EINVAL, "limit: share: expected a part of the group such as 10%% or 2.5%%");
    if (!share && of)
        return venv_error_set(err, VENV_EINVAL, "limit: of: it says more about `share`, which is missing");
    return share ? read_group(value, l, err) : VENV_OK;
}

venv_rc venv_trigger_limit_read(trigger *t, const venv_value *value, venv_error *err)
{
    bool is_list = venv_value_kind(value) == VENV_LIST;
    size_t count = is_list ? venv_value_count(value) : 1;
    if (count < 1 || count > LIMITS_MAX)
        return venv_error_set(err, VENV_ELIMIT, "limit: expected 1 to %u limits", LIMITS_MAX);
    for (size_t i = 0; i < count; i++) {
        venv_rc rc = read_one(t, is_list ? venv_value_at(value, i) : value, err);
        if (rc != VENV_OK)
            return rc;
    }
    for (size_t i = 0; i < t->limit_count; i++)
        t->spent_max = t->limits[i].actions > t->spent_max ? t->limits[i].actions : t->spent_max;
    t->spent = calloc(t->spent_max + 1, sizeof *t->spent);
    if (!t->spent)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    return venv_table_new(1, TOUCHES_MAX, &t->touched, err);
}

void venv_trigger_limit_fini(trigger *t)
{
    size_t cursor = 0;
    void *item;
    while (t->touched && venv_table_next(t->touched, &cursor, NULL, &item))
        free(item);
    venv_table_free(t->touched);
    for (size_t i = 0; i < t->limit_count; i++)
        free(t->limits[i].group);
    free(t->spent);
}

/* --- what was spent -------------------------------------------------------------------------------------- */

static bool has_share(const trigger *t)
{
    for (size_t i = 0; i < t->limit_count; i++)
        if (t->limits[i].share > 0)
            return true;
    return false;
}

static bool within(const limit *l, venv_instant at, venv_now now)
{
    return later(at, l->per).ns > now.mono.ns;
}

/* Forget what no limit counts any more. */
static void prune(trigger *t, venv_now now)
{
    size_t old = 0, cursor = 0;
    venv_str key;
    void *item;
    for (; old < t->spent_count; old++) {
        bool counts = false;
        for (size_t i = 0; i < t->limit_count; i++)
            counts = counts || (t->limits[i].actions > 0 && within(&t->limits[i], t->spent[old].at, now));
        if (counts)
            break;
    }
    memmove(t->spent, t->spent + old, (t->spent_count - old) * sizeof *t->spent);
    t->spent_count -= old;
    while (t->touched && venv_table_next(t->touched, &cursor, &key, &item)) {
        bool counts = false;
        for (size_t i = 0; i < t->limit_count; i++)
            counts = counts || (t->limits[i].share > 0 && within(&t->limits[i], ((spend *)item)->at, now));
        if (counts)
            continue;
        venv_table_remove(t->touched, key.data, key.size);
        free(item);
    }
}

static size_t first_within(const trigger *t, const limit *l, venv_now now)
{
    size_t first = 0;
    while (first < t->spent_count && !within(l, t->spent[first].at, now))
        first++;
    return first;
}

/* How many actions are left of this limit. */
static uint32_t actions_left(const trigger *t, const limit *l, venv_now now)
{
    if (l->actions == 0 || VENV_SEEDED(LIMIT_IGNORED))
        return UINT32_MAX;
    size_t used = t->spent_count - first_within(t, l, now);
    return used < l->actions ? l->actions - (uint32_t)used : 0;
}

/* --- what orders touch ----------------------------------------------------------------------------------- */

typedef struct touching {
    char (*names)[VENV_NAME_MAX + 1];
    size_t count, capacity;
    bool failed;
} touching;

static void touch_one(void *user, const char *agent)
{
    touching *x = user;
    if (x->failed || x->count == TOUCHES_MAX)
        return;
    if (x->count == x->capacity) {
        size_t capacity = x->capacity ? x->capacity * 2 : 16;
        void *grown = realloc(x->names, capacity * sizeof *x->names);
        if (!grown) {
            x->failed = true;
            return;
        }
        x->names = grown;
        x->capacity = capacity;
    }
    snprintf(x->names[x->count++], sizeof *x->names, "%s", agent);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The agents that the orders touch, each once. */
static venv_rc touch_all(const venv_trigger_world *world, const venv_order *orders, size_t count, touching *ret, venv_error *err)
{
    *ret = (touching){ NULL, 0, 0, false };
    for (size_t i = 0; world->touches && i < count; i++)
        world->touches(world->user, &orders[i], touch_one, ret);
    if (ret->failed) {
        free(ret->names);
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    }
    if (ret->count > 1)
        qsort(ret->names, ret->count, sizeof *ret->names, compare_names);
    size_t kept = 0;
    for (size_t i = 0; i < ret->count; i++)
        if (i == 0 || strcmp(ret->names[i], ret->names[kept - 1]) != 0)
            memmove(ret->names[kept++], ret->names[i], sizeof *ret->names);
    ret->count = kept;
    return VENV_OK;
}

/* --- weights and cutting --------------------------------------------------------------------------------- */

static bool is_of_instances(venv_order_verb verb)
{
    switch (verb) {
    case VENV_ORDER_STOP:
    case VENV_ORDER_DESTROY:
    case VENV_ORDER_PAUSE:
    case VENV_ORDER_RESUME:
    case VENV_ORDER_SAVE:
    case VENV_ORDER_RESTORE:
    case VENV_ORDER_MIGRATE:
        return true;
    default:
        return false;
    }
}

static void count_one(void *user, const char *agent)
{
    (void)agent;
    ++*(uint32_t *)user;
}

static uint32_t weight_of(const venv_order *order, const venv_trigger_world *world)
{
    if (order->verb == VENV_ORDER_START)
        return (uint32_t)venv_value_get_int(&order->arguments, "count", 1);
    if (!is_of_instances(order->verb))
        return 1;
    uint32_t count = 0;
    if (!world->touches)
        return (uint32_t)venv_value_get_int(&order->arguments, "count", 1);
    world->touches(world->user, order, count_one, &count);
    return count;
}

static venv_rc order_cut(venv_order *order, uint32_t count, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(&order->arguments, i, &key, &value); i++)
        if (!venv_value_is_text(key, "count"))
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    venv_map_put(&map, "count", venv_value_int(count));
    venv_value cut = venv_value_null();
    venv_rc rc = venv_map_take(&map, &cut, err);
    if (rc != VENV_OK)
        return rc;
    venv_value_unref(&order->arguments);
    order->arguments = cut;
    return VENV_OK;
}

static void drop_order(venv_order *orders, size_t *count, size_t at)
{
    venv_value_unref(&orders[at].arguments);
    memmove(&orders[at], &orders[at + 1], (*count - at - 1) * sizeof *orders);
    orders[--*count].arguments = venv_value_null();
}

/* --- refusals -------------------------------------------------------------------------------------------- */

static void tell_free(venv_now now, venv_instant at, char *text, size_t size)
{
    char wall[VENV_WALL_TEXT_SIZE], span[VENV_SPAN_TEXT_SIZE];
    if (at.ns == VENV_INSTANT_NEVER.ns) {
        snprintf(text, size, "it can never be: the limit is less than this asks for at once");
        return;
    }
    int64_t wait = at.ns > now.mono.ns ? at.ns - now.mono.ns : 0;
    wait -= wait % VENV_NS_PER_S;
    venv_wall_format((venv_wall){ now.wall.ns + wait - (now.wall.ns + wait) % VENV_NS_PER_S }, wall);
    snprintf(text, size, "free again in %s, at %s", venv_span_format((venv_span){ wait }, span, sizeof span), wall);
}

static void refuse_actions(const trigger *t, const limit *l, uint32_t wanted, venv_now now, allowance *ret)
{
    char span[VENV_SPAN_TEXT_SIZE], when[160];
    size_t first = first_within(t, l, now), used = t->spent_count - first;
    ret->refused = true;
    ret->free_at = VENV_INSTANT_NEVER;
    if (wanted <= l->actions && used + wanted > l->actions)
        ret->free_at = later(t->spent[first + (used + wanted - l->actions) - 1].at, l->per);
    tell_free(now, ret->free_at, when, sizeof when);
    snprintf(ret->text, sizeof ret->text, "limit {actions: %u, per: %s} is used up: %zu of %u; %s", l->actions,
             venv_span_format(l->per, span, sizeof span), used, l->actions, when);
}

static int compare_instants(const void *a, const void *b)
{
    const venv_instant *x = a, *y = b;
    return x->ns < y->ns ? -1 : x->ns > y->ns;
}

/* When so many of those that were touched are no longer counted. */
static venv_instant touches_free(const trigger *t, const limit *l, size_t needed, venv_now now, const venv_trigger_world *world)
{
    venv_instant *times = calloc(venv_table_count(t->touched) + 1, sizeof *times), at = VENV_INSTANT_NEVER;
    size_t count = 0, cursor = 0;
    venv_str key;
    void *item;
    char name[VENV_NAME_MAX + 1];
    while (times && venv_table_next(t->touched, &cursor, &key, &item)) {
        snprintf(name, sizeof name, "%.*s", (int)key.size, key.data);
        if (within(l, ((spend *)item)->at, now) && world->is_member(world->user, l->group, name))
            times[count++] = ((spend *)item)->at;
    }
    if (times && count > 0)
        qsort(times, count, sizeof *times, compare_instants);
    if (times && needed > 0 && needed <= count)
        at = later(times[needed - 1], l->per);
    free(times);
    return at;
}

/* Whether a share has room for these agents. */
static bool share_fits(const trigger *t, const limit *l, const touching *x, venv_now now, const venv_trigger_world *world,
                       allowance *ret)
{
    size_t members = world->members ? world->members(world->user, l->group) : 0, used = 0, fresh = 0, cursor = 0;
    size_t allowed = members * l->share / SHARE_WHOLE;
    venv_str key;
    void *item;
    char name[VENV_NAME_MAX + 1];
    if (members == 0)
        return true; /* then none of them is touched, either */
    allowed = allowed > 0 ? allowed : 1;
    while (venv_table_next(t->touched, &cursor, &key, &item)) {
        snprintf(name, sizeof name, "%.*s", (int)key.size, key.data);
        used += within(l, ((spend *)item)->at, now) && world->is_member(world->user, l->group, name);
    }
    for (size_t i = 0; i < x->count; i++) {
        const spend *s = venv_table_find(t->touched, x->names[i], strlen(x->names[i]));
        fresh += world->is_member(world->user, l->group, x->names[i]) && !(s && within(l, s->at, now));
    }
    if (fresh == 0 || used + fresh <= allowed)
        return true;
    char span[VENV_SPAN_TEXT_SIZE], when[160];
    ret->refused = true;
    ret->free_at = fresh > allowed ? VENV_INSTANT_NEVER : touches_free(t, l, used + fresh - allowed, now, world);
    tell_free(now, ret->free_at, when, sizeof when);
    snprintf(ret->text, sizeof ret->text, "limit {share: %g%%, of: %s, per: %s}: it may touch %zu of %zu agents, has touched %zu "
             "and would touch %zu more; %s", l->share / 100.0, l->group, venv_span_format(l->per, span, sizeof span), allowed,
             members, used, fresh, when);
    return false;
}

static venv_rc shares_fit(const trigger *t, const venv_order *orders, size_t count, venv_now now, const venv_trigger_world *world,
                          allowance *ret, venv_error *err)
{
    touching x;
    ret->refused = false;
    if (!has_share(t) || !world->touches || !world->is_member)
        return VENV_OK;
    venv_rc rc = touch_all(world, orders, count, &x, err);
    if (rc != VENV_OK)
        return rc;
    for (size_t i = 0; i < t->limit_count && !ret->refused; i++)
        if (t->limits[i].share > 0)
            share_fits(t, &t->limits[i], &x, now, world, ret);
    free(x.names);
    return VENV_OK;
}

/* --- what is allowed ------------------------------------------------------------------------------------- */

/* Cut the orders down to what is left of the actions. */
static venv_rc cut_actions(uint32_t left, const venv_trigger_world *world, venv_order *orders, size_t *count, allowance *ret,
                           venv_error *err)
{
    for (size_t i = 0; i < *count;) {
        uint32_t wanted = weight_of(&orders[i], world), got = wanted < left ? wanted : left;
        ret->cut = ret->cut || got < wanted;
        if (got == 0 && wanted > 0) {
            drop_order(orders, count, i);
            continue;
        }
        venv_rc rc = got < wanted ? order_cut(&orders[i], got, err) : VENV_OK;
        if (rc != VENV_OK)
            return rc;
        left -= got;
        ret->granted += got;
        i++;
    }
    return VENV_OK;
}

/* One order of several instances is cut down until its agents fit; several orders belong together, and are not. */
static venv_rc cut_to_share(const trigger *t, const venv_trigger_world *world, venv_order *order, venv_now now, allowance *ret,
                            venv_error *err)
{
    uint32_t low = 0, high = ret->granted;
    allowance last = *ret, other;
    if (order->verb != VENV_ORDER_START && !is_of_instances(order->verb))
        return VENV_OK;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        venv_order tried = { order->verb, venv_value_ref(&order->arguments) };
        venv_rc rc = order_cut(&tried, middle, err);
        if (rc == VENV_OK)
            rc = shares_fit(t, &tried, 1, now, world, &other, err);
        venv_value_unref(&tried.arguments);
        if (rc != VENV_OK)
            return rc;
        if (other.refused)
            high = middle;
        else
            low = middle;
    }
    *ret = last;
    if (low == 0)
        return VENV_OK;
    ret->refused = false;
    ret->cut = true;
    ret->granted = low;
    return order_cut(order, low, err);
}

venv_rc venv_trigger_limit_apply(trigger *t, venv_now now, const venv_trigger_world *world, bool whole, venv_order *orders,
                                 size_t *count, allowance *ret, venv_error *err)
{
    *ret = (allowance){ .free_at = VENV_INSTANT_NEVER };
    if (t->limit_count == 0)
        return VENV_OK;
    prune(t, now);
    uint32_t left = UINT32_MAX, wanted = 0;
    const limit *tightest = NULL;
    for (size_t i = 0; i < t->limit_count; i++) {
        uint32_t here = actions_left(t, &t->limits[i], now);
        if (here < left) {
            left = here;
            tightest = &t->limits[i];
        }
    }
    for (size_t i = 0; i < *count; i++)
        wanted += weight_of(&orders[i], world);
    if (tightest && wanted > left && (whole || left == 0)) {
        refuse_actions(t, tightest, whole ? wanted : 1, now, ret);
        return VENV_OK;
    }
    venv_rc rc = cut_actions(left, world, orders, count, ret, err);
    if (rc == VENV_OK)
        rc = shares_fit(t, orders, *count, now, world, ret, err);
    if (rc == VENV_OK && ret->refused && !whole && *count == 1)
        rc = cut_to_share(t, world, &orders[0], now, ret, err);
    return rc;
}

venv_rc venv_trigger_limit_spend(trigger *t, const allowance *granted, const venv_order *orders, size_t count, venv_now now,
                                 const venv_trigger_world *world, venv_error *err)
{
    touching x = { NULL, 0, 0, false };
    venv_rc rc = has_share(t) ? touch_all(world, orders, count, &x, err) : VENV_OK;
    for (size_t i = 0; rc == VENV_OK && i < x.count; i++) {
        spend *s = venv_table_find(t->touched, x.names[i], strlen(x.names[i]));
        if (!s) {
            s = calloc(1, sizeof *s);
            rc = s ? venv_table_add(t->touched, x.names[i], strlen(x.names[i]), s, err)
                   : venv_error_set(err, VENV_ENOMEM, "out of memory");
            if (rc != VENV_OK)
                free(s);
        }
        if (rc == VENV_OK)
            *s = (spend){ now.mono, now.wall };
    }
    free(x.names);
    if (rc == VENV_ELIMIT) /* more agents than are counted: nothing is freed by it */
        rc = VENV_OK;
    for (uint32_t i = 0; rc == VENV_OK && i < granted->granted && t->spent_count < t->spent_max; i++)
        t->spent[t->spent_count++] = (spend){ now.mono, now.wall };
    return rc;
}

venv_instant venv_trigger_limit_look(const allowance *refused, venv_now now)
{
    venv_instant again = later(now.mono, (venv_span){ LOOK_AGAIN });
    return refused->free_at.ns < again.ns ? refused->free_at : again;
}

venv_rc venv_triggers_spend(venv_triggers *set, const char *name, const venv_order *orders, size_t count, venv_now now,
                            const venv_trigger_world *world, venv_error *err)
{
    trigger *t = venv_table_find(set->by_name, name, strlen(name));
    if (!t)
        return venv_error_set(err, VENV_ENOENT, "no trigger is called '%s'", name);
    venv_order *copies = calloc(count + 1, sizeof *copies);
    if (!copies)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        copies[i] = (venv_order){ orders[i].verb, venv_value_ref(&orders[i].arguments) };
    allowance allowed;
    size_t kept = count;
    venv_rc rc = venv_trigger_limit_apply(t, now, world, true, copies, &kept, &allowed, err);
    if (rc == VENV_OK && allowed.refused)
        rc = venv_error_set(err, VENV_ELIMIT, "%s", allowed.text);
    if (rc == VENV_OK)
        rc = venv_trigger_limit_spend(t, &allowed, copies, kept, now, world, err);
    t->changed = t->changed || rc == VENV_OK;
    venv_trigger_orders_free(copies, count);
    return rc;
}

/* --- rows and looking ------------------------------------------------------------------------------------ */

venv_rc venv_trigger_limit_save(const venv_triggers *set, const trigger *t, venv_map_builder *map, venv_error *err)
{
    venv_list_builder spent, ran, touched;
    venv_value list = venv_value_null();
    size_t cursor = 0;
    venv_str key;
    void *item;
    venv_list_init(&spent);
    for (size_t i = 0; i < t->spent_count; i++)
        venv_list_add(&spent, venv_value_from_wall(t->spent[i].wall));
    venv_rc rc = venv_list_take(&spent, &list, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_put(map, "spent", list);
    venv_list_init(&ran);
    for (size_t i = 0; set->ages && i < t->spent_count; i++)
        venv_list_add(&ran, venv_trigger_stamp(set, t->spent[i].at));
    rc = venv_list_take(&ran, &list, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_put(map, "spent_ran", list);
    if (set->ages && t->spent_count > 0)
        venv_map_put(map, "ran", venv_trigger_stamp(set, t->spent[t->spent_count - 1].at));
    if (!t->touched || venv_table_count(t->touched) == 0)
        return VENV_OK;
    venv_list_init(&touched);
    while (venv_table_next(t->touched, &cursor, &key, &item)) {
        venv_list_builder pair;
        venv_value name = venv_value_null(), both = venv_value_null();
        rc = venv_value_string(key.data, key.size, &name, err);
        venv_list_init(&pair);
        venv_list_add(&pair, name);
        venv_list_add(&pair, venv_value_from_wall(((spend *)item)->wall));
        venv_list_add(&pair, venv_trigger_stamp(set, ((spend *)item)->at));
        if (rc == VENV_OK)
            rc = venv_list_take(&pair, &both, err);
        if (rc != VENV_OK) {
            venv_list_fini(&touched);
            return rc;
        }
        venv_list_add(&touched, both);
    }
    rc = venv_list_take(&touched, &list, err);
    if (rc == VENV_OK)
        venv_map_put(map, "touched", list);
    return rc;
}

static venv_rc restore_touched(const venv_triggers *set, trigger *t, const venv_value *pair, venv_now now, venv_error *err)
{
    const venv_value *name = venv_value_at(pair, 0), *time = venv_value_at(pair, 1);
    venv_wall wall;
    if (!name || !time || venv_value_kind(name) != VENV_STRING || !venv_value_to_wall(time, &wall) ||
        venv_value_peek_text(name).size > VENV_NAME_MAX)
        return VENV_OK;
    spend *s = calloc(1, sizeof *s);
    if (!s)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    *s = (spend){ venv_trigger_instant_of(set, venv_value_at(pair, 2), wall, now), wall };
    venv_str text = venv_value_peek_text(name);
    venv_rc rc = venv_table_add(t->touched, text.data, text.size, s, err);
    if (rc != VENV_OK)
        free(s);
    return rc == VENV_EEXIST || rc == VENV_ELIMIT ? VENV_OK : rc;
}

venv_rc venv_trigger_limit_restore(const venv_triggers *set, trigger *t, const venv_value *row, venv_now now, venv_error *err)
{
    const venv_value *spent = venv_value_get(row, "spent"), *touched = venv_value_get(row, "touched"), *ran = venv_value_get(row, "spent_ran");
    size_t count = spent ? venv_value_count(spent) : 0, from = count > t->spent_max ? count - t->spent_max : 0;
    venv_rc rc = VENV_OK;
    bool stamped = ran && venv_value_count(ran) == count;
    t->spent_count = 0;
    for (size_t i = from; i < count; i++) {
        venv_wall wall;
        if (venv_value_to_wall(venv_value_at(spent, i), &wall))
            t->spent[t->spent_count++] = (spend){ venv_trigger_instant_of(set, stamped ? venv_value_at(ran, i) : NULL, wall, now), wall };
    }
    for (size_t i = 0; rc == VENV_OK && t->touched && touched && i < venv_value_count(touched); i++)
        rc = restore_touched(set, t, venv_value_at(touched, i), now, err);
    return rc;
}

/* {limit, limit_left, limit_per}: of the actions of which least are left. */
void venv_trigger_limit_tell(const trigger *t, venv_now now, venv_map_builder *map)
{
    const limit *tightest = NULL;
    for (size_t i = 0; i < t->limit_count; i++)
        if (t->limits[i].actions > 0 && (!tightest || actions_left(t, &t->limits[i], now) < actions_left(t, tightest, now)))
            tightest = &t->limits[i];
    if (!tightest)
        return;
    venv_map_put(map, "limit", venv_value_int(tightest->actions));
    venv_map_put(map, "limit_left", venv_value_int(actions_left(t, tightest, now)));
    venv_map_put(map, "limit_per", venv_value_from_span(tightest->per));
}

/* [{actions, per, used} | {share, of, per, touched}] */
venv_rc venv_trigger_limit_describe(const trigger *t, venv_now now, venv_value *ret_list, venv_error *err)
{
    venv_list_builder list;
    venv_list_init(&list);
    for (size_t i = 0; i < t->limit_count; i++) {
        const limit *l = &t->limits[i];
        venv_map_builder map;
        venv_value value = venv_value_null();
        venv_map_init(&map);
        venv_map_put(&map, "per", venv_value_from_span(l->per));
        if (l->actions > 0) {
            venv_map_put(&map, "actions", venv_value_int(l->actions));
            venv_map_put(&map, "used", venv_value_int((int64_t)(t->spent_count - first_within(t, l, now))));
        }
        if (l->share > 0) {
            char share[16];
            size_t cursor = 0;
            void *item;
            int64_t touched = 0;
            while (venv_table_next(t->touched, &cursor, NULL, &item))
                touched += within(l, ((spend *)item)->at, now);
            snprintf(share, sizeof share, "%g%%", l->share / 100.0);
            venv_map_put_text(&map, "share", share, strlen(share));
            venv_map_put_text(&map, "of", l->group, strlen(l->group));
            venv_map_put(&map, "touched", venv_value_int(touched));
        }
        venv_rc rc = venv_map_take(&map, &value, err);
        if (rc != VENV_OK) {
            venv_list_fini(&list);
            return rc;
        }
        venv_list_add(&list, value);
    }
    return venv_list_take(&list, ret_list, err);
}
