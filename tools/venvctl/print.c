/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How values look to people: aligned columns, ages, sizes, indented lines. Everything that came from
 * somebody else is escaped before it reaches the terminal. JSON is in json.c.
 */
#include "venvctl.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX   16
#define CELL_SIZE_MAX 256 /* bytes of one cell, with the NUL; longer ones are cut */
#define WIDTH_MAX     48  /* columns of a cell that make its column wider; a longer one moves only its own line */
#define DEPTH_MAX     16  /* of print_value(); what is deeper is printed on one line */

void print_safe(FILE *out, venv_str text)
{
    char piece[1024];
    /* In pieces that fit even if every byte is escaped, never inside a character. */
    while (text.size > 0) {
        size_t size = text.size < 120 ? text.size : 120;
        while (size < text.size && size > 100 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
            size--;
        (void)venv_text_safe((venv_str){ text.data, size }, piece, sizeof piece);
        fputs(piece, out);
        text.data += size;
        text.size -= size;
    }
}

const char *format_age(venv_wall then, venv_wall now, char *buffer, size_t size)
{
    int64_t seconds = (now.ns - then.ns) / VENV_NS_PER_S;
    if (seconds < 0)
        seconds = 0; /* clocks differ */
    if (seconds < 120)
        (void)snprintf(buffer, size, "%" PRId64 "s", seconds);
    else if (seconds < 120 * 60)
        (void)snprintf(buffer, size, "%" PRId64 "m", seconds / 60);
    else if (seconds < 48 * 3600)
        (void)snprintf(buffer, size, "%" PRId64 "h", seconds / 3600);
    else
        (void)snprintf(buffer, size, "%" PRId64 "d", seconds / 86400);
    return buffer;
}

const char *format_size(uint64_t bytes, char *buffer, size_t size)
{
    static const char *const units[] = { "", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;
    uint64_t whole = bytes, rest = 0;
    while (whole >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        rest = whole % 1024;
        whole /= 1024;
        unit++;
    }
    if (unit == 0 || rest * 10 / 1024 == 0 || whole >= 100)
        (void)snprintf(buffer, size, "%" PRIu64 "%s", whole, units[unit]);
    else
        (void)snprintf(buffer, size, "%" PRIu64 ".%" PRIu64 "%s", whole, rest * 10 / 1024, units[unit]);
    return buffer;
}

size_t text_width(venv_str text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.size; i++)
        width += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return width;
}

static void text_cell(venv_str text, char *cell)
{
    size_t need = venv_text_safe(text, cell, CELL_SIZE_MAX - 3);
    if (need == 0)
        memcpy(cell, "-", 2);
    else if (need >= CELL_SIZE_MAX - 3)
        memcpy(cell + strlen(cell), "\xe2\x80\xa6", 4); /* … */
}

static void id_cell(const venv_value *value, char *cell)
{
    venv_id id;
    char text[VENV_ID_TEXT_SIZE];
    if (venv_value_count(value) == 0 && venv_value_peek_text(value).size == 16 && venv_value_to_id(value, &id))
        (void)snprintf(cell, CELL_SIZE_MAX, "%s", venv_id_format(id, text));
    else
        text_cell(venv_value_peek_text(value), cell);
}

static void list_cell(const venv_value *list, char *cell)
{
    size_t used = 0;
    for (size_t i = 0; i < venv_value_count(list) && used + 2 < CELL_SIZE_MAX; i++) {
        const venv_value *item = venv_value_at(list, i);
        if (i > 0)
            cell[used++] = ',';
        cell[used] = 0;
        if (venv_value_kind(item) == VENV_STRING)
            (void)venv_text_safe(venv_value_peek_text(item), cell + used, CELL_SIZE_MAX - used);
        else
            (void)venv_value_print(item, cell + used, CELL_SIZE_MAX - used);
        used += strlen(cell + used);
    }
    if (used == 0)
        memcpy(cell, "-", 2);
}

static venv_str first_line(venv_str text)
{
    const char *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;
    return end ? (venv_str){ text.data, (size_t)(end - text.data) } : text;
}

/* One value on one line, at most CELL_SIZE_MAX bytes. */
static void fill_cell(const venv_value *value, cell_kind kind, venv_wall now, char *cell)
{
    venv_wall then;
    venv_span span;
    venv_kind is = value ? venv_value_kind(value) : VENV_NULL;
    if (kind == CELL_AGE && value && venv_value_to_wall(value, &then)) {
        (void)format_age(then, now, cell, CELL_SIZE_MAX);
    } else if (kind == CELL_SIZE && (is == VENV_INT || is == VENV_UINT)) {
        int64_t bytes = is == VENV_INT ? venv_value_peek_int(value) : (int64_t)venv_value_peek_uint(value);
        (void)format_size(bytes < 0 ? 0 : (uint64_t)bytes, cell, CELL_SIZE_MAX);
    } else if (kind == CELL_LINE && is == VENV_STRING) {
        text_cell(first_line(venv_value_peek_text(value)), cell);
    } else if (is == VENV_NULL) {
        memcpy(cell, "-", 2);
    } else if (is == VENV_STRING) {
        text_cell(venv_value_peek_text(value), cell);
    } else if (is == VENV_BYTES) {
        id_cell(value, cell);
    } else if (is == VENV_BOOL) {
        (void)snprintf(cell, CELL_SIZE_MAX, "%s", venv_value_peek_bool(value) ? "yes" : "no");
    } else if (is == VENV_LIST) {
        list_cell(value, cell);
    } else if (is == VENV_TIMESTAMP && venv_value_to_wall(value, &then)) {
        (void)venv_wall_format(then, cell);
    } else if (is == VENV_DURATION && venv_value_to_span(value, &span)) {
        (void)venv_span_format(span, cell, CELL_SIZE_MAX);
    } else if (is == VENV_UINT) {
        (void)snprintf(cell, CELL_SIZE_MAX, "%" PRIu64, venv_value_peek_uint(value));
    } else {
        (void)venv_value_print(value, cell, CELL_SIZE_MAX);
    }
}

void print_scalar(venvctl *app, FILE *out, const venv_value *value)
{
    if (venv_value_kind(value) == VENV_STRING && venv_value_peek_text(value).size > 0) {
        print_safe(out, venv_value_peek_text(value)); /* whole, however long */
        return;
    }
    char cell[CELL_SIZE_MAX];
    fill_cell(value, CELL_TEXT, app->now, cell);
    fputs(cell, out);
}

static const venv_value *cell_value(const venv_value *item, const column *which)
{
    return venv_value_get(item, which->key);
}

/* How wide each column must be; returns the last one. */
static size_t measure(venvctl *app, const venv_value *items, const column *columns, size_t count, size_t *widths)
{
    char cell[CELL_SIZE_MAX];
    size_t last = 0;
    for (size_t c = 0; c < count; c++) {
        widths[c] = text_width((venv_str){ columns[c].title, strlen(columns[c].title) });
        for (size_t i = 0; i < venv_value_count(items); i++) {
            fill_cell(cell_value(venv_value_at(items, i), &columns[c]), columns[c].kind, app->now, cell);
            size_t width = text_width((venv_str){ cell, strlen(cell) });
            if (width > widths[c] && (width <= WIDTH_MAX || c + 1 == count))
                widths[c] = width;
        }
        last = c;
    }
    return last;
}

static void put_cell(FILE *out, const char *text, size_t width, bool right, bool last)
{
    size_t have = text_width((venv_str){ text, strlen(text) });
    int pad = have < width ? (int)(width - have) : 0;
    if (right)
        fprintf(out, "%*s%s", pad, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    fputs(last ? "\n" : "  ", out);
}

static bool is_right(cell_kind kind)
{
    return kind == CELL_NUMBER || kind == CELL_SIZE;
}

static void print_rows(venvctl *app, const venv_value *items, const column *columns, size_t count, size_t indent)
{
    char cell[CELL_SIZE_MAX];
    size_t widths[COLUMNS_MAX];
    size_t last = measure(app, items, columns, count, widths);
    fprintf(app->out, "%*s", (int)indent, "");
    for (size_t c = 0; c < count; c++)
        put_cell(app->out, columns[c].title, widths[c], is_right(columns[c].kind), c == last);
    for (size_t i = 0; i < venv_value_count(items); i++) {
        fprintf(app->out, "%*s", (int)indent, "");
        for (size_t c = 0; c < count; c++) {
            fill_cell(cell_value(venv_value_at(items, i), &columns[c]), columns[c].kind, app->now, cell);
            put_cell(app->out, cell, widths[c], is_right(columns[c].kind), c == last);
        }
    }
}

int print_items(venvctl *app, const venv_value *items, const column *columns, size_t count)
{
    if (app_has(app, OPTION_JSON))
        return print_json(app, items);
    char cell[CELL_SIZE_MAX];
    if (app_has(app, OPTION_QUIET)) {
        for (size_t i = 0; i < venv_value_count(items); i++) {
            fill_cell(cell_value(venv_value_at(items, i), &columns[0]), columns[0].kind, app->now, cell);
            fprintf(app->out, "%s\n", cell);
        }
        return EXIT_DONE;
    }
    print_rows(app, items, columns, count, 0);
    return EXIT_DONE;
}

static bool is_nested(const venv_value *value)
{
    venv_kind kind = venv_value_kind(value);
    if (kind == VENV_MAP)
        return venv_value_count(value) > 0;
    if (kind != VENV_LIST)
        return false;
    for (size_t i = 0; i < venv_value_count(value); i++) {
        venv_kind item = venv_value_kind(venv_value_at(value, i));
        if (item == VENV_MAP || item == VENV_LIST)
            return true;
    }
    return false;
}

/* One entry of a map while it is put in the order that people read: what it is, how it is, then by the alphabet. */
typedef struct entry {
    unsigned rank;
    char name[CELL_SIZE_MAX];
    const venv_value *value;
} entry;

static unsigned rank_of(const char *name)
{
    static const char *const first[] = { "name", "identity", "id", "kind", "environment", "state", "reason", "since", "node",
                                         "label", "value", "unit", "quality", "time", NULL };
    unsigned rank = 0;
    while (first[rank] && strcmp(first[rank], name) != 0)
        rank++;
    return rank;
}

static int compare_entries(const void *a, const void *b)
{
    const entry *left = a, *right = b;
    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return strcmp(left->name, right->name);
}

static entry *sorted_entries(venvctl *app, const venv_value *map)
{
    entry *entries = calloc(venv_value_count(map) + 1, sizeof *entries);
    const venv_value *key, *value;
    for (size_t i = 0; entries && venv_value_entry(map, i, &key, &value); i++) {
        fill_cell(key, CELL_TEXT, app->now, entries[i].name);
        entries[i].value = value;
        entries[i].rank = rank_of(entries[i].name);
    }
    if (entries)
        qsort(entries, venv_value_count(map), sizeof *entries, compare_entries);
    return entries;
}

/* The lines of a text that has several, each below the key: what a caret points at stays above it. */
static void print_lines(venvctl *app, venv_str text, unsigned depth)
{
    fputs("\n", app->out);
    while (text.size > 0) {
        venv_str line = first_line(text);
        fprintf(app->out, "%*s", (int)depth * 2 + 2, "");
        if (line.size > 0)
            print_safe(app->out, line);
        fputs("\n", app->out);
        size_t used = line.size < text.size ? line.size + 1 : line.size;
        text = (venv_str){ text.data + used, text.size - used };
    }
}

/* Keys whose numbers are bytes: for people in larger units, as in the columns of list. */
static bool is_size(const char *key)
{
    static const char *const keys[] = { "memory", "memory_free", "size", "bytes" };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static void print_entry(venvctl *app, const char *key, const venv_value *value, unsigned depth)
{
    venv_wall then;
    char age[32];
    if (venv_value_kind(value) == VENV_STRING && first_line(venv_value_peek_text(value)).size < venv_value_peek_text(value).size) {
        print_lines(app, venv_value_peek_text(value), depth);
        return;
    }
    char cell[CELL_SIZE_MAX];
    bool whole = venv_value_kind(value) == VENV_INT || venv_value_kind(value) == VENV_UINT;
    if (whole && is_size(key)) {
        fill_cell(value, CELL_SIZE, app->now, cell);
        fprintf(app->out, "%s\n", cell);
        return;
    }
    print_scalar(app, app->out, value);
    if (venv_value_kind(value) == VENV_TIMESTAMP && venv_value_to_wall(value, &then) && then.ns <= app->now.ns)
        fprintf(app->out, " (%s ago)", format_age(then, app->now, age, sizeof age));
    fputs("\n", app->out);
}

static void print_tree(venvctl *app, const venv_value *value, unsigned depth);

/* The columns of a list of maps: all keys that any of them has. 0: it is no such list, has parts of its own, or too many. */
static size_t table_columns(const venv_value *list, char titles[COLUMNS_MAX][CELL_SIZE_MAX], column *columns)
{
    size_t count = 0;
    const venv_value *key, *value;
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *item = venv_value_at(list, i);
        if (venv_value_kind(item) != VENV_MAP)
            return 0;
        for (size_t k = 0; venv_value_entry(item, k, &key, &value); k++) {
            size_t known = 0;
            venv_str name = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : (venv_str){ "", 0 };
            if (is_nested(value) && !venv_value_is_text(key, "value"))
                return 0;
            while (known < count && !venv_value_is_text(key, columns[known].key))
                known++;
            if (known < count)
                continue;
            if (name.size == 0 || name.size >= CELL_SIZE_MAX || count == COLUMNS_MAX)
                return 0;
            memcpy(titles[count], name.data, name.size);
            titles[count][name.size] = 0;
            columns[count] = (column){ titles[count], titles[count], is_size(titles[count]) ? CELL_SIZE : CELL_TEXT };
            count++;
        }
    }
    return count;
}

static int compare_columns(const void *a, const void *b)
{
    const column *left = a, *right = b;
    unsigned left_rank = rank_of(left->key), right_rank = rank_of(right->key);
    /* Sentences go last: they are of any length. */
    left_rank = strcmp(left->key, "reason") == 0 ? UINT_MAX : left_rank;
    right_rank = strcmp(right->key, "reason") == 0 ? UINT_MAX : right_rank;
    return left_rank != right_rank ? (left_rank < right_rank ? -1 : 1) : strcmp(left->key, right->key);
}

static bool print_table(venvctl *app, const venv_value *list, unsigned depth)
{
    char titles[COLUMNS_MAX][CELL_SIZE_MAX];
    column columns[COLUMNS_MAX];
    size_t count = table_columns(list, titles, columns);
    if (count == 0)
        return false;
    qsort(columns, count, sizeof *columns, compare_columns);
    print_rows(app, list, columns, count, depth * 2);
    return true;
}

static void print_list(venvctl *app, const venv_value *list, unsigned depth)
{
    if (print_table(app, list, depth))
        return;
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *item = venv_value_at(list, i);
        fprintf(app->out, "%*s-", (int)depth * 2, "");
        if (is_nested(item) && depth < DEPTH_MAX) {
            fputs("\n", app->out);
            print_tree(app, item, depth + 1);
        } else {
            fputs(" ", app->out);
            print_entry(app, "", item, depth);
        }
    }
}

/* Depth is bounded by DEPTH_MAX; messages are, too. */
static void print_tree(venvctl *app, const venv_value *value, unsigned depth)
{
    if (venv_value_kind(value) == VENV_LIST) {
        print_list(app, value, depth);
        return;
    }
    entry *entries = sorted_entries(app, value);
    size_t widest = 0;
    for (size_t i = 0; entries && i < venv_value_count(value); i++) {
        size_t width = text_width((venv_str){ entries[i].name, strlen(entries[i].name) });
        if (!is_nested(entries[i].value) && width > widest)
            widest = width;
    }
    for (size_t i = 0; entries && i < venv_value_count(value); i++) {
        size_t width = text_width((venv_str){ entries[i].name, strlen(entries[i].name) });
        fprintf(app->out, "%*s%s:", (int)depth * 2, "", entries[i].name);
        if (is_nested(entries[i].value) && depth < DEPTH_MAX) {
            fputs("\n", app->out);
            print_tree(app, entries[i].value, depth + 1);
        } else {
            fprintf(app->out, "%*s", (int)(widest > width ? widest - width : 0) + 1, "");
            print_entry(app, entries[i].name, entries[i].value, depth);
        }
    }
    free(entries);
}

int print_value(venvctl *app, const venv_value *value)
{
    if (app_has(app, OPTION_JSON))
        return print_json(app, value);
    if (venv_value_kind(value) == VENV_MAP || is_nested(value)) {
        print_tree(app, value, 0);
    } else {
        print_scalar(app, app->out, value);
        fputs("\n", app->out);
    }
    return EXIT_DONE;
}
