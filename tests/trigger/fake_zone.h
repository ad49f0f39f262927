/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_TRIGGER_FAKE_ZONE_H
#define TESTS_TRIGGER_FAKE_ZONE_H

/*
 * The one time zone of these tests, Europe/Rome since 1996, as a TZif file (RFC 9636) without transitions: its
 * footer says all. Needs no database of the system.
 */

#include <venv/value.h>

#include <stdint.h>
#include <string.h>

/* A venv_expr_zone_fn; `user` points to an int that counts the calls, or is NULL. */
static venv_rc fake_zone(void *user, const char *name, venv_value *ret_file, venv_error *err)
{
    static const char footer[] = "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
    uint8_t file[160] = { 0 };
    size_t at = 0;
    if (user)
        ++*(int *)user;
    if (strcmp(name, "Europe/Rome") != 0)
        return venv_error_set(err, VENV_ENOENT, "no time zone '%s' here", name);
    for (int version = 1; version <= 2; version++) {
        memcpy(file + at, "TZif2", 5);
        file[at + 39] = 1; /* one type of local time */
        file[at + 43] = 4; /* and its name, with the zero byte */
        at += 44;
        file[at + 2] = 0x0e; /* 3600 = 0x0e10 seconds east */
        file[at + 3] = 0x10;
        memcpy(file + at + 6, "CET", 4);
        at += 10;
    }
    memcpy(file + at, footer, sizeof footer - 1);
    return venv_value_bytes(file, at + sizeof footer - 1, ret_file, err);
}

#endif
