/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queued sender (requirement A14): frames to agents leave at most at `send_rate` a second, so that a
 * message to a large group does not flood the network. A token bucket; what does not fit waits its turn.
 * Answers to people and heartbeats do not pass here.
 */
#include "manager/internal.h"

#include <stdlib.h>
#include <string.h>

static void refill(venv_manager *m)
{
    int64_t passed = m->now.mono.ns - m->tokens_at.ns;
    m->tokens += (double)m->config->send_rate * (double)passed / (double)VENV_NS_PER_S;
    if (m->tokens > (double)m->config->send_burst)
        m->tokens = (double)m->config->send_burst;
    m->tokens_at = m->now.mono;
}

void venv_mgr_sender_send(venv_manager *m, peer *p, int16_t type, uint64_t request, venv_value body)
{
    if (!venv_mgr_guard_passes(m, type)) {
        venv_value_unref(&body);
        return;
    }
    if (m->config->send_rate == 0 || VENV_SEEDED(RATE_IGNORED)) {
        venv_mgr_effect_send(m, p, type, request, body);
        return;
    }
    refill(m);
    if (m->outbox_count == 0 && m->tokens >= 1) {
        m->tokens -= 1;
        venv_mgr_effect_send(m, p, type, request, body);
        return;
    }
    if (!m->outbox)
        m->outbox = calloc(OUTBOX_MAX, sizeof *m->outbox);
    if (!m->outbox || m->outbox_count == OUTBOX_MAX) {
        if (!m->outbox)
            venv_mgr_no_memory(m);
        m->outbox_dropped++; /* its call runs into its time-out, and is reported as unknown */
        venv_value_unref(&body);
        return;
    }
    m->outbox[(m->outbox_begin + m->outbox_count++) % OUTBOX_MAX] = (venv_manager_action){
        .kind = VENV_MANAGER_ACT_SEND, .peer = p->number, .type = type, .request = request, .value = body };
}

void venv_mgr_sender_run(venv_manager *m)
{
    if (m->outbox_count == 0)
        return;
    refill(m);
    while (m->outbox_count > 0 && m->tokens >= 1) {
        venv_manager_action *first = &m->outbox[m->outbox_begin];
        peer *p = venv_mgr_peer_find(m, first->peer);
        if (p) {
            m->tokens -= 1;
            venv_mgr_effect_send(m, p, first->type, first->request, first->value);
        } else {
            venv_value_unref(&first->value);
        }
        first->value = venv_value_null();
        m->outbox_begin = (m->outbox_begin + 1) % OUTBOX_MAX;
        m->outbox_count--;
    }
}

/* Frames of a connection that is gone: they must never go out on another one. */
void venv_mgr_sender_forget(venv_manager *m, uint64_t number)
{
    for (size_t i = 0; i < m->outbox_count; i++) {
        venv_manager_action *waiting = &m->outbox[(m->outbox_begin + i) % OUTBOX_MAX];
        if (waiting->peer != number)
            continue;
        venv_value_unref(&waiting->value);
        waiting->peer = 0;
    }
}

void venv_mgr_sender_free(venv_manager *m)
{
    for (size_t i = 0; i < m->outbox_count; i++)
        venv_value_unref(&m->outbox[(m->outbox_begin + i) % OUTBOX_MAX].value);
    free(m->outbox);
}

venv_instant venv_mgr_sender_deadline(const venv_manager *m)
{
    if (m->outbox_count == 0)
        return VENV_INSTANT_NEVER;
    double missing = m->tokens >= 1 ? 0 : (1 - m->tokens) / (double)m->config->send_rate;
    return (venv_instant){ m->tokens_at.ns + (int64_t)(missing * (double)VENV_NS_PER_S) + 1 };
}
