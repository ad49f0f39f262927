/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context of evaluations: memory that is kept from one to the next, errors that are cheap until
 * somebody reads them, what was missing.
 */
#include "expr/program.h"

#include "expr/regex.h"
#include "expr/zone.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_FIRST   (16u * 1024u)
#define BLOCK_LARGEST (1024u * 1024u)

venv_rc venv_expr_context_new(venv_expr_context **ret_context, venv_error *err)
{
    xctx *context = calloc(1, sizeof *context);
    if (!context)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_buf_init(&context->scratch, VENV_EXPR_STRING_SIZE_MAX);
    *ret_context = context;
    return VENV_OK;
}

static void free_blocks(xctx *context)
{
    while (context->first) {
        xblock *next = context->first->next;
        free(context->first);
        context->first = next;
    }
    context->block = NULL;
}

static void release_owned(xctx *context)
{
    while (context->owned_count)
        venv_value_unref(&context->owned[--context->owned_count]);
}

void venv_expr_context_free(venv_expr_context *context)
{
    if (!context)
        return;
    release_owned(context);
    free_blocks(context);
    for (size_t i = 0; i < X_ZONES_KEPT; i++)
        venv_cel_zone_free(context->zones[i]);
    for (size_t i = 0; i < X_REGEXES_KEPT; i++)
        venv_cel_regex_free(context->regexes[i]);
    venv_buf_fini(&context->scratch);
    free(context->owned);
    free(context->missing);
    free(context->locals);
    free(context->lazy);
    free(context->sites);
    free(context);
}

size_t venv_expr_context_used(const venv_expr_context *context)
{
    return context->used;
}

static size_t total_size(const xctx *context)
{
    size_t total = 0;
    for (const xblock *block = context->first; block; block = block->next)
        total += block->size;
    return total;
}

/*
 * Forget what the last evaluation made. Where it needed several blocks they become one, so that an
 * evaluation that is repeated settles on a single block and allocates nothing.
 */
void venv_cel_context_reset(xctx *context)
{
    if (context->owned_count)
        release_owned(context);
    if (context->first && context->first->next) {
        size_t total = total_size(context);
        free_blocks(context);
        xblock *block = malloc(sizeof *block + total);
        if (block) {
            block->next = NULL;
            block->size = total;
            context->first = block;
        }
    }
    context->block = context->first;
    context->block_used = 0;
    context->used = 0;
    context->missing_count = 0;
}

static bool grow(void **array, uint32_t *capacity, uint32_t wanted, size_t width)
{
    if (wanted <= *capacity)
        return true;
    void *grown = realloc(*array, wanted * width);
    if (!grown)
        return false;
    memset((char *)grown + *capacity * width, 0, (wanted - *capacity) * width);
    *array = grown;
    *capacity = wanted;
    return true;
}

/* Room for the variables, cached places and reads of a program. */
bool venv_cel_context_bind(xctx *context, const venv_expr *expr)
{
    uint32_t capacity = context->local_capacity;
    void *locals = context->locals, *lazy = context->lazy, *sites = context->sites, *missing = context->missing;
    bool ok = grow(&locals, &capacity, expr->local_count, sizeof *context->locals);
    context->locals = locals;
    if (ok) {
        capacity = context->local_capacity;
        ok = grow(&lazy, &capacity, expr->local_count, sizeof *context->lazy);
        context->lazy = lazy;
    }
    if (ok)
        context->local_capacity = capacity;
    ok = ok && grow(&sites, &context->site_capacity, expr->site_count, sizeof *context->sites);
    context->sites = sites;
    ok = ok && grow(&missing, &context->missing_capacity, expr->read_count, sizeof *context->missing);
    context->missing = missing;
    if (!ok)
        return false;
    const venv_expr_limits *limits = &expr->env->options.limits;
    context->expr = expr;
    context->used_max = limits->arena_size_max;
    context->string_size_max = limits->string_size_max;
    context->scratch.max = limits->string_size_max;
    return true;
}

bool venv_cel_keep_owned(xctx *context, venv_value *value)
{
    if (value->w.form != VENV_FORM_COUNTED)
        return true;
    if (context->owned_count == context->owned_capacity) {
        uint32_t capacity = context->owned_capacity ? context->owned_capacity * 2 : 8;
        venv_value *grown = realloc(context->owned, capacity * sizeof *grown);
        if (!grown) {
            venv_value_unref(value);
            return false;
        }
        context->owned = grown;
        context->owned_capacity = capacity;
    }
    context->owned[context->owned_count++] = *value;
    return true;
}

/* VENV_ELIMIT: more than is allowed; VENV_ENOMEM: more than there is. */
static venv_rc next_block(xctx *context, size_t size)
{
    if (context->block && context->block->next) {
        /* A block that is too small is passed over: it is kept for an evaluation that it suits. */
        context->block = context->block->next;
        context->block_used = 0;
        return context->block->size >= size ? VENV_OK : next_block(context, size);
    }
    size_t total = total_size(context);
    size_t wanted = context->block ? context->block->size * 2 : BLOCK_FIRST;
    if (wanted > BLOCK_LARGEST)
        wanted = BLOCK_LARGEST;
    if (wanted < size)
        wanted = size;
    if (total > context->used_max || size > context->used_max - total)
        return VENV_ELIMIT;
    if (wanted > context->used_max - total)
        wanted = context->used_max - total;
    xblock *block = malloc(sizeof *block + wanted);
    if (!block)
        return VENV_ENOMEM;
    block->next = NULL;
    block->size = wanted;
    if (context->block)
        context->block->next = block;
    else
        context->first = block;
    context->block = block;
    context->block_used = 0;
    return VENV_OK;
}

void *venv_cel_alloc(xctx *context, const xnode *node, size_t size)
{
    size_t rounded = (size + 15u) & ~(size_t)15u;
    if (rounded < size || rounded > context->used_max - context->used) {
        (void)venv_cel_fail(context, node, VENV_ELIMIT, "the evaluation needs more memory than is allowed");
        return NULL;
    }
    if (!context->block || context->block->size - context->block_used < rounded) {
        venv_rc rc = next_block(context, rounded);
        if (rc != VENV_OK) {
            (void)venv_cel_fail(context, node, rc,
                                rc == VENV_ENOMEM ? "out of memory" : "the evaluation needs more memory than is allowed");
            return NULL;
        }
    }
    void *memory = context->block->data + context->block_used;
    context->block_used += rounded;
    context->used += rounded;
    return memory;
}

int venv_cel_unknown_part(xctx *context, const xnode *node)
{
    if (expr_charge(context, node, context->expr->read_count) != X_OK)
        return X_FATAL;
    for (uint32_t i = 0; i < context->expr->read_count; i++)
        venv_cel_missing_add(context, i);
    return X_UNK;
}

int venv_cel_fail_detail(xctx *context, const xnode *node, venv_rc rc, const char *what, venv_str detail)
{
    context->error = (xerror){ rc, node ? node->pos : 0, what, detail };
    return rc == VENV_ELIMIT || rc == VENV_ENOMEM ? X_FATAL : X_ERR;
}

int venv_cel_fail(xctx *context, const xnode *node, venv_rc rc, const char *what)
{
    return venv_cel_fail_detail(context, node, rc, what, (venv_str){ NULL, 0 });
}

/*
 * The value is printed at once: it may not be there later. Errors of this kind are rare in loops. What is
 * not known is no wrong value: where a function came upon it in a list or map, its answer is unknown.
 */
int venv_cel_fail_value(xctx *context, const xnode *node, const char *what, const venv_value *value)
{
    char text[64];
    if (venv_cel_is_marker(value))
        return venv_cel_unknown_part(context, node);
    /* A container is not printed: made of shared parts, it can be far larger than it was to make. */
    bool container = value->w.kind == VENV_LIST || value->w.kind == VENV_MAP || value->w.kind == VENV_OPAQUE;
    if (container)
        return venv_cel_fail_detail(context, node, VENV_EINVAL, what,
                                (venv_str){ venv_cel_type_of(value), strlen(venv_cel_type_of(value)) });
    venv_value shown = *value;
    if (value->w.kind == VENV_STRING || value->w.kind == VENV_BYTES) { /* no more of it than can be shown */
        venv_str all = venv_text_of(value);
        size_t shown_size = all.size;
        if (shown_size > sizeof text) {
            for (shown_size = sizeof text; shown_size > 0 && ((unsigned char)all.data[shown_size] & 0xc0u) == 0x80u;)
                shown_size--;
        }
        shown = venv_text_borrow((venv_kind)value->w.kind, all.data, shown_size);
    }
    size_t size = venv_value_print(&shown, text, sizeof text);
    if (size >= sizeof text) {
        size = sizeof text - 1;
        while (size > 0 && ((unsigned char)text[size] & 0xc0u) == 0x80u)
            size--;
    }
    char *copy = venv_cel_alloc(context, node, size + 1);
    if (!copy)
        return X_FATAL;
    memcpy(copy, text, size);
    return venv_cel_fail_detail(context, node, VENV_EINVAL, what, (venv_str){ copy, size });
}

int venv_cel_fail_cost(xctx *context, const xnode *node)
{
    return venv_cel_fail(context, node, VENV_ELIMIT, "the evaluation costs more than its limit; see venvctl eval --cost");
}

int venv_cel_fail_overload(xctx *context, const xnode *node, const venv_value *args, uint32_t count)
{
    char text[160];
    size_t size = 0;
    for (uint32_t i = 0; i < count && size < 120; i++) {
        if (venv_cel_is_marker(&args[i]))
            return venv_cel_unknown_part(context, node);
        const char *type = venv_cel_type_of(&args[i]);
        size_t length = strlen(type);
        if (i) {
            memcpy(text + size, ", ", 2);
            size += 2;
        }
        length = length > 30 ? 30 : length;
        memcpy(text + size, type, length);
        size += length;
    }
    char *copy = venv_cel_alloc(context, node, size + 1);
    if (!copy)
        return X_FATAL;
    memcpy(copy, text, size);
    return venv_cel_fail_detail(context, node, VENV_EINVAL, "no such overload, for ", (venv_str){ copy, size });
}

void venv_cel_missing_add(xctx *context, uint32_t read)
{
    if (read >= context->missing_capacity)
        return;
    /* Looked up and not searched for: an expression can read thousands of things, thousands of times. */
    uint32_t place = context->missing[read].place;
    if (place < context->missing_count && context->missing[place].read == read)
        return;
    context->missing[read].place = context->missing_count;
    context->missing[context->missing_count++].read = read;
}

const venv_expr_read *venv_expr_missing(const venv_expr_context *context, size_t index)
{
    return index < context->missing_count ? &context->expr->reads[context->missing[index].read] : NULL;
}

venv_rc venv_expr_charge(venv_expr_context *context, uint64_t units)
{
    context->cost += units;
    return context->cost <= context->cost_max ? VENV_OK : VENV_ELIMIT;
}

int venv_cel_text(xctx *context, const xnode *node, venv_kind kind, const char *text, size_t size, venv_value *out)
{
    if (size <= VENV_VALUE_INLINE_MAX) {
        *out = venv_text_inline(kind, text, size);
        return X_OK;
    }
    if (size > context->string_size_max)
        return venv_cel_fail(context, node, VENV_ELIMIT, "a string becomes longer than is allowed");
    int status = expr_charge(context, node, size / 8);
    char *copy = status == X_OK ? venv_cel_alloc(context, node, size) : NULL;
    if (!copy)
        return X_FATAL;
    memcpy(copy, text, size);
    *out = venv_text_borrow(kind, copy, size);
    return X_OK;
}

int venv_cel_text_scratch(xctx *context, const xnode *node, venv_kind kind, venv_value *out)
{
    venv_buf *buf = &context->scratch;
    if (buf->rc == VENV_ENOMEM)
        return venv_cel_fail(context, node, VENV_ENOMEM, "out of memory");
    if (buf->rc != VENV_OK)
        return venv_cel_fail(context, node, VENV_ELIMIT, "a string becomes longer than is allowed");
    return venv_cel_text(context, node, kind, buf->size ? (const char *)buf->data : "", buf->size, out);
}

struct venv_object *venv_cel_container(xctx *context, const xnode *node, venv_kind kind, size_t count)
{
    if (count > UINT32_MAX / 2 || expr_charge(context, node, count) != X_OK) {
        (void)venv_cel_fail_cost(context, node);
        return NULL;
    }
    struct venv_object *object =
        venv_cel_alloc(context, node, kind == VENV_MAP ? venv_map_size(count) : venv_list_size(count));
    if (object)
        venv_object_init(object, kind, count);
    return object;
}

int venv_cel_finish_list(xctx *context, const xnode *node, struct venv_object *list, venv_value *out)
{
    const venv_value *items = venv_object_items(list);
    for (uint32_t i = 0; i < list->count; i++) {
        if (!venv_object_note(list, &items[i]))
            return venv_cel_fail(context, node, VENV_ELIMIT, "a list becomes too deep");
    }
    *out = venv_value_of_object(list, VENV_FORM_BORROWED);
    return X_OK;
}

int venv_cel_finish_map(xctx *context, const xnode *node, struct venv_object *map, venv_value *out)
{
    const venv_value *items = venv_object_items(map);
    for (uint32_t i = 0; i < map->count; i++) {
        if (!venv_kind_is_key(items[2 * i].w.kind))
            return venv_cel_fail_value(context, node, "only bool, int, uint and string can be a key: ", &items[2 * i]);
        if (expr_charge_texts(context, node, &items[2 * i], &items[2 * i]) != X_OK)
            return X_FATAL;
        venv_object_note_key(map, &items[2 * i]);
        if (!venv_object_note(map, &items[2 * i + 1]))
            return venv_cel_fail(context, node, VENV_ELIMIT, "a map becomes too deep");
    }
    size_t place = 0;
    if (venv_map_sort(map, &place) != VENV_OK)
        return venv_cel_fail_value(context, node, "the key is in the map twice: ", &items[2 * place]);
    *out = venv_value_of_object(map, VENV_FORM_BORROWED);
    return X_OK;
}
