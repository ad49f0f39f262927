/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MANAGER_RECORD_H
#define VENV_MANAGER_RECORD_H

/*
 * The flight recorder: the last events that a manager's core was given, with the times and a digest of what came out. Both
 * shells keep one beside the core: the runtime for `venvctl dump` and for the moment when an assertion fails, the simulator
 * for the same. `venv_sim --replay FILE` steps a core through the file.
 *
 *      venv_recorder_begin()   what the core was made from: configuration, rows, seed, boot, time
 *      venv_recorder_event()   before a step
 *      venv_recorder_step()    after it
 *
 *      ┌ segment ───────────────────────────┐┌ segment ─────────────────────
 *      │ begin │ event │ step │ event │ step ││ begin │ event │ step │ event …        ← it ends where the core did
 *      └────────────────────────────────────┘└──────────────────────────────
 *
 * The ring has two segments, each of half its size; when the second is full the first is given up. A segment begins with all
 * that a core can be made from, so that each can be replayed alone. The first one of a life begins with its birth: its replay
 * is *exact*, every digest must agree. A later one begins in the middle of a life, with the rows that the core would write then;
 * the sessions of that moment are not in it, so its replay shows what the manager would do that had been restarted there.
 *
 * Memory: the size of the ring, allocated at the beginning; nothing is allocated between events but the buffer of one
 * body, and of the rows at the change of segments. What is too large for a segment is left out, and the record says so.
 *
 * The file: "venv-record 1\n", then items: 1 byte kind (B, E, S, G: a gap), 4 bytes length (little-endian), payload.
 * B is a CBOR map; E and S are numbers as record.c has them. It contains what the manager was told: treat it as the state itself.
 *
 * A recorder belongs to the thread of the core. Pure, but for venv_recorder_parts(), which a signal handler may call.
 */

#include "manager/config.h"
#include "manager/manager.h"

#define VENV_RECORD_MAGIC        "venv-record 1\n"
#define VENV_RECORD_SIZE_MIN     (64u << 10)
#define VENV_RECORD_SIZE_DEFAULT (8u << 20)
#define VENV_RECORD_SIZE_MAX     (1u << 30)

typedef struct venv_recorder venv_recorder;

/* `size` bytes in all. VENV_ERANGE, VENV_ENOMEM. */
venv_rc venv_recorder_new(size_t size, venv_recorder **ret_recorder, venv_error *err);
void venv_recorder_free(venv_recorder *recorder);

/* What a core was made from: the arguments of venv_manager_new(), and the texts of the configuration. */
typedef struct venv_recorder_birth {
    const venv_manager_source *sources; /* as they were given to venv_manager_config_new(); copied */
    size_t source_count;
    const venv_manager_row *rows;
    size_t row_count;
    uint64_t last_revision;
    venv_id boot;
    uint64_t seed;
    venv_now now;
} venv_recorder_birth;

/* A core was made; `core` is asked for its rows when a segment begins later, and must outlive the recorder's use. Forgets what was before. */
void venv_recorder_begin(venv_recorder *recorder, const venv_recorder_birth *birth, venv_manager *core);

/* The configuration was replaced while the core runs: what a later segment begins with. Texts are copied. */
void venv_recorder_configured(venv_recorder *recorder, const venv_manager_source *sources, size_t count);

/* The texts as a value, [{file, text}], which the event CONFIG carries into the record: so a replay can go on with them. Null: no memory. */
venv_value venv_record_sources(const venv_manager_source *sources, size_t count);

/* A step is about to be made. `body`: the CBOR of event->value, if the caller has it, else data NULL and it is made here. */
void venv_recorder_event(venv_recorder *recorder, venv_now now, const venv_manager_event *event, venv_str body);

/* It was made. Costs a hash over the kinds and types of the actions; over their values, too, if `whole`. */
void venv_recorder_step(venv_recorder *recorder, const venv_manager_actions *actions, bool whole);

/* The pieces of the file, to be written one after the other; borrowed until the next call. Takes no memory and may be called
 * from a signal handler, also in the middle of another call: an unfinished item at the end is then cut off by the reader. */
#define VENV_RECORD_PARTS 3
void venv_recorder_parts(const venv_recorder *recorder, venv_str ret_parts[VENV_RECORD_PARTS]);
/* Bytes of the file as it would be now. */
size_t venv_recorder_size(const venv_recorder *recorder);

/* --- reading ---------------------------------------------------------------------------------------------------- */

typedef enum venv_record_kind { VENV_RECORD_BEGIN = 'B', VENV_RECORD_EVENT = 'E', VENV_RECORD_STEP = 'S', VENV_RECORD_GAP = 'G' } venv_record_kind;

/* One item of a file. What points, points into `value` and into the data. */
typedef struct venv_record_item {
    venv_record_kind kind;
    venv_now now;               /* EVENT */
    venv_manager_event event;   /* EVENT; `value` points to the value below */
    venv_value value;           /* EVENT: the body; BEGIN: {exact, config: [{file, text}], rows: [[collection, key, value]], revision,
                                 * boot, seed, mono, wall}; owned: venv_record_item_fini() */
    char *text, *address;       /* of the event; owned */
    uint64_t shape, digest;     /* STEP; digest 0: not taken */
    uint32_t actions;           /* STEP: how many */
} venv_record_item;

/* Start with *at = 0. VENV_ENOENT: the end, also where the last item is cut off; VENV_EINVAL: no record, or damaged. */
venv_rc venv_record_next(venv_str file, size_t *at, venv_record_item *ret_item, venv_error *err);
void venv_record_item_fini(venv_record_item *item);

/* The two digests of what came out of a step, as they are recorded. */
uint64_t venv_record_shape(const venv_manager_actions *actions);
uint64_t venv_record_digest(const venv_manager_actions *actions);

#endif
