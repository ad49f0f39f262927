/* SPDX-License-Identifier: Apache-2.0 */
#include "history/series.h"

#include <stdlib.h>
#include <string.h>

void venv_history_catalog_fini(venv_history_catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        free(catalog->items[i].subject);
    free(catalog->items);
    *catalog = (venv_history_catalog){ 0 };
}

static bool make_room(venv_history_catalog *catalog, uint32_t number)
{
    size_t capacity = catalog->capacity ? catalog->capacity : 64;
    while (capacity <= number)
        capacity *= 2;
    if (capacity == catalog->capacity)
        return true;
    venv_history_series *items = realloc(catalog->items, capacity * sizeof *items);
    if (!items)
        return false;
    memset(items + catalog->capacity, 0, (capacity - catalog->capacity) * sizeof *items);
    catalog->items = items;
    catalog->capacity = capacity;
    return true;
}

bool venv_history_catalog_define(venv_history_catalog *catalog, uint32_t number, venv_history_kind kind, venv_str subject,
                                 venv_str label)
{
    if (number == 0 || number > VENV_HISTORY_SERIES_MAX || subject.size > VENV_HISTORY_TEXT_MAX ||
        label.size > VENV_HISTORY_TEXT_MAX || !make_room(catalog, number))
        return false;
    char *text = calloc(1, subject.size + label.size + 2);
    if (!text)
        return false;
    memcpy(text, subject.data, subject.size);
    memcpy(text + subject.size + 1, label.data, label.size);
    venv_history_series *item = &catalog->items[number];
    free(item->subject);
    *item = (venv_history_series){ kind, text, text + subject.size + 1 };
    if (number >= catalog->count)
        catalog->count = (size_t)number + 1;
    return true;
}

const venv_history_series *venv_history_catalog_find(const venv_history_catalog *catalog, uint32_t number)
{
    return number < catalog->count && catalog->items[number].subject ? &catalog->items[number] : NULL;
}
