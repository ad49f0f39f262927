/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_VALUE_H
#define VENV_VALUE_H

/**
 * @file venv/value.h
 * @brief The one value type of venv.
 *
 * A sampled property, a message body, an operand of CEL, a configuration file, a stored row and the
 * `--json` output of a command are all `venv_value`: one printer, one comparison, one hash.
 *
 * @par Shape
 *      16 bytes, passed by value or by pointer.  Null, bool, int, uint, double, timestamp, duration,
 *      type, and strings and bytes of up to VENV_VALUE_INLINE_MAX bytes cost no allocation.  Longer strings, bytes, lists and
 *      maps point to an immutable, reference-counted object.  A *borrowed* value points to memory that
 *      somebody else keeps (a literal, a received frame, an arena): its references are not counted.
 *
 * @par Ownership
 *      A function that returns a value or stores one in `ret_…` gives the caller one reference, to be
 *      dropped with venv_value_unref().  `_peek` and `_get` functions lend: the result lives as long as
 *      the container.  Unref of a scalar or a borrowed value does nothing, so calling it is always right.
 *
 * @par Example
 * @code
 *      venv_map_builder map;
 *      venv_map_init(&map);
 *      venv_map_put(&map, "label", venv_value_literal("memfree"));
 *      venv_map_put(&map, "value", venv_value_int(512));
 *      venv_value body = venv_value_null();
 *      if (venv_map_take(&map, &body, &err) != VENV_OK)   // the builder is empty afterwards
 *          return err.rc;
 *      …
 *      venv_value_unref(&body);
 * @endcode
 *
 * @par Threads
 *      Reference counts are not atomic: a value belongs to one thread at a time.  Encode it (venv/codec.h)
 *      to hand it to another thread.
 */

#include <venv/common.h>

VENV_BEGIN_DECLS

/** The kinds of CEL, in the total order of venv_value_compare(). */
typedef enum venv_kind {
    VENV_NULL = 0,
    VENV_BOOL,
    VENV_INT,
    VENV_UINT,
    VENV_DOUBLE,
    VENV_STRING,
    VENV_BYTES,
    VENV_LIST,
    VENV_MAP,
    VENV_TIMESTAMP,
    VENV_DURATION,
    VENV_TYPE,     /**< The name of a type, as CEL's `type(x)` gives it. */
    VENV_OPAQUE,   /**< An object of an extension of the evaluator (an address, an optional); never encoded. */
    VENV_KIND__COUNT
} venv_kind;

/** CEL's name of a kind: `"null_type"`, `"bool"`, `"int"`, … `"google.protobuf.Timestamp"`. */
VENV_API const char *venv_kind_name(venv_kind kind);

#define VENV_VALUE_INLINE_MAX 13          /**< Bytes of text that need no allocation. */
#define VENV_VALUE_SIZE_MAX   0x7fffffffu /**< Bytes of one string, items of one list. */
#define VENV_VALUE_DEPTH_MAX  128         /**< Lists and maps in each other; a flat list is depth 1. */

struct venv_object;

/** Where the payload is.  For the functions of this header; others have no need to look. */
typedef enum venv_form {
    VENV_FORM_SCALAR = 0,
    VENV_FORM_INLINE,   /**< Text in the value itself. */
    VENV_FORM_BORROWED, /**< Text in somebody else's memory. */
    VENV_FORM_COUNTED,  /**< A reference-counted object. */
} venv_form;

/** One value.  The members are private: use the functions. */
typedef union venv_value {
    struct {
        uint8_t kind;  /**< A venv_kind. */
        uint8_t form;  /**< A venv_form. */
        uint8_t pad[2];
        uint32_t extra; /**< Nanoseconds of a timestamp or duration; size of borrowed text. */
        union {
            uint64_t u; /**< Also a bool, as 0 or 1. */
            int64_t i;
            double d;
            const char *text;
            struct venv_object *object;
        } as;
    } w;
    struct {
        uint8_t kind, form;
        uint8_t size;
        char text[VENV_VALUE_INLINE_MAX];
    } s;
} venv_value;

/** @name Scalars: made in place, nothing to release. @{ */
static inline venv_kind venv_value_kind(const venv_value *value)
{
    return (venv_kind)value->w.kind;
}
static inline venv_value venv_value_null(void)
{
    venv_value v = { { VENV_NULL, VENV_FORM_SCALAR, { 0, 0 }, 0, { 0 } } };
    return v;
}
static inline venv_value venv_value_bool(bool b)
{
    venv_value v = { { VENV_BOOL, VENV_FORM_SCALAR, { 0, 0 }, 0, { 0 } } };
    v.w.as.u = b ? 1u : 0u;
    return v;
}
static inline venv_value venv_value_int(int64_t i)
{
    venv_value v = { { VENV_INT, VENV_FORM_SCALAR, { 0, 0 }, 0, { 0 } } };
    v.w.as.i = i;
    return v;
}
static inline venv_value venv_value_uint(uint64_t u)
{
    venv_value v = { { VENV_UINT, VENV_FORM_SCALAR, { 0, 0 }, 0, { 0 } } };
    v.w.as.u = u;
    return v;
}
static inline venv_value venv_value_double(double d)
{
    venv_value v = { { VENV_DOUBLE, VENV_FORM_SCALAR, { 0, 0 }, 0, { 0 } } };
    v.w.as.d = d;
    return v;
}
/** @} */

#define VENV_TIMESTAMP_SECONDS_MIN INT64_C(-62135596800) /**< 0001-01-01T00:00:00Z */
#define VENV_TIMESTAMP_SECONDS_MAX INT64_C(253402300799) /**< 9999-12-31T23:59:59Z */
#define VENV_DURATION_SECONDS_MAX  INT64_C(315576000000) /**< CEL: about 10,000 years either way. */

/**
 * Make a timestamp.
 * @param seconds  Since 1970-01-01T00:00:00Z.
 * @param nanos    0..999,999,999, counted forward.
 * @retval VENV_ERANGE  Outside year 1..9999, or `nanos` out of bounds.
 */
VENV_API VENV_MUST_USE venv_rc venv_value_timestamp(int64_t seconds, uint32_t nanos,
                                                    venv_value *ret_value, venv_error *err);

/**
 * Make a duration of `seconds + nanos / 1e9`.
 * @param nanos  -999,999,999..999,999,999, of the same sign as `seconds` (or either where that is 0).
 * @retval VENV_ERANGE
 */
VENV_API VENV_MUST_USE venv_rc venv_value_duration(int64_t seconds, int32_t nanos,
                                                   venv_value *ret_value, venv_error *err);

/** A wall-clock instant as a timestamp.  Never fails: every venv_wall is in range. */
VENV_API venv_value venv_value_from_wall(venv_wall wall);

/** A span as a duration.  Never fails. */
VENV_API venv_value venv_value_from_span(venv_span span);

/** A timestamp as wall clock.  @return false if it is another kind or does not fit 64 bits of nanoseconds. */
VENV_API bool venv_value_to_wall(const venv_value *value, venv_wall *ret_wall);

/** A duration as a span.  @return false if it is another kind or does not fit. */
VENV_API bool venv_value_to_span(const venv_value *value, venv_span *ret_span);

/** Copy UTF-8 text.  @retval VENV_EINVAL not valid UTF-8.  @retval VENV_ELIMIT  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_value_string(const char *text, size_t size, venv_value *ret_value,
                                                 venv_error *err);

/** venv_value_string() of a NUL-terminated text. */
VENV_API VENV_MUST_USE venv_rc venv_value_string_z(const char *text, venv_value *ret_value,
                                                   venv_error *err);

/** Copy bytes.  @retval VENV_ELIMIT  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_value_bytes(const void *data, size_t size, venv_value *ret_value,
                                                venv_error *err);

/** A string in memory that outlives the value, for example a literal.  Never fails; must be UTF-8. */
VENV_API venv_value venv_value_borrow(const char *text, size_t size);

/** venv_value_borrow() of a NUL-terminated literal. */
VENV_API venv_value venv_value_literal(const char *text);

/** An id as 16 bytes. */
VENV_API VENV_MUST_USE venv_rc venv_value_from_id(venv_id id, venv_value *ret_value, venv_error *err);

/** 16 bytes, or the text form of an id.  @return false if it is neither. */
VENV_API bool venv_value_to_id(const venv_value *value, venv_id *ret_id);

/** The type value named `name`, which must outlive it. */
VENV_API venv_value venv_value_type(const char *name);

/** One more reference.  Does nothing for scalars and borrowed text.  @return `*value`. */
VENV_API venv_value venv_value_ref(const venv_value *value);

/** Drop one reference and set `*value` to null.  Accepts NULL.  Never recurses deeper than a constant. */
VENV_API void venv_value_unref(venv_value *value);

/** Copy that owns all of its memory: borrowed parts are duplicated.  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_value_dup(const venv_value *value, venv_value *ret_value,
                                              venv_error *err);

/** @name Reading.  The caller has looked at the kind; another kind is an assertion failure. @{ */
VENV_API bool venv_value_peek_bool(const venv_value *value);
VENV_API int64_t venv_value_peek_int(const venv_value *value);
VENV_API uint64_t venv_value_peek_uint(const venv_value *value);
VENV_API double venv_value_peek_double(const venv_value *value);
/** Text of a string, bytes or type.  Borrowed while `*value` itself stays where it is. */
VENV_API venv_str venv_value_peek_text(const venv_value *value);
/** Seconds and forward nanoseconds (0..999,999,999) of a timestamp. */
VENV_API void venv_value_peek_timestamp(const venv_value *value, int64_t *ret_seconds,
                                        uint32_t *ret_nanos);
/** Seconds and nanoseconds of a duration, both of one sign. */
VENV_API void venv_value_peek_duration(const venv_value *value, int64_t *ret_seconds,
                                       int32_t *ret_nanos);
/** @} */

/** True if it is a string equal to `text`. */
VENV_API bool venv_value_is_text(const venv_value *value, const char *text);

/** Items of a list, entries of a map; 0 for every other kind and for NULL, so that look-ups can be chained. */
VENV_API size_t venv_value_count(const venv_value *value);

/** Item `index` of a list, borrowed; NULL if out of range, or not a list, or NULL. */
VENV_API const venv_value *venv_value_at(const venv_value *list, size_t index);

/** Value under a key by CEL's equality (1, 1u and 1.0 are one key), borrowed; NULL if absent or not a map. */
VENV_API const venv_value *venv_value_find(const venv_value *map, const venv_value *key);

/** Value under a string key, borrowed; NULL if absent, or not a map, or NULL.  O(log n). */
VENV_API const venv_value *venv_value_get(const venv_value *map, const char *key);

/** Entry `index` of a map in its deterministic order (RFC 8949 4.2.1), borrowed. @return false past the end. */
VENV_API bool venv_value_entry(const venv_value *map, size_t index, const venv_value **ret_key,
                               const venv_value **ret_value);

/** @name Typed look-ups in a map with string keys, for reading messages and rows.
 *  Each returns `fallback` where the key is absent **or** of another kind. @{ */
VENV_API bool venv_value_get_bool(const venv_value *map, const char *key, bool fallback);
VENV_API int64_t venv_value_get_int(const venv_value *map, const char *key, int64_t fallback);
VENV_API venv_str venv_value_get_text(const venv_value *map, const char *key);
VENV_API bool venv_value_get_id(const venv_value *map, const char *key, venv_id *ret_id);
/** @} */

/** Equality by CEL's rules: numbers across kinds by value, NaN unequal to itself, containers deep. */
VENV_API bool venv_value_equal(const venv_value *a, const venv_value *b);

/**
 * A total order over all values: by kind in the order of venv_kind, but numbers of all three kinds by
 * value (NaN first), strings and bytes by bytes, lists by items, maps by count, then keys and values.
 * 0 where venv_value_equal() is true, and for a NaN with a NaN.
 * @return <0, 0, >0.
 */
VENV_API int venv_value_compare(const venv_value *a, const venv_value *b);

/** Hash that agrees with venv_value_equal().  `seed` defends a table against chosen keys. */
VENV_API uint64_t venv_value_hash(const venv_value *value, uint64_t seed);

/**
 * Print for people, in CEL's own literal syntax, at most `size` bytes with a terminating NUL.
 * Control and bidirectional characters are escaped, so that the text is safe on a terminal and in a log.
 * @return Bytes that the whole text needs, without the NUL.
 */
VENV_API size_t venv_value_print(const venv_value *value, char *buffer, size_t size);

/** @name Building lists and maps.
 *  An error sticks: go on adding and check once at `_take`.  Added values are taken over (also on failure). @{ */
typedef struct venv_list_builder {
    struct venv_object *object;
    venv_rc rc;
} venv_list_builder;

VENV_API void venv_list_init(venv_list_builder *list);
VENV_API void venv_list_add(venv_list_builder *list, venv_value value);
/** venv_list_add() of a copied NUL-terminated text. */
VENV_API void venv_list_add_text(venv_list_builder *list, const char *text);
/** Finish: `*ret_list` is set, the builder is empty.  On failure (the error that stuck) it is empty too.
 *  @retval VENV_ENOMEM  @retval VENV_ELIMIT too many items, or deeper than VENV_VALUE_DEPTH_MAX.
 *  @retval VENV_EINVAL a text that was added is not UTF-8. */
VENV_API VENV_MUST_USE venv_rc venv_list_take(venv_list_builder *list, venv_value *ret_list,
                                              venv_error *err);
/** Throw away.  Accepts a builder that was taken. */
VENV_API void venv_list_fini(venv_list_builder *list);

typedef struct venv_map_builder {
    struct venv_object *object;
    venv_rc rc;
} venv_map_builder;

VENV_API void venv_map_init(venv_map_builder *map);
/** Add under a string key, which is copied. */
VENV_API void venv_map_put(venv_map_builder *map, const char *key, venv_value value);
/** venv_map_put() of copied text; invalid UTF-8 is replaced by U+FFFD, so that it never fails for its content. */
VENV_API void venv_map_put_text(venv_map_builder *map, const char *key, const char *text, size_t size);
VENV_API void venv_map_put_z(venv_map_builder *map, const char *key, const char *text);
VENV_API void venv_map_put_id(venv_map_builder *map, const char *key, venv_id id);
/** Add under any key (bool, int, uint, string); both are taken over. */
VENV_API void venv_map_put_value(venv_map_builder *map, venv_value key, venv_value value);
/** Finish, sorted.  @retval VENV_EEXIST a key twice.  @retval VENV_EKIND a key of another kind.
 *  @retval VENV_EINVAL a key is not UTF-8.  @retval VENV_ELIMIT as venv_list_take().  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_map_take(venv_map_builder *map, venv_value *ret_map,
                                             venv_error *err);
VENV_API void venv_map_fini(venv_map_builder *map);
/** @} */

VENV_END_DECLS
#endif /* VENV_VALUE_H */
