/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "support/alloc.h"

#include <stdlib.h>

#define ALLOCATIONS_MAX 1000000ul

static unsigned long count, failing;
static long live;

/* The whole program's: what is called malloc() everywhere, foreign libraries included, is ours. */
#ifdef VENV_ALLOC_WHOLE
#define __wrap_malloc  malloc
#define __wrap_calloc  calloc
#define __wrap_realloc realloc
#define __wrap_free    free
#define __real_malloc  __libc_malloc
#define __real_calloc  __libc_calloc
#define __real_realloc __libc_realloc
#define __real_free    __libc_free
#endif

void *__real_malloc(size_t size);
void *__real_calloc(size_t items, size_t size);
void *__real_realloc(void *data, size_t size);
void __real_free(void *data);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t items, size_t size);
void *__wrap_realloc(void *data, size_t size);
void __wrap_free(void *data);

static bool fails(void)
{
    return ++count == failing;
}

static void *counted(void *data)
{
    live += data != NULL;
    return data;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t items, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(items, size));
}

void *__wrap_realloc(void *data, size_t size)
{
    if (fails())
        return NULL;
    void *moved = __real_realloc(data, size);
    live += !data && moved;
    return moved;
}

void __wrap_free(void *data)
{
    live -= data != NULL;
    __real_free(data);
}

void alloc_fail_at(unsigned long nth)
{
    count = 0;
    failing = nth;
    live = 0;
}

unsigned long alloc_count(void)
{
    return count;
}

long alloc_live(void)
{
    return live;
}

unsigned long alloc_check(venv_rc (*run)(void *user), void *user)
{
    alloc_fail_at(0);
    assert_int_equal(run(user), VENV_OK);
    unsigned long total = alloc_count(), needed = 0;
    if (alloc_live() != 0)
        fail_msg("%ld blocks are left behind where nothing failed", alloc_live());
    assert_true(total < ALLOCATIONS_MAX);
    for (unsigned long nth = 1; nth <= total; nth++) {
        alloc_fail_at(nth);
        venv_rc rc = run(user);
        long left = alloc_live();
        alloc_fail_at(0);
        if (left != 0)
            fail_msg("allocation %lu of %lu failed: %ld blocks are left behind", nth, total, left);
        if (rc != VENV_OK && rc != VENV_ENOMEM)
            fail_msg("allocation %lu of %lu failed: the code is %s", nth, total, venv_rc_name(rc));
        needed += rc == VENV_ENOMEM;
    }
    return needed;
}
