/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_CONFIG_ROWS_H
#define VENV_AGENT_CONFIG_ROWS_H

#include "codec/config.h"

/* The rows of an included file. Those of the main file are in agent/config.h. */
const venv_config_row *venv_agent_config_included_rows(void);

#endif
