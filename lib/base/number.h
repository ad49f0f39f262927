/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_BASE_NUMBER_H
#define VENV_BASE_NUMBER_H

/*
 * Floating-point numbers as text, whatever the locale of the program says about decimal points.
 */

#include <venv/common.h>

#define VENV_DOUBLE_TEXT_SIZE 32

/*
 * The shortest decimal text that reads back as the same double: "1.5", "1e+300", "-0", "3" (no point
 * is added). "nan", "inf", "-inf" for what is not finite. Returns its length.
 */
size_t venv_double_format(double number, char ret_text[VENV_DOUBLE_TEXT_SIZE]);

/*
 * Read a decimal number: [+-] digits [. digits] [e [+-] digits], digits on at least one side of the
 * point. Correctly rounded; an overflow is infinite. False if malformed or longer than 1,100 bytes.
 */
bool venv_double_parse(venv_str text, double *ret_number);

#endif
