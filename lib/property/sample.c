/* SPDX-License-Identifier: Apache-2.0 */
/* Samples: the last good value of each slot, its quality and reason, and what changed since the last push. */

#include "base/table.h"
#include "property/set.h"

#include <venv/codec.h>
#include <venv/text.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value must fit in a message with what stands around it: depth 16 there. */
enum { VALUE_DEPTH_MAX = 12, VALUE_ITEMS_MAX = 16384 };
enum { ROW_OVERHEAD = 40 }; /* slot, quality, time and heads of a row of PUSH, encoded */

const venv_sample *venv_property_set_sample(const venv_property_set *set, uint32_t slot)
{
    return slot < set->count ? &set->slots[slot]->sample : NULL;
}

size_t venv_property_set_row_size(const venv_property_set *set, uint32_t slot)
{
    const venv_property_slot *s = set->slots[slot];
    return ROW_OVERHEAD + s->size + strlen(s->reason);
}

static void mark_changed(venv_property_set *set, venv_property_slot *slot)
{
    if (!slot->changed)
        set->changed_count++;
    slot->changed = true;
}

static void set_quality(venv_property_set *set, venv_property_slot *slot, venv_quality quality, const char *reason)
{
    if (slot->sample.quality == quality && !reason[0] && !slot->reason[0])
        return;
    char safe[VENV_PROPERTY_REASON_MAX];
    venv_text_safe((venv_str){ reason, strlen(reason) }, safe, sizeof(safe));
    if (slot->sample.quality == quality && strcmp(slot->reason, safe) == 0)
        return;
    slot->sample.quality = quality;
    memcpy(slot->reason, safe, sizeof(safe));
    mark_changed(set, slot);
}

/* The value as the slot keeps it: an int becomes a double where that is declared, a small uint an int. */
static bool coerce(venv_property_type type, const venv_value *value, venv_value *ret_value)
{
    venv_kind kind = venv_value_kind(value);
    if (type == VENV_PROPERTY_DOUBLE && kind == VENV_INT)
        *ret_value = venv_value_double((double)venv_value_peek_int(value));
    else if (type == VENV_PROPERTY_INT && kind == VENV_UINT && venv_value_peek_uint(value) <= INT64_MAX)
        *ret_value = venv_value_int((int64_t)venv_value_peek_uint(value));
    else if (!venv_property_type_accepts(type, value))
        return false;
    else if (kind == VENV_DOUBLE && !isfinite(venv_value_peek_double(value)))
        return false;
    else
        *ret_value = *value; /* borrowed: taken as a copy later */
    return true;
}

/* Bytes of a value once encoded, or what is wrong with it. */
static venv_rc value_size(const venv_value *value, size_t *ret_size, venv_error *err)
{
    venv_cbor_options options = VENV_CBOR_OPTIONS_INIT;
    options.depth_max = VALUE_DEPTH_MAX;
    options.item_count_max = VALUE_ITEMS_MAX;
    options.byte_count_max = VENV_PROPERTY_VALUE_MAX;
    uint8_t *data = NULL;
    if (venv_value_kind(value) != VENV_LIST && venv_value_kind(value) != VENV_MAP) {
        *ret_size = venv_value_kind(value) == VENV_STRING ? venv_value_peek_text(value).size + 5 : 9;
        if (*ret_size > VENV_PROPERTY_VALUE_MAX + 5)
            return venv_error_set(err, VENV_ELIMIT, "too long");
        return VENV_OK;
    }
    venv_rc rc = venv_cbor_encode(value, &options, &data, ret_size, err);
    free(data);
    return rc;
}

venv_rc venv_property_set_good(venv_property_set *set, uint32_t slot, venv_now now, const venv_value *value,
                               venv_error *err)
{
    venv_property_slot *s = set->slots[slot];
    venv_value coerced = venv_value_null(), copy = venv_value_null();
    char text[VENV_PROPERTY_REASON_MAX];
    if (!coerce(s->property.type, value, &coerced)) {
        snprintf(text, sizeof(text), "it gave a %s; expected %s%s", venv_kind_name(venv_value_kind(value)),
                 s->property.type == VENV_PROPERTY_DOUBLE ? "a finite " : "", venv_property_type_name(s->property.type));
        venv_property_set_failed(set, slot, now, text);
        return VENV_OK;
    }
    bool same = s->sample.time.ns && venv_value_kind(&coerced) == venv_value_kind(&s->sample.value) &&
                venv_value_compare(&coerced, &s->sample.value) == 0;
    size_t size = s->size;
    venv_rc rc = same ? VENV_OK : value_size(&coerced, &size, err);
    if (rc == VENV_ENOMEM)
        return rc;
    if (rc) {
        snprintf(text, sizeof(text), "the value is too large or too deep; at most %d bytes are kept",
                 VENV_PROPERTY_VALUE_MAX);
        venv_property_set_failed(set, slot, now, text);
        return VENV_OK;
    }
    rc = venv_value_dup(&coerced, &copy, err);
    if (rc)
        return rc;
    if (!same)
        mark_changed(set, s);
    venv_value_unref(&s->sample.value); /* the new one also if it is the same: the next is compared with it at a glance */
    s->sample.value = copy;
    s->size = (uint32_t)size;
    s->sample.time = now.wall.ns ? now.wall : (venv_wall){ 1 }; /* 0 means that there is none */
    s->sample.taken = s->sample.tried = now.mono;
    s->sample.failures = 0;
    s->busy = false;
    set_quality(set, s, VENV_QUALITY_OK, "");
    venv_property_slot_wake(set, s);
    return VENV_OK;
}

void venv_property_set_failed(venv_property_set *set, uint32_t slot, venv_now now, const char *reason)
{
    venv_property_slot *s = set->slots[slot];
    s->busy = false;
    s->sample.tried = now.mono;
    if (s->sample.failures < UINT32_MAX)
        s->sample.failures++;
    bool stale = s->sample.quality == VENV_QUALITY_STALE || venv_property_slot_stale_at(set, s).ns <= now.mono.ns;
    set_quality(set, s, stale ? VENV_QUALITY_STALE : VENV_QUALITY_ERROR, reason && reason[0] ? reason : "it failed");
    venv_property_slot_wake(set, s);
}

void venv_property_slot_make_stale(venv_property_set *set, venv_property_slot *slot)
{
    set_quality(set, slot, VENV_QUALITY_STALE, slot->reason[0] ? slot->reason : "no new value in time");
    venv_property_slot_wake(set, slot);
}

void venv_property_set_age(venv_property_set *set, venv_instant now)
{
    if (venv_wakes_first(&set->wakes).ns > now.ns)
        return;
    for (size_t i = 0; i < set->count; i++)
        if (venv_property_slot_stale_at(set, set->slots[i]).ns <= now.ns)
            venv_property_slot_make_stale(set, set->slots[i]);
}

bool venv_property_set_changed(const venv_property_set *set, venv_instant now, venv_span refresh, uint32_t *cursor,
                               uint32_t *ret_slot)
{
    while (*cursor < set->count) {
        const venv_property_slot *s = set->slots[*cursor];
        /* A refresh tells that the value is as new as it is: worth it only if there was an attempt since. */
        bool old = s->pushed_ever && s->sample.tried.ns > s->pushed.ns && now.ns - s->pushed.ns >= refresh.ns;
        (*cursor)++;
        if (s->changed || old) {
            *ret_slot = *cursor - 1;
            return true;
        }
    }
    return false;
}

void venv_property_set_pushed(venv_property_set *set, uint32_t slot, venv_instant now)
{
    venv_property_slot *s = set->slots[slot];
    if (s->changed)
        set->changed_count--;
    s->changed = false;
    s->pushed_ever = true;
    s->pushed = now;
}

void venv_property_set_touch(venv_property_set *set, uint32_t slot)
{
    mark_changed(set, set->slots[slot]);
}

bool venv_property_set_is_changed(const venv_property_set *set, uint32_t slot)
{
    return set->slots[slot]->changed;
}

bool venv_property_set_has_changed(const venv_property_set *set)
{
    return set->changed_count > 0;
}

uint64_t venv_property_set_digest(const venv_property_set *set, uint64_t seed)
{
    uint64_t hash = seed;
    for (size_t i = 0; i < set->count; i++) {
        const venv_property_slot *s = set->slots[i];
        int64_t parts[] = { s->sample.quality, s->sample.time.ns, s->sample.taken.ns, s->sample.tried.ns,
                            s->sample.failures, s->due.ns, s->busy, s->changed, s->pushed_ever, s->pushed.ns,
                            (int64_t)venv_value_hash(&s->sample.value, seed) };
        hash = venv_hash_bytes(parts, sizeof(parts), hash);
        hash = venv_hash_bytes(s->reason, strlen(s->reason), hash);
        hash = venv_hash_bytes(s->property.label.data, s->property.label.size, hash);
    }
    return hash;
}
