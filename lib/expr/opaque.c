/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evaluator's own kinds of value: optionals, addresses and networks, and the markers of what is
 * unknown or absent.
 */
#include "expr/program.h"

#include "base/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- markers ---- */

static bool marker_equal(const struct venv_object *a, const struct venv_object *b)
{
    return a == b;
}

static int marker_compare(const struct venv_object *a, const struct venv_object *b)
{
    return (a > b) - (a < b);
}

static uint64_t marker_hash(const struct venv_object *object, uint64_t seed)
{
    (void)object;
    return seed;
}

static void unknown_print(const struct venv_object *object, venv_printer *printer)
{
    (void)object;
    venv_printer_put_z(printer, "unknown");
}

static void absent_print(const struct venv_object *object, venv_printer *printer)
{
    (void)object;
    venv_printer_put_z(printer, "absent");
}

static const venv_opaque_class unknown_class = {
    .type_name = "unknown", .equal = marker_equal, .compare = marker_compare, .hash = marker_hash, .print = unknown_print
};
static const venv_opaque_class absent_class = {
    .type_name = "absent", .equal = marker_equal, .compare = marker_compare, .hash = marker_hash, .print = absent_print
};
/* Const and immortal: nobody counts or frees them. */
static const struct venv_opaque unknown_object = {
    .head = { .u.live.refs = VENV_OBJECT_IMMORTAL, .kind = VENV_OPAQUE }, .class = &unknown_class
};
static const struct venv_opaque absent_object = {
    .head = { .u.live.refs = VENV_OBJECT_IMMORTAL, .kind = VENV_OPAQUE }, .class = &absent_class
};

static venv_value of_marker(const struct venv_opaque *marker)
{
    return venv_value_of_object((struct venv_object *)(uintptr_t)marker, VENV_FORM_COUNTED);
}

venv_value venv_expr_unknown(void)
{
    return of_marker(&unknown_object);
}

venv_value venv_expr_absent(void)
{
    return of_marker(&absent_object);
}

static const venv_opaque_class *class_of(const venv_value *value)
{
    return value->w.kind == VENV_OPAQUE ? ((const struct venv_opaque *)value->w.as.object)->class : NULL;
}

bool venv_cel_is_marker(const venv_value *value)
{
    const venv_opaque_class *class = class_of(value);
    return class == &unknown_class || class == &absent_class;
}

bool venv_cel_is_absent(const venv_value *value)
{
    return class_of(value) == &absent_class;
}

/* ---- optionals ---- */

typedef struct optional {
    struct venv_opaque head;
    bool present;
    venv_value value;
} optional;

static const optional *optional_at(const struct venv_object *object)
{
    return (const optional *)(const void *)object;
}

static bool optional_equal(const struct venv_object *a, const struct venv_object *b)
{
    const optional *x = optional_at(a), *y = optional_at(b);
    return x->present == y->present && (!x->present || venv_value_equal(&x->value, &y->value));
}

static int optional_compare(const struct venv_object *a, const struct venv_object *b)
{
    const optional *x = optional_at(a), *y = optional_at(b);
    if (!x->present || !y->present)
        return (int)x->present - (int)y->present;
    return venv_value_compare(&x->value, &y->value);
}

static uint64_t optional_hash(const struct venv_object *object, uint64_t seed)
{
    const optional *x = optional_at(object);
    return x->present ? venv_value_hash(&x->value, seed) + 1 : seed;
}

static void optional_print(const struct venv_object *object, venv_printer *printer)
{
    const optional *x = optional_at(object);
    if (!x->present) {
        venv_printer_put_z(printer, "optional.none()");
        return;
    }
    venv_printer_put_z(printer, "optional.of(");
    venv_printer_value(printer, &x->value);
    venv_printer_put_z(printer, ")");
}

static venv_rc optional_dup(const struct venv_object *object, venv_value *ret_value, venv_error *err);

static void optional_fini(struct venv_object *object)
{
    venv_value_unref(&((optional *)(void *)object)->value);
}

static const venv_opaque_class optional_class = {
    .type_name = "optional_type",
    .equal = optional_equal,
    .compare = optional_compare,
    .hash = optional_hash,
    .print = optional_print,
    .dup = optional_dup,
    .fini = optional_fini,
};
static const optional none_object = {
    .head = { .head = { .u.live.refs = VENV_OBJECT_IMMORTAL, .kind = VENV_OPAQUE }, .class = &optional_class }
};

static venv_rc optional_dup(const struct venv_object *object, venv_value *ret_value, venv_error *err)
{
    const optional *source = optional_at(object);
    if (!source->present) {
        *ret_value = venv_cel_optional_none();
        return VENV_OK;
    }
    optional *copy = calloc(1, sizeof *copy);
    if (!copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = venv_value_dup(&source->value, &copy->value, err);
    if (rc != VENV_OK) {
        free(copy);
        return rc;
    }
    venv_object_init(&copy->head.head, VENV_OPAQUE, 0);
    copy->head.head.u.live.refs = 1;
    copy->head.class = &optional_class;
    copy->present = true;
    (void)venv_object_note(&copy->head.head, &copy->value);
    *ret_value = venv_value_of_object(&copy->head.head, VENV_FORM_COUNTED);
    return VENV_OK;
}

venv_value venv_cel_optional_none(void)
{
    return of_marker(&none_object.head);
}

int venv_cel_optional_of(xctx *context, const xnode *node, const venv_value *value, venv_value *out)
{
    optional *made = venv_cel_alloc(context, node, sizeof *made);
    if (!made)
        return X_FATAL;
    venv_object_init(&made->head.head, VENV_OPAQUE, 0);
    made->head.class = &optional_class;
    made->present = true;
    made->value = *value;
    if (!venv_object_note(&made->head.head, value))
        return venv_cel_fail(context, node, VENV_ELIMIT, "an optional becomes too deep");
    made->head.head.flags |= VENV_OBJECT_BORROWS;
    *out = venv_value_of_object(&made->head.head, VENV_FORM_BORROWED);
    return X_OK;
}

bool venv_cel_is_optional(const venv_value *value)
{
    return class_of(value) == &optional_class;
}

const venv_value *venv_cel_optional_value(const venv_value *value)
{
    const optional *x = optional_at(value->w.as.object);
    return x->present ? &x->value : NULL;
}

/* ---- addresses ---- */

typedef struct address_object {
    struct venv_opaque head;
    expr_address address;
} address_object;

static const expr_address *address_at(const struct venv_object *object)
{
    return &((const address_object *)(const void *)object)->address;
}

/* Counted over all 16 bytes, as IPv4 addresses are held. */
static int prefix_of(const struct venv_object *object)
{
    return address_at(object)->family == 4 ? 96 + address_at(object)->prefix : address_at(object)->prefix;
}

static int address_compare(const struct venv_object *a, const struct venv_object *b)
{
    int order = memcmp(address_at(a)->bytes, address_at(b)->bytes, 16);
    return order ? order : prefix_of(a) - prefix_of(b);
}

static bool address_equal(const struct venv_object *a, const struct venv_object *b)
{
    return address_compare(a, b) == 0;
}

static uint64_t address_hash(const struct venv_object *object, uint64_t seed)
{
    return venv_hash_bytes(address_at(object)->bytes, 16, seed + (uint64_t)prefix_of(object));
}

static void ip_print(const struct venv_object *object, venv_printer *printer)
{
    char text[64];
    venv_printer_put(printer, text, venv_cel_address_print(address_at(object), false, text, sizeof text));
}

static void cidr_print(const struct venv_object *object, venv_printer *printer)
{
    char text[64];
    venv_printer_put(printer, text, venv_cel_address_print(address_at(object), true, text, sizeof text));
}

static venv_rc address_dup(const struct venv_object *object, venv_value *ret_value, venv_error *err)
{
    address_object *copy = malloc(sizeof *copy);
    if (!copy)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    memcpy(copy, object, sizeof *copy);
    copy->head.head.u.live.refs = 1;
    *ret_value = venv_value_of_object(&copy->head.head, VENV_FORM_COUNTED);
    return VENV_OK;
}

static const venv_opaque_class ip_class = { .type_name = "net.IP",
                                            .equal = address_equal,
                                            .compare = address_compare,
                                            .hash = address_hash,
                                            .print = ip_print,
                                            .dup = address_dup };
static const venv_opaque_class cidr_class = { .type_name = "net.CIDR",
                                              .equal = address_equal,
                                              .compare = address_compare,
                                              .hash = address_hash,
                                              .print = cidr_print,
                                              .dup = address_dup };

int venv_cel_address_make(xctx *context, const xnode *node, bool network, const expr_address *address, venv_value *out)
{
    address_object *made = venv_cel_alloc(context, node, sizeof *made);
    if (!made)
        return X_FATAL;
    venv_object_init(&made->head.head, VENV_OPAQUE, 0);
    made->head.class = network ? &cidr_class : &ip_class;
    made->address = *address;
    *out = venv_value_of_object(&made->head.head, VENV_FORM_BORROWED);
    return X_OK;
}

const expr_address *venv_cel_address_of(const venv_value *value)
{
    const venv_opaque_class *class = class_of(value);
    return class == &ip_class || class == &cidr_class ? address_at(value->w.as.object) : NULL;
}

uint32_t venv_cel_mask_of(const venv_value *value)
{
    const venv_opaque_class *class = class_of(value);
    if (!class)
        return 1u << value->w.kind;
    return class == &optional_class ? X_MASK_OPTIONAL
           : class == &ip_class     ? X_MASK_IP
           : class == &cidr_class   ? X_MASK_CIDR
                                    : 0;
}

const char *venv_cel_type_of(const venv_value *value)
{
    const venv_opaque_class *class = class_of(value);
    return class ? class->type_name : venv_kind_name(venv_value_kind(value));
}
