/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_REPLAY_H
#define VENV_REPLAY_H

/**
 * @file venv/replay.h
 * @brief What triggers would have done: recorded history, gone through by the code that decides in the manager.
 *
 *      history ──samples, in the order of time──► replay ──► what would have fired, when, why
 *                                                  │  ▲
 *                            orders to start, stop ▼  │ instances(…)
 *                                        instances as they would have been
 *
 * The triggers are compiled and stepped by venv/trigger.h, as in the manager; only the world is another: agents, properties and
 * queues are as they were recorded.
 *
 * @par The model
 *      Nobody knows what machines that were never started would have done.  The model is simple, and is to be told with
 *      every result (venv_replay_model()): each start finds a node and works; an instance runs after the time that recorded
 *      ones of its environment took on average; it runs until the triggers stop it; the queues are as they
 *      were recorded, whatever more or fewer machines would have done to them.  Instances that people started are
 *      as they were.  Those that triggers started, in environments that these triggers start or stop, are left out:
 *      the model takes their place.
 *
 * @par At the beginning
 *      Whether a trigger had fired before the time that is replayed is not known: each begins idle.  What fires at the
 *      first moment is marked (`start`).
 *
 * @par Purity
 *      Time comes with the samples.  The same samples give the same reports.  Memory: the last value of each series, and the
 *      instances; not the history.
 *
 * @par Threads
 *      A replay belongs to one thread at a time.
 */

#include <venv/common.h>
#include <venv/history.h>
#include <venv/trigger.h>

VENV_BEGIN_DECLS

/** One replay. */
typedef struct venv_replay venv_replay;

/**
 * Told of what would have happened, in the order of time.
 *
 * @param report  A map, lent for the call: `time`, `kind` ("fired", "observed", "proposed", "recovered", "limited", "missing",
 *                "failed"), `trigger`, `unit`, `text`, `start` (only where true), `why` (as one of `units` of
 *                venv_triggers_explain()), `orders` (`verb`, `arguments`).
 */
typedef void (*venv_replay_fn)(void *user, const venv_value *report);

/** How to replay. */
typedef struct venv_replay_options {
    venv_trigger_options triggers; /**< Tick and zones, as in the manager. */
    venv_wall from;                /**< The first moment; samples marked `before` hold then. */
    venv_span boot;                /**< From start to running, where no recorded instance tells it; 0: one minute. */
    venv_replay_fn report;
    void *user;
} venv_replay_options;

/**
 * Make a replay.
 * @param definitions  A map from names to definitions, as under `triggers` of venv-mgr.yaml(5).
 * @retval VENV_OK  Fails as venv_triggers_new().
 */
VENV_API VENV_MUST_USE venv_rc venv_replay_new(const venv_value *definitions, const venv_replay_options *options,
                                               venv_replay **ret_replay, venv_error *err);

/** Accepts NULL. */
VENV_API void venv_replay_free(venv_replay *replay);

/**
 * The next sample, as venv_history_read() gives them: first those that were so at the beginning, then the others.
 * A time that is before the last one counts as the last one.
 * @retval VENV_OK  @retval VENV_ELIMIT  More series than can be.  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_replay_sample(venv_replay *replay, const venv_history_sample *sample, venv_error *err);

/** That was the last one; go on until `to`.  @retval VENV_OK  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_replay_finish(venv_replay *replay, venv_wall to, venv_error *err);

/**
 * Sums over the time that was replayed: `from`, `to`, `samples`, `triggers` (a list of `name`, `fired`), `environments` (a list of
 * `name`, `would_start`, `would_hours`, `did_start`, `did_hours` (of all instances), `did_hours_triggers` (of those that
 * triggers started)).  Hours are those of machines that were asked for and not yet over.
 * @retval VENV_OK  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_replay_sums(const venv_replay *replay, venv_value *ret_map, venv_error *err);

/** What the model takes for granted, in sentences for people. */
VENV_API const char *venv_replay_model(void);

VENV_END_DECLS
#endif /* VENV_REPLAY_H */
