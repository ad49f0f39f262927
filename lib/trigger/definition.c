/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One definition to one compiled trigger. Everything that can be wrong with it is found here, and told
 * with the key that is wrong and what was expected.
 */
#include "trigger/internal.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define EXPIRES_DEFAULT ((venv_span){ 3600 * VENV_NS_PER_S })
#define EXPIRES_MAX     (30 * 24 * 3600 * VENV_NS_PER_S)

typedef struct reader {
    trigger *t;
    const venv_mark *mark; /* of the key that is read */
    const venv_mark *whole; /* of the definition */
    const venv_trigger_options *options;
    venv_value variable;   /* of `for` */
} reader;

typedef venv_rc (*key_fn)(reader *r, const venv_value *value, venv_error *err);

bool venv_trigger_read_span(const venv_value *value, venv_span *ret_span)
{
    if (venv_value_kind(value) == VENV_DURATION)
        return venv_value_to_span(value, ret_span) && ret_span->ns >= 0;
    return venv_value_kind(value) == VENV_STRING && venv_span_parse(venv_value_peek_text(value), ret_span);
}

venv_rc venv_trigger_blame_expr(const venv_mark *mark, venv_error *err)
{
    if (!mark || !err || err->file[0])
        return err ? err->rc : VENV_EINVAL;
    uint32_t line = mark->line, column = mark->column;
    if (err->line > 1 || mark->style == VENV_MARK_LITERAL || mark->style == VENV_MARK_FOLDED) {
        line += err->line > 0 ? err->line - 1 : 0;
        if (mark->style == VENV_MARK_LITERAL)
            line++;
        column = err->column;
    } else if (err->column > 0) {
        column += err->column - 1 + (mark->style == VENV_MARK_PLAIN ? 0 : 1);
    }
    venv_error_at(err, mark->file, line, column);
    return err->rc;
}

static venv_rc compile_bool(reader *r, const char *key, const venv_value *value, venv_expr **ret_expr,
                            venv_error *err)
{
    if (venv_value_kind(value) == VENV_BOOL) {
        const char *text = venv_value_peek_bool(value) ? "true" : "false";
        return venv_expr_compile(r->t->words, text, strlen(text), ret_expr, err);
    }
    if (venv_value_kind(value) != VENV_STRING)
        return venv_error_set(err, VENV_EKIND, "%s: expected an expression, as text", key);
    venv_str source = venv_value_peek_text(value);
    venv_rc rc = venv_expr_compile(r->t->words, source.data, source.size, ret_expr, err);
    if (rc == VENV_OK && !venv_expr_may_be(*ret_expr, VENV_BOOL)) {
        char type[64];
        const char *found = venv_expr_type(*ret_expr);
        size_t size = strlen(found) < sizeof type - 1 ? strlen(found) : sizeof type - 1;
        memcpy(type, found, size);
        type[size] = '\0';
        *ret_expr = venv_expr_unref(*ret_expr);
        rc = venv_error_set(err, VENV_EKIND, "expected an expression that is true or false, this one is of type %s",
                            type);
    }
    if (rc != VENV_OK) {
        venv_trigger_blame_expr(r->mark, err);
        venv_error_prefix(err, "%s", key);
    }
    return rc;
}

static venv_rc key_when(reader *r, const venv_value *value, venv_error *err)
{
    return compile_bool(r, "when", value, &r->t->when, err);
}

static venv_rc key_until(reader *r, const venv_value *value, venv_error *err)
{
    return compile_bool(r, "until", value, &r->t->until, err);
}

static venv_rc key_hold(reader *r, const venv_value *value, venv_error *err)
{
    if (venv_value_kind(value) == VENV_INT) {
        int64_t count = venv_value_peek_int(value);
        if (count < 0 || count > 1000000)
            return venv_error_set(err, VENV_ERANGE, "hold: expected 0 to 1000000 evaluations");
        r->t->hold_count = (uint32_t)count;
        return VENV_OK;
    }
    if (!venv_trigger_read_span(value, &r->t->hold))
        return venv_error_set(err, VENV_EINVAL,
                              "hold: expected a time such as 30s or 2m, or how many evaluations in a row");
    return VENV_OK;
}

static venv_rc key_cooldown(reader *r, const venv_value *value, venv_error *err)
{
    if (!venv_trigger_read_span(value, &r->t->cooldown))
        return venv_error_set(err, VENV_EINVAL, "cooldown: expected a time such as 30s or 2m");
    return VENV_OK;
}

static venv_rc key_every(reader *r, const venv_value *value, venv_error *err)
{
    if (venv_value_kind(value) != VENV_INT || venv_value_peek_int(value) > 1000000000)
        return venv_error_set(err, VENV_EINVAL,
                              "every: expected a whole number of ticks (negative: never, 0: once)");
    r->t->has_every = true;
    r->t->every = venv_value_peek_int(value);
    return VENV_OK;
}

static venv_rc key_on(reader *r, const venv_value *value, venv_error *err)
{
    static const char *const words[] = { "update", "join", "leave", "disconnect", NULL };
    bool is_list = venv_value_kind(value) == VENV_LIST;
    size_t count = is_list ? venv_value_count(value) : 1;
    for (size_t i = 0; i < count; i++) {
        const venv_value *word = is_list ? venv_value_at(value, i) : value;
        size_t at = 0;
        while (words[at] && !venv_value_is_text(word, words[at]))
            at++;
        if (!words[at])
            return venv_error_set(err, VENV_EINVAL, "on: expected a list of update, join, leave, disconnect");
        r->t->on |= 1u << at;
    }
    return VENV_OK;
}

static venv_rc key_limit(reader *r, const venv_value *value, venv_error *err)
{
    return venv_trigger_limit_read(r->t, value, err);
}

static venv_rc key_mode(reader *r, const venv_value *value, venv_error *err)
{
    static const char *const words[] = { [MODE_ACT] = "act", [MODE_OBSERVE] = "observe", [MODE_PROPOSE] = "propose" };
    for (size_t i = 0; i < VENV_COUNT_OF(words); i++) {
        if (!venv_value_is_text(value, words[i]))
            continue;
        r->t->mode = (trigger_mode)i;
        return VENV_OK;
    }
    return venv_error_set(err, VENV_EINVAL, "mode: expected observe, propose or act");
}

static venv_rc key_expires(reader *r, const venv_value *value, venv_error *err)
{
    if (r->t->mode != MODE_PROPOSE)
        return venv_error_set(err, VENV_EINVAL, "expires: it says for how long a proposal may be applied: add mode: propose");
    if (!venv_trigger_read_span(value, &r->t->expires) || r->t->expires.ns < VENV_NS_PER_S || r->t->expires.ns > EXPIRES_MAX)
        return venv_error_set(err, VENV_EINVAL, "expires: expected a time from 1s to 720h, such as 1h");
    return VENV_OK;
}

static venv_rc key_at(reader *r, const venv_value *value, venv_error *err)
{
    /* What fires at a time is over at once: there is nothing to hold, and nothing to recover from. */
    static const char *const others[] = { "until", "hold", "every", "on", "recover" };
    if (venv_value_kind(value) != VENV_STRING)
        return venv_error_set(err, VENV_EKIND, "at: expected a text of five fields (minute, hour, day of month, month, day of "
                              "week), for example \"30 18 * * *\"");
    venv_rc rc = venv_cron_parse(venv_value_peek_text(value), &r->t->at, err);
    if (rc != VENV_OK) {
        venv_trigger_blame_expr(r->mark, err);
        return venv_error_prefix(err, "at");
    }
    r->t->has_at = true;
    for (size_t i = 0; i < VENV_COUNT_OF(others); i++) {
        if (!venv_value_get(&r->t->definition, others[i]))
            continue;
        venv_error_set(err, VENV_EINVAL, "%s does not go together with `at`, which fires at its times and is over at once: take one "
                       "of the two out", others[i]);
        const venv_mark *place = venv_mark_get(r->whole, &r->t->definition, others[i]);
        if (place && err)
            venv_error_at(err, place->file, place->key_line, place->key_column);
        return VENV_EINVAL;
    }
    return VENV_OK;
}

static venv_rc needs_at(const reader *r, const char *key, venv_error *err)
{
    return r->t->has_at ? VENV_OK : venv_error_set(err, VENV_EINVAL, "%s: it says more about `at`, which is missing", key);
}

static venv_rc key_zone(reader *r, const venv_value *value, venv_error *err)
{
    venv_rc rc = needs_at(r, "zone", err);
    if (rc == VENV_OK && venv_value_kind(value) != VENV_STRING)
        rc = venv_error_set(err, VENV_EKIND, "zone: expected a time zone as Europe/Rome, UTC or +02:00");
    if (rc != VENV_OK)
        return rc;
    rc = venv_cron_set_zone(&r->t->at, venv_value_peek_text(value), r->options->zone, r->options->zone_user, err);
    return rc == VENV_OK ? rc : venv_error_prefix(err, "zone");
}

static venv_rc key_late(reader *r, const venv_value *value, venv_error *err)
{
    venv_rc rc = needs_at(r, "late", err);
    if (rc == VENV_OK && !venv_trigger_read_span(value, &r->t->late))
        rc = venv_error_set(err, VENV_EINVAL, "late: expected a time such as 10m or 1h");
    r->t->has_late = rc == VENV_OK;
    return rc;
}

static venv_rc key_do(reader *r, const venv_value *value, venv_error *err)
{
    return venv_trigger_plan_compile(r->t->words, "do", value, r->mark, &r->t->act, err);
}

static venv_rc key_recover(reader *r, const venv_value *value, venv_error *err)
{
    return venv_trigger_plan_compile(r->t->words, "recover", value, r->mark, &r->t->recover, err);
}

/* `NAME in LIST`: the name becomes a variable, the list is an expression. */
static venv_rc key_for(reader *r, const venv_value *value, venv_error *err)
{
    static const char expected[] = "for: expected 'NAME in LIST', for example: env in [\"class1\", \"class2\"]";
    if (venv_value_kind(value) != VENV_STRING)
        return venv_error_set(err, VENV_EKIND, "%s", expected);
    venv_str text = venv_value_peek_text(value);
    size_t at = 0, begin;
    while (at < text.size && text.data[at] == ' ')
        at++;
    begin = at;
    while (at < text.size && (text.data[at] == '_' || (text.data[at] >= 'a' && text.data[at] <= 'z') ||
                              (text.data[at] >= 'A' && text.data[at] <= 'Z') ||
                              (at > begin && text.data[at] >= '0' && text.data[at] <= '9')))
        at++;
    size_t end = at;
    while (at < text.size && text.data[at] == ' ')
        at++;
    if (end == begin || end - begin > VENV_NAME_MAX || at == end || text.size - at < 4 ||
        memcmp(text.data + at, "in ", 3) != 0)
        return venv_error_set(err, VENV_EINVAL, "%s", expected);
    r->t->for_variable = strndup(text.data + begin, end - begin);
    if (!r->t->for_variable)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = venv_expr_compile(r->t->words, text.data + at + 3, text.size - at - 3, &r->t->for_list, err);
    if (rc == VENV_OK && !venv_expr_may_be(r->t->for_list, VENV_LIST)) {
        rc = venv_error_set(err, VENV_EKIND, "expected a list after 'in'");
    }
    if (rc == VENV_OK)
        rc = venv_expr_env_variable(r->t->words, r->t->for_variable, "dyn", &r->t->for_slot, err);
    if (rc == VENV_OK)
        return VENV_OK;
    if (r->mark && err && err->line == 1)
        err->column += (uint32_t)at + 3;
    venv_trigger_blame_expr(r->mark, err);
    return venv_error_prefix(err, "for");
}

/* In the order in which they are read: `for` first, because it declares a variable. */
static const struct {
    const char *key;
    key_fn read;
} keys[] = {
    { "for", key_for },     { "when", key_when },         { "until", key_until },     { "hold", key_hold },
    { "cooldown", key_cooldown }, { "every", key_every }, { "at", key_at },           { "zone", key_zone },
    { "late", key_late },   { "on", key_on },
    { "limit", key_limit }, { "mode", key_mode }, { "expires", key_expires },         { "do", key_do },           { "recover", key_recover },
};

static venv_rc check_keys(const venv_value *definition, const venv_mark *mark, venv_error *err)
{
    const char *words[VENV_COUNT_OF(keys) + 1] = { NULL };
    for (size_t i = 0; i < VENV_COUNT_OF(keys); i++)
        words[i] = keys[i].key;
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(definition, i, &key, &value); i++) {
        size_t at = 0;
        while (words[at] && !venv_value_is_text(key, words[at]))
            at++;
        if (words[at])
            continue;
        char shown[80];
        venv_value_print(key, shown, sizeof shown);
        const char *near = venv_value_kind(key) == VENV_STRING ? venv_text_nearest(venv_value_peek_text(key), words)
                                                               : NULL;
        venv_error_set(err, VENV_EINVAL, "a trigger has no key %s%s%s; it has: for when until hold cooldown every on "
                       "at zone late limit mode expires do recover", shown, near ? "; did you mean " : "", near ? near : "");
        const venv_mark *place = venv_mark_at(mark, i);
        if (place && err)
            venv_error_at(err, place->file, place->key_line, place->key_column);
        return VENV_EINVAL;
    }
    return VENV_OK;
}

typedef struct reads {
    bool contextual, now;
} reads;

static void see_expr(void *user, const venv_expr *expr)
{
    reads *r = user;
    const venv_expr_read *read;
    for (size_t i = 0; (read = venv_expr_read_at(expr, i)); i++) {
        if (read->kind != VENV_EXPR_READ_VARIABLE)
            continue;
        const char *name = read->path[0];
        if (strcmp(name, "agent") == 0 || strcmp(name, "group") == 0 || strcmp(name, "property") == 0 ||
            strcmp(name, "reason") == 0)
            r->contextual = true;
        if (strcmp(name, "now") == 0)
            r->now = true;
    }
}

static venv_rc finish(trigger *t, venv_error *err)
{
    if (!t->when && t->has_at) {
        venv_rc rc = venv_expr_compile(t->words, "true", 4, &t->when, err);
        if (rc != VENV_OK)
            return rc;
    }
    if (!t->when)
        return venv_error_set(err, VENV_EINVAL, "`when` is missing: the expression that makes it fire (or `at`: a time)");
    if (t->act.count == 0)
        return venv_error_set(err, VENV_EINVAL, "`do` is missing: what is to be done, for example "
                              "do: [{start: {environment: class2}}]");
    reads r = { false, false };
    see_expr(&r, t->when);
    if (t->until)
        see_expr(&r, t->until);
    venv_trigger_plan_each_expr(&t->act, see_expr, &r);
    venv_trigger_plan_each_expr(&t->recover, see_expr, &r);
    t->contextual = r.contextual;
    t->reads_now = r.now;
    if (t->on == 0 && !t->has_every && !t->has_at) {
        t->on = ON_UPDATE | ON_JOIN | ON_LEAVE | ON_DISCONNECT;
        t->has_every = t->reads_now;
        t->every = 1;
    }
    if (t->contextual && t->has_at)
        return venv_error_set(err, VENV_EINVAL, "it reads agent, group, property or reason, which are known only when "
                              "something changes, and not at a time: use `agents`");
    if (t->contextual && t->on == 0)
        return venv_error_set(err, VENV_EINVAL, "it reads agent, group, property or reason, which are known only when "
                              "something changes: add on: [update], or use `agents`");
    venv_rc rc = venv_table_new(1, VENV_TRIGGER_UNITS_MAX, &t->units, err);
    return rc == VENV_OK ? venv_table_new(1, VENV_TRIGGER_UNITS_MAX, &t->contexts, err) : rc;
}

venv_rc venv_trigger_new(const char *name, const venv_value *definition, const venv_mark *mark,
                         const venv_trigger_options *options, trigger **ret_trigger, venv_error *err)
{
    if (!venv_name_is_valid((venv_str){ name, strlen(name) }))
        return venv_error_set(err, VENV_EINVAL, "'%s' is no name of a trigger: expected 1 to %d lower-case letters, "
                              "digits, '.', '_', '-'", name, VENV_NAME_MAX);
    if (venv_value_kind(definition) != VENV_MAP)
        return venv_error_set(err, VENV_EKIND, "trigger %s: expected a map with at least `when` and `do`", name);
    venv_rc rc = check_keys(definition, mark, err);
    trigger *t = rc == VENV_OK ? calloc(1, sizeof *t) : NULL;
    if (rc == VENV_OK && (!t || !(t->name = strdup(name))))
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK)
        t->expires = EXPIRES_DEFAULT;
    if (rc == VENV_OK)
        rc = venv_value_dup(definition, &t->definition, err);
    if (rc == VENV_OK)
        rc = venv_trigger_words_new(options, &t->words, err);
    reader r = { t, NULL, mark, options, venv_value_null() };
    for (size_t i = 0; rc == VENV_OK && i < VENV_COUNT_OF(keys); i++) {
        const venv_value *value = venv_value_get(definition, keys[i].key);
        if (!value)
            continue;
        r.mark = venv_mark_get(mark, definition, keys[i].key);
        rc = keys[i].read(&r, value, err);
        if (rc != VENV_OK && err && err->file[0] == '\0')
            venv_mark_blame(r.mark, err);
    }
    if (rc == VENV_OK) {
        rc = finish(t, err);
        if (rc != VENV_OK && err && err->file[0] == '\0')
            venv_mark_blame(mark, err);
    }
    if (rc != VENV_OK) {
        venv_trigger_free(t);
        venv_error_prefix(err, "trigger %s", name);
        return rc;
    }
    *ret_trigger = t;
    return VENV_OK;
}

void venv_trigger_free(trigger *t)
{
    if (!t)
        return;
    size_t cursor = 0;
    void *value;
    while (t->units && venv_table_next(t->units, &cursor, NULL, &value))
        venv_trigger_unit_free(value);
    cursor = 0;
    while (t->contexts && venv_table_next(t->contexts, &cursor, NULL, &value))
        venv_trigger_context_free(value);
    venv_table_free(t->units);
    venv_table_free(t->contexts);
    venv_trigger_plan_fini(&t->act);
    venv_trigger_plan_fini(&t->recover);
    venv_cron_fini(&t->at);
    venv_expr_unref(t->for_list);
    venv_expr_unref(t->when);
    venv_expr_unref(t->until);
    venv_expr_env_unref(t->words);
    venv_value_unref(&t->definition);
    free(t->for_variable);
    venv_trigger_limit_fini(t);
    free(t->disabled_by);
    free(t->disabled_why);
    free(t->name);
    free(t);
}
