/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MACHINE_H
#define VENV_MACHINE_H

/**
 * @file venv/machine.h
 * @brief Machines: start, stop, destroy and watch virtual machines on one hypervisor, without any daemon of venv.
 *
 *      venv_hypervisor_open("qemu:///system")
 *             │
 *      venv_machine_start(xml) ──► running ──venv_machine_stop()──► gone
 *             │                       │
 *      venv_hypervisor_list()    venv_hypervisor_wait(): something changed, list again
 *
 * Two drivers: libvirt (any URI of it) and `fake:`, which keeps machines in memory, for tests.
 *
 * @par Only ours
 *      A domain is ours if its metadata carry our mark (venv/environment.h) with the cluster that the
 *      hypervisor was opened for.  Every function that would change a domain looks at the mark right
 *      before, and refuses with VENV_EDENIED where it is missing.  Others are only counted.
 *
 * @par Doing twice
 *      Start of a machine that runs, stop and destroy of one that is gone, succeed and change nothing: the
 *      answer of a call that was lost can be had by calling again.
 *
 * @par When the hypervisor goes away
 *      Calls fail with VENV_EUNREACHABLE (nothing was done) or VENV_EUNKNOWN (it may have been done).  The
 *      machines run on.  Close, open again, list: what was running is there.  "Could not be asked" is never
 *      reported as "there is none".
 *
 * @par Example
 * @code
 *      venv_hypervisor *hypervisor = NULL;
 *      venv_hypervisor_options options = VENV_HYPERVISOR_OPTIONS_INIT;
 *      options.cluster = "lab";
 *      if (venv_hypervisor_open("qemu:///system", &options, &hypervisor, &err) != VENV_OK ||
 *          venv_machine_start(hypervisor, mark.id, xml, &err) != VENV_OK ||
 *          venv_machine_stop(hypervisor, mark.id, (venv_span){ 30 * VENV_NS_PER_S }, &err) != VENV_OK)
 *          return report(&err);
 *      venv_hypervisor_close(hypervisor);
 * @endcode
 *
 * @par Threads
 *      Calls block (a start for about a second).  A hypervisor belongs to one thread at a time; only
 *      venv_hypervisor_cancel() may be called from another.  With the libvirt driver the process has one
 *      more thread while any hypervisor is open: it runs libvirt's event loop, which a process has
 *      once.  A program that has registered an event loop of its own with libvirt must keep running it.
 */

#include <venv/common.h>

VENV_BEGIN_DECLS

#define VENV_MACHINES_MAX            4096u /**< Machines and foreign domains on one hypervisor. */
#define VENV_MACHINE_REASON_MAX      128u  /**< Bytes of a reason, with the terminating NUL. */
#define VENV_MACHINE_PATH_MAX        1024u /**< Bytes of a path, with the terminating NUL. */
#define VENV_HYPERVISOR_EVENTS_MAX   256u  /**< Events kept for venv_hypervisor_wait(); past it: one VENV_HYPERVISOR_GAP. */

/** A connection to a hypervisor. */
typedef struct venv_hypervisor venv_hypervisor;

/** @name Hypervisor @{ */

/** How to open.  Start from VENV_HYPERVISOR_OPTIONS_INIT. */
typedef struct venv_hypervisor_options {
    size_t size;               /**< sizeof(venv_hypervisor_options). */
    const char *cluster;       /**< Whose machines are ours; `"default"` if NULL. As venv_name_is_valid(). */
    venv_span keepalive;       /**< Time between probes of the connection; three lost ones close it.  0 for 5 s. */
    const char *saves;         /**< Folder of the node, absolute, for memories of saved machines and for checkpoints; NULL: saved where
                                    libvirt keeps such files, from where they do not move to other nodes, and no checkpoints. */
    bool saves_shared;         /**< The other nodes have the same folder under the same path (a network file system). */
} venv_hypervisor_options;

#define VENV_HYPERVISOR_OPTIONS_INIT { sizeof(venv_hypervisor_options), NULL, { 0 }, NULL, false }

/**
 * Connect.
 *
 * @param uri      `fake:`, or a URI of libvirt: `qemu:///system`, `qemu:///system?socket=/run/…`, `test:///default`.
 * @param options  May be NULL for the defaults.
 * @param ret_hypervisor  Owned: release with venv_hypervisor_close().
 * @retval VENV_OK
 * @retval VENV_EINVAL       Malformed URI or cluster.
 * @retval VENV_EUNREACHABLE The daemon does not answer.
 * @retval VENV_EDENIED      It does not let us in.
 * @retval VENV_EUNSUPPORTED There is no driver for the URI.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_hypervisor_open(const char *uri,
                                                    const venv_hypervisor_options *options,
                                                    venv_hypervisor **ret_hypervisor, venv_error *err);

/** Disconnect.  Machines run on.  Accepts NULL. */
VENV_API void venv_hypervisor_close(venv_hypervisor *hypervisor);

/** What a node has. */
typedef struct venv_hypervisor_info {
    uint32_t cpus;                /**< Logical processors. */
    uint64_t memory_bytes;        /**< Of the node. */
    uint64_t memory_free_bytes;   /**< Free now; 0 if the driver cannot say. */
    uint32_t kinds;               /**< Set of `1u << venv_hypervisor_kind` (venv/environment.h) that can be started. */
    char cpu_model[64];           /**< As libvirt names it: `"x86_64"`, `"Skylake-Client"`. */
    char driver[16];              /**< `"QEMU"`, `"Test"`, `"fake"`. */
    char version[32];             /**< Of the hypervisor: `"7.2.22"`; may be empty. */
    char hostname[256];
} venv_hypervisor_info;

/** Ask for what the node has.  @retval VENV_EUNREACHABLE  @retval VENV_EIO */
VENV_API VENV_MUST_USE venv_rc venv_hypervisor_info_get(venv_hypervisor *hypervisor,
                                                        venv_hypervisor_info *ret_info,
                                                        venv_error *err);

/** What a machine does, as the hypervisor sees it. */
typedef enum venv_machine_state {
    VENV_MACHINE_UNKNOWN = 0, /**< The hypervisor does not say. */
    VENV_MACHINE_RUNNING,
    VENV_MACHINE_PAUSED,
    VENV_MACHINE_STOPPING,    /**< The guest is shutting down. */
    VENV_MACHINE_STOPPED,     /**< Defined, not running: it ended in order, or was never started. */
    VENV_MACHINE_FAILED,      /**< Defined, not running: the guest or its process crashed. */
    VENV_MACHINE_SAVED,       /**< Defined, not running: its memory is in a file of the node. */
    VENV_MACHINE_MIGRATING,   /**< Running, and on its way to another node. */
    VENV_MACHINE_STATE__COUNT
} venv_machine_state;

/** `"unknown"`, `"running"`, `"paused"`, `"stopping"`, `"stopped"`, `"failed"`, `"saved"`, `"migrating"`: words of instance states. */
VENV_API const char *venv_machine_state_name(venv_machine_state state);

/** One machine of ours. */
typedef struct venv_machine_info {
    venv_id id;
    char instance[VENV_NAME_MAX + 1];
    char environment[VENV_NAME_MAX + 1];
    uint64_t epoch;
    venv_machine_state state;
    uint32_t vcpus;
    uint64_t memory_bytes;
    char reason[VENV_MACHINE_REASON_MAX]; /**< Why it is in its state: `"shut down"`, `"crashed"`, … */
    char console[VENV_MACHINE_PATH_MAX];  /**< File with its console's output; empty if there is none. */
} venv_machine_info;

/** All there is on a hypervisor, at one moment. */
typedef struct venv_machine_list {
    venv_machine_info *items;       /**< Ours, ordered by id. */
    size_t count;
    uint32_t foreign_count;         /**< Running domains that are not ours… */
    uint32_t foreign_vcpus;         /**< …their vCPUs… */
    uint64_t foreign_memory_bytes;  /**< …and memory. */
} venv_machine_list;

/**
 * List ours and count the others.
 *
 * @param ret_list  Owned: release with venv_machine_list_fini().
 * @retval VENV_OK            It is complete.
 * @retval VENV_EUNREACHABLE  Nothing is known.  @retval VENV_ELIMIT  More than VENV_MACHINES_MAX.
 * @retval VENV_EIO  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_hypervisor_list(venv_hypervisor *hypervisor,
                                                    venv_machine_list *ret_list, venv_error *err);

/** Release what a list holds.  Accepts a zeroed one. */
VENV_API void venv_machine_list_fini(venv_machine_list *list);

/** What venv_hypervisor_wait() tells. */
typedef enum venv_hypervisor_event_kind {
    VENV_HYPERVISOR_CHANGED, /**< The domain `id` changed its state, came or went.  It may be a foreign one. */
    VENV_HYPERVISOR_GAP,     /**< Events were lost: list again. */
} venv_hypervisor_event_kind;

typedef struct venv_hypervisor_event {
    venv_hypervisor_event_kind kind;
    venv_id id;                /**< VENV_HYPERVISOR_CHANGED */
    venv_machine_state state;  /**< What it became; VENV_MACHINE_UNKNOWN if it is gone or was only defined. */
} venv_hypervisor_event;

/**
 * Wait for the next event.
 *
 * Events say that something changed; what is true is what venv_hypervisor_list() says.  List after
 * opening, too: events from before are not told.
 *
 * @param timeout  0 looks and returns.  Waits no longer than an hour.
 * @retval VENV_OK             `*ret_event` is set.
 * @retval VENV_ETIMEDOUT      Nothing happened.
 * @retval VENV_ECANCELED      venv_hypervisor_cancel() was called.
 * @retval VENV_EUNREACHABLE   The connection is gone.
 */
VENV_API VENV_MUST_USE venv_rc venv_hypervisor_wait(venv_hypervisor *hypervisor, venv_span timeout,
                                                    venv_hypervisor_event *ret_event, venv_error *err);

/**
 * Make the venv_hypervisor_wait() or venv_machine_stop() that runs, or else the next one, return VENV_ECANCELED.
 * May be called from any thread.
 */
VENV_API void venv_hypervisor_cancel(venv_hypervisor *hypervisor);
/** @} */

/** @name Machines @{ */

/** Look at one machine of ours.  @retval VENV_ENOENT  @retval VENV_EDENIED It is not ours.  @retval VENV_EUNREACHABLE */
VENV_API VENV_MUST_USE venv_rc venv_machine_get(venv_hypervisor *hypervisor, venv_id id,
                                                venv_machine_info *ret_info, venv_error *err);

/**
 * Define and start a machine.
 *
 * One that runs (or is paused) already is left alone: success.  One that is defined and does not run is
 * defined anew and started.  One that is saved is not: venv_machine_restore() lets it go on.
 *
 * @param id   Of the machine; the XML says the same.
 * @param xml  Of venv_environment_domain_xml(), with the mark of the cluster that was opened for.
 * @retval VENV_OK            It runs.
 * @retval VENV_EINVAL        The XML is malformed, has no mark, or another id; or the hypervisor does not take it.
 * @retval VENV_EDENIED       A domain with this id is there and is not ours.
 * @retval VENV_EEXIST        Another domain has its name.
 * @retval VENV_ECONFLICT     The machine is there under a later epoch, or saved.
 * @retval VENV_EUNSUPPORTED  The hypervisor has no such kind of machine.
 * @retval VENV_EUNREACHABLE  Nothing was done.
 * @retval VENV_EUNKNOWN      The connection went away in between: it may run or not.
 * @retval VENV_EIO           It did not start (file missing, no memory, …); nothing is left behind.
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_start(venv_hypervisor *hypervisor, venv_id id,
                                                  const char *xml, venv_error *err);

/**
 * Ask the guest to shut down (its power button), and return at once.
 *
 * Whether it does is the guest's affair: wait, look, ask again, and in the end venv_machine_destroy().
 * A machine that does not run is a success.
 *
 * @retval VENV_OK  @retval VENV_ENOENT  There is none.  @retval VENV_EDENIED Not ours.
 * @retval VENV_EUNREACHABLE  @retval VENV_EUNKNOWN  @retval VENV_EIO
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_shutdown(venv_hypervisor *hypervisor, venv_id id,
                                                     venv_error *err);

/**
 * Stop a machine and remove its definition: ask the guest to shut down, again each two seconds (a guest
 * that is still booting does not hear the first), power it off when `grace` is over.
 *
 * Blocks for up to `grace`.  A program that serves others meanwhile uses venv_machine_shutdown(),
 * venv_hypervisor_wait() and venv_machine_destroy() itself.
 *
 * @param grace  0: power off at once.  At most an hour.
 * @retval VENV_OK            It is gone, or was not there.
 * @retval VENV_EDENIED       It is not ours.
 * @retval VENV_ECANCELED     venv_hypervisor_cancel(); the guest was asked and may still shut down.
 * @retval VENV_EUNREACHABLE  @retval VENV_EUNKNOWN  @retval VENV_EIO
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_stop(venv_hypervisor *hypervisor, venv_id id,
                                                 venv_span grace, venv_error *err);

/**
 * Power off now and remove the definition.
 *
 * @retval VENV_OK            It is gone, or was not there.
 * @retval VENV_EDENIED       It is not ours.
 * @retval VENV_EUNREACHABLE  @retval VENV_EUNKNOWN  @retval VENV_EIO
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_destroy(venv_hypervisor *hypervisor, venv_id id,
                                                    venv_error *err);

/**
 * Ask whether the guest agent (qemu-guest-agent) inside of the guest answers.  Takes at most about two seconds.
 *
 * @retval VENV_OK            It answers.
 * @retval VENV_ETIMEDOUT     It does not, or not yet.
 * @retval VENV_ENOENT  There is none.  @retval VENV_EDENIED  Not ours.  @retval VENV_ECONFLICT  It does not run.
 * @retval VENV_EUNSUPPORTED  The machine has no way to its guest agent.
 * @retval VENV_EUNREACHABLE  @retval VENV_EIO
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_probe(venv_hypervisor *hypervisor, venv_id id, venv_error *err);

/**
 * Freeze the guest.  Its memory stays taken.  One that is paused is a success.
 *
 * @retval VENV_OK  @retval VENV_ENOENT  There is none.  @retval VENV_EDENIED  Not ours.
 * @retval VENV_ECONFLICT     It does not run, or is shutting down.
 * @retval VENV_EUNSUPPORTED  @retval VENV_EUNREACHABLE  @retval VENV_EUNKNOWN  @retval VENV_EIO
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_pause(venv_hypervisor *hypervisor, venv_id id,
                                                  venv_error *err);

/** Let a paused guest go on.  One that runs is a success.  Fails as venv_machine_pause(). */
VENV_API VENV_MUST_USE venv_rc venv_machine_resume(venv_hypervisor *hypervisor, venv_id id,
                                                   venv_error *err);

/**
 * Write the guest's memory to a file that the hypervisor keeps, and end the machine: it holds no processor and no memory until
 * venv_machine_restore().  venv_machine_destroy() removes the file, too.  One that is saved is a success.
 *
 * Blocks for as long as the disk needs.  Fails as venv_machine_pause().
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_save(venv_hypervisor *hypervisor, venv_id id,
                                                 venv_error *err);

/**
 * Let a saved guest go on where it was saved.  One that runs is a success.
 *
 * @retval VENV_ECONFLICT  It does not run and is not saved.  Others as venv_machine_pause().
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_restore(venv_hypervisor *hypervisor, venv_id id,
                                                    venv_error *err);

/**
 * Start the guest's system anew: press its power button, and reset it if it has not gone down within `grace`.  The machine stays:
 * what its disks hold is there, its memory is not.
 *
 * @param grace  0: reset at once.  At most an hour.
 * @retval VENV_OK            It starts anew.
 * @retval VENV_ECANCELED     venv_hypervisor_cancel(); the guest was asked and may still start anew.
 * Others as venv_machine_pause().
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_reboot(venv_hypervisor *hypervisor, venv_id id, venv_span grace,
                                                   venv_error *err);

/**
 * Keep what the guest is now, and let it go on: its memory and the disks that it writes to, of one moment, in the folder `saves` of
 * venv_hypervisor_options.  The last checkpoint of a machine replaces the one before, when it is complete.
 *
 * The guest stands still meanwhile: about as long as a save, a copy of its disks (no copy where the file system can share blocks),
 * and a restore take.
 *
 * @retval VENV_OK            It goes on, and the checkpoint is there.
 * @retval VENV_EUNSUPPORTED  No folder was given, or a disk is no file.
 * @retval VENV_EIO           There is no new checkpoint; the guest goes on, or (as `err` says) is saved: venv_machine_restore().
 * Others as venv_machine_pause().
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_checkpoint(venv_hypervisor *hypervisor, venv_id id, venv_error *err);

/**
 * Go back to the last checkpoint: what the guest did since is lost.  The machine may run, be paused, saved, stopped or have crashed.
 *
 * @retval VENV_ENOENT  There is no such machine, or no checkpoint of it.  Others as venv_machine_checkpoint().
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_revert(venv_hypervisor *hypervisor, venv_id id, venv_error *err);

/** Takes a part of what is read; false: no more is wanted. */
typedef bool (*venv_machine_sink_fn)(void *user, const void *data, size_t size);

#define VENV_MEDIA_MAX 64u /**< Bytes of a media type, with the terminating NUL. */

/**
 * What is on the machine's screen.
 *
 * @param ret_media  Set before the first part: `"image/x-portable-pixmap"` (QEMU), `"image/png"`.
 * @param sink       Called with the parts, in order.
 * @retval VENV_OK  @retval VENV_ECANCELED  `sink` wanted no more.
 * @retval VENV_EUNSUPPORTED  It has no screen, or the hypervisor cannot tell.  Others as venv_machine_pause().
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_screenshot(venv_hypervisor *hypervisor, venv_id id, char ret_media[VENV_MEDIA_MAX],
                                                       venv_machine_sink_fn sink, void *user, venv_error *err);

/** How far something long has come. */
typedef struct venv_machine_progress {
    venv_span elapsed;
    uint64_t bytes_total, bytes_done, bytes_left; /**< Memory and, if they are copied, disks. 0 if that is not known. */
    uint64_t rate;             /**< Bytes a second that are carried. */
    uint64_t dirty_rate;       /**< Bytes a second that the guest changes; 0 if that is not known. */
    uint64_t round;            /**< How often the memory was gone through. */
} venv_machine_progress;

/** How to move.  Start from VENV_MIGRATE_OPTIONS_INIT. */
typedef struct venv_migrate_options {
    size_t size;               /**< sizeof(venv_migrate_options). */
    uint64_t bandwidth;        /**< Bytes a second, rounded up to MiB; 0: no limit. */
    venv_span timeout;         /**< The guest must have moved by then, else the move is ended: VENV_ELIMIT. 0: no limit. */
    bool copy_disks;           /**< The other node does not have the disks: copy what is written to.  Their bases must be there. */
    bool auto_converge;        /**< Slow the guest down if it changes its memory faster than that is carried. */
    bool tls;                  /**< Encrypt the guest's memory on its way (both hypervisors need certificates). */
    /** Called about twice a second, in another thread; NULL: never.  False: end the move, VENV_ECANCELED. */
    bool (*progress)(void *user, const venv_machine_progress *progress);
    void *user;
} venv_migrate_options;

#define VENV_MIGRATE_OPTIONS_INIT { sizeof(venv_migrate_options), 0, { 0 }, false, false, false, NULL, NULL }

/**
 * Move a machine to another hypervisor, and remove it here.  One that runs goes on running meanwhile; one that is saved is saved
 * there afterwards: it needs the folder `saves` of venv_hypervisor_options, of the same path on both.
 *
 * The hypervisors talk to each other.  At each moment at most one of both runs the guest.  Disks must be reachable by both, or be
 * copied.
 *
 * @param uri    Of the other, as this one reaches it: `qemu+tls://node08/system`.
 * @param epoch  That its mark has there; later than the one here.
 * @param options  May be NULL for the defaults.
 * @retval VENV_OK            It is there, and gone here.
 * @retval VENV_ECONFLICT     It neither runs nor is saved, or its epoch is not older than `epoch`.
 * @retval VENV_EINVAL        Malformed URI.
 * @retval VENV_EUNSUPPORTED  This hypervisor, or this machine, cannot be moved.
 * @retval VENV_ELIMIT        `timeout` was over: the guest changes its memory faster than it is carried, or there was too much of it. It runs here.
 * @retval VENV_ECANCELED     venv_machine_cancel(), or `progress`, ended it.  It runs here.
 * @retval VENV_EUNREACHABLE  Nothing was done.
 * @retval VENV_EUNKNOWN      A connection went away in between: look at both.
 * @retval VENV_EIO           It was not moved, and is here as before.
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_migrate(venv_hypervisor *hypervisor, venv_id id, const char *uri, uint64_t epoch,
                                                    const venv_migrate_options *options, venv_error *err);

/**
 * End what takes long with a machine, a migration or a save, and leave it as it was.  Called through another connection than
 * the one that is busy with it.  What cannot be ended any more is done.
 *
 * @retval VENV_OK        It was told.  @retval VENV_ECONFLICT  There is nothing of that kind.  Others as venv_machine_pause().
 */
VENV_API VENV_MUST_USE venv_rc venv_machine_cancel(venv_hypervisor *hypervisor, venv_id id, venv_error *err);

/** How far a migration or save has come.  @retval VENV_ENOENT  There is no machine, or nothing of that kind.  Others as venv_machine_get(). */
VENV_API VENV_MUST_USE venv_rc venv_machine_progress_get(venv_hypervisor *hypervisor, venv_id id,
                                                         venv_machine_progress *ret_progress, venv_error *err);
/** @} */

/** @name Console
 * The machine's first serial line, both ways.  It has one reader at a time.
 * @{ */

typedef struct venv_console venv_console;

/**
 * Open it.
 *
 * @param take  Take it away from whoever has it.
 * @param ret_console  Owned: release with venv_console_close(), before the hypervisor.
 * @retval VENV_OK  @retval VENV_ENOENT  @retval VENV_EDENIED  Not ours.
 * @retval VENV_ECONFLICT     It does not run, or somebody else has the console.
 * @retval VENV_EUNSUPPORTED  It has none, or the hypervisor cannot do that.
 * @retval VENV_EUNREACHABLE  @retval VENV_EIO  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_console_open(venv_hypervisor *hypervisor, venv_id id, bool take,
                                                 venv_console **ret_console, venv_error *err);

/**
 * Read what the guest wrote.
 *
 * @retval VENV_OK         `*ret_size` bytes, at least one; 0: the console has ended, as the machine did.
 * @retval VENV_ETIMEDOUT  Nothing came.
 * @retval VENV_ECANCELED  venv_console_wake().
 * @retval VENV_EUNREACHABLE  @retval VENV_EIO
 */
VENV_API VENV_MUST_USE venv_rc venv_console_read(venv_console *console, void *buffer, size_t size, venv_span timeout,
                                                 size_t *ret_size, venv_error *err);

/** Write what the guest reads; as much of it as it takes at once, perhaps nothing (VENV_OK, 0).  Fails as venv_console_read(). */
VENV_API VENV_MUST_USE venv_rc venv_console_write(venv_console *console, const void *data, size_t size,
                                                  size_t *ret_size, venv_error *err);

/** Make the venv_console_read() that waits, or else the next one, return VENV_ECANCELED.  May be called from any thread. */
VENV_API void venv_console_wake(venv_console *console);

/** Let go of it.  Accepts NULL. */
VENV_API void venv_console_close(venv_console *console);
/** @} */

VENV_END_DECLS
#endif /* VENV_MACHINE_H */
