/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions and samples as they travel: rows of PROPLIST and PUSH, the body of PROPVAL. */

#include <venv/property.h>

#include <stdio.h>
#include <string.h>

static void put_str(venv_map_builder *map, const char *key, venv_str text)
{
    venv_map_put_text(map, key, text.data, text.size);
}

venv_rc venv_property_to_value(const venv_property *property, uint32_t slot, venv_quality quality,
                               venv_value *ret_value, venv_error *err)
{
    char source[VENV_NAME_MAX + 16];
    snprintf(source, sizeof(source), "%s:%.*s",
             property->source == VENV_PROPERTY_COMMAND ? "command" : "builtin", (int)property->name.size,
             property->name.data);
    venv_map_builder map;
    venv_map_init(&map);
    venv_map_put(&map, "slot", venv_value_int(slot));
    put_str(&map, "label", property->label);
    venv_map_put(&map, "type", venv_value_literal(venv_property_type_name(property->type)));
    if (property->unit.size > 0)
        put_str(&map, "unit", property->unit);
    venv_map_put(&map, "every", venv_value_int(property->every));
    venv_map_put_z(&map, "source", source);
    venv_map_put(&map, "quality", venv_value_literal(venv_quality_name(quality)));
    return venv_map_take(&map, ret_value, err);
}

/* "builtin:load1" */
static bool source_read(venv_str text, venv_property *property)
{
    static const char *const prefixes[] = { [VENV_PROPERTY_BUILTIN] = "builtin:",
                                            [VENV_PROPERTY_COMMAND] = "command:" };
    for (int i = 0; i < 2; i++) {
        size_t size = strlen(prefixes[i]);
        if (text.size > size && memcmp(text.data, prefixes[i], size) == 0) {
            property->source = (venv_property_source)i;
            property->name = (venv_str){ text.data + size, text.size - size };
            return true;
        }
    }
    return false;
}

venv_rc venv_property_from_value(const venv_value *value, venv_property *ret_property, uint32_t *ret_slot,
                                 venv_error *err)
{
    venv_property property = { .label = venv_value_get_text(value, "label"),
                               .unit = venv_value_get_text(value, "unit"),
                               .args = venv_value_null(),
                               .every = venv_value_get_int(value, "every", -1),
                               .timeout = { VENV_NS_PER_S } };
    int64_t slot = venv_value_get_int(value, "slot", -1);
    if (slot < 0 || slot >= VENV_PROPERTY_COUNT_MAX)
        return venv_error_set(err, VENV_EPROTO, "a property without a slot from 0 to %d",
                              VENV_PROPERTY_COUNT_MAX - 1);
    if (!venv_property_type_parse(venv_value_get_text(value, "type"), &property.type))
        return venv_error_set(err, VENV_EPROTO, "the property in slot %lld has no known type", (long long)slot);
    if (!source_read(venv_value_get_text(value, "source"), &property))
        return venv_error_set(err, VENV_EPROTO, "the property in slot %lld has no known source", (long long)slot);
    venv_error inner = { 0 };
    venv_rc rc = venv_property_check(&property, &inner);
    if (rc)
        return venv_error_set(err, VENV_EPROTO, "the property in slot %lld: %s", (long long)slot, inner.text);
    property.timeout = (venv_span){ 0 }; /* the agent's affair, not told */
    *ret_property = property;
    *ret_slot = (uint32_t)slot;
    return VENV_OK;
}

venv_rc venv_sample_to_value(const venv_sample *sample, uint32_t slot, venv_value *ret_value, venv_error *err)
{
    venv_list_builder list;
    venv_list_init(&list);
    venv_list_add(&list, venv_value_int(slot));
    venv_list_add(&list, venv_value_ref(&sample->value));
    venv_list_add(&list, venv_value_int(sample->quality));
    venv_list_add(&list, sample->time.ns ? venv_value_from_wall(sample->time) : venv_value_null());
    if (sample->reason[0])
        venv_list_add_text(&list, sample->reason);
    return venv_list_take(&list, ret_value, err);
}

/* An int or a uint that is within bounds. */
static bool small_number(const venv_value *value, uint32_t bound, uint32_t *ret_number)
{
    if (!value)
        return false;
    uint64_t number = 0;
    if (venv_value_kind(value) == VENV_UINT)
        number = venv_value_peek_uint(value);
    else if (venv_value_kind(value) == VENV_INT && venv_value_peek_int(value) >= 0)
        number = (uint64_t)venv_value_peek_int(value);
    else
        return false;
    if (number >= bound)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

venv_rc venv_sample_row_read(const venv_value *value, venv_sample_row *ret_row, venv_error *err)
{
    venv_sample_row row = { .reason = { "", 0 } };
    uint32_t quality = 0;
    size_t count = venv_value_count(value);
    if (venv_value_kind(value) != VENV_LIST || count < 4)
        return venv_error_set(err, VENV_EPROTO, "a sample is not a list of slot, value, quality, time");
    if (!small_number(venv_value_at(value, 0), VENV_PROPERTY_COUNT_MAX, &row.slot))
        return venv_error_set(err, VENV_EPROTO, "a sample without a slot from 0 to %d", VENV_PROPERTY_COUNT_MAX - 1);
    if (!small_number(venv_value_at(value, 2), VENV_QUALITY__COUNT, &quality))
        return venv_error_set(err, VENV_EPROTO, "the sample of slot %u has no known quality", row.slot);
    row.quality = (venv_quality)quality;
    row.value = venv_value_at(value, 1);
    const venv_value *time = venv_value_at(value, 3);
    row.has_time = venv_value_to_wall(time, &row.time);
    if (!row.has_time && venv_value_kind(time) != VENV_NULL)
        return venv_error_set(err, VENV_EPROTO, "the sample of slot %u has a time that is no timestamp", row.slot);
    if (row.quality == VENV_QUALITY_OK && !row.has_time)
        return venv_error_set(err, VENV_EPROTO, "the sample of slot %u is ok and has no time", row.slot);
    const venv_value *reason = venv_value_at(value, 4);
    if (reason && venv_value_kind(reason) == VENV_STRING)
        row.reason = venv_value_peek_text(reason);
    if (row.reason.size >= VENV_PROPERTY_REASON_MAX)
        return venv_error_set(err, VENV_EPROTO, "the sample of slot %u has too long a reason", row.slot);
    *ret_row = row;
    return VENV_OK;
}

venv_rc venv_sample_to_propval(const venv_property *property, const venv_sample *sample, venv_value *ret_value,
                               venv_error *err)
{
    venv_map_builder map;
    venv_map_init(&map);
    put_str(&map, "label", property->label);
    venv_map_put(&map, "type", venv_value_literal(venv_property_type_name(property->type)));
    if (property->unit.size > 0)
        put_str(&map, "unit", property->unit);
    venv_map_put(&map, "value", venv_value_ref(&sample->value));
    venv_map_put(&map, "quality", venv_value_literal(venv_quality_name(sample->quality)));
    if (sample->time.ns)
        venv_map_put(&map, "time", venv_value_from_wall(sample->time));
    if (sample->reason[0])
        venv_map_put_z(&map, "reason", sample->reason);
    return venv_map_take(&map, ret_value, err);
}
