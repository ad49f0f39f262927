/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_MARKS_H
#define VENV_CODEC_MARKS_H

/* How marks are kept: all of a document's in one arena. Only the YAML reader makes them. */

#include "base/arena.h"
#include <venv/codec.h>

struct venv_yaml_marks {
    venv_arena arena;
    const char *file; /* in the arena; NULL if there is none */
    venv_mark root;
};

#endif
