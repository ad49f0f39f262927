/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_ENVIRONMENT_GENERATE_H
#define VENV_TESTS_ENVIRONMENT_GENERATE_H

/*
 * Definitions with anything in them that a definition may have, for tests. Their shape and their texts come from two
 * sources of chance, so that the same shape can be had with hostile and with tame texts.
 */

#include "base/random.h"

#include <venv/environment.h>

typedef struct generated {
    venv_value value;             /* as it would be written */
    venv_environment *environment;
    venv_machine_mark mark;
    venv_domain_files files;
    char *texts[256]; /* behind files and mark */
    size_t text_count;
    uint32_t cpus[VENV_ENVIRONMENT_VCPUS_MAX];
} generated;

/* Makes one; asserts that it is accepted. `kind`: of the hypervisor, or VENV_HYPERVISOR__COUNT for any. */
void generate(venv_random *shape, venv_random *texts, bool hostile, venv_hypervisor_kind kind, generated *ret_generated);
void generated_fini(generated *g);

#endif
