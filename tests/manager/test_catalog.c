/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions of environments: what is applied is there after a restart and a reload; a name belongs to the files or to the people;
 * what runs stays as it was made; what is in use is not deleted; all of a request, or nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "manager/rig.h"

#define BOOT "00000000-0000-4000-8000-0000000000b1"
#define NODE 1u
#define RIG_HEAD "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n"

static const char files[] =
    RIG_HEAD
    "environments:\n"
    "  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n";
static const char files_changed[] =
    RIG_HEAD
    "environments:\n"
    "  class2: {hypervisor: test, vcpus: 1, memory: 256MiB}\n";
static const char files_with_lab[] =
    RIG_HEAD
    "environments:\n"
    "  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n"
    "  lab: {hypervisor: test, memory: 64MiB, description: of the files}\n";

static uint64_t request, user;

/* The answer as text: `rc: error` of a refusal. */
static const char *ask(rig *r, int16_t type, const char *format, ...)
{
    static char text[16384];
    char body[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(body, sizeof body, format, args);
    va_end(args);
    int16_t answer_type = 0;
    rig_frame(r, user, type, ++request, "%s", body);
    const venv_value *answer = rig_answer(r, user, request, &answer_type);
    assert_non_null(answer);
    venv_value_print(answer, text, sizeof text);
    return text;
}

#define LAB(memory) "{\"environments\": {\"lab\": {\"hypervisor\": \"test\", \"memory\": \"" memory "\"}}%s}"

static void assert_says(const char *text, const char *part)
{
    if (!strstr(text, part))
        print_error("\"%s\" is not in %s\n", part, text);
    assert_non_null(strstr(text, part));
}

static rig *new_rig(void)
{
    rig *r = rig_new(files);
    request = 100;
    user = 9;
    rig_user(r, user, "admin");
    rig_node(r, NODE, "node1", BOOT, "");
    return r;
}

static void again(rig *r, const char *yaml)
{
    if (yaml)
        rig_crash_with(r, yaml);
    else
        rig_crash(r);
    user = 9;
    rig_user(r, user, "admin");
    rig_node(r, NODE, "node1", BOOT, "");
}

static const char *versions(rig *r, const char *name)
{
    return ask(r, VENV_MSG_VERSIONS, "{\"name\": \"%s\"}", name);
}

static void applied_is_on_disk(void **state)
{
    (void)state;
    rig *r = new_rig();
    assert_says(ask(r, VENV_MSG_APPLY, LAB("64MiB"), ", \"dry_run\": true"), "\"applied\": false");
    assert_says(versions(r, "lab"), "not-found");
    const char *told = ask(r, VENV_MSG_APPLY, LAB("64MiB"), "");
    assert_says(told, "\"added\"");
    assert_says(told, "\"applied\": true");
    assert_says(ask(r, VENV_MSG_APPLY, LAB("64MiB"), ""), "\"same\"");
    told = ask(r, VENV_MSG_APPLY, LAB("128MiB"), "");
    assert_says(told, "\"changed\"");
    assert_says(told, "\"key\": \"memory\"");
    assert_says(told, "\"version\": 2u");
    again(r, NULL);
    told = versions(r, "lab");
    assert_says(told, "\"version\": 1u");
    assert_says(told, "user/admin");
    assert_says(told, "\"version\": 2u");
    assert_says(ask(r, VENV_MSG_VERSIONS, "{\"name\": \"lab\", \"from\": 1}"), "134217728");
    assert_says(ask(r, VENV_MSG_VERSIONS, "{\"name\": \"lab\", \"version\": 1}"), "67108864");
    assert_says(ask(r, VENV_MSG_VERSIONS, "{\"name\": \"lab\", \"version\": 3}"), "not-found");
    rig_reload(r, 0, files_changed);
    assert_says(versions(r, "lab"), "\"version\": 2u");
    assert_says(versions(r, "class2"), "\"version\": 2u"); /* the files have another */
    assert_says(ask(r, VENV_MSG_START, "{\"environment\": \"lab\"}"), "lab-1");
    rig_free(r);
}

static void what_runs_stays_as_it_was_made(void **state)
{
    (void)state;
    rig *r = new_rig();
    (void)ask(r, VENV_MSG_APPLY, LAB("64MiB"), "");
    (void)ask(r, VENV_MSG_START, "{\"environment\": \"lab\"}");
    const char *told = ask(r, VENV_MSG_SHOW, "{\"what\": \"instance\", \"name\": \"lab-1\"}");
    assert_says(told, "\"version\": 1u");
    assert_null(strstr(told, "\"newest\""));
    assert_says(ask(r, VENV_MSG_APPLY, LAB("128MiB"), ""), "\"older\": 1");
    for (int round = 0; round < 2; round++) {
        told = ask(r, VENV_MSG_SHOW, "{\"what\": \"instance\", \"name\": \"lab-1\"}");
        assert_says(told, "\"version\": 1u");
        assert_says(told, "\"newest\": 2u");
        assert_says(told, "\"memory\": 67108864");
        again(r, NULL);
    }
    (void)ask(r, VENV_MSG_START, "{\"environment\": \"lab\"}");
    assert_says(ask(r, VENV_MSG_SHOW, "{\"what\": \"instance\", \"name\": \"lab-2\"}"), "\"memory\": 134217728");
    rig_free(r);
}

static void what_is_in_use_is_not_deleted(void **state)
{
    (void)state;
    rig *r = new_rig();
    (void)ask(r, VENV_MSG_APPLY, LAB("64MiB"), "");
    (void)ask(r, VENV_MSG_START, "{\"environment\": \"lab\"}");
    (void)ask(r, VENV_MSG_APPLY, LAB("128MiB"), "");
    (void)ask(r, VENV_MSG_APPLY, LAB("256MiB"), "");
    const char *told = ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"lab\"}");
    assert_says(told, "conflict");
    assert_says(told, "lab-1");
    assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"lab\", \"version\": 1}"), "lab-1");
    assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"lab\", \"version\": 3}"), "newest");
    assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"lab\", \"version\": 2, \"dry_run\": true}"), "\"deleted\": false");
    assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"lab\", \"version\": 2}"), "\"deleted\": true");
    again(r, NULL);
    assert_null(strstr(versions(r, "lab"), "\"version\": 2u"));
    (void)ask(r, VENV_MSG_APPLY, "{\"environments\": {\"b\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\", \"affinity\": [\"lab\"]}}}");
    (void)ask(r, VENV_MSG_STOP, "{\"instance\": \"lab-1\", \"force\": true}");
    rig_wait(r, 5);
    again(r, NULL); /* the node has no machine: it never came to be */
    rig_wait(r, 60);
    rig_user(r, ++user, "admin"); /* the other was silent for so long */
    if (strcmp(rig_state(r, "lab-1"), "stopped") == 0 || strcmp(rig_state(r, "lab-1"), "failed") == 0) {
        assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"lab\"}"), "affinity");
        assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"b\"}"), "\"deleted\": true");
        assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"lab\"}"), "\"deleted\": true");
        again(r, NULL);
        assert_says(versions(r, "lab"), "not-found");
        assert_says(ask(r, VENV_MSG_START, "{\"environment\": \"lab\"}"), "not-found");
        assert_says(ask(r, VENV_MSG_APPLY, LAB("64MiB"), ""), "\"version\": 4u"); /* a number is never used again */
        again(r, NULL);
        assert_says(versions(r, "lab"), "\"version\": 4u");
    } else {
        fail_msg("lab-1 is %s", rig_state(r, "lab-1"));
    }
    rig_free(r);
}

static void a_name_of_the_files_is_theirs(void **state)
{
    (void)state;
    rig *r = new_rig();
    const char *told = ask(r, VENV_MSG_APPLY, "{\"environments\": {\"class2\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\"}}}");
    assert_says(told, "conflict");
    assert_says(told, "files");
    assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"class2\"}"), "files");
    /* The files come to define what was applied: by a reload, then by a restart. */
    (void)ask(r, VENV_MSG_APPLY, LAB("128MiB"), "");
    rig_reload(r, 0, files_with_lab);
    told = versions(r, "lab");
    assert_says(told, "\"version\": 2u");
    assert_says(told, "\"by\": \"files\"");
    assert_says(ask(r, VENV_MSG_APPLY, LAB("64MiB"), ""), "conflict");
    rig_reload(r, 0, files); /* and cease to */
    assert_says(versions(r, "lab"), "not-found");
    assert_says(ask(r, VENV_MSG_APPLY, LAB("256MiB"), ""), "\"version\": 3u");
    again(r, files_with_lab);
    assert_says(versions(r, "lab"), "\"version\": 4u");
    assert_says(ask(r, VENV_MSG_SHOW, "{\"what\": \"environment\", \"name\": \"lab\"}"), "of the files");
    again(r, files);
    assert_says(versions(r, "lab"), "not-found");
    again(r, NULL);
    again(r, NULL);
    assert_null(strstr(versions(r, "class2"), "\"version\": 2u")); /* a restart makes no version */
    rig_free(r);
}

static void all_of_it_or_nothing(void **state)
{
    (void)state;
    rig *r = new_rig();
    static const char *const wrong[] = {
        "{\"environments\": {\"a\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\"}, \"b\": {\"memory\": 1}}}",
        "{\"environments\": {\"a\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\"}, \"B\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\"}}}",
        "{\"environments\": {\"a\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\"}, \"class2\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\"}}}",
        "{\"environments\": {\"a\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\"}, \"b\": {\"hypervisor\": \"test\", \"memory\": \"64MiB\", \"where\": \"1 +\"}}}",
        "{\"environments\": {}}", "{\"environments\": []}", "{}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        (void)ask(r, VENV_MSG_APPLY, "%s", wrong[i]);
        assert_says(versions(r, "a"), "not-found");
    }
    assert_says(ask(r, VENV_MSG_DELETE_ENVIRONMENT, "{\"name\": \"../x\"}"), "not-found");
    assert_says(ask(r, VENV_MSG_VERSIONS, "{\"name\": 7}"), "not-found");
    rig_free(r);
}

/* Many versions: the oldest go, but for those that something runs from. */
static void old_versions_go(void **state)
{
    (void)state;
    rig *r = new_rig();
    for (int i = 1; i <= 40; i++) {
        (void)ask(r, VENV_MSG_APPLY, "{\"environments\": {\"lab\": {\"hypervisor\": \"test\", \"memory\": %d}}}", (15 + i) << 20);
        if (i == 2)
            (void)ask(r, VENV_MSG_START, "{\"environment\": \"lab\"}");
    }
    again(r, NULL);
    static char text[16384];
    snprintf(text, sizeof text, "%s", versions(r, "lab"));
    assert_null(strstr(text, "\"version\": 1u,"));
    assert_null(strstr(text, "\"version\": 9u,"));
    assert_says(text, "\"version\": 2u");
    assert_says(text, "\"version\": 10u");
    assert_says(text, "\"version\": 40u");
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(applied_is_on_disk),           cmocka_unit_test(what_runs_stays_as_it_was_made),
        cmocka_unit_test(what_is_in_use_is_not_deleted), cmocka_unit_test(a_name_of_the_files_is_theirs),
        cmocka_unit_test(all_of_it_or_nothing),         cmocka_unit_test(old_versions_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
