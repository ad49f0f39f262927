/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What leaves the core: appended to the actions of the step, with everything that tells somebody held back
 * until the step's own writes, and all before them, are durable.
 */
#include "manager/internal.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AFTER_WRITES UINT64_MAX /* becomes the number of the last write when the step ends */

void venv_mgr_no_memory(venv_manager *m)
{
    m->rc = VENV_ENOMEM;
}

void venv_manager_actions_init(venv_manager_actions *actions)
{
    *actions = (venv_manager_actions){ NULL, 0, 0, 0 };
}

void venv_manager_actions_clear(venv_manager_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        venv_value_unref(&actions->items[i].key);
        venv_value_unref(&actions->items[i].value);
        free(actions->items[i].text);
    }
    actions->count = 0;
    actions->write = 0;
}

void venv_manager_actions_fini(venv_manager_actions *actions)
{
    venv_manager_actions_clear(actions);
    free(actions->items);
    venv_manager_actions_init(actions);
}

/* Room for one more; NULL, and the step has failed, if there is none. */
static venv_manager_action *add(venv_manager *m, venv_manager_action_kind kind)
{
    venv_manager_actions *out = m->out;
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 16;
        venv_manager_action *grown = realloc(out->items, capacity * sizeof *grown);
        if (!grown) {
            venv_mgr_no_memory(m);
            return NULL;
        }
        out->items = grown;
        out->capacity = capacity;
    }
    venv_manager_action *action = &out->items[out->count++];
    memset(action, 0, sizeof *action);
    action->kind = kind;
    return action;
}

static void send_with(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body, uint64_t when)
{
    venv_manager_action *action = p->closing ? NULL : add(m, VENV_MANAGER_ACT_SEND);
    if (!action) {
        venv_value_unref(&body);
        return;
    }
    if ((VENV_SEEDED(ACK_BEFORE_COMMIT) && type == VENV_MSG_RESULT) || (VENV_SEEDED(SEND_BEFORE_DURABLE) && type == VENV_MSG_MACHINE_START))
        when = 0;
    action->after_write = when;
    action->peer = p->number;
    action->type = type;
    action->request = request;
    action->value = body;
    venv_session_sent(&p->session, m->now);
}

void venv_mgr_effect_send(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body)
{
    send_with(m, p, type, request, body, AFTER_WRITES);
}

void venv_mgr_effect_send_now(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body)
{
    send_with(m, p, type, request, body, 0);
}

void venv_mgr_effect_close(venv_manager *m, peer *p, const char *reason, bool now)
{
    if (p->closing)
        return;
    p->closing = true;
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_CLOSE);
    if (!action)
        return;
    action->after_write = now ? 0 : AFTER_WRITES;
    action->peer = p->number;
    action->text = venv_mgr_copy_text(m, reason);
}

void venv_mgr_effect_put(venv_manager *m, venv_collection collection, venv_value key, venv_value row)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_PUT);
    if (!action) {
        venv_value_unref(&key);
        venv_value_unref(&row);
        return;
    }
    action->collection = collection;
    action->key = key;
    action->value = row;
    m->wrote = true;
}

void venv_mgr_effect_delete(venv_manager *m, venv_collection collection, venv_value key)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_DELETE);
    if (!action) {
        venv_value_unref(&key);
        return;
    }
    action->collection = collection;
    action->key = key;
    m->wrote = true;
}

void venv_mgr_effect_append(venv_manager *m, venv_value event)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_APPEND);
    if (!action) {
        venv_value_unref(&event);
        return;
    }
    action->value = event;
    m->wrote = true;
}

void venv_mgr_effect_read(venv_manager *m, uint64_t token, uint64_t since, uint32_t limit)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_READ);
    if (!action)
        return;
    action->after_write = AFTER_WRITES;
    action->token = token;
    action->since = since;
    action->limit = limit;
}

void venv_mgr_effect_deliver(venv_manager *m, venv_id id, venv_value order)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_DELIVER);
    if (!action) {
        venv_value_unref(&order);
        return;
    }
    action->after_write = AFTER_WRITES;
    action->action = id;
    action->value = order;
}

void venv_mgr_effect_record(venv_manager *m, venv_value journal)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_RECORD);
    if (action)
        action->value = journal;
    else
        venv_value_unref(&journal);
}

void venv_mgr_effect_ask(venv_manager *m, uint64_t token, venv_value query)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_ASK);
    if (!action) {
        venv_value_unref(&query);
        return;
    }
    action->token = token;
    action->value = query;
}

void venv_mgr_effect_reload(venv_manager *m, uint64_t token)
{
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_RELOAD);
    if (action)
        action->token = token;
}

void venv_mgr_effect_log(venv_manager *m, int level, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    venv_manager_action *action = add(m, VENV_MANAGER_ACT_LOG);
    if (!action)
        return;
    action->level = level;
    action->text = venv_mgr_copy_text(m, text);
}

/* The step is over: number its transaction, and let what was held back wait for it. */
void venv_mgr_effects_finish(venv_manager *m)
{
    if (m->wrote)
        m->writes++;
    m->out->write = m->wrote ? m->writes : 0;
    for (size_t i = m->out_begin; i < m->out->count; i++)
        if (m->out->items[i].after_write == AFTER_WRITES)
            m->out->items[i].after_write = m->writes;
}

/* --- small helpers ------------------------------------------------------------------------------------ */

venv_value venv_mgr_id_value(venv_manager *m, venv_id id)
{
    venv_value value = venv_value_null();
    if (venv_value_from_id(id, &value, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return value;
}

venv_value venv_mgr_take_map(venv_manager *m, venv_map_builder *map)
{
    venv_value value = venv_value_null();
    if (venv_map_take(map, &value, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return value;
}

venv_value venv_mgr_take_list(venv_manager *m, venv_list_builder *list)
{
    venv_value value = venv_value_null();
    if (venv_list_take(list, &value, NULL) != VENV_OK)
        venv_mgr_no_memory(m);
    return value;
}

char *venv_mgr_copy_text(venv_manager *m, const char *text)
{
    char *copy = strdup(text ? text : "");
    if (!copy)
        venv_mgr_no_memory(m);
    return copy;
}

char *venv_mgr_copy_str(venv_manager *m, venv_str text)
{
    char *copy = strndup(text.data ? text.data : "", text.size);
    if (!copy)
        venv_mgr_no_memory(m);
    return copy;
}

/* A name out of a message, as C text. False if it is none. */
bool venv_mgr_fits_name(venv_str text, char ret_name[VENV_NAME_MAX + 1])
{
    if (!text.data || !venv_name_is_valid(text))
        return false;
    memcpy(ret_name, text.data, text.size);
    ret_name[text.size] = '\0';
    return true;
}

uint64_t venv_mgr_next_number(venv_manager *m)
{
    return ++m->next_number;
}

venv_instant venv_mgr_after(venv_manager *m, venv_span span)
{
    venv_instant sum;
    return __builtin_add_overflow(m->now.mono.ns, span.ns, &sum.ns) ? VENV_INSTANT_NEVER : sum;
}

uint64_t venv_mgr_get_uint(const venv_value *map, const char *key)
{
    const venv_value *value = venv_value_get(map, key);
    if (!value || (venv_value_kind(value) != VENV_UINT && venv_value_kind(value) != VENV_INT))
        return 0;
    if (venv_value_kind(value) == VENV_UINT)
        return venv_value_peek_uint(value);
    return venv_value_peek_int(value) > 0 ? (uint64_t)venv_value_peek_int(value) : 0;
}

/* Text that may come from a peer, cut and made safe to print. */
void venv_mgr_set_reason(char *reason, const char *text)
{
    venv_buf buf;
    venv_buf_init(&buf, REASON_MAX * 8);
    if (text)
        venv_text_escape(&buf, text, strlen(text), REASON_MAX - 8);
    snprintf(reason, REASON_MAX, "%s", venv_buf_peek_text(&buf));
    size_t size = strlen(reason);
    reason[venv_utf8_valid_prefix(reason, size)] = '\0';
    venv_buf_fini(&buf);
}
