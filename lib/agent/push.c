/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples on their way to the manager: all of them in HELLO, then what changed, in batches.
 *
 * Nothing queues up: a property has one place, its last sample. While the manager is away, or slow (it confirms what it
 * has heard with each heartbeat), newer values replace older ones that were not sent; how many is counted and told.
 */

#include "agent/state.h"

#include "property/set.h"

enum {
    HELLO_SAMPLES_MAX = 16 << 10, /* samples in HELLO, beside at most 240 KiB of definitions; the others follow in PUSH */
    ROW_BASE = 96,                /* a definition without its texts */
};

static void set_rc(agent_step *step, venv_rc rc)
{
    venv_agent_fail(step, rc == VENV_OK ? VENV_OK : VENV_ENOMEM);
}

venv_value venv_agent_property_list(agent_step *step)
{
    const venv_property_set *set = step->agent->properties;
    venv_list_builder list;
    venv_list_init(&list);
    for (uint32_t slot = 0; slot < venv_property_set_count(set); slot++) {
        venv_value row = venv_value_null();
        venv_rc rc = venv_property_to_value(venv_property_set_peek(set, slot), slot,
                                            venv_property_set_sample(set, slot)->quality, &row, step->err);
        if (rc)
            set_rc(step, rc);
        venv_list_add(&list, row);
    }
    venv_value value = venv_value_null();
    set_rc(step, venv_list_take(&list, &value, step->err));
    return value;
}

/* The rows of a batch, taken from `*cursor` on until `budget` bytes are full. */
static size_t put_rows(agent_step *step, venv_list_builder *list, uint32_t *cursor, size_t budget, bool all)
{
    venv_property_set *set = step->agent->properties;
    size_t used = 0;
    uint32_t slot = 0;
    for (;;) {
        uint32_t before = *cursor;
        if (all) {
            if (*cursor >= venv_property_set_count(set))
                break;
            slot = (*cursor)++;
        } else if (!venv_property_set_changed(set, step->now.mono, step->agent->config->refresh, cursor, &slot)) {
            break;
        }
        const venv_sample *sample = venv_property_set_sample(set, slot);
        if (sample->quality == VENV_QUALITY_ABSENT)
            continue;
        size_t size = venv_property_set_row_size(set, slot);
        if (used + size > budget) {
            *cursor = before;
            break;
        }
        venv_value row = venv_value_null();
        set_rc(step, venv_sample_to_value(sample, slot, &row, step->err));
        venv_list_add(list, row);
        venv_property_set_pushed(set, slot, step->now.mono);
        used += size;
    }
    return used;
}

void venv_agent_push_reset(venv_agent *agent)
{
    agent->push.last = agent->push.mark = agent->push.before = agent->push.after = 0;
    agent->push.next = (venv_instant){ 0 };
}

bool venv_agent_push_hello(agent_step *step, venv_map_builder *hello)
{
    venv_property_set *set = step->agent->properties;
    venv_map_put(hello, "properties", venv_agent_property_list(step));
    /* A new session knows nothing: all that does not fit here has changed for it. */
    for (uint32_t slot = 0; slot < venv_property_set_count(set); slot++)
        if (venv_property_set_sample(set, slot)->quality != VENV_QUALITY_ABSENT)
            venv_property_set_touch(set, slot);
    venv_list_builder list;
    venv_list_init(&list);
    uint32_t cursor = 0;
    put_rows(step, &list, &cursor, HELLO_SAMPLES_MAX, true);
    venv_value samples = venv_value_null();
    set_rc(step, venv_list_take(&list, &samples, step->err));
    venv_map_put(hello, "samples", samples);
    return step->rc == VENV_OK;
}

/* What has been confirmed makes room. */
static void confirmed(venv_agent *agent)
{
    agent_push *push = &agent->push;
    if (agent->link.session.confirmed >= push->last)
        push->before = push->after = 0;
    if (agent->link.session.confirmed < push->mark)
        return;
    push->before = push->after;
    push->after = 0;
    push->mark = agent->link.session.sent;
}

static bool may_push(venv_agent *agent, venv_now now)
{
    confirmed(agent);
    return venv_agent_link_is_up(agent) && agent->push.next.ns <= now.mono.ns &&
           agent->push.before + agent->push.after < AGENT_PUSH_UNCONFIRMED_MAX;
}

void venv_agent_push_tick(agent_step *step)
{
    venv_agent *agent = step->agent;
    if (!may_push(agent, step->now))
        return;
    uint32_t cursor = 0, first = 0;
    /* Refreshes travel with changes, and by themselves when the last PUSH was long ago. */
    if (!venv_property_set_has_changed(agent->properties) &&
        !venv_property_set_changed(agent->properties, step->now.mono, agent->config->refresh, &first, &first))
        return;
    venv_list_builder list;
    venv_list_init(&list);
    size_t used = put_rows(step, &list, &cursor, AGENT_PUSH_SIZE_MAX, false);
    venv_value samples = venv_value_null();
    set_rc(step, venv_list_take(&list, &samples, step->err));
    venv_map_builder body;
    venv_map_init(&body);
    venv_map_put(&body, "samples", samples);
    if (agent->push.dropped)
        venv_map_put(&body, "dropped", venv_value_int((int64_t)agent->push.dropped));
    agent->push.dropped = 0;
    agent->push.after += used;
    agent->push.next.ns = step->now.mono.ns + agent->config->push_every.ns;
    venv_agent_send_map(step, VENV_MSG_PUSH, 0, &body);
    agent->push.last = agent->link.session.sent;
}

venv_instant venv_agent_push_deadline(const venv_agent *agent)
{
    if (!venv_agent_link_is_up(agent) || !venv_property_set_has_changed(agent->properties) ||
        agent->push.before + agent->push.after >= AGENT_PUSH_UNCONFIRMED_MAX)
        return VENV_INSTANT_NEVER;
    return agent->push.next;
}
