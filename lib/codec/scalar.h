/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_SCALAR_H
#define VENV_CODEC_SCALAR_H

/* What a plain scalar of YAML and a number of JSON mean. */

#include <venv/codec.h>

typedef enum venv_scalar {
    VENV_SCALAR_TEXT,    /* none of these: it is a string */
    VENV_SCALAR_VALUE,   /* `ret_value` is set; it needs no memory */
    VENV_SCALAR_RANGE,   /* a number that no value can hold */
} venv_scalar;

/* The core schema of YAML 1.2.2, 10.3.2. */
venv_scalar venv_scalar_resolve(venv_str text, venv_value *ret_value);

/* -?digits: an int, or a uint beyond that. The text must be all digits after the sign. */
venv_scalar venv_scalar_integer(venv_str text, venv_value *ret_value);

#endif
