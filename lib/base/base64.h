/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_BASE64_H
#define VENV_BASE_BASE64_H

#include "base/buf.h"

/* Base64 (RFC 4648, section 4), with padding. */
void venv_base64_append(venv_buf *buf, const void *data, size_t size);
/* What a character stands for, 0 to 63; -1: it is none. */
int venv_base64_digit(char c);

#endif
