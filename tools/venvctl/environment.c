/* SPDX-License-Identifier: Apache-2.0 */
/* Environments: apply a file of them, look at their versions, compare and delete them. */
#include "venvctl.h"

#include <venv/codec.h>
#include <venv/environment.h>
#include <venv/expr.h>

#include <stdlib.h>
#include <string.h>

/* --- the file ------------------------------------------------------------------------------------------------ */

/* Is it text for cloud-init, or a path on the node? Then it stays; all else is a file beside the definitions. */
static bool stays(venv_str text)
{
    return text.size == 0 || text.data[0] == '#' || text.data[0] == '/' || memchr(text.data, '\n', text.size) ||
           (text.size > 13 && (memcmp(text.data, "Content-Type:", 13) == 0 || memcmp(text.data, "MIME-Version:", 13) == 0));
}

static venv_rc with_entry(const venv_value *map, const char *name, venv_value value, venv_value *ret_map, venv_error *err)
{
    venv_map_builder builder;
    const venv_value *key, *old;
    venv_map_init(&builder);
    for (size_t i = 0; venv_value_entry(map, i, &key, &old); i++)
        if (!venv_value_is_text(key, name))
            venv_map_put_value(&builder, venv_value_ref(key), venv_value_ref(old));
    venv_map_put(&builder, name, value);
    return venv_map_take(&builder, ret_map, err);
}

/* `cloud_init: {user_data: FILE}` with a file beside this one: its text takes the place of its name. */
static int take_user_data(venvctl *app, const char *path, const venv_value *definition, venv_value *ret_definition)
{
    const venv_value *seed = venv_value_get(definition, "cloud_init");
    venv_str name = seed ? venv_value_get_text(seed, "user_data") : (venv_str){ 0 };
    *ret_definition = venv_value_ref(definition);
    if (stays(name))
        return EXIT_DONE;
    const char *slash = strrchr(path, '/');
    char beside[1024];
    if ((size_t)snprintf(beside, sizeof beside, "%.*s%.*s", slash ? (int)(slash - path + 1) : 0, path, (int)name.size, name.data) >= sizeof beside)
        return app_usage(app, "%s: the path of user_data is too long", path);
    venv_error err = { 0 };
    venv_value text = venv_value_null(), inner = venv_value_null(), whole = venv_value_null();
    int code = app_read_text(app, beside, VENV_ENVIRONMENT_USER_DATA_MAX, &text);
    if (code != EXIT_DONE)
        return code;
    venv_str bytes = venv_value_peek_text(&text);
    venv_value string = venv_value_null();
    venv_rc rc = venv_value_string(bytes.data, bytes.size, &string, &err);
    venv_value_unref(&text);
    if (rc == VENV_OK)
        rc = with_entry(seed, "user_data", string, &inner, &err);
    if (rc == VENV_OK)
        rc = with_entry(definition, "cloud_init", inner, &whole, &err);
    if (rc != VENV_OK)
        return app_fail(app, &err);
    venv_value_unref(ret_definition);
    *ret_definition = whole;
    return EXIT_DONE;
}

/* Checked here first: an error has its line and column. */
static int check_one(venvctl *app, const venv_environment_words *words, const char *path, const venv_value *key, const venv_value *value,
                     const venv_mark *mark, venv_map_builder *map)
{
    char name[VENV_NAME_MAX + 1];
    venv_error err = { 0 };
    venv_environment *environment = NULL;
    venv_value definition = venv_value_null();
    venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : (venv_str){ 0 };
    snprintf(name, sizeof name, "%.*s", (int)(text.size < sizeof name ? text.size : sizeof name - 1), text.data ? text.data : "");
    int code = take_user_data(app, path, value, &definition);
    if (code != EXIT_DONE)
        return code;
    bool replaced = !venv_value_equal(&definition, value);
    if (venv_environment_from_value(name, &definition, replaced ? NULL : mark, words, &environment, &err) != VENV_OK) {
        venv_value_unref(&definition);
        (void)venv_mark_blame(err.file[0] ? NULL : mark, &err);
        (void)app_fail(app, &err);
        return EXIT_USAGE;
    }
    venv_environment_unref(environment);
    venv_map_put_value(map, venv_value_ref(key), definition);
    return EXIT_DONE;
}

static int only_environments(venvctl *app, const char *path, const venv_value *file)
{
    const venv_value *key, *all = venv_value_get(file, "environments");
    if (!all || venv_value_kind(all) != VENV_MAP || venv_value_count(all) == 0) {
        app_say(app, "%s: there is no map \"environments\" in it, as venv-environment(5) shows it", path);
        return EXIT_USAGE;
    }
    for (size_t i = 0; venv_value_entry(file, i, &key, NULL); i++)
        if (!venv_value_is_text(key, "environments")) {
            app_say(app, "%s: only environments can be applied; triggers and settings belong to the files of the manager, which reads them "
                         "anew with `venvctl reload`", path);
            return EXIT_USAGE;
        }
    return EXIT_DONE;
}

static int read_definitions(venvctl *app, const char *path, venv_value *ret_definitions)
{
    venv_value file = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_environment_words words = { .place = NULL };
    venv_error err = { 0 };
    int code = app_read_yaml(app, path, &file, &marks);
    if (code == EXIT_DONE)
        code = only_environments(app, path, &file);
    if (code == EXIT_DONE && venv_environment_expr_env(&words.place, &err) != VENV_OK)
        code = app_fail(app, &err);
    const venv_value *all = venv_value_get(&file, "environments"), *key, *value;
    const venv_mark *mark = venv_mark_get(venv_yaml_marks_root(marks), &file, "environments");
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t i = 0; code == EXIT_DONE && venv_value_entry(all, i, &key, &value); i++)
        code = check_one(app, &words, path, key, value, venv_mark_at(mark, i), &map);
    if (code != EXIT_DONE)
        venv_map_fini(&map);
    else if (venv_map_take(&map, ret_definitions, &err) != VENV_OK)
        code = app_fail(app, &err);
    venv_expr_env_unref(words.place);
    venv_yaml_marks_free(marks);
    venv_value_unref(&file);
    return code;
}

/* --- apply --------------------------------------------------------------------------------------------------- */

static void print_differences(venvctl *app, const venv_value *list)
{
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *item = venv_value_at(list, i), *from = venv_value_get(item, "from"), *to = venv_value_get(item, "to");
        char key[160], was[200] = "", is[200] = "";
        (void)venv_text_safe(venv_value_get_text(item, "key"), key, sizeof key);
        if (from)
            (void)venv_value_print(from, was, sizeof was);
        if (to)
            (void)venv_value_print(to, is, sizeof is);
        if (from)
            fprintf(app->out, "- %s: %s\n", key, was);
        if (to)
            fprintf(app->out, "+ %s: %s\n", key, is);
    }
}

static void print_applied(venvctl *app, const venv_value *item)
{
    char name[VENV_NAME_MAX + 2];
    (void)venv_text_safe(venv_value_get_text(item, "name"), name, sizeof name);
    venv_str change = venv_value_get_text(item, "change");
    long long older = (long long)venv_value_get_int(item, "older", 0);
    uint64_t version = venv_value_peek_uint(venv_value_get(item, "version"));
    if (venv_value_is_text(venv_value_get(item, "change"), "same")) {
        fprintf(app->out, "%s: nothing is different from version %llu\n", name, (unsigned long long)version);
        return;
    }
    fprintf(app->out, "%s: %.*s, version %llu", name, (int)change.size, change.data ? change.data : "", (unsigned long long)version);
    if (older)
        fprintf(app->out, "; %lld instance%s of older ones stay%s as %s until started anew", older, older == 1 ? "" : "s", older == 1 ? "s" : "",
                older == 1 ? "it is" : "they are");
    fputs("\n", app->out);
    if (venv_value_is_text(venv_value_get(item, "change"), "changed"))
        print_differences(app, venv_value_get(item, "differences"));
}

int run_apply(venvctl *app)
{
    const char *path = app->value[OPTION_FILE] ? app->value[OPTION_FILE] : app->argument_count ? app->arguments[0] : NULL;
    venv_value definitions = venv_value_null(), items = venv_value_null();
    venv_error err = { 0 };
    venv_id id = { { 0 } };
    if (!path || (app->value[OPTION_FILE] && app->argument_count))
        return app_usage(app, "apply needs one file: --file FILE (-f FILE)");
    int code = app_id(app, OPTION_ID, &id);
    if (code == EXIT_DONE)
        code = read_definitions(app, path, &definitions);
    if (code == EXIT_DONE)
        code = app_connect(app);
    if (code == EXIT_DONE && venv_client_environments_apply(app->client, &definitions, app_has(app, OPTION_DRY_RUN), id, &items, &err) != VENV_OK)
        code = app_fail(app, &err);
    if (code == EXIT_DONE && app_has(app, OPTION_JSON))
        code = print_json(app, &items);
    else if (code == EXIT_DONE && !app_has(app, OPTION_QUIET))
        for (size_t i = 0; i < venv_value_count(&items); i++)
            print_applied(app, venv_value_at(&items, i));
    venv_value_unref(&items);
    venv_value_unref(&definitions);
    return code;
}

/* --- versions ------------------------------------------------------------------------------------------------ */

/* "NAME" or "NAME@VERSION"; 0: no version is said. */
static int parse_reference(venvctl *app, const char *text, char name[VENV_NAME_MAX + 1], uint64_t *ret_version)
{
    const char *at = strchr(text, '@');
    size_t size = at ? (size_t)(at - text) : strlen(text);
    uint64_t version = 0;
    bool good = size > 0 && size <= VENV_NAME_MAX && (!at || (at[1] >= '1' && at[1] <= '9'));
    for (const char *c = at ? at + 1 : ""; good && *c; c++) {
        good = *c >= '0' && *c <= '9' && version < UINT64_MAX / 10 - 1;
        version = version * 10 + (uint64_t)(*c - '0');
    }
    if (!good)
        return app_usage(app, "\"%s\" is no environment: NAME or NAME@VERSION is expected, as class2 or class2@3", text);
    memcpy(name, text, size);
    name[size] = '\0';
    *ret_version = version;
    return EXIT_DONE;
}

static int ask_versions(venvctl *app, const char *name, uint64_t version, uint64_t from, venv_value *ret_versions)
{
    venv_error err = { 0 };
    int code = app->client ? EXIT_DONE : app_connect(app);
    if (code == EXIT_DONE && venv_client_environment_versions(app->client, name, version, from, ret_versions, &err) != VENV_OK)
        code = app_fail(app, &err);
    return code;
}

/* The newest version, and (0 if there is none) the one before it. */
static int find_newest(venvctl *app, const char *name, uint64_t *ret_newest, uint64_t *ret_before)
{
    venv_value versions = venv_value_null();
    int code = ask_versions(app, name, 0, 0, &versions);
    const venv_value *items = venv_value_get(&versions, "items");
    size_t count = code == EXIT_DONE ? venv_value_count(items) : 0;
    *ret_newest = count ? venv_value_peek_uint(venv_value_get(venv_value_at(items, count - 1), "version")) : 0;
    *ret_before = count > 1 ? venv_value_peek_uint(venv_value_get(venv_value_at(items, count - 2), "version")) : 0;
    venv_value_unref(&versions);
    return code;
}

int run_environment_show(venvctl *app)
{
    char name[VENV_NAME_MAX + 1];
    uint64_t version = 0, before;
    venv_value versions = venv_value_null();
    int code = parse_reference(app, app->arguments[0], name, &version);
    if (code == EXIT_DONE && !version)
        code = find_newest(app, name, &version, &before);
    if (code == EXIT_DONE)
        code = ask_versions(app, name, version, 0, &versions);
    if (code == EXIT_DONE)
        code = print_value(app, venv_value_at(venv_value_get(&versions, "items"), 0));
    venv_value_unref(&versions);
    return code;
}

int run_environment_list(venvctl *app)
{
    static const column all[] = { { "NAME", "name", CELL_TEXT },         { "VERSION", "version", CELL_NUMBER }, { "FILES", "files", CELL_TEXT },
                                  { "HYPERVISOR", "hypervisor", CELL_TEXT }, { "VCPUS", "vcpus", CELL_NUMBER }, { "MEMORY", "memory", CELL_SIZE },
                                  { "INSTANCES", "instances", CELL_NUMBER }, { "IMAGE", "image", CELL_TEXT } };
    static const column one[] = { { "NAME", "name", CELL_TEXT },  { "VERSION", "version", CELL_NUMBER }, { "MADE", "made", CELL_AGE },
                                  { "BY", "by", CELL_TEXT },      { "NEWEST", "newest", CELL_TEXT },     { "INSTANCES", "instances", CELL_NUMBER } };
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    int code = EXIT_DONE;
    if (app->argument_count) {
        char name[VENV_NAME_MAX + 1];
        uint64_t version;
        code = parse_reference(app, app->arguments[0], name, &version);
        if (code == EXIT_DONE)
            code = ask_versions(app, name, version, 0, &value);
        if (code == EXIT_DONE)
            code = print_items(app, venv_value_get(&value, "items"), one, sizeof one / sizeof one[0]);
    } else {
        code = app_connect(app);
        if (code == EXIT_DONE && venv_client_list(app->client, "environments", &value, &err) != VENV_OK)
            code = app_fail(app, &err);
        if (code == EXIT_DONE)
            code = print_items(app, &value, all, sizeof all / sizeof all[0]);
    }
    venv_value_unref(&value);
    return code;
}

int run_environment_diff(venvctl *app)
{
    char name[VENV_NAME_MAX + 1], other[VENV_NAME_MAX + 1];
    uint64_t from = 0, to = 0, newest = 0, before = 0;
    venv_value versions = venv_value_null();
    int code = parse_reference(app, app->arguments[0], name, &from);
    if (code == EXIT_DONE && app->argument_count > 1) {
        code = parse_reference(app, app->arguments[1], other, &to);
        if (code == EXIT_DONE && strcmp(name, other) != 0)
            code = app_usage(app, "two versions of one environment are compared, not %s with %s", name, other);
    }
    if (code == EXIT_DONE)
        code = find_newest(app, name, &newest, &before);
    if (code == EXIT_DONE && !from)
        from = before;
    if (code == EXIT_DONE && !from) {
        app_say(app, "environment %s has one version, %llu", name, (unsigned long long)newest);
        return EXIT_DONE;
    }
    if (code == EXIT_DONE)
        code = ask_versions(app, name, to ? to : newest, from, &versions);
    const venv_value *list = venv_value_get(&versions, "differences");
    if (code == EXIT_DONE && app_has(app, OPTION_JSON)) {
        code = print_json(app, list);
    } else if (code == EXIT_DONE && venv_value_count(list) > 0) {
        fprintf(app->out, "--- %s@%llu\n+++ %s@%llu\n", name, (unsigned long long)from, name, (unsigned long long)(to ? to : newest));
        print_differences(app, list);
    }
    venv_value_unref(&versions);
    return code;
}

/* Nobody is asked: the file is here. */
int run_environment_import(venvctl *app)
{
    venv_error err = { 0 };
    venv_value text = venv_value_null();
    char *yaml = NULL;
    int code = app_read_text(app, app->arguments[0], VENV_ENVIRONMENT_XML_MAX, &text);
    if (code != EXIT_DONE)
        return code;
    venv_str bytes = venv_value_peek_text(&text);
    venv_rc rc = venv_environment_import(bytes.data, bytes.size, app->arguments[0], app->value[OPTION_NAME], &yaml, &err);
    if (rc == VENV_OK)
        fputs(yaml, app->out);
    else
        code = app_fail(app, &err);
    free(yaml);
    venv_value_unref(&text);
    return rc == VENV_OK || rc == VENV_ENOMEM ? code : EXIT_USAGE;
}

int run_environment_delete(venvctl *app)
{
    char name[VENV_NAME_MAX + 1];
    uint64_t version = 0;
    venv_id id = { { 0 } };
    venv_error err = { 0 };
    venv_value deleted = venv_value_null();
    int code = parse_reference(app, app->arguments[0], name, &version);
    if (code == EXIT_DONE)
        code = app_id(app, OPTION_ID, &id);
    if (code == EXIT_DONE)
        code = app_connect(app);
    if (code != EXIT_DONE)
        return code;
    bool dry_run = app_has(app, OPTION_DRY_RUN);
    venv_rc rc = venv_client_environment_delete(app->client, name, version, dry_run, id, &deleted, &err);
    return change_finish(app, rc, &deleted, &err, dry_run ? "not in use, and could be deleted" : "deleted");
}
