/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_MESSAGE_FRAME_H
#define VENV_MESSAGE_FRAME_H

/* Frames appended to a buffer: what the daemons' send queues use instead of venv_frame_encode(). */

#include "base/buf.h"

#include <venv/message.h>

/* Append a whole frame. On failure (as venv_frame_encode(), or the buffer's limit) the buffer is as it was. */
venv_rc venv_frame_append(venv_buf *buf, int16_t type, uint64_t request, const venv_value *body, venv_error *err);

#endif
