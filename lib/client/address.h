/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CLIENT_ADDRESS_H
#define VENV_CLIENT_ADDRESS_H

/* `HOST:PORT`, `HOST`, `ADDRESS` or `[IPv6]:PORT`, split and checked; nothing is looked up. */

#include <venv/client.h>

typedef struct venv_address {
    char host[VENV_CLIENT_ADDRESS_MAX];
    char port[6];
} venv_address;

/* VENV_EINVAL with what is expected. */
venv_rc venv_address_parse(const char *text, venv_address *ret_address, venv_error *err);

#endif
