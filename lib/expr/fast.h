/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_FAST_H
#define VENV_EXPR_FAST_H

/*
 * Conditions made of comparisons with constants, as most triggers and filters are: a list of tests, each
 * with the test to go on with for either answer. One loop runs it, without a call for each part.
 *
 * It knows only the expected: a variable in its slot or in the map of variables, of the kind that it is
 * compared with. At anything else (another kind, unknown, absent, an error) it gives up without having
 * changed anything, and the tree of nodes is run in its place. It is never needed, only quicker.
 */

#include "expr/program.h"

typedef enum fast_place {
    FAST_SLOT,
    FAST_LOCAL,
    FAST_FIELD,      /* local.key */
    FAST_ITEM,       /* what a fold is at */
    FAST_ITEM_FIELD, /* item.key */
    FAST_END,        /* the answer is known: mask */
} fast_place;

typedef enum fast_kind {
    FAST_INT,
    FAST_DOUBLE,
    FAST_TEXT, /* short, for equality */
    FAST_BOOL,
} fast_kind;

typedef struct fast_test {
    uint8_t op;    /* 4 * place + kind */
    uint8_t mask;  /* as of the comparison nodes */
    uint32_t index; /* of the slot or local */
    uint32_t site;
    const struct fast_test *yes, *no; /* where to go on */
    venv_value key; /* of a field; the name of a variable */
    venv_value value;
} fast_test;

#define FAST_OP(place, kind) ((place) * 4 + (kind))
#define FAST_TESTS_MAX 64u

typedef struct fast_program {
    uint32_t count;
    const fast_test *ends[2]; /* the answers no and yes: they stand behind the tests */
    fast_test tests[];
} fast_program;

/*
 * NULL if the condition is made of something else, or there is no memory: it is not needed.
 * `item` is the local that the fold around sets in each round, UINT32_MAX if there is none.
 */
const fast_program *venv_cel_fast_new(venv_arena *arena, const xnode *node, uint32_t item);

#define FAST_GAVE_UP (-1)

/* 0, 1, or FAST_GAVE_UP. */
int venv_cel_fast_run(const xctx *context, const fast_program *program);

/* In how many of the items it holds; false: gave up. Items are values of a list. */
bool venv_cel_fast_count(const xctx *context, const fast_program *program, const venv_value *items, uint32_t count,
                     uint64_t *ret_count);

/* Of a single item. */
int venv_cel_fast_item(const xctx *context, const fast_program *program, const venv_value *item);

#endif
