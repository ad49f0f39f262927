/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manager.yaml and what it includes, to one checked configuration. The rows below are also the source of
 * venv-mgr.yaml(5).
 */
#include "manager/config.h"

#include "codec/config.h"
#include "manager/outside.h"
#include "trigger/ask.h"
#include "trigger/trigger.h"

#include <venv/environment.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND VENV_NS_PER_S
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

static const venv_config_row text_row = { "text", VENV_CONFIG_STRING, .min = 1, .max = 1024 };
static const venv_config_row group_row = { .name = "group", .kind = VENV_CONFIG_GROUP_NAME };
static const venv_config_row any_row = { "definition", VENV_CONFIG_ANY, .help = "Checked by its own folder." };

static const venv_config_row tls_rows[] = {
    { "ca", VENV_CONFIG_PATH, .required = true, .help = "The cluster's CA certificate." },
    { "certificate", VENV_CONFIG_PATH, .required = true, .help = "The manager's certificate." },
    { "key", VENV_CONFIG_PATH, .required = true, .help = "Its private key; readable by the manager only." },
    { .name = NULL },
};

static const venv_config_row rate_rows[] = {
    { "rate", VENV_CONFIG_INT, .required = true, .min = 1, .max = 1000000, .unit = "messages a second", .help = "Most messages in a second." },
    { "burst", VENV_CONFIG_INT, .min = 1, .max = 1000000, .fallback = "1", .unit = "messages", .help = "Messages that may leave at once." },
    { .name = NULL },
};
static const venv_config_row rate_row = { .name = "rate", .kind = VENV_CONFIG_TABLE, .of = rate_rows };
static const venv_config_row breaker_rows[] = {
    { "failures", VENV_CONFIG_INT, .min = 0, .max = 100, .fallback = "3",
      .help = "Starts that fail or hang within window and open the breaker of an environment or node; 0: there are no breakers." },
    { "window", VENV_CONFIG_SPAN, .min = SECOND, .max = DAY, .fallback = "10m", .help = "Time in which failures are counted." },
    { "retry", VENV_CONFIG_SPAN, .min = SECOND, .max = DAY, .fallback = "1m",
      .help = "Time after which an open breaker lets one start through as a trial; doubled each time that the trial fails." },
    { "retry_max", VENV_CONFIG_SPAN, .min = SECOND, .max = 30 * DAY, .fallback = "1h", .help = "The longest such time." },
    { .name = NULL },
};

static const venv_config_row node_rows[] = {
    { "for", VENV_CONFIG_STRING, .required = true, .min = 1, .max = VENV_NAME_MAX + 1, .help = "A node by its name, or @GROUP. Groups are what agents say of themselves: give a zone of trust by names." },
    { "vcpu_overcommit", VENV_CONFIG_DOUBLE, .min = 0, .max = 1000, .help = "vCPUs that are given out for each processor." },
    { "memory_overcommit", VENV_CONFIG_DOUBLE, .min = 0, .max = 100, .help = "Memory that is given out for each byte there is." },
    { "zone", VENV_CONFIG_NAME, .help = "Its zone of trust: environments that name zones run only in those." },
    { .name = NULL },
};
static const venv_config_row node_row = { .name = "node", .kind = VENV_CONFIG_TABLE, .of = node_rows };

static const venv_config_row manager_rows[] = {
    { "name", VENV_CONFIG_NAME, .required = true, .help = "Name of the manager; its certificate is for venv://CLUSTER/manager/NAME." },
    { "listen", VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .min = 1, .max = VENV_MANAGER_LISTEN_MAX,
      .fallback = "[\"0.0.0.0:7420\"]", .help = "Addresses to listen on: ADDRESS:PORT or [IPv6]:PORT." },
    { "state", VENV_CONFIG_STRING, .min = 1, .max = 1024, .fallback = "/var/lib/venv/manager",
      .help = "Folder of the database, or memory: for one that ends with the manager." },
    { "tls", VENV_CONFIG_TABLE, .required = true, .of = tls_rows, .help = "Files that say who the manager is." },
    { "tick", VENV_CONFIG_SPAN, .min = SECOND / 100, .max = HOUR, .fallback = "1s", .help = "Unit of every in triggers." },
    { "heartbeat", VENV_CONFIG_SPAN, .min = SECOND / 10, .max = HOUR, .fallback = "5s",
      .help = "Time between heartbeats with each peer." },
    { "suspect", VENV_CONFIG_SPAN, .min = SECOND / 10, .max = HOUR, .fallback = "15s",
      .help = "An agent that is silent for this long is suspect, and so is one that hung up. Its values are unknown to triggers, and "
              "nothing is placed on it. One that is heard but does not confirm for this long that it hears is hung up on." },
    { "lost", VENV_CONFIG_SPAN, .min = SECOND / 10, .max = DAY, .fallback = "45s",
      .help = "An agent that was not heard for this long is lost; a silent connection is ended, and instances that cannot be seen for "
              "this long are lost, too. After a start of the manager the agents known from before have this long to come back." },
    { "groups", VENV_CONFIG_LIST, .of = &group_row, .one_or_list = true, .max = VENV_MANAGER_GROUPS_MAX, .fallback = "[]",
      .help = "Groups that this manager serves, where several managers share a network. An agent that is in none of them is refused, "
              "and its groups that are not among them are not seen here. Empty: all groups." },
    { "name_hold", VENV_CONFIG_SPAN, .min = 0, .max = 30 * DAY, .fallback = "10m",
      .help = "The name of an agent stays with its machine for this long after the agent was heard last: another machine with the same "
              "certificate is refused and flagged until then, or until venvctl forget." },
    { "connect_rate", VENV_CONFIG_INT, .min = 1, .max = 100000, .fallback = "250", .unit = "agents a second",
      .help = "Agents that are let in in a second, and as many at once; the others are told when to come again. Agents are also told to "
              "spread so, should they lose the manager." },
    { "first_frame", VENV_CONFIG_SPAN, .min = SECOND / 10, .max = HOUR, .fallback = "5s",
      .help = "A peer that does not say who it is for this long is hung up on." },
    { "action_timeout", VENV_CONFIG_SPAN, .min = SECOND, .max = DAY, .fallback = "2m",
      .help = "An action that has no result by then is unknown." },
    { "move_timeout", VENV_CONFIG_SPAN, .min = SECOND, .max = DAY, .fallback = "30m",
      .help = "The same for a save, a restore and a migration, which move the memory of a guest." },
    { "pending_timeout", VENV_CONFIG_SPAN, .min = SECOND, .max = 30 * DAY, .fallback = "10m",
      .help = "An instance that no node could take by then has failed." },
    { "grace", VENV_CONFIG_SPAN, .min = 0, .max = HOUR, .fallback = "30s",
      .help = "Time that a guest has to shut down before it is powered off, where nobody says otherwise." },
    { "vcpu_overcommit", VENV_CONFIG_DOUBLE, .min = 0, .max = 1000, .fallback = "2",
      .help = "vCPUs that are given out for each processor of a node." },
    { "memory_overcommit", VENV_CONFIG_DOUBLE, .min = 0, .max = 100, .fallback = "1",
      .help = "Memory that is given out to guests for each byte of a node, without its reserve. More than 1 needs swap on the nodes, or guests "
              "that do not use what they have." },
    { "nodes", VENV_CONFIG_LIST, .of = &node_row, .one_or_list = true, .max = VENV_MANAGER_NODE_RULES_MAX, .fallback = "[]",
      .help = "What is otherwise on some nodes: [{for: node07, zone: trusted}, {for: '@lab', vcpu_overcommit: 4}]. Of each key the first "
              "rule counts that is for the node and says it." },
    { "memory_reserve", VENV_CONFIG_SIZE, .min = 0, .max = INT64_C(1) << 44, .fallback = "256MiB",
      .help = "Memory of each node that guests do not get." },
    { "breaker", VENV_CONFIG_TABLE, .of = breaker_rows, .fallback = "{}",
      .help = "Circuit breakers of environments and nodes whose starts fail or hang." },
    { "start_nodes", VENV_CONFIG_INT, .min = 1, .max = 10, .fallback = "3",
      .help = "Nodes that a start which names none is tried on, one after the other, when it fails for good." },
    { "retention", VENV_CONFIG_SPAN, .min = MINUTE, .max = 3650 * DAY, .fallback = "30d",
      .help = "Ended actions and instances, and answers to requests, are kept while the manager runs for this long; setting the clock does not count." },
    { "history", VENV_CONFIG_SPAN, .min = 0, .max = 3650 * DAY, .fallback = "30d",
      .help = "What was known when (values of properties, states of agents and instances) is kept for this long; 0: it is not recorded." },
    { "history_max", VENV_CONFIG_SIZE, .min = INT64_C(1) << 20, .max = INT64_C(1) << 50, .fallback = "16GiB",
      .help = "Most room that the history takes on the disk; the oldest part goes first." },
    { "events_max", VENV_CONFIG_INT, .min = 1000, .max = 100000000, .fallback = "1000000", .help = "Events that are kept." },
    { "send_rate", VENV_CONFIG_INT, .min = 0, .max = 1000000, .fallback = "0", .unit = "messages a second",
      .help = "Most messages to agents in a second; 0: no limit." },
    { "send_burst", VENV_CONFIG_INT, .min = 1, .max = 1000000, .fallback = "100", .unit = "messages",
      .help = "Messages that may leave at once before send_rate counts." },
    { "group_rates", VENV_CONFIG_MAP, .keys = VENV_CONFIG_GROUP_NAME, .of = &rate_row, .max = VENV_MANAGER_RATES_MAX, .fallback = "{}",
      .help = "The same for the agents of a group, besides: {GROUP: {rate: N, burst: N}}. A message to one of them counts in each "
              "of its groups, waits until all of them have room, and holds up no other group. Its order for one agent is kept." },
    { .name = NULL },
};

static const venv_config_row main_rows[] = {
    { "manager", VENV_CONFIG_TABLE, .required = true, .of = manager_rows, .help = "The manager itself." },
    { "include", VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .max = VENV_MANAGER_INCLUDES_MAX, .fallback = "[]",
      .help = "Further files, or patterns of them, with environments and triggers." },
    { "environments", VENV_CONFIG_MAP, .of = &any_row, .or_null = true, .fallback = "{}", .help = "What can be started: venv-environment(5)." },
    { "triggers", VENV_CONFIG_MAP, .of = &any_row, .or_null = true, .fallback = "{}", .help = "When what is done." },
    { "mail", VENV_CONFIG_TABLE, .of = venv_mgr_outside_mail, .help = "How the action mail sends, and to whom." },
    { "webhooks", VENV_CONFIG_MAP, .of = &venv_mgr_outside_webhook, .max = 256, .fallback = "{}", .help = "Where the action webhook may send." },
    { "plugins", VENV_CONFIG_LIST, .of = &venv_mgr_outside_plugin, .one_or_list = true, .max = 32, .fallback = "[]",
      .help = "Folders with the executables that the action plugin may run on this host." },
    { .name = NULL },
};

/* A further file holds no section `manager`. */
static const venv_config_row further_rows[] = {
    { "include", VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true, .max = VENV_MANAGER_INCLUDES_MAX, .fallback = "[]" },
    { "environments", VENV_CONFIG_MAP, .of = &any_row, .or_null = true, .fallback = "{}" },
    { "triggers", VENV_CONFIG_MAP, .of = &any_row, .or_null = true, .fallback = "{}" },
    { .name = NULL },
};

const venv_config_row *venv_manager_config_rows(void)
{
    return main_rows;
}

/* One parsed file. */
typedef struct document {
    venv_value value, settings;
    venv_yaml_marks *marks;
} document;

static void document_fini(document *d)
{
    venv_value_unref(&d->value);
    venv_value_unref(&d->settings);
    venv_yaml_marks_free(d->marks);
}

static venv_rc document_read(const venv_manager_source *source, bool main, document *d, venv_error *err)
{
    venv_rc rc = venv_yaml_parse(source->text.data, source->text.size, source->file, &d->value, &d->marks, err);
    if (rc != VENV_OK)
        return rc;
    const venv_mark *root = venv_yaml_marks_root(d->marks);
    if (venv_value_kind(&d->value) == VENV_NULL && !main) {
        venv_map_builder map;
        venv_map_init(&map);
        return venv_map_take(&map, &d->settings, err);
    }
    if (venv_value_kind(&d->value) != VENV_MAP) {
        venv_error_set(err, VENV_EKIND, "expected a map with the sections %s", main ? "manager, environments, triggers, include"
                                                                                   : "environments, triggers, include");
        return venv_mark_blame(root, err);
    }
    return venv_config_read(main ? main_rows : further_rows, &d->value, root, "", &d->settings, err);
}

/* --- sections of names ---------------------------------------------------------------------------------- */

/* A named definition, and where it stands. */
typedef struct definition {
    const venv_value *name, *value;
    const venv_mark *mark;
} definition;

typedef struct definitions {
    definition *items;
    size_t count;
} definitions;

static bool name_is(const definition *d, const venv_value *name)
{
    return venv_value_compare(d->name, name) == 0;
}

static venv_rc collect(const document *documents, size_t count, const char *section, definitions *ret, venv_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const venv_value *map = venv_value_get(&documents[i].value, section), *key, *value;
        const venv_mark *mark = venv_mark_get(venv_yaml_marks_root(documents[i].marks), &documents[i].value, section);
        for (size_t n = 0; map && venv_value_entry(map, n, &key, &value); n++) {
            const venv_mark *place = venv_mark_at(mark, n);
            for (size_t k = 0; k < ret->count; k++) {
                if (!name_is(&ret->items[k], key))
                    continue;
                char shown[80];
                venv_value_print(key, shown, sizeof shown);
                const venv_mark *first = ret->items[k].mark;
                venv_error_set(err, VENV_EEXIST, "%s has %s twice: it is defined in %s:%u, too", section, shown,
                               first && first->file ? first->file : "?", first ? first->key_line : 0);
                if (place)
                    venv_error_at(err, place->file, place->key_line, place->key_column);
                return VENV_EEXIST;
            }
            definition *grown = realloc(ret->items, (ret->count + 1) * sizeof *grown);
            if (!grown)
                return venv_error_set(err, VENV_ENOMEM, "out of memory");
            ret->items = grown;
            ret->items[ret->count++] = (definition){ key, value, place };
        }
    }
    return VENV_OK;
}

static int compare_names(const void *a, const void *b)
{
    return venv_value_compare(((const definition *)a)->name, ((const definition *)b)->name);
}

static venv_rc merge(definitions *list, venv_value *ret_map, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t i = 0; i < list->count; i++) {
        venv_value copy = venv_value_null();
        venv_rc rc = venv_value_dup(list->items[i].value, &copy, err);
        if (rc != VENV_OK) {
            venv_map_fini(&map);
            return rc;
        }
        venv_map_put_value(&map, venv_value_ref(list->items[i].name), copy);
    }
    return venv_map_take(&map, ret_map, err);
}

static venv_rc check_environment(const venv_environment_words *words, const definition *d, venv_error *err)
{
    char name[VENV_NAME_MAX + 1];
    venv_str text = venv_value_kind(d->name) == VENV_STRING ? venv_value_peek_text(d->name) : VENV_STR("");
    venv_environment *environment = NULL;
    venv_rc rc;
    if (!venv_name_is_valid(text)) {
        rc = venv_error_set(err, VENV_EINVAL, "environments: a name has 1 to %d lower-case letters, digits, '.', '_', '-'",
                            VENV_NAME_MAX);
    } else {
        memcpy(name, text.data, text.size);
        name[text.size] = '\0';
        rc = venv_environment_from_value(name, d->value, d->mark, words, &environment, err);
        venv_environment_unref(environment);
    }
    if (rc != VENV_OK && err && err->file[0] == '\0')
        venv_mark_blame(d->mark, err);
    return rc;
}

static venv_rc read_environments(venv_manager_config *c, const document *documents, size_t count, venv_error *err)
{
    definitions list = { NULL, 0 };
    const venv_trigger_world nothing = { .user = NULL };
    venv_environment_words words = { .place = NULL };
    venv_asker *asker = NULL;
    venv_rc rc = collect(documents, count, "environments", &list, err);
    if (rc == VENV_OK)
        rc = venv_environment_expr_env(&words.place, err);
    if (rc == VENV_OK)
        rc = venv_asker_new(&(venv_trigger_options){ c->tick, c->zone, c->zone_user }, &nothing, &asker, err);
    if (rc == VENV_OK) {
        words.scale = venv_asker_words(asker, false);
        words.idle = venv_asker_words(asker, true);
    }
    for (size_t i = 0; rc == VENV_OK && i < list.count; i++)
        rc = check_environment(&words, &list.items[i], err);
    if (rc == VENV_OK)
        rc = merge(&list, &c->environments, err);
    venv_expr_env_unref(words.place);
    venv_asker_free(asker);
    free(list.items);
    return rc;
}

static const venv_mark *mark_of_trigger(void *user, size_t index)
{
    const definitions *list = user;
    return list->items[index].mark;
}

/* A list of actions that names an environment which is not there would fail when it is needed: say it now. */
static venv_rc check_actions(const venv_manager_config *c, const definition *d, const char *key, venv_error *err)
{
    const venv_value *actions = venv_value_get(d->value, key);
    const venv_mark *list = venv_mark_get(d->mark, d->value, key);
    for (size_t i = 0; actions && venv_value_kind(actions) == VENV_LIST && i < venv_value_count(actions); i++) {
        const venv_value *action = venv_value_at(actions, i), *verb, *arguments;
        if (venv_value_kind(action) != VENV_MAP || !venv_value_entry(action, 0, &verb, &arguments) ||
            venv_value_kind(arguments) != VENV_MAP)
            continue;
        char word[16];
        const char *blamed = NULL;
        venv_str shown = venv_value_peek_text(verb), to = venv_value_get_text(arguments, "to");
        snprintf(word, sizeof word, "%.*s", (int)(shown.size < sizeof word ? shown.size : 0), shown.data ? shown.data : "");
        if (!(to.data && memmem(to.data, to.size, "${", 2)) && venv_mgr_outside_find(c, word, arguments, &blamed, err) != VENV_OK)
            return venv_mark_blame(venv_mark_get(venv_mark_at(venv_mark_at(list, i), 0), arguments, blamed), err);
        const venv_value *name = venv_value_get(arguments, "environment");
        venv_str text = venv_value_get_text(arguments, "environment");
        if (text.size == 0 || memmem(text.data, text.size, "${", 2) || venv_value_find(&c->environments, name))
            continue; /* what ${…} yields is known only later */
        venv_error_set(err, VENV_EINVAL, "there is no environment '%.*s' in the section environments", (int)text.size, text.data);
        return venv_mark_blame(venv_mark_get(venv_mark_at(venv_mark_at(list, i), 0), arguments, "environment"), err);
    }
    return VENV_OK;
}

static venv_rc read_triggers(venv_manager_config *c, const document *documents, size_t count, venv_error *err)
{
    const venv_trigger_options options = { c->tick, c->zone, c->zone_user };
    definitions list = { NULL, 0 };
    venv_triggers *checked = NULL;
    venv_rc rc = collect(documents, count, "triggers", &list, err);
    if (rc == VENV_OK && list.count > 0)
        qsort(list.items, list.count, sizeof *list.items, compare_names);
    if (rc == VENV_OK)
        rc = merge(&list, &c->triggers, err);
    /* The order of a map is by encoded keys: put the marks into that order. */
    for (size_t i = 0; rc == VENV_OK && i < list.count; i++) {
        const venv_value *key, *value;
        venv_value_entry(&c->triggers, i, &key, &value);
        for (size_t k = i; k < list.count; k++)
            if (name_is(&list.items[k], key)) {
                definition moved = list.items[i];
                list.items[i] = list.items[k];
                list.items[k] = moved;
                break;
            }
    }
    if (rc == VENV_OK)
        rc = venv_triggers_load(&c->triggers, mark_of_trigger, &list, &options, &checked, err);
    for (size_t i = 0; rc == VENV_OK && i < list.count; i++) {
        rc = check_actions(c, &list.items[i], "do", err);
        if (rc == VENV_OK)
            rc = check_actions(c, &list.items[i], "recover", err);
    }
    venv_triggers_free(checked);
    free(list.items);
    return rc;
}

/* --- where actions may reach ---------------------------------------------------------------------------- */

static venv_rc copy_section(const document *d, const char *key, venv_value *to, venv_error *err)
{
    const venv_value *section = venv_config_get(&d->settings, key);
    return section ? venv_value_dup(section, to, err) : VENV_OK;
}

static venv_rc read_outside(venv_manager_config *c, const document *d, venv_error *err)
{
    venv_rc rc = copy_section(d, "mail", &c->mail, err);
    if (rc == VENV_OK)
        rc = copy_section(d, "webhooks", &c->webhooks, err);
    if (rc == VENV_OK)
        rc = copy_section(d, "plugins", &c->plugins, err);
    return rc == VENV_OK ? venv_mgr_outside_check(c, &d->value, venv_yaml_marks_root(d->marks), err) : rc;
}

/* --- the section `manager` -------------------------------------------------------------------------------- */

static venv_rc take_text(const venv_value *settings, const char *key, char **ret_text, venv_error *err)
{
    venv_str text = venv_config_text(settings, key);
    *ret_text = strndup(text.data ? text.data : "", text.size);
    return *ret_text ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
}

static venv_rc read_node_rules(venv_manager_config *c, const document *d, venv_error *err)
{
    const venv_value *s = venv_config_get(&d->settings, "manager"), *list = venv_config_get(s, "nodes");
    for (size_t i = 0; i < venv_value_count(list); i++) {
        const venv_value *row = venv_value_at(list, i);
        venv_manager_node_rule *rule = &c->node_rules[c->node_rule_count++];
        venv_str who = venv_config_text(row, "for"), zone = venv_config_text(row, "zone");
        bool group = who.size > 1 && who.data[0] == '@';
        if (!(group ? venv_group_name_is_valid((venv_str){ who.data + 1, who.size - 1 }) : venv_name_is_valid(who))) {
            venv_error_set(err, VENV_EINVAL, "manager.nodes: `for: %.*s` is no name of a node, nor @ and the name of a group", (int)who.size, who.data);
            return venv_mark_blame(venv_mark_find(venv_yaml_marks_root(d->marks), &d->value, "manager.nodes"), err);
        }
        snprintf(rule->who, sizeof rule->who, "%.*s", (int)who.size, who.data);
        snprintf(rule->zone, sizeof rule->zone, "%.*s", (int)zone.size, zone.data ? zone.data : "");
        rule->has_vcpu_overcommit = venv_value_get(row, "vcpu_overcommit") != NULL;
        rule->has_memory_overcommit = venv_value_get(row, "memory_overcommit") != NULL;
        rule->vcpu_overcommit = venv_config_double(row, "vcpu_overcommit");
        rule->memory_overcommit = venv_config_double(row, "memory_overcommit");
    }
    return VENV_OK;
}

static venv_rc read_manager(venv_manager_config *c, const venv_value *s, venv_error *err)
{
    const venv_value *tls = venv_config_get(s, "tls"), *listen = venv_config_get(s, "listen");
    struct {
        const venv_value *from;
        const char *key;
        char **to;
    } texts[] = {
        { s, "name", &c->name },   { s, "state", &c->state }, { tls, "ca", &c->tls_ca },
        { tls, "certificate", &c->tls_certificate }, { tls, "key", &c->tls_key },
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (take_text(texts[i].from, texts[i].key, texts[i].to, err) != VENV_OK)
            return VENV_ENOMEM;
    const venv_value *rates = venv_config_get(s, "group_rates"), *rated, *row;
    for (size_t i = 0; venv_value_entry(rates, i, &rated, &row); i++) {
        venv_manager_rate *rate = &c->rates[c->rate_count];
        venv_str text = venv_value_peek_text(rated);
        rate->rate = (uint64_t)venv_config_int(row, "rate");
        rate->burst = (uint64_t)venv_config_int(row, "burst");
        if (!(rate->group = strndup(text.data, text.size)))
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        c->rate_count++;
    }
    const venv_value *groups = venv_config_get(s, "groups");
    for (size_t i = 0; i < venv_value_count(groups); i++) {
        venv_str text = venv_value_peek_text(venv_value_at(groups, i));
        if (!(c->groups[c->group_count] = strndup(text.data, text.size)))
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        c->group_count++;
    }
    c->listen = calloc(venv_value_count(listen) + 1, sizeof *c->listen);
    if (!c->listen)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < venv_value_count(listen); i++) {
        venv_str text = venv_value_peek_text(venv_value_at(listen, i));
        c->listen[i] = strndup(text.data, text.size);
        if (!c->listen[i])
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        c->listen_count++;
    }
    c->tick = venv_config_span(s, "tick");
    c->heartbeat = venv_config_span(s, "heartbeat");
    c->suspect = venv_config_span(s, "suspect");
    c->lost = venv_config_span(s, "lost");
    c->first_frame = venv_config_span(s, "first_frame");
    c->action_timeout = venv_config_span(s, "action_timeout");
    c->move_timeout = venv_config_span(s, "move_timeout");
    c->pending_timeout = venv_config_span(s, "pending_timeout");
    c->grace = venv_config_span(s, "grace");
    c->retention = venv_config_span(s, "retention");
    const venv_value *breaker = venv_config_get(s, "breaker");
    c->breaker_failures = (uint32_t)venv_config_int(breaker, "failures");
    c->breaker_window = venv_config_span(breaker, "window");
    c->breaker_retry = venv_config_span(breaker, "retry");
    c->breaker_retry_max = venv_config_span(breaker, "retry_max");
    c->start_nodes = (uint32_t)venv_config_int(s, "start_nodes");
    c->vcpu_overcommit = venv_config_double(s, "vcpu_overcommit");
    c->memory_reserve = venv_config_size(s, "memory_reserve");
    c->memory_overcommit = venv_config_double(s, "memory_overcommit");
    c->name_hold = venv_config_span(s, "name_hold");
    c->connect_rate = (uint64_t)venv_config_int(s, "connect_rate");
    c->history = venv_config_span(s, "history");
    c->history_max = venv_config_size(s, "history_max");
    c->events_max = (uint64_t)venv_config_int(s, "events_max");
    c->send_rate = (uint64_t)venv_config_int(s, "send_rate");
    c->send_burst = (uint64_t)venv_config_int(s, "send_burst");
    return VENV_OK;
}

static venv_rc check_times(const venv_manager_config *c, const document *d, venv_error *err)
{
    if (c->heartbeat.ns < c->suspect.ns && c->suspect.ns <= c->lost.ns)
        return VENV_OK;
    venv_error_set(err, VENV_ERANGE, "manager: expected heartbeat < suspect <= lost; as it is, peers would be hung "
                   "up on before they can answer");
    return venv_mark_blame(venv_mark_find(venv_yaml_marks_root(d->marks), &d->value, "manager"), err);
}

venv_rc venv_manager_config_includes(const venv_manager_source *source, venv_value *ret_patterns, venv_error *err)
{
    document d = { .marks = NULL };
    venv_rc rc = venv_yaml_parse(source->text.data, source->text.size, source->file, &d.value, &d.marks, err);
    if (rc == VENV_OK) {
        const venv_value *include = venv_value_get(&d.value, "include");
        static const venv_config_row row = { "include", VENV_CONFIG_LIST, .of = &text_row, .one_or_list = true,
                                             .max = VENV_MANAGER_INCLUDES_MAX };
        venv_list_builder none;
        venv_list_init(&none);
        if (include)
            rc = venv_config_read_one(&row, include, venv_mark_get(venv_yaml_marks_root(d.marks), &d.value, "include"),
                                      "include", ret_patterns, err);
        else
            rc = venv_list_take(&none, ret_patterns, err);
        venv_list_fini(&none);
    }
    document_fini(&d);
    return rc;
}

venv_rc venv_manager_config_new(const venv_manager_source *sources, size_t count, venv_expr_zone_fn zone, void *zone_user,
                                venv_manager_config **ret_config, venv_error *err)
{
    if (count == 0 || count > VENV_MANAGER_SOURCES_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%zu configuration files; 1 to %u are allowed", count, VENV_MANAGER_SOURCES_MAX);
    venv_manager_config *c = calloc(1, sizeof *c);
    document *documents = calloc(count, sizeof *documents);
    venv_rc rc = c && documents ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; rc == VENV_OK && i < count; i++)
        rc = document_read(&sources[i], i == 0, &documents[i], err);
    if (rc == VENV_OK) {
        c->zone = zone;
        c->zone_user = zone_user;
    }
    if (rc == VENV_OK)
        rc = read_manager(c, venv_config_get(&documents[0].settings, "manager"), err);
    if (rc == VENV_OK)
        rc = venv_value_dup(venv_config_get(&documents[0].settings, "manager"), &c->settings, err);
    if (rc == VENV_OK)
        rc = read_node_rules(c, &documents[0], err);
    if (rc == VENV_OK)
        rc = check_times(c, &documents[0], err);
    if (rc == VENV_OK)
        rc = read_outside(c, &documents[0], err);
    if (rc == VENV_OK)
        rc = read_environments(c, documents, count, err);
    if (rc == VENV_OK)
        rc = read_triggers(c, documents, count, err);
    for (size_t i = 0; documents && i < count; i++)
        document_fini(&documents[i]);
    free(documents);
    if (rc != VENV_OK) {
        venv_manager_config_free(c);
        return rc;
    }
    *ret_config = c;
    return VENV_OK;
}

venv_rc venv_manager_config_identify(venv_manager_config *c, const char *cluster, const char *name, venv_error *err)
{
    if (strcmp(c->name, name) != 0)
        return venv_error_set(err, VENV_EINVAL, "the certificate is that of manager %s, the configuration says manager.name: %s; "
                              "make them the same", name, c->name);
    char *copy = strdup(cluster);
    if (!copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    free(c->cluster);
    c->cluster = copy;
    return VENV_OK;
}

void venv_manager_config_free(venv_manager_config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->listen_count; i++)
        free(c->listen[i]);
    free(c->listen);
    for (size_t i = 0; i < c->group_count; i++)
        free(c->groups[i]);
    for (size_t i = 0; i < c->rate_count; i++)
        free(c->rates[i].group);
    free(c->name);
    free(c->cluster);
    free(c->state);
    free(c->tls_ca);
    free(c->tls_certificate);
    free(c->tls_key);
    venv_value_unref(&c->settings);
    venv_value_unref(&c->environments);
    venv_value_unref(&c->triggers);
    venv_value_unref(&c->mail);
    venv_value_unref(&c->webhooks);
    venv_value_unref(&c->plugins);
    free(c);
}
