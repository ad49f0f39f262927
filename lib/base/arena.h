/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_ARENA_H
#define VENV_BASE_ARENA_H

/*
 * Memory that is released all at once, with a stated maximum. For trees that live and die together
 * (a syntax tree, the intermediate values of one evaluation). Objects in it have no destructor.
 */

#include <venv/common.h>

#include <stdalign.h>
#include <stddef.h>

typedef struct venv_arena {
    struct venv_arena_block *head;
    unsigned char *at; /* the free bytes of the head, which are zero */
    size_t left; /* of them, as many as may be handed out: a multiple of the alignment */
    size_t used; /* bytes handed out */
    size_t max;
} venv_arena;

void venv_arena_init(venv_arena *arena, size_t max);
void venv_arena_fini(venv_arena *arena);
/* Forget everything; keeps one block for the next use. */
void venv_arena_clear(venv_arena *arena);

#define VENV_ARENA_ALIGN alignof(max_align_t)

void *venv_arena_alloc_slow(venv_arena *arena, size_t size);

/* Zeroed, aligned for any type. NULL when out of memory or past `max`. */
static inline void *venv_arena_alloc(venv_arena *arena, size_t size)
{
    if (size > arena->left)
        return venv_arena_alloc_slow(arena, size);
    size_t rounded = (size + VENV_ARENA_ALIGN - 1) & ~(VENV_ARENA_ALIGN - 1);
    void *memory = arena->at;
    arena->at += rounded;
    arena->left -= rounded;
    arena->used += rounded;
    return memory;
}
/* Copy with a NUL after it. */
char *venv_arena_dup(venv_arena *arena, const char *text, size_t size);

#endif
