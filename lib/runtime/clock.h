/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_CLOCK_H
#define VENV_RUNTIME_CLOCK_H

/* The only place of the library that reads clocks. */

#include <venv/common.h>

/* Both clocks, one after the other. */
venv_now venv_clock_read(void);

/* `instant` + `span` without overflow: NEVER stays, and the end of time is where it stops. */
venv_instant venv_instant_after(venv_instant instant, venv_span span);

#endif
