/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encoders extension: base64 (RFC 4648, section 4), with padding or, when it is read, without.
 */
#include "expr/standard.h"

#include "base/base64.h"

EXPR_FUNCTION(encode)
{
    (void)count;
    venv_str bytes = venv_text_of(&args[0]);
    venv_buf *buf = &context->scratch;
    if (expr_charge(context, node, bytes.size / 4) != X_OK)
        return X_FATAL;
    venv_buf_clear(buf);
    venv_base64_append(buf, bytes.data, bytes.size);
    return venv_cel_text_scratch(context, node, VENV_STRING, out);
}

EXPR_FUNCTION(decode)
{
    (void)count;
    venv_str text = venv_text_of(&args[0]);
    venv_buf *buf = &context->scratch;
    if (expr_charge(context, node, text.size * 2) != X_OK)
        return X_FATAL;
    size_t size = text.size, padding = 0;
    while (size && padding < 2 && text.data[size - 1] == '=') {
        size--;
        padding++;
    }
    if (size % 4 == 1 || (padding && (size + padding) % 4))
        return venv_cel_fail(context, node, VENV_EINVAL, "this is no base64");
    venv_buf_clear(buf);
    uint32_t group = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < size; i++) {
        int digit = venv_base64_digit(text.data[i]);
        if (digit < 0)
            return venv_cel_fail(context, node, VENV_EINVAL, "this is no base64");
        group = group << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            venv_buf_append_byte(buf, (uint8_t)(group >> bits));
        }
    }
    return venv_cel_text_scratch(context, node, VENV_BYTES, out);
}

const expr_row venv_cel_encode_rows[] = {
    { "base64.encode(bytes) -> string", encode },
    { "base64.decode(string) -> bytes", decode },
    { NULL, NULL },
};
