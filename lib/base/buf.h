/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_BUF_H
#define VENV_BASE_BUF_H

/*
 * A growing byte buffer with a stated maximum and an error that sticks.
 *
 * Append as often as needed and look at `rc` once at the end.  It is not a stream and not a ring:
 * for bytes that leave at the front use venv_buf_drop(), which moves what remains.
 */

#include <venv/common.h>

#include <stdarg.h>

typedef struct venv_buf {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t max;      /* never grows past this */
    venv_rc rc;      /* VENV_OK, or the first failure: VENV_ENOMEM, VENV_ELIMIT */
} venv_buf;

/* Start empty. Nothing is allocated until the first append. */
void venv_buf_init(venv_buf *buf, size_t max);
void venv_buf_fini(venv_buf *buf);
/* Forget the content and the error, keep the memory. */
void venv_buf_clear(venv_buf *buf);

void venv_buf_append(venv_buf *buf, const void *data, size_t size);
void venv_buf_append_text(venv_buf *buf, const char *text);
void venv_buf_append_byte(venv_buf *buf, uint8_t byte);
void venv_buf_printf(venv_buf *buf, const char *format, ...) VENV_PRINTF(2, 3);

/* Room for `size` bytes at the end, to be filled and then counted with venv_buf_grew(). NULL on failure. */
uint8_t *venv_buf_reserve(venv_buf *buf, size_t size);
void venv_buf_grew(venv_buf *buf, size_t size);

/* Remove bytes at the front. */
void venv_buf_drop(venv_buf *buf, size_t size);

/* The text, NUL-terminated (the NUL is not counted); "" if it failed or is empty. Borrowed until the next change. */
const char *venv_buf_peek_text(venv_buf *buf);

/* The bytes; ownership moves to the caller, the buffer is empty. NULL if it failed. */
uint8_t *venv_buf_take(venv_buf *buf, size_t *ret_size);

#endif
