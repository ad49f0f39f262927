/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_MACHINE_WORKER_H
#define VENV_RUNTIME_MACHINE_WORKER_H

/*
 * The hypervisor on a thread of its own.
 *
 * Between calls the thread waits for the hypervisor's events; after one, and after each new connection, it lists and tells.
 * It connects by itself, with a growing pause between attempts. A call that does not come back in time is given up together with
 * its thread: what was asked is answered (the call itself with VENV_EUNKNOWN, what waited behind it with
 * VENV_EUNREACHABLE), the hypervisor is told of as unreachable, and another thread connects anew.
 */

#include "base/log.h"
#include "disk/folder.h"

#include <venv/machine.h>
#include <venv/value.h>

#include <uv.h>

#define VENV_MACHINE_QUEUE_MAX     256
#define VENV_MACHINE_CALL_S        30  /* for a call that looks or stops */
#define VENV_MACHINE_START_S       120 /* for one that starts: the first on a node makes QEMU describe itself */
#define VENV_MACHINE_WAIT_S        5   /* for one wait for events; the pause between two looks at the connection */
#define VENV_MACHINE_RECONNECT_S   30  /* longest pause between attempts to connect */
#define VENV_MACHINE_HUNG_MAX      4   /* threads that hang; no further one is made while there are so many */

typedef struct venv_machine_worker venv_machine_worker;

typedef enum venv_machine_call {
    VENV_MACHINE_CALL_START = 0,
    VENV_MACHINE_CALL_SHUTDOWN,
    VENV_MACHINE_CALL_DESTROY,
    VENV_MACHINE_CALL_PROBE,
    VENV_MACHINE_CALL_PAUSE,
    VENV_MACHINE_CALL_RESUME,
    VENV_MACHINE_CALL_SAVE,
    VENV_MACHINE_CALL_RESTORE,
    VENV_MACHINE_CALL_MIGRATE,
    VENV_MACHINE_CALL_REBOOT,
    VENV_MACHINE_CALL_CHECKPOINT,
    VENV_MACHINE_CALL_REVERT,
    VENV_MACHINE_CALL_CANCEL,
} venv_machine_call;

/* What is to be done, borrowed for the call. */
typedef struct venv_machine_order {
    venv_machine_call call;
    venv_id id;
    const char *xml;     /* START: domain XML */
    const venv_machine_files *files; /* START: what it stands on; may be NULL */
    const char *uri;     /* MIGRATE */
    uint64_t epoch;      /* MIGRATE; DESTROY: one that is there under a later one is left alone */
    venv_span grace;     /* REBOOT */
    venv_migrate_options move; /* MIGRATE: but for `progress` */
    venv_span timeout;   /* > 0: not begun any more after it, VENV_ETIMEDOUT; and the longest that it may take */
} venv_machine_order;

typedef struct venv_machine_calls {
    void (*done)(void *user, uint64_t token, venv_rc rc, const char *text);
    /* A whole list as the message MACHINES has it, or (rc != VENV_OK) why there is none. Unasked, too. */
    void (*listed)(void *user, venv_rc rc, const venv_value *list, const char *text);
    /* How far a migration is, now and then. May be NULL. */
    void (*progress)(void *user, uint64_t token, const venv_machine_progress *progress);
    void *user;
} venv_machine_calls;

/* `place` is copied: its `hypervisor` is the URI; a directory of NULL: no files are made or removed. */
venv_rc venv_machine_worker_start(uv_loop_t *loop, const venv_machine_place *place, const venv_log *log, const venv_machine_calls *calls,
                                  venv_machine_worker **ret_worker, venv_error *err);
/* `done` follows in every case, also from within this function. The token is not 0. */
void venv_machine_worker_call(venv_machine_worker *worker, uint64_t token, const venv_machine_order *order);
/* `listed` follows in every case, also from within this function. */
void venv_machine_worker_list(venv_machine_worker *worker);
/* Ends the thread, or leaves it behind if it hangs. Machines run on. No call comes any more. Accepts NULL. */
void venv_machine_worker_end(venv_machine_worker *worker);

/* For the message MACHINES: {node: {…}, foreign: {…}, machines: […]}. */
venv_rc venv_machine_list_value(const venv_hypervisor_info *info, const venv_machine_list *list, venv_value *ret_value,
                                venv_error *err);

#endif
