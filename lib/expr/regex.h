/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_REGEX_H
#define VENV_EXPR_REGEX_H

/*
 * Regular expressions in the syntax of RE2 (github.com/google/re2/wiki/Syntax), matched in time that is
 * linear in the text: all alternatives advance together, one character at a time, and none is tried
 * again. What a single character class holds is decided by PCRE2, which has the tables of Unicode.
 */

#include <venv/common.h>

typedef struct expr_regex expr_regex;

struct expr_regex {
    struct expr_regex *next; /* a program's own, to be released with it */
    struct regex_step *steps;
    uint32_t step_count, step_capacity;
    struct regex_class *classes;
    uint32_t class_count;
    char *pattern;
    size_t pattern_size;
};

#define EXPR_REGEX_PATTERN_MAX 4096u /* bytes of a pattern */
#define EXPR_REGEX_STEPS_MAX   4000u /* after repetitions are written out */
#define EXPR_REGEX_CLASSES_MAX 500u
#define EXPR_REGEX_DEPTH_MAX   100u  /* brackets in brackets */
#define EXPR_REGEX_NAMES_MAX   100u  /* named groups */
#define EXPR_REGEX_REPEAT_MAX  1000u /* x{n} */

venv_rc venv_cel_regex_new(venv_str pattern, expr_regex **ret_regex, venv_error *err);
void venv_cel_regex_free(expr_regex *regex);

/* Bytes of working memory for a match. */
size_t venv_cel_regex_memory(const expr_regex *regex);

/*
 * Is there a match anywhere in the text? `memory` has venv_cel_regex_memory() bytes. `*steps` is reduced by
 * the work that was done; VENV_ELIMIT when it is used up, VENV_ENOMEM.
 */
venv_rc venv_cel_regex_search(const expr_regex *regex, venv_str text, void *memory, uint64_t *steps, bool *ret_found);

#endif
