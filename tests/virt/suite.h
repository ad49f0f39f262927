/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_VIRT_SUITE_H
#define VENV_TESTS_VIRT_SUITE_H

/*
 * What each driver of a hypervisor must do, as tests that know only the public interface. A driver is plugged
 * in with a few functions of its own.
 */

#include <venv/environment.h>
#include <venv/machine.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

typedef struct suite_driver {
    const char *name;
    venv_hypervisor_kind kind;  /* of the machines that it can start */
    bool obedient;              /* its guests hear the power button */
    bool no_checkpoints, no_console, no_reboot; /* what it cannot do: told as VENV_EUNSUPPORTED */
    venv_hypervisor *(*open)(void *self, const char *cluster);
    venv_id (*foreign)(void *self);                    /* a running domain that is not ours, and is called suite_foreign_name */
    const char *(*foreign_name)(void *self);
    bool (*foreign_runs)(void *self);                  /* it is as it was */
    void (*end_guest)(void *self, venv_id id);         /* the guest ends by itself, in order or not */
    void *self;
} suite_driver;

/* Run every test of the suite. Returns the number that failed. */
int suite_run(suite_driver *driver);

/* Make a machine: its id (from `number`), and XML for a cluster. */
venv_id suite_id(unsigned number);
char *suite_xml(venv_hypervisor_kind kind, unsigned number, const char *cluster, const char *instance, uint64_t epoch);
/* A file that the hypervisor may write the console of `number` to, and an empty disk. Made on first use, removed by suite_clean(). */
const char *suite_folder(void);
/* Where drivers that can keep memories of saved machines. */
const char *suite_saves(void);
void suite_clean(void);

#define assert_rc(rc, expected, err) suite_assert_rc((rc), (expected), (err), __FILE__, __LINE__)
void suite_assert_rc(venv_rc rc, venv_rc expected, const venv_error *err, const char *file, int line);

#endif
