/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_H
#define VENV_TRIGGER_H

/**
 * @file venv/trigger.h
 * @brief Triggers: an expression over what the manager knows, a policy, and actions.
 *
 *      what changed ──note──► triggers ──step(now, world)──► reports: fired (with orders), recovered,
 *                              │  ▲                           proposed, unknown, failed, limited
 *                              ▼  │ asks, while it evaluates
 *                              world: agents, queues, instances
 *
 * @par Shape
 *      A trigger is one **unit** of state, or one for each element of its `for`, and one for each agent
 *      in whose context it was evaluated where it reads `agent`, `group`, `property` or `reason`.  A unit is
 *      idle, holding (true, but not for long enough), active (it fired and has not recovered) or cooling.
 *
 * @par Words of an expression
 *      `now` (timestamp); `agents` (list of agents); `agent` (the one in whose context it is evaluated,
 *      or null); `group`, `property`, `reason` (strings, empty without context); `queue(NAME)` (map with at least
 *      `pending` and `running`); `instances(ENVIRONMENT)` (list of maps); `breaker(NAME)` (map, of an environment or
 *      of `node/NAME`); the variable of `for`.
 *      An agent is a map: `name`, `state`, `groups`, `p` (its properties), `heard` and `updated` (timestamps).
 *
 * @par Three values
 *      What could not be looked at is unknown.  A unit whose `when` is unknown does not fire, one whose
 *      `until` is unknown does not recover, and an order with an unknown argument is not given; the
 *      report says what was missing.
 *
 * @par Time
 *      `hold`, `cooldown`, `every` and `limit` go by the monotonic clock, `at` by the wall clock, which may be set: a
 *      time that was missed fires once, one that the clock comes by again does not.
 *
 * @par Purity
 *      Nothing here reads a clock or acts.  Orders are data; whoever steps the triggers carries them out.
 *
 * @par Threads
 *      A set of triggers belongs to one thread at a time.
 */

#include <venv/common.h>
#include <venv/expr.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

/** @name Limits @{ */
#define VENV_TRIGGERS_MAX         1024u  /**< Triggers of one set. */
#define VENV_TRIGGER_UNITS_MAX    4096u  /**< Units of one trigger. */
#define VENV_TRIGGER_ORDERS_MAX   16u    /**< Orders in one `do`. */
#define VENV_TRIGGER_LIMIT_MAX    1000u  /**< Actions that `limit` can count. */
#define VENV_TRIGGER_COUNT_MAX    1000u  /**< Instances that one order can ask for. */
/** @} */

/** A set of compiled triggers and their state. */
typedef struct venv_triggers venv_triggers;

/** State of a unit. */
typedef enum venv_trigger_state {
    VENV_TRIGGER_IDLE = 0, /**< Waits for `when`. */
    VENV_TRIGGER_HOLDING,  /**< `when` is true, `hold` is not over. */
    VENV_TRIGGER_ACTIVE,   /**< It fired and has not recovered. */
    VENV_TRIGGER_COOLING,  /**< It recovered, `cooldown` is not over. */
    VENV_TRIGGER_STATE__COUNT
} venv_trigger_state;

/** `"idle"`, `"holding"`, `"active"`, `"cooling"`. */
VENV_API const char *venv_trigger_state_name(venv_trigger_state state);

/** What an order asks for. */
typedef enum venv_order_verb {
    VENV_ORDER_START = 0, /**< {environment, count, node?} */
    VENV_ORDER_STOP,      /**< {environment?, instance?, count?, grace?, force?} */
    VENV_ORDER_GET,       /**< {target, label?} */
    VENV_ORDER_FETCH,     /**< {target, label} */
    VENV_ORDER_EXEC,      /**< {target, command, args, timeout?} */
    VENV_ORDER_LOG,       /**< {text, level} */
    VENV_ORDER_CONTROL,   /**< {target, verb, groups?} */
    VENV_ORDER_DESTROY,   /**< {environment?, instance?, count?} */
    VENV_ORDER_PAUSE,     /**< {environment?, instance?, count?} */
    VENV_ORDER_RESUME,    /**< {environment?, instance?, count?} */
    VENV_ORDER_SAVE,      /**< {environment?, instance?, count?} */
    VENV_ORDER_RESTORE,   /**< {environment?, instance?, count?} */
    VENV_ORDER_MIGRATE,   /**< {environment?, instance?, count?, node?} */
    VENV_ORDER_SYNC,      /**< {target, image, timeout?} */
    VENV_ORDER_MAIL,      /**< {to, subject, text?} */
    VENV_ORDER_WEBHOOK,   /**< {to, body?} */
    VENV_ORDER_PLUGIN,    /**< {name, input?, timeout?} */
    VENV_ORDER_VERB__COUNT
} venv_order_verb;

/** `"start"`, `"stop"`, `"get"`, … as in the list of actions of venv-triggers(7). */
VENV_API const char *venv_order_verb_name(venv_order_verb verb);

/** The verb of this name.  False if there is none. */
VENV_API bool venv_order_verb_parse(venv_str name, venv_order_verb *ret_verb);

/** One action to be done, its arguments evaluated. */
typedef struct venv_order {
    venv_order_verb verb;
    venv_value arguments; /**< A map, keys and kinds as beside the verb. */
} venv_order;

/** What became of a unit in a step. */
typedef enum venv_trigger_report_kind {
    VENV_TRIGGER_FIRED = 0, /**< `orders` are to be carried out. */
    VENV_TRIGGER_RECOVERED, /**< `until` is true, or `when` is no longer; `orders` are those of `recover`. */
    VENV_TRIGGER_OBSERVED,  /**< As fired, in mode observe: `orders` are not to be carried out. */
    VENV_TRIGGER_PROPOSED,  /**< As fired, in mode propose: `orders` wait until somebody applies them. */
    VENV_TRIGGER_LIMITED,   /**< It would have fired, but `limit` is used up: `text` says which, and until when. */
    VENV_TRIGGER_MISSING,   /**< The result is unknown since now: `text` says what is missing. */
    VENV_TRIGGER_FAILED,    /**< The evaluation fails since now: `text` says why. */
    VENV_TRIGGER_REPORT_KIND__COUNT
} venv_trigger_report_kind;

/** `"fired"`, `"recovered"`, `"observed"`, `"proposed"`, `"limited"`, `"missing"`, `"failed"`. */
VENV_API const char *venv_trigger_report_name(venv_trigger_report_kind kind);

/** One report. */
typedef struct venv_trigger_report {
    venv_trigger_report_kind kind;
    const char *trigger; /**< Lent for the life of the set. */
    const char *unit;    /**< Element and agent, "" for the only one.  Lent until the next step. */
    venv_order *orders;
    size_t order_count;
    venv_span expires;   /**< Of proposed: for how long it may be applied. */
    bool recovers;       /**< Of proposed: `orders` are those of `recover`. */
    char text[256];      /**< Why, for people. */
    venv_value evidence; /**< Why, in full: one of `units` of venv_triggers_explain(), without what would come of it.
                              Null for kinds that do nothing. */
} venv_trigger_report;

/** Reports of a step, in order. */
typedef struct venv_trigger_reports {
    venv_trigger_report *items;
    size_t count, capacity;
} venv_trigger_reports;

VENV_API void venv_trigger_reports_init(venv_trigger_reports *reports);
/** Forget the reports and what they own. */
VENV_API void venv_trigger_reports_clear(venv_trigger_reports *reports);
VENV_API void venv_trigger_reports_fini(venv_trigger_reports *reports);

/** Samples behind a decision, collected by whoever knows them.  Bounded: what is beyond is left out, and marked. */
#define VENV_TRIGGER_SAMPLES_MAX   16u /**< Samples that are kept of one decision. */
typedef struct venv_trigger_samples {
    venv_list_builder list;
    size_t count;
    bool cut;
    uint64_t seen[VENV_TRIGGER_SAMPLES_MAX]; /**< Of what is in the list: nothing is told twice. */
} venv_trigger_samples;

#define VENV_TRIGGER_EXPLAINED_MAX 16u /**< Units of a trigger that are explained at once. */

/**
 * Add one: a property of an agent, or the state of an instance.
 * @param subject  Name of the agent or instance.
 * @param label    The property, or "state".
 * @param value    Copied; a large one is cut to text.
 * @param quality  "ok", "stale", "error", "absent".
 * @param time     When it was sampled; 0 if that is not known.
 */
VENV_API void venv_trigger_samples_add(venv_trigger_samples *samples, const char *subject, const char *label,
                                       const venv_value *value, const char *quality, venv_wall time);

/** Told of an agent by its name, which is lent for the call. */
typedef void (*venv_trigger_agent_fn)(void *user, const char *agent);

/** What expressions and limits ask.  Values are lent until the step ends unless said otherwise. */
typedef struct venv_trigger_world {
    void *user;
    /** An agent, or a part of it: `read` is a path that starts with `agent`.  Others as venv_expr_resolve_fn. */
    venv_expr_answer (*agent)(void *user, const char *name, const venv_expr_read *read,
                              venv_value *ret_value, uint32_t *ret_depth);
    /** All agents, as a list. */
    venv_expr_answer (*agents)(void *user, venv_value *ret_list);
    /** `queue(NAME)`: a new reference.  VENV_EUNKNOWN if it could not be looked at. */
    venv_rc (*queue)(void *user, venv_str name, venv_value *ret_map, venv_error *err);
    /** `instances(ENVIRONMENT)`: a new reference.  VENV_ENOENT if there is no such environment. */
    venv_rc (*instances)(void *user, venv_str environment, venv_value *ret_list, venv_error *err);
    /** Add the samples behind what an expression reads, for people.  `agent` is the one in whose context it is evaluated
     *  ("" if none), `source` the whole expression.  May be NULL. */
    void (*samples)(void *user, const char *agent, const venv_expr_read *read, const char *source,
                    venv_trigger_samples *samples);
    /** `breaker(NAME)`: a new reference to {state, failures, opened, …}.  VENV_ENOENT if there is no such environment or node.
     *  NULL: the word is unknown. */
    venv_rc (*breaker)(void *user, venv_str name, venv_value *ret_map, venv_error *err);
    /** Call `each` with the agent of each instance, or each agent, that an order would touch.  NULL: none are counted. */
    void (*touches)(void *user, const venv_order *order, venv_trigger_agent_fn each, void *each_user);
    /** Number of members of a group; 0 if there is none. */
    size_t (*members)(void *user, const char *group);
    /** Whether an agent is one of them. */
    bool (*is_member)(void *user, const char *group, const char *agent);
} venv_trigger_world;

/** How triggers are compiled. */
typedef struct venv_trigger_options {
    venv_span tick;          /**< Length of a tick, the unit of `every`; longer than nothing. */
    venv_expr_zone_fn zone;  /**< Gives the data of time zones; NULL: only UTC and offsets such as +02:00 are known. */
    void *zone_user;         /**< Given to `zone`. */
} venv_trigger_options;

/**
 * Compile triggers.
 *
 * @param definitions  A map from names to definitions, as under `triggers` of venv-mgr.yaml(5).
 * @param options      Copied; `zone` and its user are used for as long as the set lives.
 * @retval VENV_OK
 * @retval VENV_EINVAL  A definition or an expression is malformed; the text names the trigger and the key.
 * @retval VENV_ELIMIT  Too many triggers or orders.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_triggers_new(const venv_value *definitions,
                                                 const venv_trigger_options *options,
                                                 venv_triggers **ret_triggers, venv_error *err);

/** Release a set.  Accepts NULL. */
VENV_API void venv_triggers_free(venv_triggers *triggers);

/** @name What changed.  Triggers that read it are evaluated in the next step, once, however often it was noted. @{ */

/** The value or quality of a property of an agent changed. */
VENV_API void venv_triggers_note_property(venv_triggers *triggers, const char *agent, const char *label);
/** An agent joined, left, or disconnected from, a group: `kind` is "join", "leave", "disconnect", "rejoin". */
VENV_API void venv_triggers_note_membership(venv_triggers *triggers, const char *agent, const char *group,
                                            const char *kind, const char *reason);
/** The state of an agent changed. */
VENV_API void venv_triggers_note_agent(venv_triggers *triggers, const char *agent);
/** Instances of an environment came, went, or changed their state. */
VENV_API void venv_triggers_note_instances(venv_triggers *triggers, const char *environment);
/** @} */

/** When the next step is wanted although nothing changes; VENV_INSTANT_NEVER if not at all. */
VENV_API venv_instant venv_triggers_deadline(const venv_triggers *triggers);

/** True if something was noted since the last step. */
VENV_API bool venv_triggers_pending(const venv_triggers *triggers);

/**
 * Evaluate what is due: triggers that read what was noted, and those whose time has come.
 *
 * A trigger that fails is reported and harms no other.
 *
 * @param reports  Appended to.
 * @retval VENV_OK
 * @retval VENV_ENOMEM  What was noted stays noted.
 */
VENV_API VENV_MUST_USE venv_rc venv_triggers_step(venv_triggers *triggers, venv_now now,
                                                  const venv_trigger_world *world,
                                                  venv_trigger_reports *reports, venv_error *err);

/**
 * Count orders that a trigger did not give itself, those of a proposal, against its limits: all of them, or none.
 *
 * @retval VENV_OK
 * @retval VENV_ENOENT  There is no such trigger.
 * @retval VENV_ELIMIT  A limit is used up: the text says which, and when it is free again.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_triggers_spend(venv_triggers *triggers, const char *name,
                                                   const venv_order *orders, size_t count, venv_now now,
                                                   const venv_trigger_world *world, venv_error *err);

/** @name Switching off @{ */

/**
 * Enable or disable a trigger, which venv_triggers_save() then tells.  A disabled trigger is not evaluated: what it
 * holds begins anew when it is enabled, and times of `at` that go by meanwhile are not made up for.  What fired stays so.
 *
 * @param by   Who wants it, for people.
 * @param why  Why; may be NULL.
 * @retval VENV_OK  Also if it is so already: then nothing changes.
 * @retval VENV_ENOENT
 */
VENV_API VENV_MUST_USE venv_rc venv_triggers_set_enabled(venv_triggers *triggers, const char *name, bool enabled,
                                                         const char *by, const char *why, venv_now now,
                                                         venv_error *err);

/** True if there is such a trigger, and it is not disabled. */
VENV_API bool venv_triggers_is_enabled(const venv_triggers *triggers, const char *name);
/** @} */

/** @name State that outlives a restart @{ */

/** One unit changed such that it must be remembered. `row` is null when there is nothing to remember any more. */
typedef void (*venv_trigger_row_fn)(void *user, const char *key, const venv_value *row);

/**
 * Let what outlives a restart age by a clock of the caller's, which counts only while the set is used and which nobody can set:
 * `now.mono` plus this.  Rows then carry it (`ran`), and a row that is taken up again is as old as it was when the caller ended.
 * Without it, and for rows that have none, the wall clock is taken, and what is in its future counts as now.
 */
VENV_API void venv_triggers_age_by(venv_triggers *triggers, venv_span offset);

/** Tell of each unit that changed since the last call. */
VENV_API VENV_MUST_USE venv_rc venv_triggers_save(venv_triggers *triggers, venv_trigger_row_fn row,
                                                  void *user, venv_error *err);

/**
 * Every row as it has to be stored now, whether or not it has changed; nothing counts as written by it. For records of a
 * whole state.
 *
 * @param row   Called for each row, with its key and its map; both borrowed for the call.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_triggers_rows(const venv_triggers *triggers, venv_trigger_row_fn row, void *user,
                                                  venv_error *err);

/** Take a row up again.  Rows of triggers that there are no longer are passed over (`*ret_known` false). */
VENV_API VENV_MUST_USE venv_rc venv_triggers_restore(venv_triggers *triggers, venv_str key,
                                                     const venv_value *row, venv_now now,
                                                     bool *ret_known, venv_error *err);
/** @} */

/**
 * Let a set take the place of another, whose ticks and zones have to be the same, while it runs.
 *
 * Triggers whose definition is the same keep all of their state: hold, firing, cooldown, counters, what their limits have
 * spent.  One that was changed keeps what a restart keeps; its hold begins anew.  Nothing can fail.
 *
 * @param fresh  Was not stepped yet.
 * @param old    Of no use any more afterwards but to be released.
 * @param gone   Told of each row that is not needed any more, with a null value.
 */
VENV_API void venv_triggers_take_over(venv_triggers *fresh, venv_triggers *old, venv_now now,
                                      venv_trigger_row_fn gone, void *user);

/** @name Looking @{ */

/** Number of triggers. */
VENV_API size_t venv_triggers_count(const venv_triggers *triggers);
/** Name of trigger `index`, NULL past the end. */
VENV_API const char *venv_triggers_name(const venv_triggers *triggers, size_t index);
/**
 * Everything about a trigger as a map: definition, state, units, counters.
 * @retval VENV_OK  @retval VENV_ENOENT  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_triggers_describe(const venv_triggers *triggers, const char *name,
                                                      venv_now now, venv_value *ret_map, venv_error *err);
/**
 * Evaluate a trigger now, for people: nothing is changed, nothing is done.
 *
 * The answer is a map: `trigger` (as venv_triggers_describe() gives it), `limit`, `limit_left`, `limit_per` (where there is one),
 * `for_error`, `cut` (there are more units than VENV_TRIGGER_EXPLAINED_MAX), and `units`, each with `unit`, `agent`, `state`,
 * `since`, `held` and `hold` (counts or durations), `cools_until`, `error`; `when` and `until` with `source`, `state` ("true", "false",
 * "unknown", "error"), `error` and `parts` (as venv_expr_explanation_value() gives them); `samples` (`subject`, `label`, `value`,
 * `quality`, `time`); `would` ("fire", "fire-at-its-time", "recover", "hold", "cool", "nothing"), and `orders` (`verb`, `arguments` or
 * `error`) as they would be now.
 *
 * @param agent  In whose context, if the trigger is evaluated for agents; NULL: of each.
 * @retval VENV_OK  @retval VENV_ENOENT  There is no such trigger.  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_triggers_explain(venv_triggers *triggers, const char *name, const char *agent, venv_now now,
                                                     const venv_trigger_world *world, venv_value *ret_map,
                                                     venv_error *err);
/** @} */

/** Hash over definition and state of all units. */
VENV_API uint64_t venv_triggers_digest(const venv_triggers *triggers);

VENV_END_DECLS
#endif /* VENV_TRIGGER_H */
