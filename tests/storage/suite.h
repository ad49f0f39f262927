/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_STORAGE_SUITE_H
#define VENV_TESTS_STORAGE_SUITE_H

/* What every driver of storage must do, over the URL of an empty directory that may be written to. */

#include <venv/storage.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Run all of it for `base`; what the driver's table says it cannot do is checked to be refused. */
void suite_run(venv_storage *storage, const char *base, const char *label);
/* A URL beneath `base`, in a static buffer that is used again after 16 calls. */
const char *suite_url(const char *base, const char *name);
/* Deterministic bytes. */
void suite_bytes(uint8_t *data, size_t size, uint32_t seed);

#define suite_ok(expression) suite_check((expression), &suite_err, #expression, __FILE__, __LINE__)
#define suite_fails(expression, wanted) suite_check_class((expression), &suite_err, wanted, #expression, __FILE__, __LINE__)
extern venv_storage_error suite_err;
void suite_check(venv_rc rc, venv_storage_error *err, const char *what, const char *file, int line);
void suite_check_class(venv_rc rc, venv_storage_error *err, venv_storage_class wanted, const char *what, const char *file,
                       int line);

#endif
