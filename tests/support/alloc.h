/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_ALLOC_H
#define VENV_TESTS_ALLOC_H

/*
 * Allocations that fail on demand, and a count of what was not released.
 *
 * For programs made by venv_alloc_test() in CMake: the linker sends every malloc(), calloc(), realloc()
 * and free() of libvenv and of the test through here (--wrap); foreign libraries keep their own. For those
 * made by venv_whole_alloc_test() these are the functions of the whole program, foreign libraries included.
 */

#include <venv/common.h>

/* The `nth` allocation from now on fails, once; 0: none does. Starts the counts anew. */
void alloc_fail_at(unsigned long nth);
/* Allocations since then. */
unsigned long alloc_count(void);
/* Blocks that were allocated since then and are not yet free. */
long alloc_live(void);

/*
 * Run `run` with every allocation working, then again and again with the first, the second, … failing.
 * The first time it must succeed; else it must give VENV_ENOMEM, or VENV_OK where it can do without that
 * block; it may never leave a block behind. Fails the cmocka test otherwise. Returns how many of the
 * allocations were indispensable.
 */
unsigned long alloc_check(venv_rc (*run)(void *user), void *user);

#endif
