/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_MACHINE_ID_H
#define VENV_RUNTIME_MACHINE_ID_H

/*
 * An id of the computer: managers tell a copied key (another machine) from an agent that was started again (the same) by it.
 *
 * It is made from /etc/machine-id. machine-id(5) asks not to show the id itself to others: it is hashes of it. Small systems have no such
 * file. There one is drawn once and kept beside what the agent remembers; without it an agent that was started again would be taken for
 * a clone for as long as its old connection seems to live.
 */

#include <venv/common.h>

/*
 * `system`: usually "/etc/machine-id". `kept`: the file to keep one in, as 32 hexadecimal digits; made (0600) where it is needed.
 * VENV_EIO: neither can be had, and the text says why; *ret_id is none then.
 */
venv_rc venv_machine_id_read(const char *system, const char *kept, venv_id *ret_id, venv_error *err);

#endif
