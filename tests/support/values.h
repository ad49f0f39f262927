/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_VALUES_H
#define VENV_TESTS_VALUES_H

/* Random values of every kind that can be encoded, for properties that must hold for all. */

#include "base/random.h"
#include <venv/value.h>

/* `depth`: how deep lists and maps may be nested. Owned by the caller. */
venv_value values_draw(venv_random *random, int depth);

#endif
