/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Macros: calls that mean something else than a call. One row for each; cel-spec doc/langdef.md,
 * "Macros", and its extensions for bindings, two variables, optionals and blocks.
 */
#include "expr/parser.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

typedef struct macro_row {
    const char *name;
    const char *namespace; /* the receiver must be this name: `cel` */
    bool receiver;
    uint8_t args;      /* without the receiver */
    uint8_t vars;      /* the first of them name variables */
    ast_kind kind;
    uint8_t detail;    /* ast_fold */
} macro_row;

static const macro_row macros[] = {
    { "has", NULL, false, 1, 0, AST_SELECT, 0 },
    { "all", NULL, true, 2, 1, AST_FOLD, FOLD_ALL },
    { "all", NULL, true, 3, 2, AST_FOLD, FOLD_ALL },
    { "exists", NULL, true, 2, 1, AST_FOLD, FOLD_EXISTS },
    { "exists", NULL, true, 3, 2, AST_FOLD, FOLD_EXISTS },
    { "exists_one", NULL, true, 2, 1, AST_FOLD, FOLD_EXISTS_ONE },
    { "exists_one", NULL, true, 3, 2, AST_FOLD, FOLD_EXISTS_ONE },
    { "existsOne", NULL, true, 2, 1, AST_FOLD, FOLD_EXISTS_ONE },
    { "existsOne", NULL, true, 3, 2, AST_FOLD, FOLD_EXISTS_ONE },
    { "map", NULL, true, 2, 1, AST_FOLD, FOLD_MAP },
    { "map", NULL, true, 3, 1, AST_FOLD, FOLD_MAP },
    { "filter", NULL, true, 2, 1, AST_FOLD, FOLD_FILTER },
    { "transformList", NULL, true, 3, 2, AST_FOLD, FOLD_TRANSFORM_LIST },
    { "transformList", NULL, true, 4, 2, AST_FOLD, FOLD_TRANSFORM_LIST },
    { "transformMap", NULL, true, 3, 2, AST_FOLD, FOLD_TRANSFORM_MAP },
    { "transformMap", NULL, true, 4, 2, AST_FOLD, FOLD_TRANSFORM_MAP },
    { "transformMapEntry", NULL, true, 3, 2, AST_FOLD, FOLD_TRANSFORM_MAP_ENTRY },
    { "transformMapEntry", NULL, true, 4, 2, AST_FOLD, FOLD_TRANSFORM_MAP_ENTRY },
    { "sortBy", NULL, true, 2, 1, AST_FOLD, FOLD_SORT_BY },
    { "optMap", NULL, true, 2, 1, AST_OPT_MAP, false },
    { "optFlatMap", NULL, true, 2, 1, AST_OPT_MAP, true },
    { "bind", "cel", true, 3, 1, AST_BIND, 0 },
    { "block", "cel", true, 2, 0, AST_BLOCK, 0 },
    { "index", "cel", true, 1, 0, AST_IDENT, 0 },
    { "iterVar", "cel", true, 2, 0, AST_IDENT, 0 },
    { "accuVar", "cel", true, 2, 0, AST_IDENT, 0 },
};

static const char *const fold_texts[FOLD_COUNT] = {
    [FOLD_ALL] = "all",
    [FOLD_EXISTS] = "exists",
    [FOLD_EXISTS_ONE] = "exists_one",
    [FOLD_MAP] = "map",
    [FOLD_FILTER] = "filter",
    [FOLD_TRANSFORM_LIST] = "transformList",
    [FOLD_TRANSFORM_MAP] = "transformMap",
    [FOLD_TRANSFORM_MAP_ENTRY] = "transformMapEntry",
    [FOLD_SORT_BY] = "sortBy",
};

const char *venv_cel_ast_fold_text(ast_fold fold)
{
    return fold_texts[fold];
}

static bool text_is(venv_str text, const char *wanted)
{
    return text.size == strlen(wanted) && !memcmp(text.data, wanted, text.size);
}

static const macro_row *find_macro(const ast *call)
{
    uint32_t args = call->count - call->receiver;
    for (size_t i = 0; i < VENV_COUNT_OF(macros); i++) {
        const macro_row *macro = &macros[i];
        if (macro->receiver != call->receiver || macro->args != args || !text_is(call->name, macro->name))
            continue;
        if (!macro->namespace)
            return macro;
        const ast *space = call->args[0];
        if (space->kind == AST_IDENT && text_is(space->name, macro->namespace))
            return macro;
    }
    return NULL;
}

const char *venv_cel_macro_form(venv_str name)
{
    static const struct {
        const char *name, *form;
    } forms[] = {
        { "has", "has(x.field)" },
        { "all", "l.all(x, CONDITION) or l.all(i, x, CONDITION)" },
        { "exists", "l.exists(x, CONDITION) or l.exists(i, x, CONDITION)" },
        { "exists_one", "l.exists_one(x, CONDITION) or l.exists_one(i, x, CONDITION)" },
        { "existsOne", "l.existsOne(x, CONDITION) or l.existsOne(i, x, CONDITION)" },
        { "map", "l.map(x, VALUE) or l.map(x, CONDITION, VALUE)" },
        { "filter", "l.filter(x, CONDITION)" },
        { "transformList", "l.transformList(i, x, VALUE) or l.transformList(i, x, CONDITION, VALUE)" },
        { "transformMap", "m.transformMap(k, v, VALUE) or m.transformMap(k, v, CONDITION, VALUE)" },
        { "transformMapEntry", "m.transformMapEntry(k, v, {KEY: VALUE}), with a condition before the map if you like" },
        { "sortBy", "l.sortBy(x, KEY)" },
        { "optMap", "o.optMap(x, VALUE)" },
        { "optFlatMap", "o.optFlatMap(x, OPTIONAL)" },
        { "bind", "cel.bind(x, VALUE, EXPRESSION)" },
        { "block", "cel.block([VALUE, …], EXPRESSION)" },
    };
    for (size_t i = 0; i < VENV_COUNT_OF(forms); i++) {
        if (text_is(name, forms[i].name))
            return forms[i].form;
    }
    return NULL;
}

size_t venv_cel_macro_names(venv_str *ret_names, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < VENV_COUNT_OF(macros) && count < room; i++) {
        if (!macros[i].namespace && !(i && !strcmp(macros[i].name, macros[i - 1].name)))
            ret_names[count++] = (venv_str){ macros[i].name, strlen(macros[i].name) };
    }
    return count;
}

static bool expand_has(expr_parser *parser, ast **node)
{
    ast *field = (*node)->args[0];
    if (field->kind != AST_SELECT || field->test_only || field->optional) {
        (void)venv_cel_parser_fail(parser, field->pos, VENV_EINVAL, "expected the selection of a field: has(x.field)");
        return false;
    }
    field->test_only = true;
    *node = field;
    return true;
}

/* cel.index(N) and its like are names that no identifier can spell. */
static bool expand_name(expr_parser *parser, ast **node)
{
    ast *call = *node;
    int64_t numbers[2] = { 0, 0 };
    for (uint32_t i = 1; i < call->count; i++) {
        const ast *arg = call->args[i];
        if (arg->kind != AST_CONST || venv_value_kind(&arg->value) != VENV_INT || arg->value.w.as.i < 0) {
            (void)venv_cel_parser_fail(parser, arg->pos, VENV_EINVAL, "expected a constant that is not negative");
            return false;
        }
        numbers[i - 1] = arg->value.w.as.i;
    }
    char text[64];
    int size = call->count == 2 ? snprintf(text, sizeof text, "@index%lld", (long long)numbers[0])
                                : snprintf(text, sizeof text, "@%s:%lld:%lld", text_is(call->name, "iterVar") ? "it" : "ac",
                                           (long long)numbers[0], (long long)numbers[1]);
    char *name = venv_arena_dup(parser->arena, text, (size_t)size);
    ast *ident = name ? venv_cel_node(parser, AST_IDENT, call->pos, 0) : NULL;
    if (!ident) {
        (void)venv_cel_parser_fail(parser, call->pos, VENV_ENOMEM, "out of memory");
        return false;
    }
    ident->name = (venv_str){ name, (size_t)size };
    *node = ident;
    return true;
}

static bool expand_block(expr_parser *parser, ast **node)
{
    ast *call = *node;
    ast *parts = call->args[1];
    if (parts->kind != AST_LIST) {
        (void)venv_cel_parser_fail(parser, parts->pos, VENV_EINVAL, "expected a list of expressions: cel.block([e, …], body)");
        return false;
    }
    ast *block = venv_cel_node(parser, AST_BLOCK, call->pos, parts->count + 1);
    if (!block)
        return false;
    for (uint32_t i = 0; i < parts->count; i++)
        block->args[i] = parts->args[i];
    block->args[parts->count] = call->args[2];
    *node = block;
    return true;
}

static bool take_variable(expr_parser *parser, const ast *arg, venv_str *ret_name)
{
    if (arg->kind != AST_IDENT || arg->leading_dot) {
        (void)venv_cel_parser_fail(parser, arg->pos, VENV_EINVAL, "expected the name of a variable for the macro to set");
        return false;
    }
    *ret_name = arg->name;
    return true;
}

bool venv_cel_expand_macro(expr_parser *parser, ast **node)
{
    ast *call = *node;
    const macro_row *macro = find_macro(call);
    if (!macro)
        return true;
    if (macro->kind == AST_SELECT)
        return expand_has(parser, node);
    if (macro->kind == AST_IDENT)
        return expand_name(parser, node);
    if (macro->kind == AST_BLOCK)
        return expand_block(parser, node);
    bool keep_receiver = !macro->namespace;
    uint32_t bodies = macro->args - (uint32_t)macro->vars;
    ast *fold = venv_cel_node(parser, macro->kind, call->pos, bodies + keep_receiver);
    if (!fold)
        return false;
    fold->op = macro->detail;
    fold->flat = macro->kind == AST_OPT_MAP && macro->detail;
    for (uint32_t i = 0; i < macro->vars; i++) {
        if (!take_variable(parser, call->args[1 + i], &fold->vars[i]))
            return false;
    }
    if (macro->vars == 2 && fold->vars[0].size == fold->vars[1].size &&
        !memcmp(fold->vars[0].data, fold->vars[1].data, fold->vars[0].size)) {
        (void)venv_cel_parser_fail(parser, call->args[2]->pos, VENV_EINVAL, "the two variables need different names");
        return false;
    }
    if (keep_receiver)
        fold->args[0] = call->args[0];
    for (uint32_t i = 0; i < bodies; i++)
        fold->args[i + keep_receiver] = call->args[1 + macro->vars + i];
    fold->name = call->name;
    *node = fold;
    return true;
}
