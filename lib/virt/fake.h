/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_VIRT_FAKE_H
#define VENV_VIRT_FAKE_H

/*
 * A hypervisor in memory, for tests and the simulator: no thread, no clock, no file. It does at once what it is
 * told, deterministically, and fails where a test says so.
 *
 * The *world* is the machines; it outlives the connections to it as guests outlive libvirtd. `fake:` in
 * venv_hypervisor_open() makes a world of its own for that one connection.
 *
 * A world and its connections belong to one thread at a time.
 */

#include <venv/machine.h>

typedef struct venv_fake_world venv_fake_world;

/* What can be made to fail. */
typedef enum venv_fake_call {
    VENV_FAKE_OPEN = 0,
    VENV_FAKE_INFO,
    VENV_FAKE_LIST,
    VENV_FAKE_GET,
    VENV_FAKE_START,
    VENV_FAKE_SHUTDOWN,
    VENV_FAKE_DESTROY,
    VENV_FAKE_PAUSE,
    VENV_FAKE_RESUME,
    VENV_FAKE_SAVE,
    VENV_FAKE_MIGRATE,
    VENV_FAKE_REBOOT,
    VENV_FAKE_CHECKPOINT,
    VENV_FAKE_PROBE,
    VENV_FAKE_CALL__COUNT
} venv_fake_call;

/* When in the call it fails: before anything was done, or after it was done and only the answer is lost. */
typedef enum venv_fake_when {
    VENV_FAKE_BEFORE = 0,
    VENV_FAKE_AFTER,
} venv_fake_when;

venv_rc venv_fake_world_new(uint32_t cpus, uint64_t memory_bytes, venv_fake_world **ret_world, venv_error *err);
/* Reference counted by its connections: it goes with the last of them. Accepts NULL. */
void venv_fake_world_free(venv_fake_world *world);
venv_rc venv_fake_world_open(venv_fake_world *world, const char *cluster, venv_hypervisor **ret_hypervisor, venv_error *err);

/* A world of its own, released with the connection: what `fake:` opens. 8 processors, 16 GiB. */
venv_rc venv_fake_open(const char *cluster, venv_hypervisor **ret_hypervisor, venv_error *err);

/* What `uri` means for a migration out of this world; at most VENV_FAKE_LINKS_MAX, the texts and worlds are borrowed. */
#define VENV_FAKE_LINKS_MAX 8u
void venv_fake_world_link(venv_fake_world *world, const char *uri, venv_fake_world *other);
/* A guest that is asked to start anew (and is obedient) has done so after this time. Its console echoes what is written to it. */
#define VENV_FAKE_REBOOT_NS VENV_NS_PER_S
/*
 * A migration in its phases, for who wants something to happen between them (venv_machine_migrate() makes them all at once). A move that
 * was begun is undone or carried through by its owner; where nobody ends it the source keeps a paused copy, as a real one does.
 *
 *      begin    `to` has it, under the new epoch, and it does not run there     both list it as migrating
 *      over     it runs in `to`; `from` has it, paused
 *      end      `from` has it no more
 *      undo     instead of over: `to` has it no more, and `from` runs on
 */
bool venv_fake_move_begin(venv_fake_world *from, venv_fake_world *to, venv_id id, uint64_t epoch); /* false: it does not run, or is there already */
bool venv_fake_move_over(venv_fake_world *from, venv_fake_world *to, venv_id id);
void venv_fake_move_end(venv_fake_world *from, venv_id id);
void venv_fake_move_undo(venv_fake_world *from, venv_fake_world *to, venv_id id);
/* The next `count` calls of this kind fail with `rc`. */
void venv_fake_world_fail(venv_fake_world *world, venv_fake_call call, venv_fake_when when, venv_rc rc, uint32_t count);
/* As libvirtd killed: open connections are dead for good, new ones are refused until it is reachable again. */
void venv_fake_world_reachable(venv_fake_world *world, bool reachable);
/* Let virtual time pass: a guest that heard the power button needs VENV_FAKE_SHUTDOWN_NS of it. venv_hypervisor_wait() and
 * venv_machine_stop() let it pass by themselves. */
#define VENV_FAKE_SHUTDOWN_NS VENV_NS_PER_S
void venv_fake_world_advance(venv_fake_world *world, venv_span span);
/* Guests hear the power button (the default) or not. */
void venv_fake_world_obedient(venv_fake_world *world, bool obedient);
/* A domain that is not ours. */
venv_rc venv_fake_world_add_foreign(venv_fake_world *world, venv_id id, const char *name, uint32_t vcpus,
                                    uint64_t memory_bytes, venv_error *err);
/* The guest ends by itself: in order, or by a crash. False if it does not run. */
bool venv_fake_world_end_guest(venv_fake_world *world, venv_id id, bool crashed);
/* How often a guest was started in this world, and how many run now, foreign ones included. */
uint64_t venv_fake_world_start_count(const venv_fake_world *world);
uint32_t venv_fake_world_running_count(const venv_fake_world *world);
/* VENV_MACHINE_UNKNOWN, 0: it is not there. */
venv_machine_state venv_fake_world_state(const venv_fake_world *world, venv_id id);
uint64_t venv_fake_world_epoch(const venv_fake_world *world, venv_id id);
bool venv_fake_world_is_running(const venv_fake_world *world, venv_id id);
uint32_t venv_fake_world_cpus(const venv_fake_world *world);

#endif
