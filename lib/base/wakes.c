/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wakes.h"

#include <stdlib.h>

#define CAPACITY_FIRST 16u

void venv_wakes_fini(venv_wakes *wakes)
{
    free(wakes->heap);
    free(wakes->places);
    venv_wakes_init(wakes);
}

static bool before(const venv_wake *a, const venv_wake *b)
{
    return a->at != b->at ? a->at < b->at : a->id < b->id;
}

static void put(venv_wakes *wakes, size_t place, venv_wake wake)
{
    wakes->heap[place] = wake;
    wakes->places[wake.id] = (uint32_t)place;
}

static void settle(venv_wakes *wakes, size_t place, venv_wake wake)
{
    while (place > 0 && before(&wake, &wakes->heap[(place - 1) / 2])) {
        put(wakes, place, wakes->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (size_t child = 2 * place + 1; child < wakes->count; child = 2 * place + 1) {
        if (child + 1 < wakes->count && before(&wakes->heap[child + 1], &wakes->heap[child]))
            child++;
        if (!before(&wakes->heap[child], &wake))
            break;
        put(wakes, place, wakes->heap[child]);
        place = child;
    }
    put(wakes, place, wake);
}

venv_rc venv_wakes_add(venv_wakes *wakes, venv_instant at, venv_error *err)
{
    if (wakes->count == wakes->capacity) {
        size_t capacity = wakes->capacity ? wakes->capacity * 2 : CAPACITY_FIRST;
        venv_wake *heap = realloc(wakes->heap, capacity * sizeof *heap);
        if (heap)
            wakes->heap = heap;
        uint32_t *places = heap ? realloc(wakes->places, capacity * sizeof *places) : NULL;
        if (!places)
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        wakes->places = places;
        wakes->capacity = capacity;
    }
    size_t place = wakes->count++;
    settle(wakes, place, (venv_wake){ at.ns, (uint32_t)place });
    return VENV_OK;
}

void venv_wakes_set(venv_wakes *wakes, uint32_t id, venv_instant at)
{
    size_t place = wakes->places[id];
    if (wakes->heap[place].at != at.ns)
        settle(wakes, place, (venv_wake){ at.ns, id });
}
