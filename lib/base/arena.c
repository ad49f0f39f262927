/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: a list of blocks, filled from the front. A block is never moved, so pointers stay good.
 * It is zeroed as a whole when it is made, which is cheaper than piece by piece.
 */
#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_FIRST   4096u
#define BLOCK_LARGEST (256u * 1024u)

typedef struct venv_arena_block {
    struct venv_arena_block *next;
    size_t size; /* a multiple of the alignment */
    alignas(max_align_t) unsigned char data[];
} block;

void venv_arena_init(venv_arena *arena, size_t max)
{
    *arena = (venv_arena){ .max = max };
}

static void free_blocks(block *at)
{
    while (at) {
        block *next = at->next;
        free(at);
        at = next;
    }
}

void venv_arena_fini(venv_arena *arena)
{
    free_blocks(arena->head);
    venv_arena_init(arena, arena->max);
}

/* What may be handed out from `at` on, where `size` bytes are free. */
static void set_free(venv_arena *arena, unsigned char *at, size_t size)
{
    size_t allowed = arena->used < arena->max ? (arena->max - arena->used) & ~(VENV_ARENA_ALIGN - 1) : 0;
    arena->at = at;
    arena->left = size < allowed ? size : allowed;
}

void venv_arena_clear(venv_arena *arena)
{
    block *head = arena->head;
    if (head) {
        free_blocks(head->next);
        head->next = NULL;
        memset(head->data, 0, (size_t)(arena->at - head->data));
        arena->used = 0;
        set_free(arena, head->data, head->size);
    }
}

void *venv_arena_alloc_slow(venv_arena *arena, size_t size)
{
    if (size > arena->max || arena->used > arena->max - size || size > SIZE_MAX - VENV_ARENA_ALIGN - sizeof(block))
        return NULL;
    size_t rounded = (size + VENV_ARENA_ALIGN - 1) & ~(VENV_ARENA_ALIGN - 1);
    size_t wanted = arena->head ? arena->head->size * 2 : BLOCK_FIRST;
    if (wanted > BLOCK_LARGEST)
        wanted = BLOCK_LARGEST;
    if (wanted < rounded)
        wanted = rounded;
    block *fresh = calloc(1, sizeof *fresh + wanted);
    if (!fresh)
        return NULL;
    fresh->next = arena->head;
    fresh->size = wanted;
    arena->head = fresh;
    arena->used += rounded;
    set_free(arena, fresh->data + rounded, wanted - rounded);
    return fresh->data;
}

char *venv_arena_dup(venv_arena *arena, const char *text, size_t size)
{
    char *copy = size < SIZE_MAX ? venv_arena_alloc(arena, size + 1) : NULL;
    if (copy && size)
        memcpy(copy, text, size);
    return copy;
}
