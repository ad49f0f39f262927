/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_H
#define VENV_CODEC_H

/**
 * @file venv/codec.h
 * @brief Values as bytes and as text: CBOR, JSON, YAML.
 *
 * @code
 *      bytes ── venv_cbor_decode ──►             ◄── venv_json_parse ── text
 *                                    venv_value
 *      bytes ◄── venv_cbor_encode ──             ──  venv_json_print ─► text
 *                                        ▲
 *                                        └────────── venv_yaml_parse ── text, and a mark (file, line,
 *                                                                       column) for every value in it
 * @endcode
 *
 * @par What becomes of a kind
 *      | kind      | CBOR                                       | JSON, printed                 | JSON and YAML, read       |
 *      | --------- | ------------------------------------------ | ----------------------------- | ------------------------- |
 *      | null bool | simple 22, 20, 21                          | `null` `true` `false`         | the same                  |
 *      | int       | major type 0 or 1                          | `-5`                          | a number without `.`, `e` |
 *      | uint      | below 2^63 `[simple(0), n]`, else type 0   | `5`                           | beyond int: 2^63 … 2^64-1 |
 *      | double    | shortest of half, single, double           | `1.0` `1e+300` (always with `.` or `e`) | a number with `.`, `e`; YAML also `.inf` `-.inf` `.nan` |
 *      | – not finite | f97c00, f9fc00, f97e00                  | `"Infinity"` `"-Infinity"` `"NaN"` | strings stay strings |
 *      | string    | major type 3                               | `"text"`                      | the same                  |
 *      | bytes     | major type 2                               | `"base64"` (RFC 4648, padded) | –                         |
 *      | list, map | major types 4, 5                           | array, object; a key that is no string becomes its text: `"5"`, `"true"` | the same; keys are strings, in YAML also bools and ints |
 *      | timestamp | tag 1001 (below)                           | `"2026-11-22T18:30:00.25Z"` (RFC 3339) | –                |
 *      | duration  | tag 1002 (below)                           | `"1.5s"`                      | –                         |
 *      | type      | `[simple(1), "int"]`                       | `"int"`                       | –                         |
 *      | opaque    | VENV_EUNSUPPORTED                          | its printed form, as a string | –                         |
 *
 * @par The CBOR that is accepted
 *      One item in the deterministic encoding of RFC 8949 section 4.2.1 and nothing after it: definite
 *      lengths; integers, lengths and floating-point numbers in their shortest form, every NaN as
 *      f97e00; keys sorted by their encoded bytes, none twice (1 and uint 1 are the same key); text
 *      that is UTF-8.  Keys are strings, ints, uints or bools.  Therefore the same value has the same
 *      bytes always, and decoding and encoding again gives the bytes back.
 *
 *      Two tags are known, both of RFC 9581, in one form each:
 *      - 1001, a timestamp: a map of 1 ⇒ seconds since 1970-01-01T00:00:00Z (int) and, only where
 *        it is not zero, -9 ⇒ nanoseconds from that second forward (1 … 999,999,999).
 *      - 1002, a duration: the same map; -1.5 s is {1: -2, -9: 500000000}.
 *
 *      Two unassigned simple values mark what CEL tells apart and CBOR does not.  They may stand
 *      only as the first of exactly two items of an array: `82 e0 05` is the uint 5, `82 e1 63 696e74`
 *      the type int (a name of letters, digits, `_` and `.`).  (Nothing else can be encoded that way: simple values but false, true and null are
 *      refused everywhere else.)  Ints below -2^63, other tags, bignums, undefined and all else are refused.
 *
 * @par Limits
 *      Every decoder has limits for bytes, depth and number of items, checks a stated count against the
 *      bytes that remain before it allocates, and does not recurse.  A scalar has depth 0, a flat list 1.
 *
 * @par Threads
 *      Everything here is a pure function.  A decoder's result belongs to the thread that called it.
 */

#include <venv/value.h>

VENV_BEGIN_DECLS

/** @name CBOR @{ */

#define VENV_CBOR_DEPTH_DEFAULT 16
#define VENV_CBOR_DEPTH_MAX     64
#define VENV_CBOR_ITEMS_DEFAULT 4096u           /**< Each value and each key is one item. */
#define VENV_CBOR_ITEMS_MAX     (16u << 20)
#define VENV_CBOR_BYTES_DEFAULT ((size_t)16 << 20)
#define VENV_CBOR_BYTES_MAX     ((size_t)1 << 30)

/** Limits of one call; a limit beyond its `_MAX` counts as that. */
typedef struct venv_cbor_options {
    size_t size;         /**< `sizeof(venv_cbor_options)`. */
    uint32_t depth_max;
    uint32_t item_count_max;
    size_t byte_count_max;
    bool borrow;         /**< Decoding: long text points into the data, which must outlive the value. */
} venv_cbor_options;

#define VENV_CBOR_OPTIONS_INIT                                                                      \
    { sizeof(venv_cbor_options), VENV_CBOR_DEPTH_DEFAULT, VENV_CBOR_ITEMS_DEFAULT,                  \
      VENV_CBOR_BYTES_DEFAULT, false }

/**
 * Decode one value that fills `data` exactly.
 *
 * @param options  NULL: VENV_CBOR_OPTIONS_INIT.
 * @retval VENV_EINVAL   Ill-formed, or not in the form described above; the text names the byte.
 * @retval VENV_ERANGE   An integer, timestamp or duration beyond what a value can hold.
 * @retval VENV_ELIMIT   Too long, too deep or too many items.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_cbor_decode(const void *data, size_t size,
                                                const venv_cbor_options *options, venv_value *ret_value,
                                                venv_error *err);

/**
 * Encode a value.  What a decoder with the same options would refuse is refused here.
 *
 * @param ret_data  Owned by the caller, to be released with free().
 * @retval VENV_EUNSUPPORTED  It holds an opaque value.
 * @retval VENV_ELIMIT
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_cbor_encode(const venv_value *value, const venv_cbor_options *options,
                                                uint8_t **ret_data, size_t *ret_size, venv_error *err);
/** @} */

/** @name JSON (RFC 8259) @{ */

#define VENV_JSON_DEPTH_MAX     64
#define VENV_JSON_BYTES_DEFAULT ((size_t)1 << 20)
#define VENV_JSON_BYTES_MAX     ((size_t)64 << 20)
#define VENV_JSON_ITEMS_MAX     (4u << 20)

/**
 * Parse one JSON text.
 *
 * @param size_max  0: VENV_JSON_BYTES_DEFAULT; more than VENV_JSON_BYTES_MAX counts as that.
 * @retval VENV_EINVAL  Not JSON, not UTF-8, a lone surrogate, or anything after the value.
 * @retval VENV_EEXIST  A key twice in one object.
 * @retval VENV_ERANGE  An integer beyond 64 bits, a number beyond a double.
 * @retval VENV_ELIMIT  Longer than `size_max`, deeper than VENV_JSON_DEPTH_MAX, more than VENV_JSON_ITEMS_MAX values.
 * @retval VENV_ENOMEM
 * The error has line and column.
 */
VENV_API VENV_MUST_USE venv_rc venv_json_parse(const char *text, size_t size, size_t size_max,
                                               venv_value *ret_value, venv_error *err);

typedef enum venv_json_style {
    VENV_JSON_COMPACT = 0, /**< No white space. */
    VENV_JSON_PRETTY,      /**< Two blanks a level, a newline at the end. */
} venv_json_style;

/**
 * Print as JSON.  The same value gives the same text: entries stand in the order of the map.
 * Control and bidirectional characters are written as `\u` escapes, so the text is safe on a terminal.
 *
 * @param ret_text  NUL-terminated, owned by the caller, to be released with free().
 * @param ret_size  Without the NUL; may be NULL.
 * @retval VENV_EEXIST  Two keys of one map have the same text, as 5 and "5" do.
 * @retval VENV_ELIMIT  The text is longer than 1 GiB.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_json_print(const venv_value *value, venv_json_style style,
                                               char **ret_text, size_t *ret_size, venv_error *err);
/** @} */

/** @name YAML 1.2, the core schema, as configuration files use it
 *  One document of maps, lists and scalars.  Plain `null ~ true false`, numbers and the empty scalar
 *  are what they look like (`True` and `TRUE` as well); everything else, `yes`, `no`, `on` and dates
 *  included, and everything quoted, is a string.  No aliases, anchors, tags, merge keys or directives.  @{ */

#define VENV_YAML_DEPTH_MAX  64
#define VENV_YAML_BYTES_MAX  ((size_t)1 << 20)
#define VENV_YAML_EVENTS_MAX 100000u

/** How a scalar was written. */
typedef enum venv_mark_style {
    VENV_MARK_PLAIN = 0, /**< Also every list and map. */
    VENV_MARK_SINGLE,    /**< 'text' */
    VENV_MARK_DOUBLE,    /**< "text" */
    VENV_MARK_LITERAL,   /**< | and lines */
    VENV_MARK_FOLDED,    /**< > and lines */
} venv_mark_style;

/** Where a value stands.  Lines and columns (in bytes) count from 1. */
typedef struct venv_mark {
    const char *file;            /**< As given to venv_yaml_parse(). */
    uint32_t line, column;
    uint32_t key_line, key_column; /**< Of its key, where it is in a map; else as above. */
    uint32_t count;              /**< Items of a list, entries of a map. */
    venv_mark_style style;
    const struct venv_mark *items; /**< One for each item or entry, in the order of the value. */
} venv_mark;

/** The marks of one document. */
typedef struct venv_yaml_marks venv_yaml_marks;

/**
 * Parse a document.
 *
 * @param file       Name for the marks and errors, copied.  May be NULL.
 * @param ret_marks  To be freed by the caller; independent of the value.  May be NULL.
 * @retval VENV_EINVAL       Not YAML, not UTF-8, more than one document; or an alias, anchor, tag,
 *                           merge key or directive, or a list, map, null or double as a key.
 * @retval VENV_EEXIST       A key twice in one map.
 * @retval VENV_ERANGE       An integer beyond 64 bits.
 * @retval VENV_ELIMIT       Beyond one of the limits above.
 * @retval VENV_ENOMEM
 * The error has file, line and column.  An empty document is null.
 */
VENV_API VENV_MUST_USE venv_rc venv_yaml_parse(const char *text, size_t size, const char *file,
                                               venv_value *ret_value, venv_yaml_marks **ret_marks,
                                               venv_error *err);

/** Accepts NULL. */
VENV_API void venv_yaml_marks_free(venv_yaml_marks *marks);

/** The mark of the whole document, borrowed.  NULL for NULL. */
VENV_API const venv_mark *venv_yaml_marks_root(const venv_yaml_marks *marks);

/** Mark of item or entry `index`, borrowed; NULL if there is none or `mark` is NULL. */
VENV_API const venv_mark *venv_mark_at(const venv_mark *mark, size_t index);

/** Mark of the value under a string key of `map`, whose mark is `mark`, borrowed; NULL if there is none. */
VENV_API const venv_mark *venv_mark_get(const venv_mark *mark, const venv_value *map, const char *key);

/**
 * Mark of what a path such as `agent.groups[2]` leads to, borrowed; NULL if it leads nowhere.
 * @param value, mark  Where the path begins; an empty path is the beginning itself.
 */
VENV_API const venv_mark *venv_mark_find(const venv_mark *mark, const venv_value *value, const char *path);

/** Put the mark's place on an error, and return the error's code.  Both may be NULL. */
VENV_API venv_rc venv_mark_blame(const venv_mark *mark, venv_error *err);
/** @} */

VENV_END_DECLS
#endif /* VENV_CODEC_H */
