/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CLIENT_FAKE_MANAGER_H
#define TESTS_CLIENT_FAKE_MANAGER_H

/*
 * A manager that does as it is told: real TCP and TLS on 127.0.0.1, and a script of one function for what
 * it answers. It runs on a thread of its own and serves one connection after the other.
 */

#include <venv/common.h>
#include <venv/value.h>

typedef struct fake_manager fake_manager;

/* What to do with a connection before the first request. */
typedef enum fake_greeting {
    FAKE_WELCOME = 0,
    FAKE_REFUSE,      /* REFUSED instead of WELCOME */
    FAKE_SILENT,      /* takes the HELLO and says nothing */
    FAKE_PLAIN,       /* no TLS: says "220 ready" as a mail server would */
    FAKE_HANG,        /* accepts, and does nothing at all */
} fake_greeting;

/* What the script wants after a frame. */
typedef enum fake_verdict {
    FAKE_GO_ON = 0,
    FAKE_HANG_UP,     /* close without a word */
} fake_verdict;

/* Called on the manager's thread for each frame that is no heartbeat. */
typedef fake_verdict (*fake_script)(fake_manager *manager, void *user, int16_t type, uint64_t request,
                                    const venv_value *body);

/* `directory` has ca.crt, manager-NAME.crt and its key. Port 0: any. Asserts that it works. */
fake_manager *fake_manager_start(const char *directory, const char *name, uint16_t port, fake_greeting greeting,
                                 fake_script script, void *user);
void fake_manager_stop(fake_manager *manager);
uint16_t fake_manager_port(const fake_manager *manager);
/* "127.0.0.1:PORT" */
const char *fake_manager_address(const fake_manager *manager);
/* Connections so far that came as far as HELLO. */
unsigned fake_manager_sessions(const fake_manager *manager);
/* PONGs so far. */
unsigned fake_manager_pongs(const fake_manager *manager);
void fake_manager_set_heartbeat(fake_manager *manager, int64_t heartbeat_ns);

/* For scripts. The body is taken over; `fake_map` makes one from JSON. */
void fake_send(fake_manager *manager, int16_t type, uint64_t request, venv_value body);
void fake_ping(fake_manager *manager);
venv_value fake_json(const char *text);

/* A cluster's certificates in a new directory: CA, manager "mgr", user "ann". Free with fake_pki_free(). */
char *fake_pki_new(const char *cluster);
void fake_pki_free(char *directory);

#endif
