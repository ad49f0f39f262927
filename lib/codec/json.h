/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_JSON_H
#define VENV_CODEC_JSON_H

/* JSON for other folders: printing at the end of a buffer. See venv/codec.h. */

#include "base/buf.h"
#include <venv/codec.h>

/* Append the text (no newline at the end in either style). On failure the buffer is as it was. */
venv_rc venv_json_append(venv_buf *buf, const venv_value *value, venv_json_style style, venv_error *err);

#endif
