/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TEXT_H
#define VENV_TEXT_H

/**
 * @file venv/text.h
 * @brief Text as people write and read it: lengths of time, sizes, instants, words that were mistyped,
 *        and text of others made safe for a terminal.
 *
 * @par Example
 * @code
 *      venv_span timeout;
 *      if (!venv_span_parse(VENV_STR("1m30s"), &timeout))
 *          return usage("a length of time, as 30s or 1h30m");
 * @endcode
 *
 * @par Purity
 *      Nothing here reads a clock, a locale or an environment variable.
 *
 * @par Threads
 *      No state: any thread, at any time.
 */

#include <venv/common.h>

VENV_BEGIN_DECLS

/**
 * Read a length of time: `"250ms"`, `"1.5s"`, `"2m"`, `"1h30m"`, `"7d"`.
 *
 * @return false if it is malformed, negative, or beyond ten years; `*ret_span` is untouched then.
 */
VENV_API bool venv_span_parse(venv_str text, venv_span *ret_span);

#define VENV_SPAN_TEXT_SIZE 48 /**< Bytes that hold every text of venv_span_format(). */

/** Write the shortest text that venv_span_parse() reads back: `"1h30m"`.  @return `buffer`. */
VENV_API const char *venv_span_format(venv_span span, char *buffer, size_t size);

/**
 * Read a size: `"512MiB"`, `"20GiB"`, `"10GB"`, `"4096"` (bytes).
 *
 * @return false if it is malformed or beyond INT64_MAX; `*ret_bytes` is untouched then.
 */
VENV_API bool venv_size_parse(venv_str text, uint64_t *ret_bytes);

#define VENV_WALL_TEXT_SIZE 32 /**< Bytes that hold every text of venv_wall_format(). */

/** Write an instant by RFC 3339 in UTC with milliseconds: `"2026-11-22T18:30:00.000Z"`.  @return `ret_text`. */
VENV_API const char *venv_wall_format(venv_wall wall, char ret_text[VENV_WALL_TEXT_SIZE]);

/**
 * Find the word that was probably meant, by edit distance.
 *
 * @param words  NULL-terminated.
 * @return One of `words`; NULL if none is near.
 */
VENV_API const char *venv_text_nearest(venv_str text, const char *const *words);

/**
 * Write text of another party so that it is safe on a terminal and in a log.
 *
 * Control characters (C0, C1, DEL), bidirectional controls and invalid UTF-8 become `\n`, `\t`,
 * `\xNN` or `\u{N}`, a backslash stays one.  What does not fit is cut at a whole character; there is always a NUL if `size > 0`.
 *
 * @return Bytes that the whole text needs, without the NUL: it was cut if that is `size` or more.
 */
VENV_API size_t venv_text_safe(venv_str text, char *buffer, size_t size);

VENV_END_DECLS
#endif /* VENV_TEXT_H */
