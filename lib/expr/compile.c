/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the checked tree to a program: chooses the function that runs each node, folds what is
 * constant, joins `a.b.c` into one reference, lists what is read, and counts what it costs.
 */
#include "expr/program.h"

#include "expr/fast.h"
#include "expr/regex.h"
#include "expr/zone.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define FOLD_COST_MAX 2000u /* units that computing a constant may take while compiling */

typedef enum local_kind {
    LOCAL_VALUE, /* in context->locals */
    LOCAL_LAZY,  /* computed when first used */
} local_kind;

typedef struct local_info {
    local_kind kind;
    uint32_t read; /* what its value comes from; UINT32_MAX if that is not one read */
    const xnode *init;
} local_info;

typedef struct read_row {
    venv_expr_read read;
    struct read_row *next;
} read_row;

typedef struct compiler {
    const expr_source *source;
    venv_expr *expr;
    venv_arena *arena;
    local_info *locals;
    read_row *reads, **reads_end;
    uint32_t read_count;
    uint32_t site_count;
    venv_expr_context *context; /* computes constants; made when first needed */
    struct xwatch *watch;       /* NULL: nobody watches */
    uint32_t inside;            /* bodies of macros around the part at hand */
    venv_rc rc;
} compiler;

static const xnode *compile(compiler *c, const ast *node);

static void *allocate(compiler *c, size_t size)
{
    void *memory = venv_arena_alloc(c->arena, size ? size : 1);
    if (!memory && c->rc == VENV_OK)
        c->rc = venv_cel_fail_at(c->source, 0, VENV_ENOMEM, "out of memory");
    return memory;
}

static xnode *new_node(compiler *c, const ast *node, xeval_fn eval, xtest_fn test)
{
    xnode *made = allocate(c, sizeof *made);
    if (!made)
        return NULL;
    made->eval = eval ? eval : venv_cel_eval_boxed;
    made->test = test ? test : venv_cel_test_boxed;
    made->pos = node->pos;
    made->kind = node->kind;
    made->op = node->op;
    made->cost = 1;
    return made;
}

/* The children, in `made->args`. */
static bool compile_args(compiler *c, const ast *node, xnode *made)
{
    const xnode **args = allocate(c, node->count * sizeof *args);
    if (!args)
        return false;
    for (uint32_t i = 0; i < node->count; i++) {
        if (!(args[i] = compile(c, node->args[i])))
            return false;
        made->cost += args[i]->cost;
    }
    made->args = args;
    made->count = node->count;
    return true;
}

bool venv_cel_copy_value(venv_arena *arena, const venv_value *value, venv_value *out)
{
    *out = *value;
    if (value->w.form == VENV_FORM_SCALAR || value->w.form == VENV_FORM_INLINE)
        return true;
    if (value->w.kind == VENV_LIST || value->w.kind == VENV_MAP) {
        const struct venv_object *source = value->w.as.object;
        size_t items = value->w.kind == VENV_MAP ? (size_t)source->count * 2 : source->count;
        struct venv_object *copy = venv_arena_alloc(arena, venv_list_size(items));
        if (!copy)
            return false;
        *copy = *source;
        copy->u.live.refs = VENV_OBJECT_IMMORTAL;
        copy->u.live.capacity = source->count;
        for (size_t i = 0; i < items; i++) {
            if (!venv_cel_copy_value(arena, &venv_object_items(source)[i], &venv_object_items(copy)[i]))
                return false;
        }
        copy->flags |= VENV_OBJECT_BORROWS;
        *out = venv_value_of_object(copy, VENV_FORM_BORROWED);
        return true;
    }
    if (value->w.kind == VENV_OPAQUE)
        return value->w.form == VENV_FORM_COUNTED && value->w.as.object->u.live.refs == VENV_OBJECT_IMMORTAL;
    venv_str text = venv_text_of(value);
    char *copy = venv_arena_dup(arena, text.data, text.size);
    if (!copy)
        return false;
    *out = venv_text_borrow((venv_kind)value->w.kind, copy, text.size);
    return true;
}

/* ---- constants ---- */

static bool is_const(const xnode *node)
{
    return node->eval == venv_cel_eval_const;
}

static bool all_const(const xnode *node)
{
    for (uint32_t i = 0; i < node->count; i++) {
        if (!is_const(node->args[i]))
            return false;
    }
    return true;
}

/* Compute a node whose parts are constant. What fails is left for the time when it runs. */
static const xnode *fold_constant(compiler *c, xnode *node)
{
    if (!node || c->rc != VENV_OK || !all_const(node))
        return node;
    if (!c->context && venv_expr_context_new(&c->context, NULL) != VENV_OK) {
        c->rc = venv_cel_fail_at(c->source, 0, VENV_ENOMEM, "out of memory");
        return NULL;
    }
    static const venv_expr_input nothing = { .slots = NULL };
    xctx *context = c->context;
    venv_cel_context_reset(context);
    context->expr = c->expr;
    context->input = &nothing;
    context->used_max = c->expr->env->options.limits.arena_size_max / 8;
    context->string_size_max = c->expr->env->options.limits.string_size_max;
    context->scratch.max = context->string_size_max;
    context->cost = 0;
    context->cost_max = FOLD_COST_MAX;
    venv_value value, copy;
    int status = node->eval(context, node, &value);
    if (status != X_OK || !venv_cel_copy_value(c->arena, &value, &copy))
        return node;
    node->eval = venv_cel_eval_const;
    node->test = venv_cel_test_boxed;
    node->u.value = copy;
    node->count = 0;
    return node;
}

static const xnode *constant(compiler *c, const ast *node, venv_value value)
{
    xnode *made = new_node(c, node, venv_cel_eval_const, NULL);
    if (!made)
        return NULL;
    if (!venv_cel_copy_value(c->arena, &value, &made->u.value))
        c->rc = venv_cel_fail_at(c->source, 0, VENV_ENOMEM, "out of memory");
    return c->rc == VENV_OK ? made : NULL;
}

static const xnode *failing(compiler *c, const ast *node)
{
    xnode *made = new_node(c, node, venv_cel_eval_error, NULL);
    if (!made || !(made->u.text = venv_arena_dup(c->arena, node->error.data, node->error.size))) {
        (void)allocate(c, SIZE_MAX);
        return NULL;
    }
    return made;
}

/* ---- what is read ---- */

static bool is_plain_name(const char *text)
{
    bool start = true;
    for (; *text; text++, start = false) {
        bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || *text == '_';
        if (!letter && (start || !(*text >= '0' && *text <= '9')))
            return false;
    }
    return !start;
}

static void append_quoted(venv_buf *buf, const char *text)
{
    venv_buf_append_text(buf, "\"");
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            venv_buf_append_byte(buf, '\\');
        venv_buf_append_byte(buf, (uint8_t)*text);
    }
    venv_buf_append_text(buf, "\"");
}

static const char *read_text(compiler *c, const venv_expr_read *read, bool has_args)
{
    if (read->kind == VENV_EXPR_READ_VARIABLE && read->path_count == 1)
        return read->path[0];
    venv_buf buf;
    venv_buf_init(&buf, VENV_EXPR_SOURCE_SIZE_MAX * 4);
    venv_buf_append_text(&buf, read->path[0]);
    for (uint32_t i = 1; i < read->path_count; i++) {
        if (is_plain_name(read->path[i])) {
            venv_buf_append_text(&buf, ".");
            venv_buf_append_text(&buf, read->path[i]);
        } else {
            venv_buf_append_text(&buf, "[");
            append_quoted(&buf, read->path[i]);
            venv_buf_append_text(&buf, "]");
        }
    }
    if (read->kind == VENV_EXPR_READ_CALL) {
        venv_buf_append_text(&buf, "(");
        if (read->argument)
            append_quoted(&buf, read->argument);
        else if (has_args)
            venv_buf_append_text(&buf, "...");
        venv_buf_append_text(&buf, ")");
    }
    const char *text = buf.rc == VENV_OK ? venv_arena_dup(c->arena, (const char *)buf.data, buf.size) : NULL;
    venv_buf_fini(&buf);
    if (!text)
        (void)allocate(c, SIZE_MAX);
    return text;
}

/* Its number in the list; a read that is there already is not listed again. One by has() is another one: it is answered otherwise. */
static uint32_t add_read(compiler *c, venv_expr_read read, bool has_args)
{
    if (!(read.text = read_text(c, &read, has_args)))
        return 0;
    uint32_t index = 0;
    for (read_row *row = c->reads; row; row = row->next, index++) {
        if (!strcmp(row->read.text, read.text) && row->read.kind == read.kind && row->read.tested == read.tested)
            return index;
    }
    read_row *row = allocate(c, sizeof *row);
    if (!row)
        return 0;
    row->read = read;
    *c->reads_end = row;
    c->reads_end = &row->next;
    return c->read_count++;
}

static const char *text_z(compiler *c, venv_str text)
{
    const char *copy = venv_arena_dup(c->arena, text.data, text.size);
    if (!copy)
        (void)allocate(c, SIZE_MAX);
    return copy ? copy : "";
}

/* ---- references ---- */

/* The variable that a chain of constant names begins with; NULL if it begins otherwise. */
static const ast *base_of(compiler *c, const ast *node, uint32_t *ret_keys)
{
    *ret_keys = 0;
    for (;; node = node->args[0]) {
        bool named = node->kind == AST_INDEX && node->args[1]->kind == AST_CONST &&
                     node->args[1]->value.w.kind == VENV_STRING;
        if (node->kind == AST_IDENT) {
            bool lazy = node->local >= 0 && c->locals[node->local].kind == LOCAL_LAZY;
            return (node->local >= 0 || node->slot >= 0) && !lazy ? node : NULL;
        }
        if ((node->kind != AST_SELECT && !named) || (*ret_keys > 0 && (node->optional || node->test_only)))
            return NULL;
        ++*ret_keys;
    }
}

/* Where a reference lies; FAST_ITEM if expr/fast.h does not know of such. */
static unsigned place_of(const xnode *attr)
{
    if (attr->u.attr.key_count == 0)
        return attr->u.attr.slot < 0 ? FAST_LOCAL : FAST_SLOT;
    return attr->u.attr.slot < 0 && attr->u.attr.key_count == 1 ? FAST_FIELD : FAST_ITEM;
}

static venv_str key_text(const ast *node)
{
    return node->kind == AST_SELECT ? node->name : venv_text_of(&node->args[1]->value);
}

/* For those who resolve what is read, and for lists of it. */
static bool read_variable(compiler *c, const ast *node, const ast *base, xnode *made, bool tested)
{
    uint32_t key_count = made->u.attr.key_count;
    const char **path = allocate(c, (key_count + 1) * sizeof *path);
    if (!path)
        return false;
    path[0] = c->expr->env->variables[base->slot]->name.data; /* ends with a NUL, and lives as long as the program */
    for (uint32_t i = key_count; i > 0; i--, node = node->args[0])
        path[i] = text_z(c, key_text(node));
    venv_expr_read read = { .kind = VENV_EXPR_READ_VARIABLE, .path = path, .path_count = key_count + 1,
                            .slot = (uint32_t)base->slot, .tested = tested };
    made->u.attr.slot = base->slot;
    made->u.attr.read = add_read(c, read, false);
    return c->rc == VENV_OK;
}

static const xnode *reference(compiler *c, const ast *node, const ast *base, uint32_t key_count)
{
    bool has = node->kind == AST_SELECT && node->test_only;
    bool optional = (node->kind == AST_SELECT || node->kind == AST_INDEX) && node->optional;
    xnode *made = new_node(c, node, optional ? venv_cel_eval_opt_attr : has ? venv_cel_eval_boxed : venv_cel_eval_attr,
                           has ? venv_cel_test_has_attr : NULL);
    venv_value *keys = key_count ? allocate(c, key_count * sizeof *keys) : NULL;
    if (!made || (key_count && !keys))
        return NULL;
    made->kind = AST_IDENT;
    made->cost = 1 + key_count;
    uint32_t i = key_count;
    for (const ast *at = node; at != base; at = at->args[0]) {
        venv_str name = key_text(at);
        keys[--i] = venv_text_borrow(VENV_STRING, name.data, name.size); /* the tree lives as long as the program */
        made->cost += at->kind == AST_INDEX;
    }
    made->u.attr.keys = keys;
    made->u.attr.key_count = key_count;
    made->u.attr.name = venv_text_borrow(VENV_STRING, base->name.data, base->name.size);
    made->site = c->site_count;
    c->site_count += 1 + key_count;
    if (base->local >= 0) {
        made->u.attr.slot = -1;
        made->u.attr.local = (uint32_t)base->local;
        made->u.attr.read = c->locals[base->local].read;
    } else if (!read_variable(c, node, base, made, has || optional)) {
        return NULL;
    }
    unsigned place = place_of(made);
    if (!has && !optional && place != FAST_ITEM)
        made->leaf = (uint8_t)(1 + FAST_OP(place, FAST_BOOL));
    return made;
}

static const xnode *compile_ident(compiler *c, const ast *node)
{
    if (node->error.size)
        return failing(c, node);
    if (node->type_name)
        return constant(c, node, node->value);
    if (node->local >= 0 && c->locals[node->local].kind == LOCAL_LAZY) {
        xnode *made = new_node(c, node, venv_cel_eval_lazy, NULL);
        if (made) {
            made->u.lazy.local = (uint32_t)node->local;
            made->u.lazy.init = c->locals[node->local].init;
        }
        return made;
    }
    return reference(c, node, node, 0);
}

static const xnode *compile_select(compiler *c, const ast *node)
{
    uint32_t key_count;
    const ast *base = base_of(c, node, &key_count);
    if (base)
        return reference(c, node, base, key_count);
    xnode *made = new_node(c, node, node->test_only ? NULL : venv_cel_eval_select, node->test_only ? venv_cel_test_has : NULL);
    if (!made || !compile_args(c, node, made))
        return NULL;
    made->flag = node->optional;
    made->u.value = venv_text_borrow(VENV_STRING, text_z(c, node->name), node->name.size);
    return c->rc == VENV_OK ? made : NULL;
}

static const xnode *compile_index(compiler *c, const ast *node)
{
    uint32_t key_count;
    const ast *base = base_of(c, node, &key_count);
    if (base)
        return reference(c, node, base, key_count);
    xnode *made = new_node(c, node, venv_cel_eval_index, NULL);
    if (!made || !compile_args(c, node, made))
        return NULL;
    made->flag = node->optional;
    return fold_constant(c, made);
}

/* ---- operators ---- */

static const uint8_t masks[OP_COUNT] = { [OP_EQ] = 2, [OP_NE] = 13, [OP_LT] = 1, [OP_LE] = 3, [OP_GT] = 4, [OP_GE] = 6 };

static const ast_op mirrored[OP_COUNT] = { [OP_EQ] = OP_EQ, [OP_NE] = OP_NE, [OP_LT] = OP_GT, [OP_LE] = OP_GE,
                                           [OP_GT] = OP_LT, [OP_GE] = OP_LE };

/* A reference beside a constant: the comparison for where it lies and what it is compared with. */
static void choose_comparison(xnode *made)
{
    static const xtest_fn tests[4][3] = { /* by fast_place, and one for what that does not know; by fast_kind */
        { venv_cel_test_slot_int, venv_cel_test_slot_double, venv_cel_test_slot_text },
        { venv_cel_test_local_int, venv_cel_test_local_double, venv_cel_test_local_text },
        { venv_cel_test_field_int, venv_cel_test_field_double, venv_cel_test_field_text },
        { venv_cel_test_attr_int, venv_cel_test_attr_double, venv_cel_test_attr_text },
    };
    bool left = is_const(made->args[0]);
    const xnode *attr = made->args[left], *other = made->args[!left];
    if (attr->eval != venv_cel_eval_attr || !is_const(other))
        return;
    const venv_value *value = &other->u.value;
    bool equality = made->op == OP_EQ || made->op == OP_NE;
    unsigned kind;
    if (value->w.kind == VENV_INT)
        kind = FAST_INT;
    else if (value->w.kind == VENV_DOUBLE)
        kind = FAST_DOUBLE;
    else if (value->w.kind == VENV_STRING && value->w.form == VENV_FORM_INLINE && equality)
        kind = FAST_TEXT;
    else
        return;
    bool local = attr->u.attr.slot < 0;
    unsigned place = place_of(attr);
    if (left) { /* so that the reference is args[0] */
        const xnode **args = (const xnode **)(uintptr_t)made->args;
        args[0] = attr;
        args[1] = other;
        made->op = (uint8_t)mirrored[made->op];
        made->mask = masks[made->op];
    }
    made->test = tests[place][kind];
    made->leaf = place <= FAST_FIELD ? (uint8_t)(1 + FAST_OP(place, kind)) : 0;
    made->u.cmp.value = *value;
    made->u.cmp.index = local ? attr->u.attr.local : (uint32_t)attr->u.attr.slot;
    if (place == FAST_FIELD) {
        made->u.cmp.key = &attr->u.attr.keys[0];
        made->site = attr->site + 1;
    }
}

static const xnode *compile_operator(compiler *c, const ast *node)
{
    xnode *made;
    switch ((ast_op)node->op) {
    case OP_NOT:
        made = new_node(c, node, NULL, venv_cel_test_not);
        break;
    case OP_NEG:
        made = new_node(c, node, venv_cel_eval_negate, NULL);
        break;
    case OP_IN:
        made = new_node(c, node, NULL, venv_cel_test_in);
        break;
    case OP_EQ:
    case OP_NE:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
        made = new_node(c, node, NULL, venv_cel_test_compare);
        break;
    default:
        made = new_node(c, node, venv_cel_eval_binary, NULL);
        break;
    }
    if (!made || !compile_args(c, node, made))
        return NULL;
    made->mask = masks[node->op];
    const xnode *folded = fold_constant(c, made);
    if (folded && !is_const(folded) && masks[node->op])
        choose_comparison(made);
    return folded;
}

static const xnode *compile_simple(compiler *c, const ast *node, xeval_fn eval, xtest_fn test)
{
    xnode *made = new_node(c, node, eval, test);
    if (!made || !compile_args(c, node, made))
        return NULL;
    if (node->kind == AST_LIST || node->kind == AST_MAP) {
        made->u.marks = NULL;
        for (uint32_t i = 0; i < node->count && !made->u.marks; i++)
            made->u.marks = node->marks && node->marks[i] ? node->marks : NULL;
        return fold_constant(c, made);
    }
    return made;
}

/* ---- calls ---- */

static bool takes_zone(venv_str name)
{
    return name.size > 3 && !memcmp(name.data, "get", 3);
}

static bool name_is(venv_str name, const char *text)
{
    return name.size == strlen(text) && !memcmp(name.data, text, name.size);
}

/* A constant pattern or zone is prepared once. A bad one is an error now, if types are checked. */
static bool prepare_constants(compiler *c, const ast *node, xnode *made)
{
    if (made->count != 2 || !is_const(made->args[1]) || made->args[1]->u.value.w.kind != VENV_STRING)
        return true;
    venv_str text = venv_text_of(&made->args[1]->u.value);
    venv_error error = { .rc = VENV_OK };
    venv_rc rc = VENV_OK;
    if (name_is(node->name, "matches")) {
        expr_regex *regex = NULL;
        rc = venv_cel_regex_new(text, &regex, &error);
        if (rc == VENV_OK) {
            regex->next = c->expr->regexes;
            c->expr->regexes = regex;
            made->u.call.regex = regex;
        }
    } else if (takes_zone(node->name)) {
        int32_t offset;
        expr_zone *zone = NULL;
        const venv_expr_options *options = &c->expr->env->options;
        if (venv_cel_zone_fixed(text, &offset) || !options->zone)
            return true;
        rc = venv_cel_zone_new(text, options->zone, options->zone_user, &zone, &error);
        if (rc == VENV_OK) {
            made->u.call.zone = zone;
            rc = venv_cel_keep_zone(c->expr, zone) ? VENV_OK : VENV_ENOMEM;
        }
    }
    if (rc == VENV_ENOMEM || (rc != VENV_OK && !c->expr->env->options.check_off)) {
        c->rc = venv_cel_fail_at(c->source, node->args[1]->pos, rc == VENV_ENOMEM ? rc : VENV_EINVAL, "%s",
                             rc == VENV_ENOMEM ? "out of memory" : error.text);
        return false;
    }
    return true;
}

/* A function whose answers differ from call to call, or that somebody wants to know of, was added. */
static bool is_added(const ast *node)
{
    uint64_t candidates = node->candidates;
    for (const expr_overload *at = node->overloads; candidates; at = at->next, candidates >>= 1) {
        if ((candidates & 1) && !at->builtin)
            return true;
    }
    return false;
}

static void note_call(compiler *c, const ast *node, xnode *made)
{
    uint32_t first = node->receiver ? 1 : 0;
    const char **path = allocate(c, sizeof *path);
    if (!path)
        return;
    path[0] = text_z(c, node->name);
    venv_expr_read read = { .kind = VENV_EXPR_READ_CALL, .path = path, .path_count = 1, .slot = UINT32_MAX };
    if (made->count > first && is_const(made->args[first]) && made->args[first]->u.value.w.kind == VENV_STRING)
        read.argument = text_z(c, venv_text_of(&made->args[first]->u.value));
    made->u.call.read = add_read(c, read, made->count > first);
}

static const xnode *compile_fold(compiler *c, const ast *node);

static const xnode *compile_call(compiler *c, const ast *node)
{
    if (node->error.size) {
        xnode *parts = new_node(c, node, NULL, NULL); /* the arguments count, and read what they read */
        return parts && compile_args(c, node, parts) ? failing(c, node) : NULL;
    }
    const ast *arg = node->count ? node->args[0] : NULL;
    if (arg && node->count == 1 && name_is(node->name, "size") && arg->kind == AST_FOLD && arg->op == FOLD_FILTER) {
        xnode *count = (xnode *)(uintptr_t)compile_fold(c, arg);
        if (count) {
            count->eval = venv_cel_eval_count;
            count->test = venv_cel_test_boxed;
            count->cost++;
        }
        return count;
    }
    xnode *made = new_node(c, node, venv_cel_eval_call, NULL);
    if (!made || !compile_args(c, node, made))
        return NULL;
    made->u.call.overloads = node->overloads;
    made->u.call.candidates = node->candidates;
    made->u.call.read = UINT32_MAX;
    if (is_added(node)) {
        note_call(c, node, made);
        return c->rc == VENV_OK ? made : NULL;
    }
    if (!prepare_constants(c, node, made))
        return NULL;
    if (made->count == 2 && node->receiver && (name_is(node->name, "or") || name_is(node->name, "orValue")))
        made->eval = venv_cel_eval_or_value;
    return fold_constant(c, made);
}

/* ---- macros ---- */

static uint32_t read_of(const xnode *node)
{
    if (node->eval == venv_cel_eval_watched)
        return read_of(node->args[0]);
    if (node->eval == venv_cel_eval_attr)
        return node->u.attr.read;
    if (node->eval == venv_cel_eval_call)
        return node->u.call.read;
    return node->eval == venv_cel_eval_filter ? read_of(node->args[0]) : UINT32_MAX;
}

/* A body runs with variables of its own: it has no value apart from its rounds. */
static const xnode *compile_body(compiler *c, const ast *node)
{
    c->inside++;
    const xnode *body = compile(c, node);
    c->inside--;
    return body;
}

static const xnode *compile_fold(compiler *c, const ast *node)
{
    static const struct {
        xeval_fn eval;
        xtest_fn test;
    } how[FOLD_COUNT] = {
        [FOLD_ALL] = { NULL, venv_cel_test_all },
        [FOLD_EXISTS] = { NULL, venv_cel_test_exists },
        [FOLD_EXISTS_ONE] = { NULL, venv_cel_test_exists_one },
        [FOLD_MAP] = { venv_cel_eval_fold_map, NULL },
        [FOLD_FILTER] = { venv_cel_eval_filter, NULL },
        [FOLD_TRANSFORM_LIST] = { venv_cel_eval_fold_map, NULL },
        [FOLD_TRANSFORM_MAP] = { venv_cel_eval_transform_map, NULL },
        [FOLD_TRANSFORM_MAP_ENTRY] = { venv_cel_eval_transform_entry, NULL },
        [FOLD_SORT_BY] = { venv_cel_eval_sort_by, NULL },
    };
    xnode *made = new_node(c, node, how[node->op].eval, how[node->op].test);
    const xnode **args = allocate(c, sizeof *args);
    if (!made || !args || !(args[0] = compile(c, node->args[0])))
        return NULL;
    made->args = args;
    made->count = 1;
    made->cost += args[0]->cost;
    made->u.fold.local = (uint32_t)node->first_local;
    made->u.fold.var_count = node->vars[1].size ? 2 : 1;
    for (uint32_t i = 0; i < 2; i++)
        c->locals[node->first_local + (int32_t)i] = (local_info){ LOCAL_VALUE, read_of(args[0]), NULL };
    const xnode *filter = node->count == 3 ? compile_body(c, node->args[1]) : NULL;
    const xnode *body = compile_body(c, node->args[node->count - 1]);
    if (!body || (node->count == 3 && !filter))
        return NULL;
    made->u.fold.filter = filter;
    made->u.fold.body = body;
    made->u.fold.round_cost = 1 + body->cost + (filter ? filter->cost : 0);
    if (made->u.fold.var_count == 1 && (node->op == FOLD_FILTER || node->op <= FOLD_EXISTS_ONE))
        made->u.fold.fast = venv_cel_fast_new(c->arena, body, made->u.fold.local);
    return made;
}

/* bind and block: parts that are computed where they are first used. */
static const xnode *compile_parts(compiler *c, const ast *node)
{
    xnode *made = new_node(c, node, venv_cel_eval_bind, venv_cel_test_bind);
    if (!made)
        return NULL;
    made->u.fold.local = (uint32_t)node->first_local;
    made->u.fold.round_cost = node->count - 1;
    for (uint32_t i = 0; i + 1 < node->count; i++) {
        const xnode *init = compile_body(c, node->args[i]);
        if (!init)
            return NULL;
        made->cost += init->cost;
        c->locals[node->first_local + (int32_t)i] = (local_info){ LOCAL_LAZY, read_of(init), init };
    }
    made->u.fold.body = compile_body(c, node->args[node->count - 1]);
    if (!made->u.fold.body)
        return NULL;
    made->cost += made->u.fold.body->cost;
    return made;
}

static const xnode *compile_opt_map(compiler *c, const ast *node)
{
    xnode *made = new_node(c, node, venv_cel_eval_opt_map, NULL);
    const xnode **args = allocate(c, sizeof *args);
    if (!made || !args || !(args[0] = compile(c, node->args[0])))
        return NULL;
    made->args = args;
    made->count = 1;
    made->flag = node->flat;
    made->u.fold.local = (uint32_t)node->first_local;
    c->locals[node->first_local] = (local_info){ LOCAL_VALUE, read_of(args[0]), NULL };
    made->u.fold.body = compile_body(c, node->args[1]);
    if (!made->u.fold.body)
        return NULL;
    made->cost += args[0]->cost + made->u.fold.body->cost;
    return made;
}

static const xnode *compile_node(compiler *c, const ast *node)
{
    if (c->rc != VENV_OK)
        return NULL;
    switch ((ast_kind)node->kind) {
    case AST_CONST:
        return constant(c, node, node->value);
    case AST_IDENT:
        return compile_ident(c, node);
    case AST_SELECT:
        return compile_select(c, node);
    case AST_INDEX:
        return compile_index(c, node);
    case AST_CALL:
        return compile_call(c, node);
    case AST_OP:
        return compile_operator(c, node);
    case AST_AND:
        return compile_simple(c, node, NULL, venv_cel_test_and);
    case AST_OR:
        return compile_simple(c, node, NULL, venv_cel_test_or);
    case AST_COND:
        return compile_simple(c, node, venv_cel_eval_cond, venv_cel_test_cond);
    case AST_LIST:
        return compile_simple(c, node, venv_cel_eval_list, NULL);
    case AST_MAP:
        return compile_simple(c, node, venv_cel_eval_map, NULL);
    case AST_STRUCT:
        return node->error.size ? failing(c, node) : compile_simple(c, node, venv_cel_eval_struct, NULL);
    case AST_FOLD:
        return compile_fold(c, node);
    case AST_BIND:
    case AST_BLOCK:
        return compile_parts(c, node);
    case AST_OPT_MAP:
        return compile_opt_map(c, node);
    }
    return NULL;
}

static const xnode *compile(compiler *c, const ast *node)
{
    const xnode *made = compile_node(c, node);
    uint32_t index;
    if (!made || !c->watch || is_const(made) || !venv_cel_watch_add(c->watch, node, made, c->inside > 0, &index))
        return made;
    const xnode **args = allocate(c, sizeof *args);
    xnode *watched = new_node(c, node, venv_cel_eval_watched, venv_cel_test_watched);
    if (!args || !watched)
        return NULL;
    args[0] = made;
    watched->args = args;
    watched->count = 1;
    watched->cost = made->cost;
    watched->u.watch = index;
    return watched;
}

static bool keep_reads(compiler *c)
{
    venv_expr_read *reads = allocate(c, c->read_count * sizeof *reads);
    if (!reads)
        return false;
    uint32_t i = 0;
    for (const read_row *row = c->reads; row; row = row->next)
        reads[i++] = row->read;
    c->expr->reads = reads;
    c->expr->read_count = c->read_count;
    return true;
}

venv_rc venv_cel_compile_tree(venv_expr *expr, const expr_source *source, const ast *root,
                              struct xwatch *watch)
{
    compiler c = { .source = source, .expr = expr, .arena = &expr->arena, .watch = watch };
    c.reads_end = &c.reads;
    /* Folds set up two locals, though most have one variable. */
    c.locals = allocate(&c, (expr->local_count + 1) * sizeof *c.locals);
    if (c.locals)
        expr->root = compile(&c, root);
    if (c.rc == VENV_OK && !watch)
        expr->fast = venv_cel_fast_new(c.arena, expr->root, UINT32_MAX);
    if (c.rc == VENV_OK && keep_reads(&c))
        expr->site_count = c.site_count;
    venv_expr_context_free(c.context);
    return c.rc;
}
