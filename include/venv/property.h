/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_PROPERTY_H
#define VENV_PROPERTY_H

/**
 * @file venv/property.h
 * @brief Properties: named, typed values that an agent samples on a schedule.
 *
 *      definition ──► due? ──► somebody samples ──► good / failed ──► sample: value, quality, time, reason
 *                      ▲                                                 │
 *                      └──────────────── now ───────────────────────────►└──► changed? ──► push
 *
 * A **property** is a label, a type, a unit, where its value comes from (a built-in or an allowed
 * command with arguments), and an interval in ticks. A **property set** holds an agent's properties in
 * *slots* (0, 1, 2, … in the order in which they were added), decides which one is due, keeps the last
 * good value of each, and knows which ones have changed since they were last pushed.
 *
 * @par Shape
 *      label   `[A-Za-z_][A-Za-z0-9_.-]{0,63}`; one without `.` and `-` can be written `agent.p.LABEL` in CEL
 *      every   in ticks (`sample_every` of the agent): < 0 never, 0 once, n at every n-th tick
 *
 * @par Quality
 *      | quality  | the value is                     | when                                                         |
 *      | -------- | -------------------------------- | ------------------------------------------------------------ |
 *      | `ok`     | good                             | the last attempt gave a value, not longer ago than the grace time |
 *      | `error`  | the last good one, or none       | the last attempt failed; `reason` says why                    |
 *      | `stale`  | the last good one, too old       | it is older than the grace time, whatever the reason          |
 *      | `absent` | none                             | there was no attempt yet                                      |
 *
 *      The grace time is `3 × every × tick + timeout` (VENV_PROPERTY_GRACE_PERIODS). A property that is sampled once or never has
 *      no grace time: its value stays `ok` until an attempt fails. Every quality but `ok` is *unknown* to a trigger.
 *
 * @par Example
 * @code
 *      venv_property memfree = { .label = VENV_STR("memfree"), .type = VENV_PROPERTY_INT,
 *                                .unit = VENV_STR("KiB"), .source = VENV_PROPERTY_COMMAND,
 *                                .name = VENV_STR("ram"), .every = 60,
 *                                .timeout = { 5 * VENV_NS_PER_S } };
 *      uint32_t slot = 0;
 *      if (venv_property_set_add(set, &memfree, &slot, &err) != VENV_OK)
 *          return err.rc;
 *      while (venv_property_set_due(set, now.mono, &slot))
 *          ask_for(slot);                       // later: venv_property_set_good() or …_failed()
 * @endcode
 *
 * @par Purity
 *      Nothing here reads a clock, runs a command or logs. The same calls in the same order give the same sets.
 *
 * @par Threads
 *      A property set belongs to one thread at a time.
 */

#include <venv/common.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

#define VENV_LABEL_MAX              64    /**< Bytes in a label. */
#define VENV_UNIT_MAX               32    /**< Bytes in a unit. */
#define VENV_PROPERTY_COUNT_MAX     1024  /**< Properties in one set. */
#define VENV_PROPERTY_ARGS_MAX      64    /**< Arguments of a property's source. */
#define VENV_PROPERTY_VALUE_MAX     65536 /**< Bytes of text that a command may print as a value. */
#define VENV_PROPERTY_REASON_MAX    256   /**< Bytes of a reason, with the terminating NUL. */
#define VENV_PROPERTY_EVERY_MAX     1000000000 /**< Ticks in an interval. */
#define VENV_PROPERTY_GRACE_PERIODS 3     /**< See *Quality*. */

/** How much a value is worth. The numbers travel in messages. */
typedef enum venv_quality {
    VENV_QUALITY_OK = 0,
    VENV_QUALITY_STALE,
    VENV_QUALITY_ERROR,
    VENV_QUALITY_ABSENT,
    VENV_QUALITY__COUNT
} venv_quality;

/** `"ok"`, `"stale"`, `"error"`, `"absent"`. */
VENV_API const char *venv_quality_name(venv_quality quality);

/** Read such a name.  @return false if it is none. */
VENV_API bool venv_quality_parse(venv_str text, venv_quality *ret_quality);

/** What a property's value is. */
typedef enum venv_property_type {
    VENV_PROPERTY_INT = 0, /**< A decimal integer of 64 bits with a sign. */
    VENV_PROPERTY_DOUBLE,  /**< A finite decimal number. */
    VENV_PROPERTY_STRING,  /**< UTF-8 text. */
    VENV_PROPERTY_BOOL,    /**< `true` or `false`, `yes` or `no`, `1` or `0`. */
    VENV_PROPERTY_JSON,    /**< Any JSON: a map or a list as a rule. */
    VENV_PROPERTY_TYPE__COUNT
} venv_property_type;

/** `"int"`, `"double"`, `"string"`, `"bool"`, `"json"`. */
VENV_API const char *venv_property_type_name(venv_property_type type);

/** Read such a name.  @return false if it is none. */
VENV_API bool venv_property_type_parse(venv_str text, venv_property_type *ret_type);

/** Where a value comes from. */
typedef enum venv_property_source {
    VENV_PROPERTY_BUILTIN = 0, /**< The agent measures it itself. */
    VENV_PROPERTY_COMMAND,     /**< An allowed command prints it. */
} venv_property_source;

/** The definition of a property. Texts and arguments are borrowed; a set keeps copies of its own. */
typedef struct venv_property {
    venv_str label;
    venv_str unit;               /**< Empty: none. For people; no conversion is made. */
    venv_property_type type;
    venv_property_source source;
    venv_str name;               /**< Of the built-in, or of the command. */
    venv_value args;             /**< Null, or a list of strings. */
    int64_t every;               /**< Ticks: < 0 never, 0 once, n at every n-th. */
    venv_span timeout;           /**< How long one sampling may take; > 0. */
} venv_property;

/** What is known of a property now. Borrowed from its set until the next change. */
typedef struct venv_sample {
    venv_value value;     /**< The last good one; null if there never was one. */
    venv_quality quality;
    venv_wall time;       /**< Wall clock at which the value was taken; 0 if there is none. */
    venv_instant taken;   /**< The same on the monotonic clock. */
    venv_instant tried;   /**< End of the last attempt, good or not; 0 if there was none. */
    uint32_t failures;    /**< Attempts that failed since the last good one. */
    const char *reason;   /**< Why the last attempt failed; "" if it did not. Safe to print. */
} venv_sample;

/** True for the shape above. */
VENV_API bool venv_label_is_valid(venv_str label);

/**
 * Check a definition: label, type, source, arguments, interval, time-out.
 * @retval VENV_EINVAL  Something is malformed; the text says what is expected.
 * @retval VENV_ERANGE  `every` or `timeout` is out of bounds.
 * @retval VENV_ELIMIT  A unit, a name or the list of arguments is too long.
 */
VENV_API VENV_MUST_USE venv_rc venv_property_check(const venv_property *property, venv_error *err);

/**
 * Turn what a command printed into a value of the declared type. Strict: the whole text must be one
 * value. White space around a number, a bool or JSON is skipped; of a string one final newline is cut.
 *
 * @param text  At most VENV_PROPERTY_VALUE_MAX bytes.
 * @retval VENV_EINVAL  It is not such a value, or not UTF-8; the text quotes the beginning.
 * @retval VENV_ERANGE  A number that does not fit.
 * @retval VENV_ELIMIT  Longer than VENV_PROPERTY_VALUE_MAX, or JSON that is too deep.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_property_parse(venv_property_type type, venv_str text,
                                                   venv_value *ret_value, venv_error *err);

/** @name On the wire: see PROPLIST, PROPVAL and PUSH in venv-protocol(7). @{ */

/** `{slot, label, type, unit?, every, source, quality}`.  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_property_to_value(const venv_property *property, uint32_t slot,
                                                      venv_quality quality, venv_value *ret_value,
                                                      venv_error *err);

/**
 * Read such a map, from a peer. The result borrows from `value`; `args` is null and `timeout` 0.
 * @retval VENV_EPROTO  Something is missing, malformed or out of bounds.
 */
VENV_API VENV_MUST_USE venv_rc venv_property_from_value(const venv_value *value, venv_property *ret_property,
                                                        uint32_t *ret_slot, venv_error *err);

/** `[slot, value, quality, time or null, reason?]`.  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_sample_to_value(const venv_sample *sample, uint32_t slot,
                                                    venv_value *ret_value, venv_error *err);

/** One row of a PUSH. Everything is borrowed from the row. */
typedef struct venv_sample_row {
    uint32_t slot;
    venv_quality quality;
    const venv_value *value; /**< Null value if there never was one. */
    bool has_time;
    venv_wall time;
    venv_str reason;         /**< Empty: none. From a peer: escape it before printing. */
} venv_sample_row;

/** Read such a list, from a peer.  @retval VENV_EPROTO  Something is missing, malformed or out of bounds. */
VENV_API VENV_MUST_USE venv_rc venv_sample_row_read(const venv_value *value, venv_sample_row *ret_row,
                                                    venv_error *err);

/** True if a value may be one of a property of this type (an int where a double is declared may, null never but in JSON). */
VENV_API bool venv_property_type_accepts(venv_property_type type, const venv_value *value);

/** The body of PROPVAL: `{label, type, unit?, value, quality, time?, reason?}`.  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_sample_to_propval(const venv_property *property, const venv_sample *sample,
                                                      venv_value *ret_value, venv_error *err);
/** @} */

/** Properties in slots, with their samples. */
typedef struct venv_property_set venv_property_set;

/**
 * Make an empty set.
 * @param tick   The base interval, > 0.
 * @param start  Tick 0: everything that is sampled at all is due then.
 * @retval VENV_EINVAL  `tick` is not positive.  @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_property_set_new(venv_span tick, venv_instant start,
                                                     venv_property_set **ret_set, venv_error *err);

/** Release. Accepts NULL. */
VENV_API void venv_property_set_free(venv_property_set *set);

/**
 * Add a property in the next slot. The definition is copied.
 * @retval VENV_EEXIST  The label is taken.
 * @retval VENV_ELIMIT  There are VENV_PROPERTY_COUNT_MAX already.
 * @retval VENV_ENOMEM
 * Fails also as venv_property_check() does. After a failure the set is as it was.
 */
VENV_API VENV_MUST_USE venv_rc venv_property_set_add(venv_property_set *set, const venv_property *property,
                                                     uint32_t *ret_slot, venv_error *err);

VENV_API size_t venv_property_set_count(const venv_property_set *set);

/** The definition in a slot, borrowed while the set lives; NULL if there is no such slot. */
VENV_API const venv_property *venv_property_set_peek(const venv_property_set *set, uint32_t slot);

/** The sample in a slot, borrowed until the next change; NULL if there is no such slot. */
VENV_API const venv_sample *venv_property_set_sample(const venv_property_set *set, uint32_t slot);

/** Find a slot by its label in O(1).  @return false if there is none. */
VENV_API bool venv_property_set_find(const venv_property_set *set, venv_str label, uint32_t *ret_slot);

/**
 * Take the property that has been due for longest. It counts as being sampled until venv_property_set_good() or
 * venv_property_set_failed(), and is not due meanwhile: samplings of one property never overlap. Ticks that went by
 * unseen are not made up for.
 * @return false if none is due.
 */
VENV_API bool venv_property_set_due(venv_property_set *set, venv_instant now, uint32_t *ret_slot);

/** Count a slot as being sampled out of turn (FETCH).  @return false if it is being sampled already. */
VENV_API bool venv_property_set_begin(venv_property_set *set, uint32_t slot, venv_instant now);

/** True while a slot is being sampled. */
VENV_API bool venv_property_set_busy(const venv_property_set *set, uint32_t slot);

/**
 * An attempt gave a value. It is checked against the type; one of another kind counts as a failed attempt (and VENV_OK is
 * returned). An int is taken for a double.
 * @retval VENV_ENOMEM  The sample is as it was.
 */
VENV_API VENV_MUST_USE venv_rc venv_property_set_good(venv_property_set *set, uint32_t slot, venv_now now,
                                                      const venv_value *value, venv_error *err);

/** An attempt failed. The last good value is kept. `reason` is cut, and made safe to print. */
VENV_API void venv_property_set_failed(venv_property_set *set, uint32_t slot, venv_now now,
                                       const char *reason);

/** Make stale what is older than its grace time. */
VENV_API void venv_property_set_age(venv_property_set *set, venv_instant now);

/** When something will be due or stale next; VENV_INSTANT_NEVER if nothing will. */
VENV_API venv_instant venv_property_set_deadline(const venv_property_set *set);

/**
 * Find the next slot at or after `*cursor` that is worth pushing: its value, quality or reason is another than at
 * the last push, or nothing of it was pushed for `refresh`. Moves `*cursor` past it.
 * @return false if there is none.
 */
VENV_API bool venv_property_set_changed(const venv_property_set *set, venv_instant now, venv_span refresh,
                                        uint32_t *cursor, uint32_t *ret_slot);

/** What a slot holds now has been pushed. */
VENV_API void venv_property_set_pushed(venv_property_set *set, uint32_t slot, venv_instant now);

/** True if any slot changed since it was pushed (not counting refreshes).  O(1). */
VENV_API bool venv_property_set_has_changed(const venv_property_set *set);

/** Everything in the set mixed into `seed`: equal after equal calls. */
VENV_API uint64_t venv_property_set_digest(const venv_property_set *set, uint64_t seed);

VENV_END_DECLS
#endif /* VENV_PROPERTY_H */
