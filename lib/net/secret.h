/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_NET_SECRET_H
#define VENV_NET_SECRET_H

#include <stddef.h>

/*
 * The first line of a file that nobody else may read: a password, a token. NULL, or what is wrong, for people; `buffer` is then wiped.
 * Whoever has it wipes it after use. Blocks.
 */
const char *venv_net_secret_read(const char *path, char *buffer, size_t size);

#endif
