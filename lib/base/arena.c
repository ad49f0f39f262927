/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: a list of blocks, filled from the front. A block is never moved, so pointers stay good.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN        alignof(max_align_t)
#define BLOCK_FIRST  4096u
#define BLOCK_LARGEST (256u * 1024u)

typedef struct venv_arena_block {
    struct venv_arena_block *next;
    size_t used;
    size_t size;
    alignas(max_align_t) uint8_t data[];
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

void venv_arena_clear(venv_arena *arena)
{
    if (arena->head) {
        free_blocks(arena->head->next);
        arena->head->next = NULL;
        arena->head->used = 0;
    }
    arena->used = 0;
}

static block *add_block(venv_arena *arena, size_t size)
{
    size_t wanted = arena->head ? arena->head->size * 2 : BLOCK_FIRST;
    if (wanted > BLOCK_LARGEST)
        wanted = BLOCK_LARGEST;
    if (wanted < size)
        wanted = size;
    block *fresh = malloc(sizeof *fresh + wanted);
    if (!fresh)
        return NULL;
    fresh->next = arena->head;
    fresh->used = 0;
    fresh->size = wanted;
    arena->head = fresh;
    return fresh;
}

void *venv_arena_alloc(venv_arena *arena, size_t size)
{
    if (size > arena->max || arena->used > arena->max - size)
        return NULL;
    size_t rounded = (size + ALIGN - 1) & ~(ALIGN - 1);
    if (rounded < size)
        return NULL;
    block *at = arena->head;
    if ((!at || at->size - at->used < rounded) && !(at = add_block(arena, rounded)))
        return NULL;
    void *memory = at->data + at->used;
    at->used += rounded;
    arena->used += rounded;
    memset(memory, 0, size);
    return memory;
}

char *venv_arena_dup(venv_arena *arena, const char *text, size_t size)
{
    char *copy = size < SIZE_MAX ? venv_arena_alloc(arena, size + 1) : NULL;
    if (copy && size)
        memcpy(copy, text, size);
    return copy;
}
