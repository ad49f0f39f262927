/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_KEYS_H
#define VENV_ENVIRONMENT_KEYS_H

/* The keys of a definition: for whoever nests them in a table of its own, and for the manual. */

#include "codec/config.h"

extern const venv_config_row venv_environment_rows[];

#endif
