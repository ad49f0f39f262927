/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML: a failure has a place in the text; marks have the shape of the value and places in the text; what
 * was read, printed as JSON and read as YAML again is the same value.
 */
#include "fuzz/fuzz.h"

#include <venv/codec.h>

#include <math.h>
#include <string.h>

/* Lines of the text, as libyaml counts them, and one for the end. */
static uint32_t count_lines(const uint8_t *data, size_t size)
{
    uint32_t lines = 2;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 || data[i] == 0xa9;
    return lines;
}

/* Returns whether JSON can say the same: string keys and finite numbers only. */
static bool check_marks(const venv_value *value, const venv_mark *mark, uint32_t lines, size_t size)
{
    bool plain = venv_value_kind(value) != VENV_DOUBLE || isfinite(venv_value_peek_double(value));
    FUZZ_CHECK(mark && mark->line >= 1 && mark->line <= lines && mark->column >= 1 && mark->column <= size + 1);
    FUZZ_CHECK(mark->key_line >= 1 && mark->key_line <= mark->line);
    FUZZ_CHECK(mark->count == venv_value_count(value));
    for (uint32_t i = 0; i < mark->count; i++) {
        const venv_value *key = NULL, *item = venv_value_at(value, i);
        if (!item)
            FUZZ_CHECK(venv_value_entry(value, i, &key, &item));
        plain &= !key || venv_value_kind(key) == VENV_STRING;
        plain &= check_marks(item, venv_mark_at(mark, i), lines, size);
    }
    return plain;
}

static void check_json(const venv_value *value)
{
    char *text;
    size_t size;
    venv_value again;
    FUZZ_CHECK(venv_json_print(value, VENV_JSON_COMPACT, &text, &size, NULL) == VENV_OK);
    /* Not where libyaml is narrower: keys of more than 1,024 bytes, and U+FFFE and U+FFFF as they are. */
    if (size <= 1000 && !memmem(text, size, "\xef\xbf", 2)) {
        FUZZ_CHECK(venv_yaml_parse(text, size, NULL, &again, NULL, NULL) == VENV_OK);
        FUZZ_CHECK(venv_value_equal(value, &again));
        venv_value_unref(&again);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    venv_value value = venv_value_null();
    venv_yaml_marks *marks = NULL;
    venv_error err = { 0 };
    uint32_t lines = count_lines(data, size);
    venv_rc rc = venv_yaml_parse((const char *)data, size, "f", &value, &marks, &err);
    if (rc != VENV_OK) {
        FUZZ_CHECK(rc == VENV_EINVAL || rc == VENV_ERANGE || rc == VENV_ELIMIT || rc == VENV_EEXIST);
        FUZZ_CHECK(err.rc == rc && err.text[0] && strcmp(err.file, "f") == 0);
        FUZZ_CHECK(err.line >= 1 && err.line <= lines && err.column >= 1 && err.column <= size + 1);
        FUZZ_CHECK(!marks);
        return 0;
    }
    if (check_marks(&value, venv_yaml_marks_root(marks), lines, size))
        check_json(&value);
    venv_yaml_marks_free(marks);
    venv_value_unref(&value);
    return 0;
}
