/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent says is data. Every argument of every action takes a value of an agent, hundreds of hostile ones, and what leaves
 * the manager is looked at: nobody else is told, nothing else is named, no argument becomes two, no mail or JSON has a part more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/random.h"
#include "deliver/deliver.h"
#include "manager/rig.h"
#include "trigger/internal.h"

#include <venv/property.h>

#define HEAD  1u
#define NODE  2u /* node1, node2, all, other */
#define USER  9u
#define BOOT  "00000000-0000-4000-8000-0000000000b1"
#define VALUES 300u
#define VALUE_MAX 512u

static const char *const nodes[] = { "node1", "node2", "other" };

/* What is known by its name, so that a value that is one whole name has an effect, and a list of them would have more. */
static const char *const pieces[] = {
    "node1", "node2", "class2", "class2-1", "other", "@all", "@hypervisor", "all", ",", ", ", " ", "@", "append", "--", "-rf", "latest", "memfree",
    "\r\n", "\n", "\r\nBcc: evil@example.com", "\r\n\r\n", ".\r\n", "\t", "\x1b[31m", "\x7f", "\"", "'", "\\", "${agent.name}", "$${", "${", "}",
    "{\"a\": 1}", "[", "]", "%s%n", "`id`", "$(id)", "; id", "| id", "../", "/etc/passwd", "true", "1 == 1", "*", "?", "°", "日本語", "\xe2\x80\xae",
    "\xc2\x85", "admins", "hook", "stop", "rjoin", "1h", "-1", "0", "1", "1000001", "error",
};

static size_t make_value(venv_random *random, unsigned number, char *to)
{
    size_t size = 0, count = sizeof pieces / sizeof pieces[0];
    if (number < count)
        return (size_t)snprintf(to, VALUE_MAX, "%s", pieces[number]);
    if (number == count)
        return 0;
    if (number == count + 1) { /* longer than any name, and a name in front of it */
        memset(to, 'a', VALUE_MAX - 1);
        memcpy(to, "node1", 5);
        return VALUE_MAX - 1;
    }
    for (uint64_t k = 1 + venv_random_next(random) % 6; k > 0; k--) {
        const char *piece = pieces[venv_random_next(random) % count];
        memcpy(to + size, piece, strlen(piece));
        size += strlen(piece);
        if (venv_random_next(random) % 16 == 0)
            to[size++] = '\0';
    }
    return size;
}

static bool is(venv_str value, const char *text)
{
    return value.size == strlen(text) && memcmp(value.data, text, value.size) == 0;
}

/* --- one argument of one action ---------------------------------------------------------------------------- */

typedef struct field {
    venv_order_verb verb;
    const char *key, *before, *after; /* what stands around ${…} */
} field;

static const char *const keys[] = { "environment", "count", "node", "instance", "grace", "force", "target", "label", "command", "args", "timeout", "text",
                                    "level", "verb", "groups", "image", "to", "subject", "body", "name", "input" };

/* What each action must have, of what is good. */
static const char *good_of(venv_order_verb verb, const char *key)
{
    static const struct {
        const char *key, *value;
    } good[] = { { "environment", "class2" }, { "instance", "class2-1" }, { "target", "node1" }, { "label", "memfree" }, { "command", "append" },
                 { "text", "hello" }, { "verb", "rjoin" }, { "image", "tool" }, { "subject", "hello" }, { "name", "grow" } };
    if (strcmp(key, "to") == 0)
        return verb == VENV_ORDER_MAIL ? "admins" : "hook";
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (strcmp(good[i].key, key) == 0)
            return good[i].value;
    return NULL;
}

static const argument_row *row_of(venv_order_verb verb, const char *key)
{
    venv_value name = venv_value_null();
    assert_int_equal(venv_value_string_z(key, &name, NULL), VENV_OK);
    const argument_row *row = venv_trigger_argument_find(verb, &name);
    venv_value_unref(&name);
    return row;
}

/* {environment: class2, node: '${…}'} */
static void write_order(const field *f, char *to, size_t size)
{
    static const char value[] = "${agent.p.queue.evil}";
    size_t at = (size_t)snprintf(to, size, "{%s: {", venv_order_verb_name(f->verb));
    bool names_one = strcmp(f->key, "environment") == 0 || strcmp(f->key, "instance") == 0;
    bool by_instance = f->verb == VENV_ORDER_STOP || (f->verb >= VENV_ORDER_DESTROY && f->verb <= VENV_ORDER_MIGRATE);
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        const argument_row *row = row_of(f->verb, keys[k]);
        bool this = strcmp(keys[k], f->key) == 0, needed = row && row->required;
        if (by_instance && strcmp(keys[k], "environment") == 0)
            needed = !names_one;
        if (!this && needed)
            at += (size_t)snprintf(to + at, size - at, "%s: %s, ", keys[k], good_of(f->verb, keys[k]));
        if (this) {
            at += (size_t)snprintf(to + at, size - at, "%s: %s%s%s, ", keys[k], f->before, value, f->after);
        }
    }
    snprintf(to + at, size - at, "}}");
}

static rig *begin(const field *f)
{
    char yaml[2048], order[512], id[VENV_ID_TEXT_SIZE], machine[VENV_ID_TEXT_SIZE];
    write_order(f, order, sizeof order);
    snprintf(yaml, sizeof yaml,
             RIG_CONFIG "mail: {server: 'smtp://127.0.0.1', from: venv@example.org, tls: none, recipients: {admins: [root@example.org]}}\n"
                        "webhooks: {hook: {url: 'http://127.0.0.1:1/'}}\nplugins: [/usr/lib/venv/plugins]\n"
                        "triggers:\n  t:\n    on: [update]\n    when: 'agent.name == \"head\" && agent.p.queue.go == 1'\n    do: [%s]\n", order);
    rig *r = rig_new(yaml);
    rig_head(r, HEAD, "[0, {\"go\": 0, \"evil\": \"\"}, 0, null]");
    for (unsigned n = 0; n < 3; n++)
        rig_node(r, NODE + n, nodes[n], BOOT, n < 2 ? "" : NULL);
    rig_user(r, USER, "alice");
    rig_frame(r, USER, VENV_MSG_START, 1, "{\"environment\": \"class2\", \"node\": \"node1\"}");
    const rig_sent *start = rig_find(r, NODE, VENV_MSG_MACHINE_START, 0);
    assert_non_null(start);
    rig_id(&start->body, "id", id);
    rig_id(&start->body, "machine", machine);
    rig_frame(r, NODE, VENV_MSG_MACHINE_RESULT, 0, "{\"id\": \"%s\", \"machine\": \"%s\", \"rc\": \"ok\", \"state\": \"running\"}", id, machine);
    assert_string_equal(rig_state(r, "class2-1"), "running");
    return r;
}

static void push(rig *r, int go, venv_str value)
{
    venv_value text = venv_value_null();
    char *json = NULL;
    size_t size = 0;
    assert_int_equal(venv_value_string(value.data, value.size, &text, NULL), VENV_OK);
    assert_int_equal(venv_json_print(&text, VENV_JSON_COMPACT, &json, &size, NULL), VENV_OK);
    rig_frame(r, HEAD, VENV_MSG_PUSH, 0, "{\"samples\": [[0, {\"go\": %d, \"evil\": %.*s}, 0, null]]}", go, (int)size, json);
    free(json);
    venv_value_unref(&text);
    rig_wait(r, 0.2);
}

/* --- what may leave ----------------------------------------------------------------------------------------- */

typedef struct seen {
    size_t frames, deliveries, fired, refused;
} seen;

/* Who a selector means, in the forms that are tried. */
static bool may_be_told(const field *f, venv_str value, const char *node)
{
    if (strcmp(f->key, "target") != 0)
        return strcmp(node, "node1") == 0;
    if (strcmp(f->before, "'@") == 0) /* of the group that has this name; nobody else is in one of those */
        return is(value, "hypervisor") || is(value, "default");
    if (strstr(f->before, "node1,") && strcmp(node, "node1") == 0)
        return true;
    return is(value, node);
}

static void check_frame(const field *f, venv_str value, const rig_sent *s)
{
    bool machine = s->type >= VENV_MSG_MACHINE_START && s->type <= VENV_MSG_MACHINE_MIGRATE;
    if (!machine && s->type != VENV_MSG_EXECUTE && s->type != VENV_MSG_GETPROP && s->type != VENV_MSG_FETCHPROP &&
        s->type != VENV_MSG_CONTROL && s->type != VENV_MSG_SYNC)
        return;
    const char *node = s->peer >= NODE && s->peer < NODE + 3 ? nodes[s->peer - NODE] : "?";
    const venv_value *body = &s->body;
    if (machine) { /* a new one may go to any node, unless the value says which; all else is about the one that there is */
        bool named = (strcmp(f->key, "environment") == 0 && is(value, "class2")) || (strcmp(f->key, "instance") == 0 && is(value, "class2-1")) ||
                     (strcmp(f->key, "node") == 0 && (is(value, "node1") || is(value, "node2"))) || strcmp(f->key, "count") == 0 ||
                     strcmp(f->key, "grace") == 0 || strcmp(f->key, "force") == 0;
        assert_true(named);
        if (s->type == VENV_MSG_MACHINE_START && strcmp(f->key, "node") == 0)
            assert_true(is(value, node));
        return;
    }
    if (!may_be_told(f, value, node))
        fail_msg("%s.%s (%s…) of '%.*s' went to %s", venv_order_verb_name(f->verb), f->key, f->before, (int)value.size, value.data, node);
    if (s->type == VENV_MSG_EXECUTE) {
        const venv_value *args = venv_value_get(body, "args");
        venv_str command = venv_value_get_text(body, "command");
        assert_true(strcmp(f->key, "command") == 0 ? command.size == value.size && venv_name_is_valid(command) : is(command, "append"));
        if (strcmp(f->key, "args") == 0) {
            assert_int_equal(venv_value_count(args), 3);
            assert_true(venv_value_is_text(venv_value_at(args, 0), "one") && venv_value_is_text(venv_value_at(args, 2), "three"));
            venv_str arg = venv_value_peek_text(venv_value_at(args, 1));
            assert_true(arg.size == value.size && memcmp(arg.data, value.data, arg.size) == 0);
        } else {
            assert_null(args);
        }
    }
    if (s->type == VENV_MSG_CONTROL) {
        venv_str verb = venv_value_get_text(body, "verb");
        assert_true(is(verb, "rjoin") || (strcmp(f->key, "verb") == 0 && (is(value, "stop") || is(value, "rcon")) && is(verb, is(value, "stop") ? "stop" : "rcon")));
        const venv_value *groups = venv_value_get(body, "groups");
        for (size_t i = 0; groups && i < venv_value_count(groups); i++)
            assert_true(venv_group_name_is_valid(venv_value_peek_text(venv_value_at(groups, i))));
    }
    if (s->type == VENV_MSG_GETPROP || s->type == VENV_MSG_FETCHPROP)
        assert_true(venv_label_is_valid(venv_value_get_text(body, "label")));
    if (s->type == VENV_MSG_SYNC)
        assert_null(memmem(venv_value_get_text(body, "image").data, venv_value_get_text(body, "image").size, "/", 1));
}

static bool equals_text(const venv_value *value, venv_str text)
{
    venv_str own = value && venv_value_kind(value) == VENV_STRING ? venv_value_peek_text(value) : VENV_STR("");
    return value && own.size == text.size && memcmp(own.data, text.data, own.size) == 0;
}

/* As JSON, read, and written again: the same, so no text got out of its quotes. */
static void check_json(const venv_value *value)
{
    char *json = NULL, *once_more = NULL;
    size_t size = 0, other = 0;
    venv_value again = venv_value_null();
    assert_int_equal(venv_json_print(value, VENV_JSON_COMPACT, &json, &size, NULL), VENV_OK);
    for (size_t i = 0; i < size; i++)
        assert_true((unsigned char)json[i] >= 0x20);
    assert_int_equal(venv_json_parse(json, size, 0, &again, NULL), VENV_OK);
    assert_int_equal(venv_json_print(&again, VENV_JSON_COMPACT, &once_more, &other, NULL), VENV_OK);
    assert_int_equal(size, other);
    assert_memory_equal(json, once_more, size);
    venv_value_unref(&again);
    free(json);
    free(once_more);
}

static void check_mail(const field *f, venv_str value, const venv_value *order)
{
    const venv_value *to = venv_value_get(order, "to");
    assert_int_equal(venv_value_count(to), 1);
    assert_true(venv_value_is_text(venv_value_at(to, 0), "root@example.org"));
    assert_true(strcmp(f->key, "to") != 0 || is(value, "admins"));
    assert_true(strcmp(f->key, "subject") != 0 || equals_text(venv_value_get(order, "subject"), value));
    venv_buf out;
    venv_buf_init(&out, 1 << 20);
    assert_int_equal(venv_mail_compose(order, &out, NULL), VENV_OK);
    const char *text = venv_buf_peek_text(&out), *end = strstr(text, "\r\n\r\n");
    size_t headers = 0;
    for (const char *line = text; line < end; line = strstr(line, "\r\n") + 2)
        headers += line[0] != ' ';
    assert_int_equal(headers, 9);
    assert_int_equal(strlen(text), out.size);
    assert_null(strcasestr(text, "\nbcc"));
    venv_buf_fini(&out);
}

static void check_delivery(const field *f, venv_str value, const venv_value *order)
{
    if (f->verb == VENV_ORDER_MAIL)
        check_mail(f, value, order);
    else if (f->verb == VENV_ORDER_WEBHOOK) {
        assert_true(venv_value_is_text(venv_value_get(order, "url"), "http://127.0.0.1:1/"));
        assert_true(strcmp(f->key, "to") != 0 || is(value, "hook") || is(value, "http://127.0.0.1:1/"));
        check_json(venv_value_get(order, "body"));
        if (strcmp(f->key, "body") == 0)
            assert_true(equals_text(venv_value_at(venv_value_get(venv_value_get(order, "body"), "a"), 0), value));
    } else {
        assert_int_equal(f->verb, VENV_ORDER_PLUGIN);
        assert_true(venv_name_is_valid(venv_value_get_text(order, "name")));
        check_json(venv_value_get(order, "input"));
        if (strcmp(f->key, "input") == 0)
            assert_true(equals_text(venv_value_at(venv_value_get(venv_value_get(venv_value_get(order, "input"), "input"), "a"), 0), value));
    }
}

static void try_value(rig *r, const field *f, venv_str value, seen *s)
{
    size_t failed = rig_events(r, "trigger-failed"), fired = rig_events(r, "trigger-fired");
    rig_sent_clear(r);
    push(r, 1, value);
    for (size_t i = 0; i < r->sent_count; i++) {
        s->frames += r->sent[i].peer >= NODE && r->sent[i].peer < NODE + 3;
        check_frame(f, value, &r->sent[i]);
    }
    for (size_t i = 0; i < r->delivery_count; i++) {
        check_delivery(f, value, &r->deliveries[i].order);
        s->deliveries++;
        venv_value_unref(&r->deliveries[i].order);
    }
    r->delivery_count = 0;
    s->refused += rig_events(r, "trigger-failed") > failed;
    s->fired += rig_events(r, "trigger-fired") > fired;
    push(r, 0, VENV_STR(""));
}

static void try_field(const field *f, seen *s)
{
    venv_random random;
    venv_random_init(&random, 11);
    rig *r = begin(f);
    for (unsigned n = 0; n < VALUES; n++) {
        char value[VALUE_MAX];
        if (n % 60 == 59 || rig_state(r, "class2-1")[0] == '\0' || r->row_count > RIG_ROWS_MAX / 2 || r->log_count > RIG_LOG_MAX / 2) {
            rig_free(r);
            r = begin(f);
        }
        size_t size = make_value(&random, n, value);
        try_value(r, f, (venv_str){ value, size }, s);
    }
    rig_free(r);
}

static field field_of(venv_order_verb verb, const char *key, const argument_row *row)
{
    switch (row->kind) {
    case ARGUMENT_TEXTS: return (field){ verb, key, "[one, '", "', three]" };
    case ARGUMENT_GROUPS: return (field){ verb, key, "['", "']" };
    case ARGUMENT_TREE: return (field){ verb, key, "{a: ['", "'], b: {c: 1}}" };
    default: return (field){ verb, key, "'", "'" };
    }
}

static void every_argument_of_every_action(void **state)
{
    (void)state;
    size_t fields = 0, deliveries = 0, frames = 0;
    for (unsigned verb = 0; verb < VENV_ORDER_VERB__COUNT; verb++)
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            const argument_row *row = row_of((venv_order_verb)verb, keys[k]);
            if (!row)
                continue;
            field f = field_of((venv_order_verb)verb, keys[k], row);
            seen s = { 0, 0, 0, 0 };
            try_field(&f, &s);
            assert_true(s.fired > 0 || s.refused > 0);
            fields++;
            deliveries += s.deliveries;
            frames += s.frames;
            if (row->kind == ARGUMENT_SELECTOR) {
                field group = { (venv_order_verb)verb, keys[k], "'@", "'" }, list = { (venv_order_verb)verb, keys[k], "'node1,", "'" };
                seen none = { 0, 0, 0, 0 };
                try_field(&group, &none);
                try_field(&list, &none);
                assert_true(none.refused > 0);
                fields += 2;
            }
        }
    print_message("%zu arguments, %u values each: %zu frames to agents, %zu deliveries\n", fields, VALUES, frames, deliveries);
    assert_true(fields >= 55 && frames > 1000 && deliveries > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_argument_of_every_action) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
