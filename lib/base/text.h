/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_TEXT_H
#define VENV_BASE_TEXT_H

/*
 * Bytes seen as text: UTF-8, escaping for terminals and logs. What programs use as well (durations and
 * sizes as people write them, the nearest of a list of words) is in venv/text.h.
 */

#include "base/buf.h"

#include <venv/text.h> /* durations, sizes, instants, the nearest word */

/* Length of the longest prefix that is valid UTF-8 (no surrogates, no overlong forms). */
size_t venv_utf8_valid_prefix(const char *text, size_t size);
bool venv_utf8_is_valid(const char *text, size_t size);
/* Decode one code point. Returns its length in bytes, 0 at the end or where it is invalid. */
size_t venv_utf8_decode(const char *text, size_t size, uint32_t *ret_point);
/* Encode one code point into up to 4 bytes. Returns the length, 0 for a surrogate or > U+10FFFF. */
size_t venv_utf8_encode(uint32_t point, char ret_bytes[4]);

/* True for what may not reach a terminal or a log as it is: C0, C1, DEL, bidirectional controls, line separators. */
bool venv_text_is_control(uint32_t point);

/* How many bytes at the beginning are printable ASCII, which nothing has to be done to: mostly all of them. */
size_t venv_text_plain_prefix(const char *text, size_t size);

/*
 * Append text so that it is safe on a terminal and in a line of a log: C0, C1, DEL, bidirectional
 * controls and invalid bytes become \n, \t, \xNN or \u{N}; at most `max` bytes, then "…".
 */
void venv_text_escape(venv_buf *buf, const char *text, size_t size, size_t max);

#endif
