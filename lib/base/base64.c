/* SPDX-License-Identifier: Apache-2.0 */
/* Base64, written. Reading differs by who reads: it is where it is needed, by the same alphabet. */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void venv_base64_append(venv_buf *buf, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size && buf->rc == VENV_OK; i += 3) {
        size_t rest = size - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (rest > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (rest > 2)
            group |= bytes[i + 2];
        char text[4] = { alphabet[group >> 18], alphabet[group >> 12 & 63], rest > 1 ? alphabet[group >> 6 & 63] : '=',
                         rest > 2 ? alphabet[group & 63] : '=' };
        venv_buf_append(buf, text, sizeof text);
    }
}

int venv_base64_digit(char c)
{
    for (int i = 0; i < 64; i++) {
        if (alphabet[i] == c)
            return i;
    }
    return -1;
}
