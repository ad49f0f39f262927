/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_VALUE_OBJECT_H
#define VENV_VALUE_OBJECT_H

/*
 * What a value points to: the layout of objects, for the codecs and the evaluator, which build and
 * read containers without a call for each item. Everybody else uses venv/value.h.
 *
 *   value.form   kind            payload
 *   SCALAR       null … double   w.as;  timestamp and duration: seconds in as.i, forward nanos in extra
 *   INLINE       text kinds      s.size, s.text       exactly when it has at most VENV_VALUE_INLINE_MAX
 *                                                      bytes; what stands after the text is zero
 *   BORROWED     text kinds      w.as.text, w.extra bytes
 *   COUNTED      text kinds      w.as.object → { head, bytes…, NUL }
 *   BORROWED     list map opaque w.as.object, in somebody's arena; never counted, never freed
 *   COUNTED      list map opaque w.as.object
 *
 *   list:  { head, item, item, … }              count = items
 *   map:   { head, key, value, key, value, … }  count = entries; keys by venv_key_compare()
 *
 * Two equal short texts therefore have the same 16 bytes (but for the kind), and short texts compare
 * as two words.
 */

#include <venv/value.h>

#include <string.h>

#define VENV_OBJECT_IMMORTAL UINT32_MAX /* refs: not counted */

/* Flags of an object. */
#define VENV_OBJECT_TEXT_KEYS 1u /* a map whose keys are all strings (an empty map, too) */
#define VENV_OBJECT_BORROWS   2u /* something in it is borrowed: venv_value_dup() must copy it */

struct venv_object {
    union {
        struct {
            uint32_t refs;
            uint32_t capacity; /* items or entries there is room for, while it is built */
        } live;
        struct venv_object *next; /* while it is being freed */
    } u;
    uint8_t kind;
    uint8_t flags;
    uint16_t depth; /* 0 for text, 1 for a flat container, at most VENV_VALUE_DEPTH_MAX */
    uint32_t count;
};

/* Writes text into a buffer of fixed size and counts what the whole would need. */
typedef struct venv_printer {
    char *buffer;
    size_t size;
    size_t total;
} venv_printer;

void venv_printer_put(venv_printer *printer, const char *text, size_t size);
void venv_printer_put_z(venv_printer *printer, const char *text);
/* As venv_value_print() does. */
void venv_printer_value(venv_printer *printer, const venv_value *value);

/* A kind of opaque object. Two objects are compared only if their classes are the same. */
typedef struct venv_opaque_class {
    const char *type_name;
    bool (*equal)(const struct venv_object *a, const struct venv_object *b);
    int (*compare)(const struct venv_object *a, const struct venv_object *b);
    uint64_t (*hash)(const struct venv_object *object, uint64_t seed);
    void (*print)(const struct venv_object *object, venv_printer *printer);
    /* A counted copy that owns its memory. NULL: such an object cannot be copied. */
    venv_rc (*dup)(const struct venv_object *object, venv_value *ret_value, venv_error *err);
    /* Drop the values that it holds. NULL: it holds none. */
    void (*fini)(struct venv_object *object);
} venv_opaque_class;

/* An opaque object begins with this; what its class keeps follows. */
struct venv_opaque {
    struct venv_object head;
    const venv_opaque_class *class;
};

static inline venv_value *venv_object_items(const struct venv_object *object)
{
    return (venv_value *)(uintptr_t)(object + 1);
}
static inline char *venv_object_text(const struct venv_object *object)
{
    return (char *)(uintptr_t)(object + 1);
}

/* Bytes of a list of `count` items, of a map of `count` entries. `count` is at most VENV_VALUE_SIZE_MAX. */
static inline size_t venv_list_size(size_t count)
{
    return sizeof(struct venv_object) + count * sizeof(venv_value);
}
static inline size_t venv_map_size(size_t count)
{
    return sizeof(struct venv_object) + count * 2 * sizeof(venv_value);
}

/* Begin an object in memory that the caller provides, for example in an arena: not counted, flat. */
static inline void venv_object_init(struct venv_object *object, venv_kind kind, size_t count)
{
    object->u.live.refs = VENV_OBJECT_IMMORTAL;
    object->u.live.capacity = (uint32_t)count;
    object->kind = (uint8_t)kind;
    object->flags = kind == VENV_MAP ? VENV_OBJECT_TEXT_KEYS : 0;
    object->depth = 1;
    object->count = (uint32_t)count;
}

/* Tell an object of a value that it now holds. False: it would become too deep. */
static inline bool venv_object_note(struct venv_object *object, const venv_value *child)
{
    if (child->w.form == VENV_FORM_SCALAR || child->w.form == VENV_FORM_INLINE)
        return true;
    if (child->w.form == VENV_FORM_BORROWED)
        object->flags |= VENV_OBJECT_BORROWS;
    if (child->w.form == VENV_FORM_BORROWED && child->w.kind != VENV_LIST && child->w.kind != VENV_MAP &&
        child->w.kind != VENV_OPAQUE)
        return true;
    const struct venv_object *inner = child->w.as.object;
    object->flags |= inner->flags & VENV_OBJECT_BORROWS;
    if (inner->depth >= object->depth)
        object->depth = (uint16_t)(inner->depth + 1);
    return object->depth <= VENV_VALUE_DEPTH_MAX;
}

/* Tell a map of a key that it now holds. */
static inline void venv_object_note_key(struct venv_object *map, const venv_value *key)
{
    if (key->w.kind != VENV_STRING)
        map->flags &= (uint8_t)~VENV_OBJECT_TEXT_KEYS;
    else if (key->w.form == VENV_FORM_BORROWED)
        map->flags |= VENV_OBJECT_BORROWS;
}

/* A value that points to an object: COUNTED takes the reference over, BORROWED is for arenas. */
static inline venv_value venv_value_of_object(struct venv_object *object, venv_form form)
{
    venv_value v = { { object->kind, (uint8_t)form, { 0, 0 }, 0, { 0 } } };
    v.w.as.object = object;
    return v;
}

/* The empty text, list and map cost no allocation either: objects of their own, never freed. */
venv_value venv_value_empty_list(void);
venv_value venv_value_empty_map(void);

static inline venv_str venv_text_of(const venv_value *value)
{
    if (value->w.form == VENV_FORM_INLINE)
        return (venv_str){ value->s.text, value->s.size };
    if (value->w.form == VENV_FORM_BORROWED)
        return (venv_str){ value->w.as.text, value->w.extra };
    return (venv_str){ venv_object_text(value->w.as.object), value->w.as.object->count };
}

/* Short text in the value itself; `size` is at most VENV_VALUE_INLINE_MAX. */
static inline venv_value venv_text_inline(venv_kind kind, const char *text, size_t size)
{
    venv_value v = { { 0, 0, { 0, 0 }, 0, { 0 } } };
    v.s.kind = (uint8_t)kind;
    v.s.form = VENV_FORM_INLINE;
    v.s.size = (uint8_t)size;
    if (size)
        memcpy(v.s.text, text, size);
    return v;
}

/* Text of a text kind that stays where it is (inline where it is short). Not checked for UTF-8. */
static inline venv_value venv_text_borrow(venv_kind kind, const char *text, size_t size)
{
    if (size <= VENV_VALUE_INLINE_MAX)
        return venv_text_inline(kind, text, size);
    venv_value v = { { (uint8_t)kind, VENV_FORM_BORROWED, { 0, 0 }, (uint32_t)size, { 0 } } };
    v.w.as.text = text;
    return v;
}

/* Copy text that is known to be UTF-8 (or is bytes). False when out of memory. */
bool venv_text_copy(venv_kind kind, const char *text, size_t size, venv_value *ret_value);

/* A timestamp or duration whose parts are known to be good; nanos count forward. */
static inline venv_value venv_time_make(venv_kind kind, int64_t seconds, uint32_t nanos)
{
    venv_value v = { { (uint8_t)kind, VENV_FORM_SCALAR, { 0, 0 }, nanos, { 0 } } };
    v.w.as.i = seconds;
    return v;
}

static inline bool venv_kind_is_key(uint8_t kind)
{
    return kind == VENV_STRING || kind == VENV_INT || kind == VENV_UINT || kind == VENV_BOOL;
}

/*
 * The order of keys: that of their deterministic encodings, byte by byte (RFC 8949 4.2.1, in the
 * encoding that venv/codec.h describes): ints from 0 up and uints beyond the ints, ints from -1 down,
 * strings by size and then bytes, smaller uints, false, true.
 */
int venv_key_compare(const venv_value *a, const venv_value *b);

/*
 * Sort a map's entries and check that no key (by CEL's equality) is there twice. O(n) if they are in
 * order. VENV_EEXIST gives the place of a key that is there twice; NULL if that does not matter.
 */
venv_rc venv_map_sort(struct venv_object *map, size_t *ret_place);

/* The value under any key, by CEL's equality. NULL if absent. */
const venv_value *venv_map_find(const struct venv_object *map, const venv_value *key);

/* The value under text. NULL if absent. */
const venv_value *venv_map_find_text(const struct venv_object *map, const char *text, size_t size);

/* The two words of an inline text, in the order of bytes. */
static inline uint64_t venv_word_order(uint64_t word)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

/*
 * The value under a string key: a few nanoseconds for a short key. Small maps are looked through, as
 * a wrong guess of the processor costs more than comparing eight pairs of words.
 */
static inline const venv_value *venv_map_find_string(const struct venv_object *map, const venv_value *key)
{
    if (key->w.form != VENV_FORM_INLINE || !(map->flags & VENV_OBJECT_TEXT_KEYS))
        return venv_map_find(map, key);
    const venv_value *items = venv_object_items(map);
    uint64_t k[2], e[2];
    memcpy(k, key, sizeof k);
    if (map->count <= 8) {
        for (uint32_t i = 0; i < map->count; i++) {
            memcpy(e, &items[2 * i], sizeof e);
            if (e[0] == k[0] && e[1] == k[1])
                return &items[2 * i + 1];
        }
        return NULL;
    }
    uint64_t k0 = venv_word_order(k[0]), k1 = venv_word_order(k[1]);
    size_t base = 0, rest = map->count;
    while (rest > 1) {
        /* An entry that is not inline has a larger form, and so a larger first word. */
        size_t half = rest / 2;
        memcpy(e, &items[2 * (base + half)], sizeof e);
        uint64_t e0 = venv_word_order(e[0]), e1 = venv_word_order(e[1]);
        bool after = e0 > k0 || (e0 == k0 && e1 > k1);
        base += after ? 0 : half;
        rest -= half;
    }
    memcpy(e, &items[2 * base], sizeof e);
    return e[0] == k[0] && e[1] == k[1] ? &items[2 * base + 1] : NULL;
}

/* Exact comparison of numbers of any two kinds; NaN is first, and the same as NaN. */
int venv_number_compare(const venv_value *a, const venv_value *b);

#endif
