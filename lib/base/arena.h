/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_ARENA_H
#define VENV_BASE_ARENA_H

/*
 * Memory that is released all at once, with a stated maximum. For trees that live and die together
 * (a syntax tree, the intermediate values of one evaluation). Objects in it have no destructor.
 */

#include <venv/common.h>

typedef struct venv_arena {
    struct venv_arena_block *head;
    size_t used; /* bytes handed out */
    size_t max;
} venv_arena;

void venv_arena_init(venv_arena *arena, size_t max);
void venv_arena_fini(venv_arena *arena);
/* Forget everything; keeps one block for the next use. */
void venv_arena_clear(venv_arena *arena);

/* Zeroed, aligned for any type. NULL when out of memory or past `max`. */
void *venv_arena_alloc(venv_arena *arena, size_t size);
/* Copy with a NUL after it. */
char *venv_arena_dup(venv_arena *arena, const char *text, size_t size);

#endif
