/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON: what was read, printed, and read again is the same value and the same text, and CBOR keeps it.
 */
#include "fuzz/fuzz.h"

#include "codec/cbor.h"

#include <string.h>

static void check_cbor(const venv_value *value)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.depth_max = VENV_CBOR_DEPTH_MAX;
    options.item_count_max = VENV_CBOR_ITEMS_MAX;
    uint8_t *bytes;
    size_t size;
    venv_value back;
    FUZZ_CHECK(venv_cbor_encode(value, &options, &bytes, &size, NULL) == VENV_OK);
    FUZZ_CHECK(venv_cbor_decode(bytes, size, &options, &back, NULL) == VENV_OK);
    FUZZ_CHECK(venv_value_equal(value, &back));
    venv_value_unref(&back);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    venv_value value = venv_value_null(), again;
    venv_error err = { 0 };
    venv_rc rc = venv_json_parse((const char *)data, size, 0, &value, &err);
    if (rc != VENV_OK) {
        FUZZ_CHECK(rc == VENV_EINVAL || rc == VENV_ERANGE || rc == VENV_ELIMIT || rc == VENV_EEXIST);
        FUZZ_CHECK(err.rc == rc && err.text[0] && err.line && err.column);
        return 0;
    }
    char *first, *second;
    FUZZ_CHECK(venv_json_print(&value, VENV_JSON_COMPACT, &first, NULL, NULL) == VENV_OK);
    FUZZ_CHECK(venv_json_parse(first, strlen(first), VENV_JSON_BYTES_MAX, &again, NULL) == VENV_OK);
    FUZZ_CHECK(venv_value_equal(&value, &again) && venv_value_compare(&value, &again) == 0);
    FUZZ_CHECK(venv_json_print(&again, VENV_JSON_COMPACT, &second, NULL, NULL) == VENV_OK);
    FUZZ_CHECK(strcmp(first, second) == 0);
    check_cbor(&value);
    free(first);
    free(second);
    venv_value_unref(&value);
    venv_value_unref(&again);
    return 0;
}
