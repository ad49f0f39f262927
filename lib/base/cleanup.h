/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_CLEANUP_H
#define VENV_BASE_CLEANUP_H

/* Scope-bound release of owned locals (gcc and clang). */

#include <stdlib.h>

#define VENV_CLEANUP(function) __attribute__((cleanup(function)))

static inline void venv_cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}
#define VENV_AUTO_FREE VENV_CLEANUP(venv_cleanup_free)

/* Hand an owned local over to the caller: it is NULL afterwards and its cleanup does nothing. */
#define VENV_TAKE(pointer) (__extension__({ __typeof__(pointer) taken_ = (pointer); (pointer) = NULL; taken_; }))

#define VENV_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
