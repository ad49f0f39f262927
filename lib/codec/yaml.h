/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_YAML_H
#define VENV_CODEC_YAML_H

/* YAML and its marks are public: this header is where other folders look for them. */

#include <venv/codec.h>

#endif
