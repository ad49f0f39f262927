/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MAN_KEYS_H
#define VENV_MAN_KEYS_H

/* Rows of a configuration as roff, for the programs that print the tables of manual pages. */

#include "codec/config.h"

/* Text with what roff would take for its own escaped. */
void keys_print(const char *text);

/* The keys whose paths begin with the prefix; `direct`: without those of the maps in them. False if there are none. */
bool keys_table(const venv_config_row *rows, const char *prefix, bool direct);

#endif
