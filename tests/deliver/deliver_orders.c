/* SPDX-License-Identifier: Apache-2.0 */
/* Carries out orders: one JSON object a line on standard input, one outcome a line on standard output. Times are in milliseconds. */
#include "deliver/deliver.h"

#include <venv/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* JSON has no durations and no times: `timeout` and `made` are numbers here. */
static venv_value order_of(const venv_value *read)
{
    venv_map_builder map;
    venv_value order = venv_value_null();
    const venv_value *key, *value;
    venv_map_init(&map);
    for (size_t i = 0; venv_value_entry(read, i, &key, &value); i++) {
        if (venv_value_is_text(key, "timeout"))
            venv_map_put(&map, "timeout", venv_value_from_span((venv_span){ venv_value_get_int(read, "timeout", 1000) * 1000000 }));
        else if (venv_value_is_text(key, "made"))
            venv_map_put(&map, "made", venv_value_from_wall((venv_wall){ venv_value_get_int(read, "made", 0) * VENV_NS_PER_S }));
        else
            venv_map_put_value(&map, venv_value_ref(key), venv_value_ref(value));
    }
    return venv_map_take(&map, &order, NULL) == VENV_OK ? order : venv_value_null();
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, stdin)) > 0) {
        static const atomic_bool stop = false;
        static venv_delivery_outcome outcome;
        venv_value read = venv_value_null();
        venv_error err = { 0 };
        if (venv_json_parse(line, (size_t)size, 4u << 20, &read, &err) != VENV_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        venv_value order = order_of(&read);
        venv_deliver(&order, &stop, &outcome);
        printf("{\"rc\": \"%s\", \"status\": %ld, \"attempts\": %u, \"truncated\": %s, \"answer\": %zu}\n", venv_rc_name(outcome.rc),
               outcome.status, outcome.attempts, outcome.truncated ? "true" : "false", outcome.answer_size);
        fflush(stdout);
        venv_value_unref(&order);
        venv_value_unref(&read);
    }
    free(line);
    return 0;
}
