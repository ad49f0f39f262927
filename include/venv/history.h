/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_HISTORY_H
#define VENV_HISTORY_H

/**
 * @file venv/history.h
 * @brief What was known when: the values of properties, the states of agents and instances, as the manager learnt them.
 *
 *      from                                                                     to
 *       │  state at `from`        what came after it, in the order of time      │
 *       ▼  (before = true)        (before = false)                              ▼
 *       node1 memfree 512         node1 memfree 498 · node1 lost · class2-7 stopped · …
 *
 * A manager writes a history beside its state, in the folder `history`.  It can be read while the manager runs and while
 * it does not, by any number of programs: reading takes no lock and changes nothing.
 *
 * A **series** is one property of one agent, or the state of one agent or instance.  A sample is recorded when it reaches the
 * manager, with the manager's time in milliseconds, whether its value is another than before or not.
 *
 * | kind     | subject           | label          | value                                                              |
 * | ---      | ---               | ---            | ---                                                                |
 * | PROPERTY | name of the agent | the property's | as sampled; the last good one where `quality` is not `ok`          |
 * | AGENT    | name of the agent | ""             | `{state: "connected", "lost" …, groups: [string]}`                 |
 * | INSTANCE | its name          | ""             | `{state, environment, by, node?, vcpus?, memory?, id}`                 |
 * | MANAGER  | its name          | ""             | `{state: "started"}`: all that was known before is void            |
 * | DECLARATION | name of the agent | the property's | `{type, unit, every, source}`: it defines it from then on       |
 * | POLICY   | the manager's     | ""             | `{disabled: [trigger], held: bool, breakers: {name: {state, …}}}`: what kept triggers from acting: those that were switched off, a full disk or a state from the past, and breakers that are not closed |
 *
 * A value of null with quality `absent` says that the thing itself is gone: forgotten, or not defined any more.
 *
 * The history is not the truth: that is the manager's state (`venvctl list`, `venvctl events`).  It is written without waiting for
 * the disk; a crash of the machine may cost its last minutes, a full disk makes gaps.  What is damaged is left out, and never
 * taken for data.
 *
 * @par Threads
 *      A history belongs to one thread at a time; two of them share nothing.
 *
 * @par Example
 * @code
 *      venv_history *history;
 *      venv_history_query query = VENV_HISTORY_QUERY_INIT;
 *      query.from.ns = now.ns - 7 * 86400 * VENV_NS_PER_S;
 *      if (venv_history_open("/var/lib/venv", &history, &err) == VENV_OK) {
 *          rc = venv_history_read(history, &query, take_sample, &replay, &err);
 *          venv_history_close(history);
 *      }
 * @endcode
 */

#include <venv/common.h>
#include <venv/property.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

/** @name Limits @{ */
#define VENV_HISTORY_SERIES_MAX 1048576u /**< Series of one run of a manager; later ones are not recorded. */
#define VENV_HISTORY_TEXT_MAX   256u     /**< Bytes of a subject or label. */
/** @} */

/** A history that is read. */
typedef struct venv_history venv_history;

/** What a series is about. */
typedef enum venv_history_kind {
    VENV_HISTORY_PROPERTY = 0, /**< A property of an agent. */
    VENV_HISTORY_AGENT,        /**< Whether an agent is connected, and its groups. */
    VENV_HISTORY_INSTANCE,     /**< The state and the node of an instance. */
    VENV_HISTORY_MANAGER,      /**< The manager itself. */
    VENV_HISTORY_DECLARATION,  /**< That an agent defines a property, and how. */
    VENV_HISTORY_POLICY,       /**< What kept triggers from acting. */
    VENV_HISTORY_KIND__COUNT
} venv_history_kind;

/** `"property"`, `"agent"`, `"instance"`, `"manager"`, `"declaration"`, `"policy"`. */
VENV_API const char *venv_history_kind_name(venv_history_kind kind);

/** Read what venv_history_kind_name() writes.  @return false, and `*ret_kind` untouched, if it is none of them. */
VENV_API bool venv_history_kind_parse(venv_str name, venv_history_kind *ret_kind);

/** One sample.  Everything is borrowed for the call of the function that gets it. */
typedef struct venv_history_sample {
    venv_history_kind kind;
    const char *subject;
    const char *label;       /**< `""` where there is none. */
    venv_wall time;          /**< When the manager took it, to the millisecond. */
    venv_quality quality;
    const venv_value *value;
    bool before;             /**< It was so at the beginning of the time that was asked for. */
} venv_history_sample;

/** What to read. */
typedef struct venv_history_query {
    venv_wall from;      /**< Samples with `from < time <= to`, and, if `state` is set, what held at `from`. */
    venv_wall to;
    const char *subject; /**< Only of this agent or instance; NULL: of all. */
    const char *label;   /**< Only properties of this name; NULL: all, and the other kinds. */
    bool state;          /**< First the last sample at or before `from` of every series that is not gone. */
} venv_history_query;

/** Everything that there is. */
#define VENV_HISTORY_QUERY_INIT { { INT64_MIN }, { INT64_MAX }, NULL, NULL, true }

/** Takes one sample.  @return false to end the reading. */
typedef bool (*venv_history_fn)(void *user, const venv_history_sample *sample);

/**
 * Open the history of a manager.
 *
 * @param state  The manager's folder of state (`state` in manager.yaml), the one with `manager.db` in it.
 * @retval VENV_ENOENT   There is no history in it.
 * @retval VENV_EDENIED  The caller may not read it.
 * @retval VENV_EIO, VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_history_open(const char *state, venv_history **ret_history, venv_error *err);

/** Accepts NULL. */
VENV_API void venv_history_close(venv_history *history);

/** The times of the first and of the last sample that are kept.  @retval VENV_ENOENT There is none.  @retval VENV_EIO */
VENV_API VENV_MUST_USE venv_rc venv_history_bounds(venv_history *history, venv_wall *ret_first, venv_wall *ret_last,
                                                   venv_error *err);

/**
 * Give the samples of a query to a function, in the order in which the manager took them: that of time, save where the
 * manager's clock was set back.  First, if the query says so, the state at `from`, in no particular order, each with the time since
 * when it is so and `before` set.
 *
 * What the manager writes meanwhile may be seen or not.  Memory: some ten megabytes, however long the time is.
 *
 * @retval VENV_OK      All of it, or the function ended it.
 * @retval VENV_EIO     A file could not be read.  What was damaged is left out without an error: venv_history_damaged().
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_history_read(venv_history *history, const venv_history_query *query,
                                                 venv_history_fn sample, void *user, venv_error *err);

/** Bytes that were left out as damaged since the history was opened; 0 in a healthy one. */
VENV_API uint64_t venv_history_damaged(const venv_history *history);

VENV_END_DECLS
#endif /* VENV_HISTORY_H */
