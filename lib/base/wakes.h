/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_WAKES_H
#define VENV_BASE_WAKES_H

/*
 * When each of many wants to be woken, and who is first: a heap in which everybody knows his place.
 *
 *      add ──► id 0, 1, 2 …        set(id, instant): O(log n)        first(): O(1)
 *
 * Of those that want the same instant the one with the lowest id is first, so the order depends on nothing else.
 * It reads no clock and calls nobody. VENV_INSTANT_NEVER is an instant like others, after all of them.
 */

#include <venv/common.h>

typedef struct venv_wake {
    int64_t at;
    uint32_t id;
} venv_wake;

typedef struct venv_wakes {
    venv_wake *heap;
    uint32_t *places; /* by id: where in the heap */
    size_t count, capacity;
} venv_wakes;

static inline void venv_wakes_init(venv_wakes *wakes)
{
    *wakes = (venv_wakes){ .count = 0 };
}

void venv_wakes_fini(venv_wakes *wakes);

/* One more, whose id is the count before: VENV_ENOMEM. */
venv_rc venv_wakes_add(venv_wakes *wakes, venv_instant at, venv_error *err);

void venv_wakes_set(venv_wakes *wakes, uint32_t id, venv_instant at);

/* The earliest instant; VENV_INSTANT_NEVER if there is nobody. */
static inline venv_instant venv_wakes_first(const venv_wakes *wakes)
{
    return wakes->count ? (venv_instant){ wakes->heap[0].at } : VENV_INSTANT_NEVER;
}

/* Who it is that is first. There must be somebody. */
static inline uint32_t venv_wakes_who(const venv_wakes *wakes)
{
    return wakes->heap[0].id;
}

#endif
