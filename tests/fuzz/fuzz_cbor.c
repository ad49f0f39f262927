/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR: what is accepted is the deterministic encoding of its value, so encoding it again must give the
 * same bytes; a borrowed, a copied and a printed value must agree with it.
 */
#include "fuzz/fuzz.h"

#include "codec/cbor.h"
#include "codec/json.h"

#include <string.h>

static void check_copy(const venv_value *value, const uint8_t *data, size_t size)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.borrow = true;
    venv_value borrowed, owned;
    FUZZ_CHECK(venv_cbor_decode(data, size, &options, &borrowed, NULL) == VENV_OK);
    FUZZ_CHECK(venv_value_dup(&borrowed, &owned, NULL) == VENV_OK);
    venv_value_unref(&borrowed);
    FUZZ_CHECK(venv_value_compare(value, &owned) == 0);
    FUZZ_CHECK(venv_value_hash(value, size) == venv_value_hash(&owned, size));
    venv_value_unref(&owned);
}

static void check_texts(const venv_value *value)
{
    char text[64];
    size_t wanted = venv_value_print(value, text, sizeof text);
    FUZZ_CHECK(strlen(text) <= wanted && strlen(text) < sizeof text);
    for (const char *c = text; *c; c++)
        FUZZ_CHECK((uint8_t)*c >= 0x20 && *c != 0x7f);
    venv_buf json;
    venv_buf_init(&json, 1 << 20);
    venv_rc rc = venv_json_append(&json, value, VENV_JSON_COMPACT, NULL);
    FUZZ_CHECK(rc == VENV_OK || rc == VENV_EEXIST || rc == VENV_ELIMIT);
    venv_buf_fini(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    venv_value value = venv_value_null();
    venv_error err = { 0 };
    venv_rc rc = venv_cbor_decode(data, size, NULL, &value, &err);
    if (rc != VENV_OK) {
        FUZZ_CHECK(rc == VENV_EINVAL || rc == VENV_ERANGE || rc == VENV_ELIMIT);
        FUZZ_CHECK(err.rc == rc && err.text[0]);
        FUZZ_CHECK(venv_value_kind(&value) == VENV_NULL);
        return 0;
    }
    venv_buf again;
    venv_buf_init(&again, size);
    FUZZ_CHECK(venv_cbor_append(&again, &value, NULL, NULL) == VENV_OK);
    FUZZ_CHECK(again.size == size && memcmp(again.data, data, size) == 0);
    venv_buf_fini(&again);
    check_copy(&value, data, size);
    check_texts(&value);
    venv_value_unref(&value);
    return 0;
}
