/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: defaults, several files, and one clear error with its place for whatever is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "manager/config.h"

#define MAIN "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n"

static venv_rc load(const char *const *texts, size_t count, venv_manager_config **ret, venv_error *err)
{
    static const char *const files[] = { "manager.yaml", "more.yaml", "triggers.yaml" };
    venv_manager_source sources[3];
    for (size_t i = 0; i < count; i++)
        sources[i] = (venv_manager_source){ files[i], { texts[i], strlen(texts[i]) } };
    return venv_manager_config_new(sources, count, NULL, NULL, ret, err);
}

static void defaults_and_further_files(void **state)
{
    (void)state;
    static const char *const texts[] = {
        MAIN "include: [more.yaml, '*.d']\n",
        "environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n",
        "triggers:\n  b: {when: 'true', do: [{log: {text: x}}]}\n  aa: {when: 'true', do: [{log: {text: x}}]}\n",
    };
    venv_manager_config *c = NULL;
    venv_error err = { 0 };
    if (load(texts, 3, &c, &err) != VENV_OK)
        fail_msg("%s", err.text);
    assert_string_equal(c->name, "mgr");
    assert_int_equal(c->listen_count, 1);
    assert_string_equal(c->listen[0], "0.0.0.0:7420");
    assert_int_equal(c->tick.ns, VENV_NS_PER_S);
    assert_int_equal(venv_value_count(&c->environments), 1);
    assert_int_equal(venv_value_count(&c->triggers), 2);
    assert_int_equal(venv_manager_config_identify(c, "lab", "mgr", &err), VENV_OK);
    assert_string_equal(c->cluster, "lab");
    assert_int_equal(venv_manager_config_identify(c, "lab", "other", &err), VENV_EINVAL);
    venv_manager_config_free(c);
    venv_manager_source source = { "manager.yaml", { texts[0], strlen(texts[0]) } };
    venv_value patterns = venv_value_null();
    assert_int_equal(venv_manager_config_includes(&source, &patterns, &err), VENV_OK);
    assert_int_equal(venv_value_count(&patterns), 2);
    venv_value_unref(&patterns);
}

static const struct {
    const char *main, *more, *says, *file;
    uint32_t line;
} bad[] = {
    { "", NULL, "expected a map", "manager.yaml", 0 },
    { "manager: {}\n", NULL, "name", "manager.yaml", 1 },
    { "manager:\n  name: mgr\n", NULL, "tls", "manager.yaml", 0 },
    { MAIN "  lisen: x\n", NULL, "listen", "manager.yaml", 4 },
    { MAIN "  tick: soon\n", NULL, "tick", "manager.yaml", 4 },
    { MAIN "  lost: 1s\n", NULL, "heartbeat < suspect", "manager.yaml", 0 },
    { MAIN "environment: {}\n", NULL, "environments", "manager.yaml", 4 },
    { MAIN "environments: {class2: {vcpus: many, memory: 1GiB}}\n", NULL, "vcpus", "manager.yaml", 4 },
    { MAIN "environments:\n  Class2: {vcpus: 1, memory: 1GiB}\n", NULL, "name", "manager.yaml", 5 },
    { MAIN "triggers:\n  t:\n    when: queue(\n    do: [{log: {text: x}}]\n", NULL, "t", "manager.yaml", 6 },
    { MAIN, "manager: {name: x}\n", "manager", "more.yaml", 1 },
    { MAIN "triggers:\n  t: {when: 'true', do: [{log: {text: x}}]}\n", "triggers:\n  t: {when: 'true', do: [{log: {text: x}}]}\n",
      "twice", "more.yaml", 2 },
    { MAIN "triggers:\n  b: {when: 'true', do: [{log: {text: x}}]}\n", "triggers:\n  aa: {when: 'true', do: [{log: {}}]}\n",
      "aa", "more.yaml", 2 },
    { MAIN "environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 1GiB}\ntriggers:\n  t:\n    when: 'true'\n    do:\n"
      "      - start: {environment: class2, count: 1}\n      - start: {environment: '${\"a\"}'}\n      - start: {environment: clas2}\n",
      NULL, "no environment 'clas2'", "manager.yaml", 12 },
    { MAIN "triggers:\n  t: {when: 'true', do: [{log: {text: x}}], recover: [{stop: {environment: a}}]}\n", NULL,
      "no environment 'a'", "manager.yaml", 5 },
    { "a: &x [1]\nb: *x\n", NULL, "", "manager.yaml", 1 },
};

static void one_clear_error(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *const texts[] = { bad[i].main, bad[i].more };
        venv_manager_config *c = NULL;
        venv_error err = { 0 };
        venv_rc rc = load(texts, bad[i].more ? 2 : 1, &c, &err);
        if (rc == VENV_OK || !strstr(err.text, bad[i].says) || strcmp(err.file, bad[i].file) != 0 ||
            (bad[i].line && err.line != bad[i].line))
            fail_msg("%s gave %d %s:%u:%u: %s", bad[i].main, rc, err.file, err.line, err.column, err.text);
        assert_null(c);
    }
    char deep[65537];
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    const char *const texts[] = { deep };
    venv_manager_config *c = NULL;
    venv_error err = { 0 };
    assert_int_not_equal(load(texts, 1, &c, &err), VENV_OK);
    assert_string_equal(err.file, "manager.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_further_files),
        cmocka_unit_test(one_clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
