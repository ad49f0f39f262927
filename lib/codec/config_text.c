/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration rows as people read them: what a row accepts, in words, and the list of all rows for
 * the manual.
 */
#include "codec/config.h"

#include "base/text.h"

#include <inttypes.h>

/* A bound in the unit that the row is written in. */
static void put_amount(const venv_config_row *row, int64_t amount, venv_buf *out)
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    char text[64];
    if (row->kind == VENV_CONFIG_SPAN) {
        venv_buf_append_text(out, venv_span_format((venv_span){ amount }, text, sizeof text));
        return;
    }
    size_t unit = 0;
    if (row->kind == VENV_CONFIG_SIZE)
        for (; amount && amount % 1024 == 0 && unit + 1 < sizeof names / sizeof names[0]; amount /= 1024)
            unit++;
    venv_buf_printf(out, "%" PRId64 "%s", amount, row->kind == VENV_CONFIG_SIZE ? names[unit] : "");
}

/* ", from 1 to 10", ", at least 1", ", at most 10"; `what` is counted: " bytes", " items". */
static void put_bounds(const venv_config_row *row, const char *what, venv_buf *out)
{
    if (row->min == 0 && row->max == 0)
        return;
    bool floor = row->min != 0 || row->kind == VENV_CONFIG_INT || row->kind == VENV_CONFIG_DOUBLE;
    venv_buf_append_text(out, row->max == 0 ? ", at least " : floor ? ", from " : ", at most ");
    if (floor)
        put_amount(row, row->min, out);
    if (floor && row->max)
        venv_buf_append_text(out, " to ");
    if (row->max)
        put_amount(row, row->max, out);
    venv_buf_append_text(out, what);
}

static void put_unit(const venv_config_row *row, venv_buf *out)
{
    if (row->unit)
        venv_buf_printf(out, " (in %s)", row->unit);
}

static void put_choices(const venv_config_row *row, venv_buf *out)
{
    const char *const *choice = row->choices;
    for (size_t i = 0; choice && choice[i]; i++)
        venv_buf_printf(out, "%s%s", i == 0 ? "" : choice[i + 1] ? ", " : " or ", choice[i]);
}

static void put_expected(const venv_config_row *row, venv_buf *out, unsigned depth)
{
    static const char *const words[VENV_CONFIG_KIND__COUNT] = {
        [VENV_CONFIG_ANY] = "any value",
        [VENV_CONFIG_BOOL] = "true or false",
        [VENV_CONFIG_INT] = "an integer",
        [VENV_CONFIG_DOUBLE] = "a number",
        [VENV_CONFIG_STRING] = "a text",
        [VENV_CONFIG_SPAN] = "a duration such as 30s",
        [VENV_CONFIG_SIZE] = "a size such as 512MiB",
        [VENV_CONFIG_NAME] = "a name (a-z and 0-9, after the first also . _ -, at most 64)",
        [VENV_CONFIG_GROUP_NAME] = "a group's name (letters and 0-9, after the first also . _ -, at most 32)",
        [VENV_CONFIG_PATH] = "an absolute path",
        [VENV_CONFIG_ENUM] = "",
        [VENV_CONFIG_EXPRESSION] = "an expression",
        [VENV_CONFIG_LIST] = "a list",
        [VENV_CONFIG_MAP] = "a map",
        [VENV_CONFIG_TABLE] = "a map",
    };
    bool of_scalars = row->of && row->of->kind != VENV_CONFIG_TABLE && row->of->kind != VENV_CONFIG_ANY;
    venv_buf_append_text(out, words[row->kind]);
    switch (row->kind) {
    case VENV_CONFIG_ENUM:
        put_choices(row, out);
        break;
    case VENV_CONFIG_INT:
    case VENV_CONFIG_DOUBLE:
    case VENV_CONFIG_SPAN:
    case VENV_CONFIG_SIZE:
        put_bounds(row, "", out);
        put_unit(row, out);
        break;
    case VENV_CONFIG_STRING:
    case VENV_CONFIG_PATH:
        put_bounds(row, " bytes", out);
        break;
    case VENV_CONFIG_LIST:
    case VENV_CONFIG_MAP:
        put_bounds(row, row->kind == VENV_CONFIG_LIST ? " items" : " entries", out);
        if (of_scalars && depth < VENV_CONFIG_DEPTH_MAX) {
            venv_buf_append_text(out, ", each ");
            put_expected(row->of, out, depth + 1);
        }
        if (row->one_or_list)
            venv_buf_append_text(out, ", or one such by itself");
        break;
    default:
        break;
    }
    if (row->or_null)
        venv_buf_append_text(out, ", or null");
}

void venv_config_expected(const venv_config_row *row, venv_buf *out)
{
    put_expected(row, out, 0);
}

typedef struct tour {
    venv_rc (*visit)(void *user, const venv_config_line *line);
    void *user;
    venv_buf path; /* to the row that is visited */
} tour;

/* The rows that one row holds; the steps to them go to the path. */
static const venv_config_row *nested_rows(tour *t, const venv_config_row *row)
{
    for (unsigned depth = 0; row && depth < VENV_CONFIG_DEPTH_MAX; depth++, row = row->of) {
        if (row->kind == VENV_CONFIG_TABLE)
            return row->of;
        if (row->kind != VENV_CONFIG_LIST && row->kind != VENV_CONFIG_MAP)
            return NULL;
        venv_buf_append_text(&t->path, row->kind == VENV_CONFIG_LIST ? "[]" : ".NAME");
    }
    return NULL;
}

static venv_rc visit_row(tour *t, const venv_config_row *row)
{
    venv_buf expected;
    venv_buf_init(&expected, 1024);
    venv_config_expected(row, &expected);
    venv_config_line line = { venv_buf_peek_text(&t->path), row, venv_buf_peek_text(&expected) };
    venv_rc rc = t->path.rc != VENV_OK ? t->path.rc : expected.rc;
    if (rc == VENV_OK)
        rc = t->visit(t->user, &line);
    venv_buf_fini(&expected);
    return rc;
}

static venv_rc describe(tour *t, const venv_config_row *rows, unsigned depth)
{
    for (; rows->name; rows++) {
        size_t before = t->path.size;
        if (before)
            venv_buf_append_byte(&t->path, '.');
        venv_buf_append_text(&t->path, rows->name);
        venv_rc rc = visit_row(t, rows);
        if (rc != VENV_OK)
            return rc;
        const venv_config_row *nested = depth < VENV_CONFIG_DEPTH_MAX ? nested_rows(t, rows) : NULL;
        if (nested)
            rc = describe(t, nested, depth + 1);
        if (rc != VENV_OK)
            return rc;
        t->path.size = before;
    }
    return VENV_OK;
}

venv_rc venv_config_describe(const venv_config_row *rows, const char *prefix,
                             venv_rc (*visit)(void *user, const venv_config_line *line), void *user)
{
    tour t = { .visit = visit, .user = user };
    venv_buf_init(&t.path, VENV_CONFIG_PATH_MAX);
    if (prefix)
        venv_buf_append_text(&t.path, prefix);
    venv_rc rc = describe(&t, rows, 0);
    venv_buf_fini(&t.path);
    return rc;
}
