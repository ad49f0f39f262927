/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_RUNTIME_ADDRESSES_H
#define VENV_RUNTIME_ADDRESSES_H

/* "HOST:PORT", "[IPv6]:PORT" and socket addresses as text. */

#include <venv/common.h>

#include <sys/socket.h>

#define VENV_ADDRESS_TEXT_MAX 64
#define VENV_HOST_MAX         256
#define VENV_PORT_TEXT_MAX    8

/* Cut a text into host and port; `:7420` is the port where none is given. The host may be empty ("any" to listen). */
venv_rc venv_address_split(const char *text, char ret_host[VENV_HOST_MAX], char ret_port[VENV_PORT_TEXT_MAX], venv_error *err);

/* "192.0.2.7:40112", "[2001:db8::1]:40112". */
void venv_address_print(const struct sockaddr *address, char ret_text[VENV_ADDRESS_TEXT_MAX]);

/* Who counts as one source: the IPv4 address, or the /64 of an IPv6 address, without the port. */
void venv_address_source(const struct sockaddr *address, char ret_text[VENV_ADDRESS_TEXT_MAX]);

#endif
