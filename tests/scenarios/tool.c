/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scenario files without a simulator:
 *
 *   venv_scenario check FILE...      is every file a scenario?
 *   venv_scenario print FILE         the scenario as JSON, for who plays it with real daemons
 *   venv_scenario ask FILE STEP      is the expectation of this step true in the world that is on standard input?
 *   venv_scenario grammar            the statements, as roff: for the manual page
 *
 * `ask` prints {"answer": "true" | "false" | "unknown" | "failed", "why": …, "explained": …}.
 */
#include "scenarios/scenario.h"

#include <venv/codec.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORLD_SIZE_MAX ((size_t)16 << 20)

static char *read_all(FILE *file, size_t max, size_t *ret_size)
{
    char *text = malloc(max + 1);
    if (text)
        *ret_size = fread(text, 1, max + 1, file);
    return text;
}

static scenario *load(const char *path)
{
    FILE *file = fopen(path, "r");
    scenario *sc = NULL;
    venv_error err = { 0 };
    char message[2048];
    size_t size = 0;
    if (!file) {
        fprintf(stderr, "venv_scenario: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    char *text = read_all(file, SCENARIO_SIZE_MAX, &size);
    (void)fclose(file);
    if (!text || scenario_parse(path, text, size, &sc, &err) != VENV_OK)
        fprintf(stderr, "venv_scenario: %s\n", text ? venv_error_format(&err, message, sizeof message) : "out of memory");
    free(text);
    return sc;
}

static int check(char **files)
{
    int count = 0, broken = 0;
    for (; *files; files++, count++) {
        scenario *sc = load(*files);
        broken += sc == NULL;
        scenario_free(sc);
    }
    printf("%d scenario%s looked at; %d broken\n", count, count == 1 ? "" : "s", broken);
    return broken > 0 || count == 0;
}

static int say(venv_map_builder *map)
{
    venv_value value = venv_value_null();
    char *text = NULL;
    size_t size = 0;
    venv_error err = { 0 };
    venv_rc rc = venv_map_take(map, &value, &err);
    if (rc == VENV_OK)
        rc = venv_json_print(&value, VENV_JSON_COMPACT, &text, &size, &err);
    if (rc == VENV_OK)
        puts(text);
    else
        fprintf(stderr, "venv_scenario: %s\n", err.text);
    free(text);
    venv_value_unref(&value);
    return rc != VENV_OK;
}

static void put_list(venv_map_builder *map, const char *key, venv_list_builder *list)
{
    venv_value value = venv_value_null();
    if (venv_list_take(list, &value, NULL) == VENV_OK)
        venv_map_put(map, key, value);
}

static void add_map(venv_list_builder *list, venv_map_builder *map)
{
    venv_value value = venv_value_null();
    if (venv_map_take(map, &value, NULL) == VENV_OK)
        venv_list_add(list, value);
}

static void put_pairs(venv_map_builder *map, const char *key, const scenario_pair *pairs, size_t count)
{
    venv_map_builder inner;
    venv_value value = venv_value_null();
    venv_map_init(&inner);
    for (size_t i = 0; i < count; i++)
        venv_map_put_z(&inner, pairs[i].name, pairs[i].value);
    if (venv_map_take(&inner, &value, NULL) == VENV_OK)
        venv_map_put(map, key, value);
}

static void add_host(venv_list_builder *list, const scenario_host *host)
{
    venv_map_builder map;
    venv_list_builder groups;
    venv_map_init(&map);
    venv_list_init(&groups);
    venv_map_put_z(&map, "name", host->name);
    if (host->manager)
        venv_map_put_z(&map, "manager", host->manager);
    if (host->yaml)
        venv_map_put_text(&map, "yaml", host->yaml, strlen(host->yaml));
    venv_map_put(&map, "cpus", venv_value_int(host->cpus));
    venv_map_put(&map, "memory", venv_value_int(host->memory));
    for (size_t i = 0; i < host->group_count; i++)
        venv_list_add_text(&groups, host->groups[i]);
    put_list(&map, "groups", &groups);
    put_pairs(&map, "properties", host->properties, host->property_count);
    put_pairs(&map, "settings", host->settings, host->setting_count);
    add_map(list, &map);
}

static void add_step(venv_list_builder *list, const scenario_step *step)
{
    venv_map_builder map;
    venv_list_builder args, numbers;
    venv_map_init(&map);
    venv_list_init(&args);
    venv_list_init(&numbers);
    venv_map_put_z(&map, "form", scenario_forms[step->verb].form);
    venv_map_put(&map, "line", venv_value_int(step->line));
    venv_map_put(&map, "simulator", venv_value_bool(scenario_forms[step->verb].where == SCENARIO_IN_SIMULATOR));
    for (size_t i = 0; i < step->count; i++) {
        venv_list_add_text(&args, step->args[i].text);
        venv_list_add(&numbers, venv_value_int(step->args[i].number));
    }
    put_list(&map, "args", &args);
    put_list(&map, "numbers", &numbers);
    add_map(list, &map);
}

static int print(const char *path)
{
    scenario *sc = load(path);
    if (!sc)
        return 1;
    venv_map_builder map;
    venv_list_builder hosts, steps;
    venv_map_init(&map);
    venv_list_init(&hosts);
    venv_list_init(&steps);
    venv_map_put_z(&map, "about", sc->about);
    if (sc->only)
        venv_map_put_z(&map, "only", sc->only);
    for (size_t i = 0; i < sc->host_count; i++)
        add_host(&hosts, &sc->hosts[i]);
    for (size_t i = 0; i < sc->step_count; i++)
        add_step(&steps, &sc->steps[i]);
    put_list(&map, "hosts", &hosts);
    put_list(&map, "steps", &steps);
    int bad = say(&map);
    scenario_free(sc);
    return bad;
}

static int ask(const char *path, const char *number)
{
    static const char *const answers[] = { "false", "true", "unknown", "failed" };
    scenario *sc = load(path);
    if (!sc)
        return 1;
    size_t at = strtoul(number, NULL, 10), size = 0;
    char *text = read_all(stdin, WORLD_SIZE_MAX, &size), why[512] = "";
    venv_value map = venv_value_null();
    venv_error err = { 0 };
    int bad = 1;
    if (at >= sc->step_count || !sc->steps[at].expr)
        fprintf(stderr, "venv_scenario: step %s is no expectation\n", number);
    else if (!text || venv_json_parse(text, size, WORLD_SIZE_MAX, &map, &err) != VENV_OK)
        fprintf(stderr, "venv_scenario: standard input: %s\n", err.text);
    else {
        expect_written written;
        expect_world world;
        venv_map_builder answer;
        expect_of_value(&written, &map, &world);
        expect_answer is = expect_ask(sc->steps[at].expr, &world, why, sizeof why);
        char *explained = expect_explain(sc->steps[at].expr, &world);
        venv_map_init(&answer);
        venv_map_put_z(&answer, "answer", answers[is]);
        venv_map_put_text(&answer, "why", why, strlen(why));
        venv_map_put_text(&answer, "explained", explained ? explained : "", explained ? strlen(explained) : 0);
        bad = say(&answer);
        free(explained);
        venv_value_unref(&world.now);
    }
    free(text);
    venv_value_unref(&map);
    scenario_free(sc);
    return bad;
}

/* Words in capitals are what is filled in: in italics. */
static void print_form(const char *form)
{
    fputs(".TP\n.B ", stdout);
    bool italic = false;
    for (const char *c = form; *c; c++) {
        bool capital = *c >= 'A' && *c <= 'Z';
        if (*c != ' ' && capital != italic && (c == form || c[-1] == ' ')) {
            fputs(capital ? "\\fI" : "\\fB", stdout);
            italic = capital;
        }
        putchar(*c);
    }
    fputs("\\fR\n", stdout);
}

static int grammar(void)
{
    for (int verb = 0; verb < SCENARIO_VERB__COUNT; verb++) {
        const scenario_form *f = &scenario_forms[verb];
        print_form(f->form);
        for (const char *c = f->what; *c; c++)
            fputs(*c == '-' ? "\\-" : *c == '`' ? "" : (char[]){ *c, '\0' }, stdout);
        puts(f->where == SCENARIO_IN_SIMULATOR ? " (simulator only)" : "");
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "check") == 0)
        return check(argv + 2);
    if (argc == 3 && strcmp(argv[1], "print") == 0)
        return print(argv[2]);
    if (argc == 4 && strcmp(argv[1], "ask") == 0)
        return ask(argv[2], argv[3]);
    if (argc == 2 && strcmp(argv[1], "grammar") == 0)
        return grammar();
    fputs("usage: venv_scenario check FILE... | print FILE | ask FILE STEP | grammar\n", stderr);
    return 2;
}
