/* SPDX-License-Identifier: Apache-2.0 */
/* Properties in slots, and the schedule in ticks (requirement A3): which one is due, and when the next one will be. */

#include "property/set.h"

#include <stdlib.h>
#include <string.h>

static venv_instant instant_after(venv_instant from, int64_t ns)
{
    venv_instant result;
    if (__builtin_add_overflow(from.ns, ns, &result.ns))
        return VENV_INSTANT_NEVER;
    return result;
}

/* Nanoseconds between two samplings; 0 if there is only one or none. */
static int64_t slot_period(const venv_property_set *set, const venv_property_slot *slot)
{
    int64_t period = 0;
    if (slot->property.every <= 0)
        return 0;
    if (__builtin_mul_overflow(slot->property.every, set->tick.ns, &period))
        return INT64_MAX;
    return period;
}

static void slot_free(venv_property_slot *slot)
{
    if (!slot)
        return;
    venv_value_unref(&slot->sample.value);
    venv_value_unref(&slot->property.args);
    free(slot->texts);
    free(slot);
}

venv_rc venv_property_set_new(venv_span tick, venv_instant start, venv_property_set **ret_set, venv_error *err)
{
    if (tick.ns <= 0)
        return venv_error_set(err, VENV_EINVAL, "the tick must be longer than 0");
    venv_property_set *set = calloc(1, sizeof(*set));
    if (!set)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    set->tick = tick;
    set->start = start;
    /* Labels come from the administrator's own file: the table needs no secret seed. */
    venv_rc rc = venv_table_new(0, VENV_PROPERTY_COUNT_MAX, &set->labels, err);
    if (rc) {
        free(set);
        return rc;
    }
    *ret_set = set;
    return VENV_OK;
}

void venv_property_set_free(venv_property_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        slot_free(set->slots[i]);
    free(set->slots);
    venv_wakes_fini(&set->wakes);
    venv_table_free(set->labels);
    free(set);
}

static venv_str text_take(char **cursor, venv_str text)
{
    char *start = *cursor;
    if (text.size > 0)
        memcpy(start, text.data, text.size);
    start[text.size] = '\0';
    *cursor += text.size + 1;
    return (venv_str){ start, text.size };
}

static venv_property_slot *slot_new(const venv_property *property, venv_error *err)
{
    venv_property_slot *slot = calloc(1, sizeof(*slot));
    size_t size = property->label.size + property->unit.size + property->name.size + 3;
    char *texts = malloc(size);
    if (slot && texts && venv_value_dup(&property->args, &slot->property.args, err) == VENV_OK) {
        venv_value args = slot->property.args;
        slot->property = *property;
        slot->property.args = args;
        slot->texts = texts;
        slot->property.label = text_take(&texts, property->label);
        slot->property.unit = text_take(&texts, property->unit);
        slot->property.name = text_take(&texts, property->name);
        slot->sample.value = venv_value_null();
        slot->sample.quality = VENV_QUALITY_ABSENT;
        slot->sample.reason = slot->reason;
        return slot;
    }
    free(slot);
    free(texts);
    venv_error_set(err, VENV_ENOMEM, "out of memory");
    return NULL;
}

static venv_rc set_grow(venv_property_set *set, venv_error *err)
{
    if (set->count < set->capacity)
        return VENV_OK;
    size_t capacity = set->capacity ? set->capacity * 2 : 16;
    venv_property_slot **slots = realloc(set->slots, capacity * sizeof(venv_property_slot *));
    if (!slots)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    set->slots = slots;
    set->capacity = capacity;
    return VENV_OK;
}

venv_rc venv_property_set_add(venv_property_set *set, const venv_property *property, uint32_t *ret_slot,
                              venv_error *err)
{
    venv_rc rc = venv_property_check(property, err);
    if (rc)
        return rc;
    if (venv_table_find(set->labels, property->label.data, property->label.size))
        return venv_error_set(err, VENV_EEXIST, "there is a property '%.*s' already", (int)property->label.size,
                              property->label.data);
    if (set->count >= VENV_PROPERTY_COUNT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "too many properties; at most %d are allowed",
                              VENV_PROPERTY_COUNT_MAX);
    rc = set_grow(set, err);
    if (rc)
        return rc;
    venv_property_slot *slot = slot_new(property, err);
    if (!slot)
        return VENV_ENOMEM;
    venv_instant due = slot->property.every < 0 ? VENV_INSTANT_NEVER : set->start;
    rc = venv_table_add(set->labels, property->label.data, property->label.size, slot, err);
    if (rc == VENV_OK && (rc = venv_wakes_add(&set->wakes, due, err)) != VENV_OK)
        (void)venv_table_remove(set->labels, property->label.data, property->label.size);
    if (rc) {
        slot_free(slot);
        return rc;
    }
    slot->due = due;
    slot->index = (uint32_t)set->count;
    set->slots[set->count++] = slot;
    *ret_slot = slot->index;
    return VENV_OK;
}

size_t venv_property_set_count(const venv_property_set *set)
{
    return set->count;
}

const venv_property *venv_property_set_peek(const venv_property_set *set, uint32_t slot)
{
    return slot < set->count ? &set->slots[slot]->property : NULL;
}

bool venv_property_set_find(const venv_property_set *set, venv_str label, uint32_t *ret_slot)
{
    const venv_property_slot *found = venv_table_find(set->labels, label.data, label.size);
    if (!found)
        return false;
    *ret_slot = found->index;
    return true;
}

/* The next tick after `now` at which the slot is due: ticks that were missed are not made up for. */
static venv_instant slot_next(const venv_property_set *set, const venv_property_slot *slot, venv_instant now)
{
    int64_t period = slot_period(set, slot);
    if (period == 0)
        return VENV_INSTANT_NEVER;
    int64_t elapsed = now.ns - set->start.ns;
    int64_t next = 0;
    if (elapsed < 0)
        return set->start;
    if (__builtin_mul_overflow(elapsed / period + 1, period, &next))
        return VENV_INSTANT_NEVER;
    return instant_after(set->start, next);
}

bool venv_property_set_due(venv_property_set *set, venv_instant now, uint32_t *ret_slot)
{
    while (venv_wakes_first(&set->wakes).ns <= now.ns && set->count > 0) {
        venv_property_slot *slot = set->slots[venv_wakes_who(&set->wakes)];
        if (!slot->busy && slot->due.ns <= now.ns) {
            *ret_slot = slot->index;
            return venv_property_set_begin(set, slot->index, now);
        }
        venv_property_slot_make_stale(set, slot);
    }
    return false;
}

bool venv_property_set_begin(venv_property_set *set, uint32_t slot, venv_instant now)
{
    if (slot >= set->count || set->slots[slot]->busy)
        return false;
    venv_property_slot *s = set->slots[slot];
    s->busy = true;
    /* A sampling out of turn does not move the turns, except that it takes the place of one that is due. */
    if (s->due.ns <= now.ns)
        s->due = slot_next(set, s, now);
    venv_property_slot_wake(set, s);
    return true;
}

bool venv_property_set_busy(const venv_property_set *set, uint32_t slot)
{
    return slot < set->count && set->slots[slot]->busy;
}

venv_instant venv_property_slot_stale_at(const venv_property_set *set, const venv_property_slot *slot)
{
    int64_t grace = slot_period(set, slot);
    if (grace == 0 || !slot->sample.time.ns || slot->sample.quality == VENV_QUALITY_STALE)
        return VENV_INSTANT_NEVER;
    if (__builtin_mul_overflow(grace, VENV_PROPERTY_GRACE_PERIODS, &grace) ||
        __builtin_add_overflow(grace, slot->property.timeout.ns, &grace))
        return VENV_INSTANT_NEVER;
    return instant_after(slot->sample.taken, grace);
}

void venv_property_slot_wake(venv_property_set *set, const venv_property_slot *slot)
{
    venv_instant at = venv_property_slot_stale_at(set, slot);
    if (!slot->busy && slot->due.ns < at.ns)
        at = slot->due;
    venv_wakes_set(&set->wakes, slot->index, at);
}

venv_instant venv_property_set_deadline(const venv_property_set *set)
{
    return venv_wakes_first(&set->wakes);
}
