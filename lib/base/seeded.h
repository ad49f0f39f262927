/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_SEEDED_H
#define VENV_BASE_SEEDED_H

/*
 * Faults that are sown on purpose, so that the simulator can show that it finds them.
 *
 *      if (is_final(i) && !VENV_SEEDED(FINAL_IGNORED))
 *
 * In every library that somebody gets, VENV_SEEDED() is the word `false`, and nothing is left of the fault. Only
 * `venv_seeded`, the library of the program venv_sim_seeded, is compiled with VENV_SEEDED_FAULTS; there the question goes
 * to that program, which answers for one fault at a time. The table of them is tests/sim/seeded.def; tests/house keeps
 * that table, the code and this promise together.
 */

#include <stdbool.h>

#ifdef VENV_SEEDED_FAULTS

typedef enum venv_seeded_fault {
    VENV_SEEDED_NONE = 0,
#define SEEDED(name, file, breaks, rule) VENV_SEEDED_##name,
#include "sim/seeded.def"
#undef SEEDED
    VENV_SEEDED__COUNT
} venv_seeded_fault;

bool venv_seeded_is(venv_seeded_fault fault); /* tests/sim/seeded.c */
#define VENV_SEEDED(name) venv_seeded_is(VENV_SEEDED_##name)

#else
#define VENV_SEEDED(name) false
#endif

#endif
