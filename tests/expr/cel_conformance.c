/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the cases of the public CEL conformance suite (google/cel-spec), one JSON object a line, from
 * every *.jsonl file of a folder:
 *
 *      cel_conformance DIR
 *
 * Prints a line for each failure and last "N passed, N failed". Exit status 0 if none failed, 1 if
 * some did or there were no cases, 2 for wrong usage, 77 if the folder is not there (ctest: skipped).
 */
#include "expr/zoneinfo.h"

#include <venv/codec.h>
#include <venv/expr.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_SIZE (1u << 20)

static unsigned long passed, failed;

static void out_of_luck(const char *what)
{
    fprintf(stderr, "cel_conformance: %s\n", what);
    exit(1);
}

static char *text_of(const venv_value *value)
{
    venv_str text = venv_value_peek_text(value);
    char *copy = strndup(text.data, text.size);
    return copy ? copy : (out_of_luck("out of memory"), NULL);
}

/* A member of a JSON object as text; NULL if it is not there. To be freed. */
static char *member(const venv_value *object, const char *name)
{
    const venv_value *value = venv_value_get(object, name);
    return value && venv_value_kind(value) == VENV_STRING ? text_of(value) : NULL;
}

static size_t decode_base64(const char *text, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t group = 0;
    unsigned bits = 0;
    size_t size = 0;
    for (; *text && *text != '='; text++) {
        const char *digit = strchr(alphabet, *text);
        group = group << 6 | (uint32_t)(digit ? digit - alphabet : 0);
        if ((bits += 6) >= 8)
            out[size++] = (char)(group >> (bits -= 8));
    }
    return size;
}

static venv_value decode(const venv_value *described);

static venv_value decode_list(const venv_value *items)
{
    venv_list_builder list;
    venv_value value;
    venv_list_init(&list);
    for (size_t i = 0; i < venv_value_count(items); i++)
        venv_list_add(&list, decode(venv_value_at(items, i)));
    if (venv_list_take(&list, &value, NULL) != VENV_OK)
        out_of_luck("a list of a case is malformed");
    return value;
}

static venv_value decode_map(const venv_value *pairs)
{
    venv_map_builder map;
    venv_value value;
    venv_map_init(&map);
    for (size_t i = 0; i < venv_value_count(pairs); i++) {
        const venv_value *pair = venv_value_at(pairs, i);
        venv_map_put_value(&map, decode(venv_value_at(pair, 0)), decode(venv_value_at(pair, 1)));
    }
    if (venv_map_take(&map, &value, NULL) != VENV_OK)
        out_of_luck("a map of a case is malformed");
    return value;
}

static int64_t number_of(const venv_value *object, const char *name)
{
    const venv_value *value = venv_value_get(object, name);
    if (!value)
        return 0;
    if (venv_value_kind(value) == VENV_INT)
        return venv_value_peek_int(value);
    char *text = text_of(value);
    int64_t number = strtoll(text, NULL, 10);
    free(text);
    return number;
}

/* Names of types outlive the values that are made of them. */
static const char *keep_name(const char *text)
{
    static char names[32][64];
    size_t i = 0;
    while (i < 31 && names[i][0] && strcmp(names[i], text) != 0)
        i++;
    snprintf(names[i], sizeof names[i], "%s", text);
    return names[i];
}

static venv_value decode_text(const char *kind, const char *text)
{
    venv_value value = venv_value_null();
    venv_rc rc = VENV_OK;
    if (!strcmp(kind, "int"))
        return venv_value_int(strtoll(text, NULL, 10));
    if (!strcmp(kind, "uint"))
        return venv_value_uint(strtoull(text, NULL, 10));
    if (!strcmp(kind, "double"))
        return venv_value_double(strtod(text, NULL));
    if (!strcmp(kind, "type"))
        return venv_value_type(keep_name(text));
    if (!strcmp(kind, "bytes")) {
        char *bytes = malloc(strlen(text) + 1);
        if (!bytes)
            out_of_luck("out of memory");
        rc = venv_value_bytes(bytes, decode_base64(text, bytes), &value, NULL);
        free(bytes);
    } else {
        out_of_luck("a case has a value of an unknown kind");
    }
    if (rc != VENV_OK)
        out_of_luck("out of memory");
    return value;
}

/* A value as the files describe it: an object with one key. */
static venv_value decode(const venv_value *described)
{
    const venv_value *key, *value;
    venv_value result = venv_value_null();
    if (!described || !venv_value_entry(described, 0, &key, &value))
        out_of_luck("a case has no value");
    char *kind = text_of(key);
    if (!strcmp(kind, "null")) {
        result = venv_value_null();
    } else if (!strcmp(kind, "bool")) {
        result = *value;
    } else if (!strcmp(kind, "string")) {
        result = venv_value_ref(value);
    } else if (!strcmp(kind, "list")) {
        result = decode_list(value);
    } else if (!strcmp(kind, "map")) {
        result = decode_map(value);
    } else if (!strcmp(kind, "timestamp")) {
        if (venv_value_timestamp(number_of(value, "seconds"), (uint32_t)number_of(value, "nanos"), &result, NULL) != VENV_OK)
            out_of_luck("a timestamp of a case is malformed");
    } else if (!strcmp(kind, "duration")) {
        if (venv_value_duration(number_of(value, "seconds"), (int32_t)number_of(value, "nanos"), &result, NULL) != VENV_OK)
            out_of_luck("a duration of a case is malformed");
    } else {
        char *text = text_of(value);
        result = decode_text(kind, text);
        free(text);
    }
    free(kind);
    return result;
}

/* The same kind and the same value, all the way down; NaN is NaN, and 0.0 is not -0.0. */
static bool is_same(const venv_value *a, const venv_value *b)
{
    if (venv_value_kind(a) != venv_value_kind(b) || venv_value_count(a) != venv_value_count(b))
        return false;
    switch (venv_value_kind(a)) {
    case VENV_DOUBLE: {
        double x = venv_value_peek_double(a), y = venv_value_peek_double(b);
        return isnan(x) ? isnan(y) != 0 : x == y && !signbit(x) == !signbit(y);
    }
    case VENV_LIST:
        for (size_t i = 0; i < venv_value_count(a); i++) {
            if (!is_same(venv_value_at(a, i), venv_value_at(b, i)))
                return false;
        }
        return true;
    case VENV_MAP:
        for (size_t i = 0; i < venv_value_count(a); i++) {
            const venv_value *key, *value, *other;
            (void)venv_value_entry(a, i, &key, &value);
            if (!(other = venv_value_find(b, key)) || !is_same(value, other))
                return false;
        }
        return true;
    default:
        return venv_value_equal(a, b);
    }
}

typedef struct test_case {
    const venv_value *line;
    char *file, *section, *name, *source;
    venv_expr_env *env;
    venv_value *slots;
    size_t slot_count;
    venv_expr *expr;
    venv_expr_context *context;
} test_case;

static void fail_case(const test_case *test, const char *what, const char *a, const char *b)
{
    printf("%s/%s/%s: %s: ", test->file, test->section, test->name, test->source);
    printf("%s %s%s%s\n", what, a, *b ? ", got " : "", b);
    failed++;
}

static bool declare(test_case *test, venv_error *err)
{
    const venv_value *types = venv_value_get(test->line, "types"), *bindings = venv_value_get(test->line, "bindings");
    const venv_value *key, *value;
    size_t count = venv_value_count(types ? types : bindings);
    bool ok = true;
    for (size_t i = 0; ok && types && i < venv_value_count(types); i++) {
        (void)venv_value_entry(types, i, &key, &value);
        char *name = text_of(key), *type = text_of(value);
        /* A name that is a literal cannot be declared; the case is that the literal wins. */
        ok = venv_expr_env_variable(test->env, name, type, NULL, err) == VENV_OK;
        free(name);
        free(type);
    }
    test->slot_count = venv_expr_env_slot_count(test->env);
    test->slots = calloc(count + test->slot_count + 1, sizeof *test->slots);
    for (size_t i = 0; test->slots && i < test->slot_count; i++)
        test->slots[i] = venv_expr_absent();
    for (size_t i = 0; ok && bindings && i < venv_value_count(bindings); i++) {
        (void)venv_value_entry(bindings, i, &key, &value);
        char *name = text_of(key);
        int64_t slot = venv_expr_env_slot(test->env, name);
        if (slot >= 0)
            test->slots[slot] = decode(value);
        free(name);
    }
    return ok;
}

static void check_result(test_case *test)
{
    venv_expr_input input = { .slots = test->slots, .slot_count = test->slot_count };
    venv_expr_result result;
    venv_error err = { 0 };
    char got[512], wanted[512];
    const venv_value *described = venv_value_get(test->line, "value");
    venv_rc rc = venv_expr_eval(test->expr, test->context, &input, &result, &err);
    if (!described) {
        if (rc != VENV_OK) {
            passed++;
            return;
        }
        (void)venv_value_print(&result.value, got, sizeof got);
        fail_case(test, "expected an error, got", got, "");
        return;
    }
    venv_value value = decode(described);
    (void)venv_value_print(&value, wanted, sizeof wanted);
    if (rc != VENV_OK) {
        fail_case(test, "expected", wanted, err.text);
    } else if (result.outcome != VENV_EXPR_VALUE) {
        fail_case(test, "expected", wanted, "unknown");
    } else if (!is_same(&result.value, &value)) {
        (void)venv_value_print(&result.value, got, sizeof got);
        fail_case(test, "expected", wanted, got);
    } else {
        passed++;
    }
    venv_value_unref(&value);
}

static void run_case(test_case *test)
{
    venv_error err = { 0 };
    char *container = member(test->line, "container"), *deduced = member(test->line, "deduced_type");
    venv_expr_options options = { .macros_off = venv_value_get_bool(test->line, "disable_macros", false),
                                  .check_off = venv_value_get_bool(test->line, "disable_check", false),
                                  .container = container,
                                  .zone = zoneinfo_load };
    venv_str source = venv_value_get_text(test->line, "expr"); /* may hold NUL bytes */
    bool expects_error = venv_value_get(test->line, "error") != NULL;
    if (venv_expr_env_new(&options, &test->env, &err) != VENV_OK || !declare(test, &err)) {
        fail_case(test, "cannot declare:", err.text, "");
    } else if (venv_expr_compile(test->env, source.data, source.size, &test->expr, &err) != VENV_OK) {
        if (expects_error)
            passed++;
        else
            fail_case(test, "does not compile:", err.text, "");
    } else if (deduced && strcmp(deduced, venv_expr_type(test->expr)) != 0) {
        fail_case(test, "expected the type", deduced, venv_expr_type(test->expr));
    } else if (venv_value_get_bool(test->line, "check_only", false)) {
        passed++;
    } else {
        check_result(test);
    }
    for (size_t i = 0; i < test->slot_count; i++)
        venv_value_unref(&test->slots[i]);
    free(test->slots);
    free(container);
    free(deduced);
    (void)venv_expr_unref(test->expr);
    (void)venv_expr_env_unref(test->env);
}

static void run_line(const char *line, size_t size, venv_expr_context *context)
{
    venv_value parsed;
    venv_error err = { 0 };
    if (venv_json_parse(line, size, 0, &parsed, &err) != VENV_OK)
        out_of_luck(err.text);
    test_case test = { .line = &parsed, .context = context };
    test.file = member(&parsed, "file");
    test.section = member(&parsed, "section");
    test.name = member(&parsed, "name");
    test.source = member(&parsed, "expr");
    if (!test.file || !test.section || !test.name || !test.source)
        out_of_luck("a line has no file, section, name or expr");
    run_case(&test);
    free(test.file);
    free(test.section);
    free(test.name);
    free(test.source);
    venv_value_unref(&parsed);
}

static void run_file(const char *path, venv_expr_context *context)
{
    FILE *file = fopen(path, "r");
    char *line = malloc(LINE_MAX_SIZE);
    if (!file || !line)
        out_of_luck(path);
    while (fgets(line, LINE_MAX_SIZE, file)) {
        if (line[strspn(line, " \t\r\n")])
            run_line(line, strlen(line), context);
    }
    free(line);
    fclose(file);
}

static int is_case_file(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 6 && !strcmp(entry->d_name + size - 6, ".jsonl");
}

int main(int argc, char **argv)
{
    struct dirent **names;
    venv_expr_context *context;
    venv_error err = { 0 };
    if (argc != 2) {
        fprintf(stderr, "usage: cel_conformance DIR\n");
        return 2;
    }
    int count = scandir(argv[1], &names, is_case_file, alphasort);
    if (count < 0) {
        printf("skipped: the conformance cases are not in %s (%s)\n", argv[1], strerror(errno));
        return 77;
    }
    if (venv_expr_context_new(&context, &err) != VENV_OK)
        out_of_luck(err.text);
    for (int i = 0; i < count; i++) {
        char path[4096];
        if ((size_t)snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name) < sizeof path)
            run_file(path, context);
        free(names[i]);
    }
    free(names);
    venv_expr_context_free(context);
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed || !passed;
}
