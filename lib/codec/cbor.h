/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_CBOR_H
#define VENV_CODEC_CBOR_H

/*
 * CBOR for other folders: encoding at the end of a buffer, so that a frame is built without a copy.
 * The format and the limits are in venv/codec.h.
 */

#include "base/buf.h"
#include <venv/codec.h>

/* Append the encoding. On failure the buffer is as it was (its own `rc` is VENV_OK if it was). */
venv_rc venv_cbor_append(venv_buf *buf, const venv_value *value, const venv_cbor_options *options,
                         venv_error *err);

#endif
