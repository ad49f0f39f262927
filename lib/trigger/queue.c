/* SPDX-License-Identifier: Apache-2.0 */
/* The sum of one queue over all agents that report it. */
#include "trigger/queue.h"

#include <stdio.h>
#include <string.h>

static void add_to_sum(venv_queue_sum *sum, const char *name, const venv_value *value)
{
    double number = 0;
    bool whole = true;
    if (value && venv_value_kind(value) == VENV_INT)
        number = (double)venv_value_peek_int(value);
    else if (value && venv_value_kind(value) == VENV_UINT)
        number = (double)venv_value_peek_uint(value);
    else if (value && venv_value_kind(value) == VENV_DOUBLE) {
        number = venv_value_peek_double(value);
        whole = number == (double)(int64_t)number;
    } else if (value) {
        return; /* texts and the like are no sums */
    }
    size_t at = 0;
    while (at < sum->count && strcmp(sum->names[at], name) != 0)
        at++;
    if (at == VENV_QUEUE_KEYS_MAX)
        return;
    if (at == sum->count) {
        snprintf(sum->names[at], sizeof sum->names[at], "%s", name);
        sum->whole[at] = true;
        sum->sums[at] = 0;
        sum->count++;
    }
    sum->sums[at] += number;
    sum->whole[at] = sum->whole[at] && whole;
}

void venv_queue_sum_add(venv_queue_sum *sum, const venv_value *queue)
{
    const venv_value *key, *value;
    for (size_t i = 0; venv_value_entry(queue, i, &key, &value); i++) {
        char name[VENV_NAME_MAX + 1];
        venv_str text = venv_value_kind(key) == VENV_STRING ? venv_value_peek_text(key) : VENV_STR("");
        if (text.size == 0 || text.size > VENV_NAME_MAX || memchr(text.data, '\0', text.size))
            continue;
        memcpy(name, text.data, text.size);
        name[text.size] = '\0';
        add_to_sum(sum, name, value);
    }
}

void venv_queue_sum_init(venv_queue_sum *sum)
{
    sum->count = 0;
    add_to_sum(sum, "pending", NULL);
    add_to_sum(sum, "running", NULL);
}

venv_rc venv_queue_sum_take(const venv_queue_sum *sum, venv_value *ret_map, venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    for (size_t i = 0; i < sum->count; i++)
        venv_map_put(&map, sum->names[i], sum->whole[i] ? venv_value_int((int64_t)sum->sums[i]) : venv_value_double(sum->sums[i]));
    return venv_map_take(&map, ret_map, err);
}
