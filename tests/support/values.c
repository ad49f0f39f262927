/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "support/values.h"
#include "value/object.h"

venv_value values_draw(venv_random *random, int depth)
{
    char text[40];
    size_t size = venv_random_below(random, sizeof text);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + venv_random_below(random, 26));
    uint64_t bits = venv_random_next(random) >> venv_random_below(random, 64);
    venv_value value = venv_value_null();
    venv_list_builder list;
    venv_map_builder map;
    switch (venv_random_below(random, depth > 0 ? 12 : 10)) {
    case 0:
        return venv_value_bool(bits & 1);
    case 1:
        return venv_value_int((int64_t)bits);
    case 2:
        return venv_value_int(-(int64_t)(bits >> 1) - 1);
    case 3:
        return venv_value_uint(bits);
    case 4: {
        double d;
        memcpy(&d, &bits, sizeof d);
        return venv_value_double(d);
    }
    case 5:
        return venv_value_double((double)(int64_t)bits / 8);
    case 6:
        assert_int_equal(venv_value_string(text, size, &value, NULL), VENV_OK);
        return value;
    case 7:
        assert_int_equal(venv_value_bytes(text, size, &value, NULL), VENV_OK);
        return value;
    case 8:
        return venv_value_from_wall((venv_wall){ (int64_t)bits });
    case 9:
        return venv_value_from_span((venv_span){ -(int64_t)(bits >> 1) });
    case 10:
        venv_list_init(&list);
        for (uint64_t n = venv_random_below(random, 6); n; n--)
            venv_list_add(&list, values_draw(random, depth - 1));
        assert_int_equal(venv_list_take(&list, &value, NULL), VENV_OK);
        return value;
    default:
        venv_map_init(&map);
        for (uint64_t n = venv_random_below(random, 30); n; n--) {
            venv_value key = venv_value_null();
            do {
                venv_value_unref(&key);
                key = values_draw(random, 0);
            } while (!venv_kind_is_key(key.w.kind));
            venv_map_put_value(&map, key, values_draw(random, depth - 1));
        }
        if (venv_map_take(&map, &value, NULL) != VENV_OK) /* two keys happened to be equal */
            return venv_value_null();
        return value;
    }
}
