/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of xl and xm, and domain XML, that somebody made up: what is read gives YAML that reads back as one map with one
 * environment, whatever was in the texts, and says so at its top where it cannot be applied.
 */
#include "fuzz/fuzz.h"

#include <venv/codec.h>
#include <venv/environment.h>

#include <string.h>

static void check(const char *yaml)
{
    venv_value file = venv_value_null();
    venv_error err = { .rc = VENV_OK };
    bool told = strncmp(yaml, "# It cannot be applied yet: ", 28) == 0;
    venv_rc rc = venv_yaml_parse(yaml, strlen(yaml), NULL, &file, NULL, &err);
    FUZZ_CHECK(rc == VENV_OK || told);
    if (rc != VENV_OK)
        return;
    const venv_value *all = venv_value_get(&file, "environments"), *key, *value;
    FUZZ_CHECK(venv_value_count(&file) == 1 && all && venv_value_count(all) == 1 && venv_value_entry(all, 0, &key, &value));
    venv_str name = venv_value_peek_text(key);
    char text[VENV_NAME_MAX + 1];
    FUZZ_CHECK(venv_name_is_valid(name));
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    venv_environment *environment = NULL;
    rc = venv_environment_from_value(text, value, NULL, NULL, &environment, &err);
    FUZZ_CHECK((rc == VENV_OK) == !told);
    venv_environment_unref(environment);
    venv_value_unref(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *yaml = NULL;
    if (venv_environment_import((const char *)data, size, "input", NULL, &yaml, NULL) == VENV_OK)
        check(yaml);
    free(yaml);
    return 0;
}
