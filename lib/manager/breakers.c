/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Circuit breakers, one for each environment and each node where starts fail or hang.
 *
 *      closed ──failures in the window──► open ──its time──► half-open ──the trial runs──► closed
 *                                          ▲                     │
 *                                          └──the trial fails, and its time is doubled──┘
 *
 * While it is open nothing is started there; half-open lets one start through, the next that is wanted anyway. Whose fault
 * a failure is, is read off all starts of the window:
 *
 *  - an environment that fails on several nodes is at fault itself, and so is one that fails on the only node it was tried on;
 *  - a node on which several environments fail, or one that runs well elsewhere, is at fault.
 *
 * All of that is rows, the starts of the window too, and the times in them are how long the manager had run: a restart forgives no
 * failure, and no clock that is set opens or closes anything.
 *
 * A lack of room is no failure. What cannot be seen is none, either: a hang counts only if the node could have told.
 */
#include "manager/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[BREAKER_STATE__COUNT] = { "closed", "open", "half-open" };
static const venv_id none = { { 0 } };

#define ATTEMPT_KEY "attempt/"

/* --- the table ------------------------------------------------------------------------------------------- */

static void full_name(char *to, size_t size, bool of_node, const char *name)
{
    snprintf(to, size, "%s/%s", of_node ? "node" : "environment", name);
}

breaker *venv_mgr_breaker_of(venv_manager *m, bool of_node, const char *name)
{
    char full[BREAKER_NAME_MAX];
    full_name(full, sizeof full, of_node, name);
    return venv_table_find(m->breakers, full, strlen(full));
}

static breaker *breaker_get(venv_manager *m, bool of_node, const char *name)
{
    breaker *b = venv_mgr_breaker_of(m, of_node, name);
    if (b)
        return b;
    b = calloc(1, sizeof *b);
    if (b) {
        full_name(b->name, sizeof b->name, of_node, name);
        b->of_node = of_node;
        b->since = m->now.wall;
        b->ran = venv_mgr_ran(m);
        b->retry = VENV_INSTANT_NEVER;
    }
    if (!b || venv_table_add(m->breakers, b->name, strlen(b->name), b, NULL) != VENV_OK) {
        free(b);
        venv_mgr_no_memory(m);
        return NULL;
    }
    return b;
}

static const char *own_name(const breaker *b)
{
    return strchr(b->name, '/') + 1;
}

const char *venv_mgr_breaker_state(const breaker *b)
{
    return state_names[b ? b->state : BREAKER_CLOSED];
}

/* --- rows and views -------------------------------------------------------------------------------------- */

static void put_common(venv_map_builder *map, const breaker *b)
{
    venv_map_put_z(map, "state", state_names[b->state]);
    venv_map_put(map, "since", venv_value_from_wall(b->since));
    venv_map_put(map, "failures", venv_value_int(b->failures));
    venv_map_put(map, "opened", venv_value_int(b->opened));
    if (b->state == BREAKER_OPEN)
        venv_map_put(map, "retry", venv_value_from_wall(b->retry_wall));
    if (b->reason[0])
        venv_map_put_text(map, "reason", b->reason, strlen(b->reason));
}

venv_value venv_mgr_breaker_view(venv_manager *m, const breaker *b)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put_z(&map, "name", b->name);
    put_common(&map, b);
    const instance *trial = venv_id_is_none(b->trial) ? NULL : venv_mgr_instance_find(m, b->trial);
    if (trial)
        venv_map_put_z(&map, "trial", trial->name);
    return venv_mgr_take_map(m, &map);
}

static venv_value key_of(venv_manager *m, const breaker *b)
{
    venv_value key = venv_value_null();
    if (venv_value_string_z(b->name, &key, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return key;
}

static void put_row(venv_manager *m, const breaker *b)
{
    if (b->of_node)
        venv_mgr_place_stale(m);
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, b);
    venv_map_put_id(&map, "trial", b->trial);
    venv_mgr_put_ran(&map, b->ran);
    venv_mgr_effect_put(m, VENV_ROWS_BREAKERS, key_of(m, b), venv_mgr_take_map(m, &map));
}

static venv_value attempt_key(venv_manager *m, const start_attempt *t)
{
    char key[48];
    snprintf(key, sizeof key, ATTEMPT_KEY "%020llu", (unsigned long long)t->number);
    return venv_mgr_text_key(m, key);
}

static void put_attempt(venv_manager *m, const start_attempt *t)
{
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "number", venv_value_uint(t->number));
    venv_map_put_text(&map, "environment", t->environment, strlen(t->environment));
    venv_map_put_text(&map, "node", t->node, strlen(t->node));
    venv_map_put(&map, "worked", venv_value_bool(t->worked));
    venv_mgr_put_ran(&map, t->ran);
    venv_mgr_effect_put(m, VENV_ROWS_BREAKERS, attempt_key(m, t), venv_mgr_take_map(m, &map));
}

void venv_mgr_breakers_put(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->breakers, &cursor, NULL, &item))
        put_row(m, item);
    for (size_t i = 0; i < m->attempt_count; i++)
        put_attempt(m, &m->attempts[i]);
}

static void touch(venv_manager *m, const breaker *b)
{
    m->policy_changed = true;
    put_row(m, b);
    venv_triggers_note_instances(m->triggers, own_name(b));
    agent *a = b->of_node ? venv_mgr_agent_find(m, own_name(b)) : NULL;
    if (a) {
        venv_mgr_world_stale(m, a);
        venv_triggers_note_agent(m->triggers, a->name);
    }
}

/* Rows come in any order; those of the window are kept in theirs. */
static bool restore_attempt(venv_manager *m, const venv_value *row)
{
    start_attempt t = { .number = venv_mgr_get_uint(row, "number"), .ran = venv_mgr_get_ran(m, row),
                        .worked = venv_value_get_bool(row, "worked", false) };
    if (t.ran == 0 || !venv_mgr_fits_name(venv_value_get_text(row, "environment"), t.environment) ||
        !venv_mgr_fits_name(venv_value_get_text(row, "node"), t.node))
        return false;
    if (m->attempt_count == ATTEMPTS_MAX)
        return true;
    size_t at = m->attempt_count++;
    for (; at > 0 && m->attempts[at - 1].number > t.number; at--)
        m->attempts[at] = m->attempts[at - 1];
    m->attempts[at] = t;
    m->attempt_last = t.number > m->attempt_last ? t.number : m->attempt_last;
    return true;
}

bool venv_mgr_breaker_restore(venv_manager *m, venv_str key, const venv_value *row)
{
    if (key.size > strlen(ATTEMPT_KEY) && memcmp(key.data, ATTEMPT_KEY, strlen(ATTEMPT_KEY)) == 0)
        return restore_attempt(m, row);
    char name[VENV_NAME_MAX + 1];
    const char *slash = memchr(key.data, '/', key.size);
    venv_str own = slash ? (venv_str){ slash + 1, key.size - (size_t)(slash + 1 - key.data) } : VENV_STR("");
    bool of_node = key.size > 5 && memcmp(key.data, "node/", 5) == 0;
    const venv_value *since = venv_value_get(row, "since"), *retry = venv_value_get(row, "retry");
    unsigned state = 0;
    while (state < BREAKER_STATE__COUNT && !(venv_value_get(row, "state") && venv_value_is_text(venv_value_get(row, "state"), state_names[state])))
        state++;
    breaker *b = state < BREAKER_STATE__COUNT && venv_mgr_fits_name(own, name) ? breaker_get(m, of_node, name) : NULL;
    if (!b)
        return false;
    b->state = VENV_SEEDED(BREAKER_FORGOTTEN) ? BREAKER_CLOSED : (breaker_state)state;
    b->failures = (uint32_t)venv_value_get_int(row, "failures", 0);
    b->opened = (uint32_t)venv_value_get_int(row, "opened", 0);
    venv_value_get_id(row, "trial", &b->trial);
    venv_str reason = venv_value_get_text(row, "reason");
    snprintf(b->reason, sizeof b->reason, "%.*s", (int)(reason.size < REASON_MAX ? reason.size : REASON_MAX - 1), reason.data ? reason.data : "");
    if (since)
        (void)venv_value_to_wall(since, &b->since);
    int64_t ran = venv_mgr_get_ran(m, row);
    if (ran > 0) /* else it ages from now */
        b->ran = ran;
    if (retry && venv_value_to_wall(retry, &b->retry_wall)) {
        /* By how long the manager has run, and never for longer than it was opened for: clocks are set. */
        int64_t most = b->retry_wall.ns - b->since.ns, left = ran > 0 ? most - (venv_mgr_ran(m) - ran) : b->retry_wall.ns - m->now.wall.ns;
        b->retry = venv_mgr_after(m, (venv_span){ left < 0 ? 0 : left < most ? left : most });
    }
    return true;
}

/* --- changes --------------------------------------------------------------------------------------------- */

static void tell(venv_manager *m, const breaker *b, const char *kind, const char *why)
{
    char wall[VENV_WALL_TEXT_SIZE];
    bool open = b->state == BREAKER_OPEN;
    venv_mgr_event_add(m, kind, b->name, none, venv_value_null(), "the breaker of %s is %s%s%s%s%s", b->name, state_names[b->state],
                       open ? " until " : "", open ? venv_wall_format(b->retry_wall, wall) : "", why[0] ? ": " : "", why);
}

static void become_open(venv_manager *m, breaker *b, const char *why)
{
    int64_t wait = m->config->breaker_retry.ns;
    for (uint32_t i = 0; i < b->opened && wait < m->config->breaker_retry_max.ns; i++)
        wait *= 2;
    wait = wait < m->config->breaker_retry_max.ns ? wait : m->config->breaker_retry_max.ns;
    b->state = BREAKER_OPEN;
    b->opened++;
    b->since = m->now.wall;
    b->ran = venv_mgr_ran(m);
    b->trial = none;
    b->retry = venv_mgr_after(m, (venv_span){ wait });
    b->retry_wall = (venv_wall){ m->now.wall.ns + wait };
    venv_mgr_set_reason(b->reason, why);
    touch(m, b);
    tell(m, b, "breaker-open", b->reason);
    venv_mgr_effect_log(m, VENV_LOG_WARNING, "the breaker of %s is open: %s", b->name, b->reason);
}

static void forget_attempts(venv_manager *m, const breaker *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->attempt_count; i++) {
        const start_attempt *t = &m->attempts[i];
        if (strcmp(b->of_node ? t->node : t->environment, own_name(b)) != 0)
            m->attempts[kept++] = *t;
        else
            venv_mgr_effect_delete(m, VENV_ROWS_BREAKERS, attempt_key(m, t));
    }
    m->attempt_count = kept;
}

static void become_closed(venv_manager *m, breaker *b, const char *why)
{
    forget_attempts(m, b);
    b->state = BREAKER_CLOSED;
    b->failures = b->opened = 0;
    b->since = m->now.wall;
    b->ran = venv_mgr_ran(m);
    b->retry = VENV_INSTANT_NEVER;
    b->trial = none;
    b->reason[0] = '\0';
    touch(m, b);
    tell(m, b, "breaker-closed", why);
}

/* --- whose fault ----------------------------------------------------------------------------------------- */

static void drop_oldest(venv_manager *m, size_t count)
{
    for (size_t i = 0; i < count; i++)
        venv_mgr_effect_delete(m, VENV_ROWS_BREAKERS, attempt_key(m, &m->attempts[i]));
    memmove(m->attempts, m->attempts + count, (m->attempt_count - count) * sizeof *m->attempts);
    m->attempt_count -= count;
}

static void prune(venv_manager *m)
{
    size_t old = 0;
    while (old < m->attempt_count && venv_mgr_ran(m) - m->attempts[old].ran >= m->config->breaker_window.ns)
        old++;
    drop_oldest(m, old);
}

static void add_attempt(venv_manager *m, const instance *i, bool worked)
{
    prune(m);
    if (m->attempt_count == ATTEMPTS_MAX)
        drop_oldest(m, 1);
    start_attempt *t = &m->attempts[m->attempt_count++];
    snprintf(t->environment, sizeof t->environment, "%s", i->environment);
    snprintf(t->node, sizeof t->node, "%s", i->node);
    t->number = ++m->attempt_last;
    t->ran = venv_mgr_ran(m);
    t->worked = worked;
    put_attempt(m, t);
}

static bool works_elsewhere(const venv_manager *m, const char *environment, const char *node)
{
    for (size_t i = 0; i < m->attempt_count; i++)
        if (m->attempts[i].worked && strcmp(m->attempts[i].environment, environment) == 0 && strcmp(m->attempts[i].node, node) != 0)
            return true;
    return false;
}

static bool fails_elsewhere(const venv_manager *m, const char *environment, const char *node)
{
    for (size_t i = 0; i < m->attempt_count; i++)
        if (!m->attempts[i].worked && strcmp(m->attempts[i].environment, environment) == 0 && strcmp(m->attempts[i].node, node) != 0)
            return true;
    return false;
}

/* Failures on a node that are its own: of environments that fail nowhere else. */
static bool is_fault_of_node(const venv_manager *m, const char *node, uint32_t *ret_failures)
{
    const char *one = NULL;
    bool several = false;
    uint32_t failures = 0;
    for (size_t i = 0; i < m->attempt_count; i++) {
        const start_attempt *t = &m->attempts[i];
        if (t->worked || strcmp(t->node, node) != 0 || fails_elsewhere(m, t->environment, node))
            continue;
        failures++;
        several = several || (one && strcmp(one, t->environment) != 0);
        one = t->environment;
    }
    *ret_failures = failures;
    return failures >= m->config->breaker_failures && (several || works_elsewhere(m, one, node));
}

static bool is_fault_of_environment(venv_manager *m, const char *environment, const char *node, uint32_t *ret_failures)
{
    uint32_t failures = 0;
    for (size_t i = 0; i < m->attempt_count; i++) {
        const start_attempt *t = &m->attempts[i];
        const breaker *other = venv_mgr_breaker_of(m, true, t->node);
        failures += !t->worked && strcmp(t->environment, environment) == 0 && !(other && other->state == BREAKER_OPEN);
    }
    *ret_failures = failures;
    return failures >= m->config->breaker_failures &&
           (fails_elsewhere(m, environment, node) || !works_elsewhere(m, environment, node));
}

/* It was the node: what its failures said of environments that failed nowhere else is taken back. */
static void clear_environments(venv_manager *m, const char *node)
{
    size_t cursor = 0;
    void *item;
    while (venv_table_next(m->breakers, &cursor, NULL, &item)) {
        breaker *b = item;
        bool failed_here = false;
        for (size_t i = 0; i < m->attempt_count; i++)
            failed_here = failed_here || (!m->attempts[i].worked && strcmp(m->attempts[i].environment, own_name(b)) == 0 &&
                                          strcmp(m->attempts[i].node, node) == 0);
        if (!b->of_node && b->state != BREAKER_CLOSED && failed_here && !fails_elsewhere(m, own_name(b), node))
            become_closed(m, b, "it was the node");
    }
}

static bool was_trial(const breaker *b, const instance *i)
{
    return b && b->state == BREAKER_HALF_OPEN && venv_id_equal(b->trial, i->id);
}

static void count_failure(venv_manager *m, instance *i, const char *why)
{
    breaker *of_node = venv_mgr_breaker_of(m, true, i->node), *of_environment = venv_mgr_breaker_of(m, false, i->environment);
    bool tried_node = was_trial(of_node, i), tried_environment = was_trial(of_environment, i);
    uint32_t failures = 0;
    char text[REASON_MAX + 128];
    snprintf(text, sizeof text, "%s on %s: %s", i->name, i->node, why);
    if (tried_node)
        become_open(m, of_node, text);
    if (tried_environment)
        become_open(m, of_environment, text);
    if (tried_node || tried_environment)
        return;
    if (is_fault_of_node(m, i->node, &failures) && (of_node = breaker_get(m, true, i->node)) && of_node->state == BREAKER_CLOSED) {
        of_node->failures = failures;
        become_open(m, of_node, text);
        clear_environments(m, i->node);
        return;
    }
    bool at_fault = is_fault_of_environment(m, i->environment, i->node, &failures);
    if (!(of_environment = breaker_get(m, false, i->environment)) || of_environment->state != BREAKER_CLOSED)
        return;
    of_environment->failures = failures;
    venv_mgr_set_reason(of_environment->reason, text);
    if (at_fault)
        become_open(m, of_environment, text);
    else
        touch(m, of_environment);
}

static bool is_lack_of_room(venv_rc rc)
{
    return rc == VENV_ELIMIT || rc == VENV_ENOSPACE || rc == VENV_ENOMEM;
}

/* A start failed for good on its node, or (VENV_ETIMEDOUT) hangs there. */
void venv_mgr_start_failed(venv_manager *m, instance *i, venv_rc rc, const char *why)
{
    const agent *a = i->node ? venv_mgr_agent_find(m, i->node) : NULL;
    bool seen = venv_mgr_agent_can_act(a);
    if (m->config->breaker_failures == 0 || !i->node || i->stop_wanted || is_lack_of_room(rc) || rc == VENV_ECANCELED ||
        rc == VENV_ECONFLICT || (rc == VENV_ETIMEDOUT && !seen)) {
        venv_mgr_trial_over(m, i);
        return;
    }
    add_attempt(m, i, false);
    count_failure(m, i, rc == VENV_ETIMEDOUT ? "it hangs: it is not running in time" : why);
}

void venv_mgr_start_worked(venv_manager *m, instance *i)
{
    if (!i->node || m->config->breaker_failures == 0)
        return;
    add_attempt(m, i, true);
    breaker *both[] = { venv_mgr_breaker_of(m, true, i->node), venv_mgr_breaker_of(m, false, i->environment) };
    for (size_t k = 0; k < 2; k++)
        if (was_trial(both[k], i))
            become_closed(m, both[k], "its trial runs");
}

/* The instance ended without telling anything: another start may be the trial. */
void venv_mgr_trial_over(venv_manager *m, const instance *i)
{
    breaker *both[] = { i->node ? venv_mgr_breaker_of(m, true, i->node) : NULL, venv_mgr_breaker_of(m, false, i->environment) };
    for (size_t k = 0; k < 2; k++)
        if (was_trial(both[k], i)) {
            both[k]->trial = none;
            touch(m, both[k]);
        }
}

/* The instance is about to be started: it is the trial of what is half-open. */
void venv_mgr_trial_begin(venv_manager *m, const instance *i)
{
    breaker *both[] = { venv_mgr_breaker_of(m, true, i->node), venv_mgr_breaker_of(m, false, i->environment) };
    for (size_t k = 0; k < 2; k++)
        if (both[k] && both[k]->state == BREAKER_HALF_OPEN) {
            both[k]->trial = i->id;
            touch(m, both[k]);
        }
}

/* Why a start is not let through; false if it is. */
bool venv_mgr_breaker_refuses(venv_manager *m, bool of_node, const char *name, char *text, size_t size)
{
    char wall[VENV_WALL_TEXT_SIZE];
    const breaker *b = venv_mgr_breaker_of(m, of_node, name);
    const instance *trial = b && !venv_id_is_none(b->trial) ? venv_mgr_instance_find(m, b->trial) : NULL;
    if (!b || b->state == BREAKER_CLOSED || VENV_SEEDED(BREAKER_IGNORED) || (b->state == BREAKER_HALF_OPEN && !trial))
        return false;
    if (b->state == BREAKER_OPEN)
        snprintf(text, size, "%s is open until %s (%.80s)", b->name, venv_wall_format(b->retry_wall, wall), b->reason);
    else
        snprintf(text, size, "%s is half-open, and %s is its trial", b->name, trial->name);
    return true;
}

void venv_mgr_breakers_sweep(venv_manager *m)
{
    size_t cursor = 0;
    void *item;
    prune(m);
    while (venv_table_next(m->breakers, &cursor, NULL, &item)) {
        breaker *b = item;
        if (b->state == BREAKER_OPEN && b->retry.ns <= m->now.mono.ns) {
            b->state = BREAKER_HALF_OPEN;
            b->since = m->now.wall;
            b->ran = venv_mgr_ran(m);
            b->trial = none;
            touch(m, b);
            tell(m, b, "breaker-half-open", "the next start is its trial");
        } else if (b->state == BREAKER_CLOSED && venv_mgr_is_old(m, b->ran)) {
            venv_mgr_effect_delete(m, VENV_ROWS_BREAKERS, key_of(m, b));
            venv_table_remove(m->breakers, b->name, strlen(b->name));
            free(b);
        }
    }
}

/* --- what people and triggers see and do ------------------------------------------------------------------- */

/* "environment/NAME", "node/NAME", or NAME where only one is called so. */
venv_rc venv_mgr_breaker_by_text(venv_manager *m, venv_str name, breaker **ret_breaker, venv_error *err)
{
    char own[VENV_NAME_MAX + 1];
    breaker *found = name.size > 0 ? venv_table_find(m->breakers, name.data, name.size) : NULL;
    if (!found && venv_mgr_fits_name(name, own)) {
        breaker *other = venv_mgr_breaker_of(m, true, own);
        found = venv_mgr_breaker_of(m, false, own);
        if (found && other)
            return venv_error_set(err, VENV_ECONFLICT, "an environment and a node are called %s: say environment/%s or node/%s", own, own, own);
        found = found ? found : other;
    }
    if (!found)
        return venv_error_set(err, VENV_ENOENT, "there is no breaker '%.*s': no start failed there (`list breakers` shows those that there are)",
                              (int)(name.size < 80 ? name.size : 80), name.data ? name.data : "");
    *ret_breaker = found;
    return VENV_OK;
}

venv_rc venv_mgr_breaker_reset(venv_manager *m, const char *by, const venv_value *body, breaker **ret_breaker, venv_error *err)
{
    char why[REASON_MAX], text[2 * REASON_MAX];
    venv_str reason = venv_value_get_text(body, "why");
    venv_rc rc = venv_mgr_breaker_by_text(m, venv_value_get_text(body, "breaker"), ret_breaker, err);
    if (rc != VENV_OK)
        return rc;
    snprintf(text, sizeof text, "%.*s", (int)(reason.size < 200 ? reason.size : 200), reason.data ? reason.data : "");
    venv_mgr_set_reason(why, text);
    snprintf(text, sizeof text, "reset by %s%s%s", by, why[0] ? ": " : "", why);
    if (!VENV_SEEDED(RESET_NOT_DONE))
        become_closed(m, *ret_breaker, text);
    return VENV_OK;
}

/* `breaker(NAME)` of expressions: of an environment, or of `node/NAME`. */
venv_rc venv_mgr_ask_breaker(void *user, venv_str name, venv_value *ret_map, venv_error *err)
{
    venv_manager *m = user;
    char own[VENV_NAME_MAX + 1];
    bool of_node = name.size > 5 && memcmp(name.data, "node/", 5) == 0;
    venv_str rest = of_node ? (venv_str){ name.data + 5, name.size - 5 } : name;
    if (!of_node && name.size > 12 && memcmp(name.data, "environment/", 12) == 0)
        rest = (venv_str){ name.data + 12, name.size - 12 };
    if (!venv_mgr_fits_name(rest, own) || (of_node ? !venv_mgr_agent_find(m, own) : !venv_mgr_environment_find(m, own)))
        return venv_error_set(err, VENV_ENOENT, "no %s is called '%.*s'", of_node ? "agent" : "environment",
                              (int)(rest.size < 64 ? rest.size : 64), rest.data ? rest.data : "");
    breaker closed = { .of_node = of_node, .retry = VENV_INSTANT_NEVER, .since = m->started.wall };
    const breaker *b = venv_mgr_breaker_of(m, of_node, own);
    venv_map_builder map;
    venv_map_init(&map);
    put_common(&map, b ? b : &closed);
    return venv_map_take(&map, ret_map, err);
}
