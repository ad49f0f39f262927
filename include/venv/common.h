/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_COMMON_H
#define VENV_COMMON_H

/**
 * @file venv/common.h
 * @brief What every other header of libvenv stands on: return codes, errors, instants, durations,
 *        ids and borrowed text.
 *
 * @par Errors
 *      A function that can fail returns a `venv_rc` and takes a `venv_error *` last.  Outputs are
 *      called `ret_…` and are untouched on failure.  The error is a value that the caller owns;
 *      every function accepts NULL for it.  Nothing is kept in thread-local or global state.
 *
 * @par Time
 *      libvenv reads no clock.  Where time matters it is an argument: a `venv_now` holds the
 *      monotonic clock, for time-outs and periods, and the wall clock, for what people read.
 *
 * @par Threads
 *      Everything here is a plain value.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define VENV_BEGIN_DECLS extern "C" {
#define VENV_END_DECLS }
#else
#define VENV_BEGIN_DECLS
#define VENV_END_DECLS
#endif

#define VENV_API __attribute__((visibility("default")))
#define VENV_MUST_USE __attribute__((warn_unused_result))
#define VENV_PRINTF(format_index, first_index) \
    __attribute__((format(printf, format_index, first_index)))

VENV_BEGIN_DECLS

/** Why a function failed.  Negative, so that `rc < 0` reads as "failed". */
typedef enum venv_rc {
    VENV_OK = 0,
    VENV_EINVAL = -1,       /**< An argument or a document is malformed. */
    VENV_ENOMEM = -2,       /**< Out of memory; the object is as it was. */
    VENV_ENOENT = -3,       /**< No such thing. */
    VENV_EEXIST = -4,       /**< There is one already. */
    VENV_EKIND = -5,        /**< A value is of another kind than asked for. */
    VENV_ERANGE = -6,       /**< A number or a size lies outside its bounds. */
    VENV_ELIMIT = -7,       /**< A stated limit (size, depth, count, cost) is exceeded. */
    VENV_EDENIED = -8,      /**< The asker may not do this. */
    VENV_EUNREACHABLE = -9, /**< The other side cannot be reached now. */
    VENV_ETIMEDOUT = -10,   /**< It did not happen in the time given. */
    VENV_EUNKNOWN = -11,    /**< The outcome is not known: it may or may not have happened. */
    VENV_ECONFLICT = -12,   /**< The state does not allow it: old epoch, wrong state, busy. */
    VENV_EUNSUPPORTED = -13,/**< Not offered by this driver or version. */
    VENV_EIO = -14,         /**< The operating system or a foreign library failed. */
    VENV_ENOSPACE = -15,    /**< A disk or quota is full. */
    VENV_EPROTO = -16,      /**< A peer broke the protocol. */
    VENV_ECANCELED = -17,   /**< Given up on request. */
    VENV_EINTERNAL = -18,   /**< A defect of libvenv. */
} venv_rc;

/** Stable lower-case name of a code, for example `"not-found"`; used in JSON output and on the wire. */
VENV_API const char *venv_rc_name(venv_rc rc);

#define VENV_ERROR_TEXT_MAX 512 /**< Bytes of an error's text, with the terminating NUL. */
#define VENV_ERROR_FILE_MAX 256 /**< Bytes of the file name in an error, with the terminating NUL. */

/** What went wrong, where, and what to do.  Zero it before use: `venv_error err = {0};`. */
typedef struct venv_error {
    venv_rc rc;                     /**< VENV_OK while unset. */
    uint32_t line;                  /**< 1-based line in `file`, 0 if there is none. */
    uint32_t column;                /**< 1-based column in `line`, in bytes, 0 if there is none. */
    char file[VENV_ERROR_FILE_MAX]; /**< File the error is about, empty if there is none. */
    char text[VENV_ERROR_TEXT_MAX]; /**< One sentence: what, why, what to do; cut at the limit. */
} venv_error;

/**
 * Fill an error and return its code, so that `return venv_error_set(err, VENV_EINVAL, "…");` works.
 * Bytes that are not valid UTF-8 or are control characters (but `\n`) are shown as `?`: the text may come from a peer.
 *
 * @param err  May be NULL.
 */
VENV_API venv_rc venv_error_set(venv_error *err, venv_rc rc, const char *format, ...)
    VENV_PRINTF(3, 4);

/** Put `file:line:column` on an error.  `file` may be NULL to leave it as it is. */
VENV_API void venv_error_at(venv_error *err, const char *file, uint32_t line, uint32_t column);

/** Put "PREFIX: " before an error's text, and return its code. */
VENV_API venv_rc venv_error_prefix(venv_error *err, const char *format, ...) VENV_PRINTF(2, 3);

/**
 * Write `file:line:column: text` (the parts that are set) into `buffer`.
 * @return `buffer`.
 */
VENV_API const char *venv_error_format(const venv_error *err, char *buffer, size_t size);

/** Borrowed bytes: a pointer and a length, not terminated. */
typedef struct venv_str {
    const char *data;
    size_t size;
} venv_str;

/** A string literal as venv_str. */
#define VENV_STR(literal) ((venv_str){ (literal), sizeof(literal) - 1 })

#define VENV_NS_PER_S INT64_C(1000000000)

/** Nanoseconds of the monotonic clock; meaningful only against another instant of the same boot. */
typedef struct venv_instant {
    int64_t ns;
} venv_instant;

/** Nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted. */
typedef struct venv_wall {
    int64_t ns;
} venv_wall;

/** A length of time in nanoseconds; may be negative. */
typedef struct venv_span {
    int64_t ns;
} venv_span;

/** Both clocks, read together by the shell or by a test. */
typedef struct venv_now {
    venv_instant mono;
    venv_wall wall;
} venv_now;

#define VENV_INSTANT_NEVER ((venv_instant){ INT64_MAX })

/** A 128-bit id: of a request, an instance, an action, a boot.  All zero means "none". */
typedef struct venv_id {
    uint8_t bytes[16];
} venv_id;

#define VENV_ID_TEXT_SIZE 37 /**< `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` and a NUL. */

/** Write an id in the form of a UUID.  @return `ret_text`. */
VENV_API const char *venv_id_format(venv_id id, char ret_text[VENV_ID_TEXT_SIZE]);

/** Read what venv_id_format() writes; upper case is accepted.  @return false if malformed. */
VENV_API bool venv_id_parse(venv_str text, venv_id *ret_id);

VENV_API bool venv_id_equal(venv_id a, venv_id b);
VENV_API bool venv_id_is_none(venv_id id);

#define VENV_NAME_MAX 64 /**< Bytes in a name of a node, instance, environment, trigger or image. */

/**
 * True for `[a-z0-9][a-z0-9._-]{0,63}` without `..`: what may name a node, an environment, an
 * instance, a trigger, an image or a command, and may safely stand in a path.
 */
VENV_API bool venv_name_is_valid(venv_str name);

#define VENV_GROUP_NAME_MAX 32 /**< Bytes in the name of a group (requirement A6). */

/** Like venv_name_is_valid() with VENV_GROUP_NAME_MAX; upper case letters are accepted too. */
VENV_API bool venv_group_name_is_valid(venv_str name);

/** Who a peer is: from its certificate, never from a message. */
typedef enum venv_role {
    VENV_ROLE_NONE = 0,
    VENV_ROLE_MANAGER,
    VENV_ROLE_AGENT,
    VENV_ROLE_USER,
} venv_role;

/** `"manager"`, `"agent"`, `"user"`; `"none"` for anything else. */
VENV_API const char *venv_role_name(venv_role role);

/** Read what venv_role_name() writes.  @return VENV_ROLE_NONE if it is none of the three. */
VENV_API venv_role venv_role_parse(venv_str name);

/** `"0.1.0"`. */
VENV_API const char *venv_version(void);

VENV_END_DECLS
#endif /* VENV_COMMON_H */
