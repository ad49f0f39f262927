/* SPDX-License-Identifier: Apache-2.0 */
/* The flight recorder of a manager that runs; see flight.h. */
#include "runtime/flight.h"

#include "base/cleanup.h"
#include "runtime/daemon.h"

#include <venv/daemon.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_SIZE  (4u << 20)
#define STACK_SIZE (64u << 10)

struct venv_flight {
    venv_recorder *recorder;
    char path[PATH_MAX]; /* "": nothing is written */
    bool has_stack;      /* the handlers have the one below, or else nobody's */
    char stack[STACK_SIZE];
};

/* What the handler of signals sees. */
static _Atomic(venv_flight *) current;

static const int faults[] = { SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL };

/* Only calls that signal-safety(7) allows. */
static void write_ring(const venv_flight *flight)
{
    venv_str parts[VENV_RECORD_PARTS];
    int fd = open(flight->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    venv_recorder_parts(flight->recorder, parts);
    for (size_t i = 0; i < VENV_RECORD_PARTS; i++) {
        size_t at = 0;
        while (at < parts[i].size) {
            ssize_t n = write(fd, parts[i].data + at, parts[i].size - at);
            if (n < 0 && errno == EINTR)
                continue;
            if (n <= 0)
                break;
            at += (size_t)n;
        }
    }
    (void)fsync(fd);
    (void)close(fd);
}

/* The default action of the signal follows: SA_RESETHAND. */
static void on_fault(int number)
{
    venv_flight *flight = atomic_exchange(&current, NULL);
    if (flight && flight->path[0])
        write_ring(flight);
    (void)raise(number);
}

/* A stack that has run over has no room for a handler. The loop's thread, where the core is, gets another one for it. */
static void lend_stack(venv_flight *flight)
{
    stack_t was, own = { .ss_sp = flight->stack, .ss_size = sizeof flight->stack };
    /* Whoever else has one (a sanitizer does) keeps it. */
    if (sigaltstack(NULL, &was) == 0 && (was.ss_flags & SS_DISABLE))
        flight->has_stack = sigaltstack(&own, NULL) == 0;
}

static void take_stack_back(venv_flight *flight)
{
    const stack_t none = { .ss_flags = SS_DISABLE };
    if (flight->has_stack)
        flight->has_stack = sigaltstack(&none, NULL) != 0;
}

static void handle_faults(bool on)
{
    struct sigaction action = { .sa_flags = (int)(SA_RESETHAND | SA_ONSTACK) };
    action.sa_handler = on ? on_fault : SIG_DFL;
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < VENV_COUNT_OF(faults); i++) {
        struct sigaction was;
        /* Whoever else wants them (a sanitizer does) keeps them. */
        if (sigaction(faults[i], NULL, &was) == 0 && (was.sa_handler == SIG_DFL || was.sa_handler == on_fault))
            (void)sigaction(faults[i], &action, NULL);
    }
}

/* The texts of the configuration; none if they cannot be read again. */
static size_t read_sources(const char *config_path, venv_config_files *files, venv_manager_source *sources)
{
    *files = (venv_config_files){ .items = NULL, .count = 0 };
    if (venv_config_files_read(config_path, files, NULL) != VENV_OK)
        return 0;
    return venv_manager_sources(files, sources);
}

venv_rc venv_flight_start(const char *config_path, const char *state, const venv_recorder_birth *birth, venv_manager *core,
                          venv_flight **ret_flight, venv_error *err)
{
    venv_flight *flight = calloc(1, sizeof *flight);
    venv_manager_source sources[VENV_CONFIG_FILES_MAX];
    venv_config_files files;
    if (!flight)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = venv_recorder_new(RING_SIZE, &flight->recorder, err);
    if (rc != VENV_OK) {
        free(flight);
        return rc;
    }
    if (state && snprintf(flight->path, sizeof flight->path, "%s/flight.record", state) >= PATH_MAX)
        flight->path[0] = '\0';
    venv_recorder_birth whole = *birth;
    whole.sources = sources;
    whole.source_count = read_sources(config_path, &files, sources);
    venv_recorder_begin(flight->recorder, &whole, core);
    venv_config_files_fini(&files);
    atomic_store(&current, flight);
    lend_stack(flight);
    handle_faults(true);
    *ret_flight = flight;
    return VENV_OK;
}

void venv_flight_end(venv_flight *flight)
{
    if (!flight)
        return;
    handle_faults(false);
    take_stack_back(flight);
    atomic_store(&current, NULL);
    venv_recorder_free(flight->recorder);
    free(flight);
}

void venv_flight_configured(venv_flight *flight, const venv_manager_source *sources, size_t count)
{
    if (flight)
        venv_recorder_configured(flight->recorder, sources, count);
}

void venv_flight_event(venv_flight *flight, venv_now now, const venv_manager_event *event)
{
    if (flight)
        venv_recorder_event(flight->recorder, now, event, (venv_str){ NULL, 0 });
}

void venv_flight_step(venv_flight *flight, const venv_manager_actions *actions)
{
    if (flight)
        venv_recorder_step(flight->recorder, actions, false);
}

venv_rc venv_flight_take(const venv_flight *flight, venv_value *ret_answer, venv_error *err)
{
    venv_str parts[VENV_RECORD_PARTS];
    venv_value data = venv_value_null();
    venv_map_builder map;
    size_t size = 0, at = 0;
    if (!flight)
        return venv_error_set(err, VENV_ENOENT, "this manager has no flight recorder: there was no memory for it");
    venv_recorder_parts(flight->recorder, parts);
    for (size_t i = 0; i < VENV_RECORD_PARTS; i++)
        size += parts[i].size;
    VENV_AUTO_FREE char *whole = malloc(size + 1);
    if (!whole)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    for (size_t i = 0; i < VENV_RECORD_PARTS; i++) {
        if (parts[i].size > 0)
            memcpy(whole + at, parts[i].data, parts[i].size);
        at += parts[i].size;
    }
    venv_rc rc = venv_value_bytes(whole, size, &data, err);
    if (rc != VENV_OK)
        return rc;
    venv_map_init(&map);
    venv_map_put_z(&map, "format", "venv-record 1");
    venv_map_put(&map, "data", data);
    return venv_map_take(&map, ret_answer, err);
}
