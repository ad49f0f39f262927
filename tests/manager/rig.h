/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MANAGER_RIG_H
#define TESTS_MANAGER_RIG_H

/*
 * A manager core under scripted events: its rows and its log are kept here, what it sends is kept for
 * the test to look at. rig_crash() throws the core away and builds another one from the rows.
 * Bodies of frames are written as JSON; ids in them as text.
 */

#include "base/buf.h"
#include "manager/config.h"
#include "manager/manager.h"

#include <venv/codec.h>

#define RIG_ROWS_MAX 2048
#define RIG_LOG_MAX  4096
#define RIG_SENT_MAX 4096
#define RIG_DELIVERY_MAX 64

typedef struct rig_row {
    venv_collection collection;
    venv_value key, value;
} rig_row;

typedef struct rig_sent {
    uint64_t peer, request;
    int16_t type;      /* -1: the peer was closed */
    venv_value body;
    char text[256];    /* why it was closed */
} rig_sent;

typedef struct rig_delivery {
    venv_id action;
    venv_value order;
} rig_delivery;

typedef struct rig {
    venv_manager_config *config;
    venv_manager *m;
    venv_now now;
    rig_row rows[RIG_ROWS_MAX];
    size_t row_count;
    venv_value log[RIG_LOG_MAX];
    size_t log_count;
    rig_sent sent[RIG_SENT_MAX];
    size_t sent_count;
    rig_delivery deliveries[RIG_DELIVERY_MAX];
    size_t delivery_count;
    uint64_t boots;
    uint64_t reload;     /* token of the last RELOAD that was asked for */
    venv_buf recorded;   /* the journal of the history, as it left */
    uint64_t ask;        /* token of the last ASK… */
    venv_value asked;    /* …and what is looked for */
    uint64_t last_write; /* number of the last transaction */
    size_t drop_writes_from; /* test switch: 0, or the steps' count after which writes are lost at the crash */
} rig;

rig *rig_new(const char *yaml);
void rig_free(rig *r);
void rig_crash(rig *r);
void rig_crash_with(rig *r, const char *yaml); /* and the files have been changed meanwhile */
void rig_reload(rig *r, uint64_t token, const char *yaml);
void rig_step(rig *r, const venv_manager_event *event);
/* Time passes in steps of a tenth of a second, as the manager asks for it. */
void rig_wait(rig *r, double seconds);
/* At most until the core wants to be woken next, or `seconds`. */
void rig_up(rig *r, uint64_t peer, venv_role role, const char *name);
void rig_down(rig *r, uint64_t peer, const char *why);
void rig_frame(rig *r, uint64_t peer, int16_t type, uint64_t request, const char *format, ...) VENV_PRINTF(5, 6);

/* A user that has said HELLO; an agent with the property `queue` (slot 0); one with a hypervisor. */
void rig_user(rig *r, uint64_t peer, const char *name);
void rig_head(rig *r, uint64_t peer, const char *queue_json);
void rig_node(rig *r, uint64_t peer, const char *name, const char *boot, const char *machines_json);
void rig_queue(rig *r, uint64_t peer, int pending, int running);
void rig_machines(rig *r, uint64_t peer, const char *machines_json);

/* The last frame of this type sent to the peer (0: any) after `from`; NULL if there is none. */
const rig_sent *rig_find(const rig *r, uint64_t peer, int16_t type, size_t from);
void rig_sent_clear(rig *r);
size_t rig_count(const rig *r, int16_t type, size_t from);
/* The answer to a request; fails the test if there is none. */
const venv_value *rig_answer(const rig *r, uint64_t peer, uint64_t request, int16_t *ret_type);
/* Ask, and be answered at once: "ok" or the answer's `rc`, and its body (may be NULL). */
const char *rig_ask(rig *r, uint64_t peer, int16_t type, const venv_value **ret_body, const char *json);
/* A head (peer 1) with an empty queue, a node "node1" (peer 2), and alice (peer 9). */
rig *rig_new_cluster(const char *yaml);
/* The disk of the state is full, or has room again. What was asked of the history last is answered. */
void rig_disk(rig *r, bool full);
void rig_answer_history(rig *r, const char *json);
/* State of the only instance with this name, as LIST tells; "" if there is none. */
const char *rig_state(rig *r, const char *instance);
size_t rig_instances(rig *r, bool with_ended);
size_t rig_events(const rig *r, const char *kind);
/* Text of an id in a body. */
const char *rig_id(const venv_value *body, const char *key, char text[VENV_ID_TEXT_SIZE]);

#define RIG_CONFIG                                                                             \
    "manager:\n  name: mgr\n  tls: {ca: /c, certificate: /d, key: /e}\n  memory_reserve: 0\n"  \
    "environments:\n  class2: {hypervisor: test, vcpus: 1, memory: 128MiB}\n"

#define RIG_LOOP                                                                               \
    RIG_CONFIG                                                                                 \
    "triggers:\n"                                                                              \
    "  grow:\n"                                                                                \
    "    when: 'queue(\"class2\").pending > 0 && instances(\"class2\").size() == 0'\n"         \
    "    hold: 1s\n    on: [update]\n    do: [{start: {environment: class2}}]\n"               \
    "  shrink:\n"                                                                              \
    "    when: 'queue(\"class2\").pending == 0 && queue(\"class2\").running == 0 && "          \
    "instances(\"class2\").exists(i, i.state == \"running\")'\n"                               \
    "    hold: 3s\n    on: [update]\n    do: [{stop: {environment: class2, grace: 5s}}]\n"

#endif
