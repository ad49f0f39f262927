/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_PROPERTY_SET_H
#define VENV_PROPERTY_SET_H

/* The inside of a property set, shared by set.c (slots, schedule) and sample.c (values, changes). */

#include "base/table.h"
#include "base/wakes.h"

#include <venv/property.h>

typedef struct venv_property_slot {
    venv_property property; /* its texts point into `texts` */
    char *texts;
    venv_sample sample;     /* its reason points to `reason` */
    char reason[VENV_PROPERTY_REASON_MAX];
    uint32_t index;
    uint32_t size;          /* about how many bytes the sample takes when encoded */
    venv_instant due;       /* VENV_INSTANT_NEVER: not by itself */
    bool busy;
    bool changed;           /* since it was pushed */
    bool pushed_ever;
    venv_instant pushed;
} venv_property_slot;

struct venv_property_set {
    venv_span tick;
    venv_instant start;
    venv_property_slot **slots; /* pointers: a sample's address stays */
    size_t count, capacity;
    size_t changed_count;
    venv_wakes wakes;           /* by slot: when it is due, or stale */
    venv_table *labels;         /* label → slot */
};

/* When the value in a slot becomes too old; VENV_INSTANT_NEVER if it does not. */
venv_instant venv_property_slot_stale_at(const venv_property_set *set, const venv_property_slot *slot);

/* Something that this depends on has changed: when the slot wants to be looked at next. */
void venv_property_slot_wake(venv_property_set *set, const venv_property_slot *slot);

/* It is too old, and whoever asks is told so. */
void venv_property_slot_make_stale(venv_property_set *set, venv_property_slot *slot);

/* About how many bytes a row of PUSH with this sample takes. */
size_t venv_property_set_row_size(const venv_property_set *set, uint32_t slot);

/* Count a slot as changed, whatever it holds: somebody new does not know it. */
void venv_property_set_touch(venv_property_set *set, uint32_t slot);
/* Has it changed since it was pushed? */
bool venv_property_set_is_changed(const venv_property_set *set, uint32_t slot);

#endif
