/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_DRIVER_H
#define VENV_STORAGE_DRIVER_H

/*
 * What a driver offers, and what it may lean on. A driver for a new scheme is one file: its functions, a
 * venv_storage_driver with them, and a row for each scheme in schemes.c.
 *
 * storage.c parses URLs, checks them against the rules, tries again, puts the sentence around an error
 * and fills scope and protocol; a driver sees one attempt.
 */

#include "storage/error.h"
#include "storage/url.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

typedef struct venv_storage_driver {
    venv_rc (*stat)(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                    venv_storage_error *err);
    venv_rc (*list)(venv_storage *storage, const venv_storage_url *url, venv_storage_entry_fn entry, void *user,
                    venv_storage_error *err);
    /* One directory, its parent is there. EXISTS if anything has the name. */
    venv_rc (*make_directory)(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err);
    /* `tag` is NULL, or empty and then told, or what it must be: another one is STALE_HANDLE. */
    venv_rc (*get)(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                   char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err);
    /* VENV_STORAGE_PUT_PARENTS is done by storage.c. */
    venv_rc (*put)(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                   venv_storage_source_fn source, void *user, venv_storage_error *err);
    venv_rc (*rename)(venv_storage *storage, const venv_storage_url *from, const venv_storage_url *to, bool replace,
                      venv_storage_error *err);
    venv_rc (*remove)(venv_storage *storage, const venv_storage_url *url, venv_storage_error *err);
    venv_rc (*set_permissions)(venv_storage *storage, const venv_storage_url *url, uint32_t permissions,
                               venv_storage_error *err);
    venv_rc (*space)(venv_storage *storage, const venv_storage_url *url, uint64_t *ret_total, uint64_t *ret_free,
                     venv_storage_error *err);
} venv_storage_driver;

typedef struct venv_storage_scheme {
    const char *name;
    const char *summary;
    const venv_storage_driver *driver;
    const char *curl_protocol;     /* what libcurl calls it, NULL if it is not needed */
    uint16_t port;                 /* by default */
    bool encrypted;
    bool query;                    /* a `?` belongs to the URL */
    uint32_t operations;
    const char *const *settings;   /* beside `credential`, ended by NULL; may be NULL */
} venv_storage_scheme;

const venv_storage_scheme *venv_storage_scheme_find(const char *name);
const venv_storage_scheme *venv_storage_scheme_at(size_t index);

extern const venv_storage_driver venv_storage_file_driver;
extern const venv_storage_driver venv_storage_memory_driver;
extern const venv_storage_driver venv_storage_mock_driver;
extern const venv_storage_driver venv_storage_http_driver;
extern const venv_storage_driver venv_storage_dav_driver;
extern const venv_storage_driver venv_storage_ftp_driver;
extern const venv_storage_driver venv_storage_sftp_driver;
extern const venv_storage_driver venv_storage_s3_driver;

/* --- settings and state ------------------------------------------------------------------------------ */

#define VENV_STORAGE_NETWORKS_MAX 64
#define VENV_STORAGE_ROOTS_MAX 16

typedef struct venv_storage_network {
    uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
} venv_storage_network;

typedef struct venv_storage_settings {
    venv_storage_options options; /* pointers are into copies of our own */
    uint64_t schemes;             /* set of 1 << index of the scheme */
    venv_storage_network networks[VENV_STORAGE_NETWORKS_MAX];
    size_t network_count;
    bool loopback, private_networks, any_network;
    char *hosts;
    char *roots[VENV_STORAGE_ROOTS_MAX];
    size_t root_count;
    venv_storage_credential *credentials;
} venv_storage_settings;

typedef struct venv_storage_memory venv_storage_memory;
typedef struct venv_storage_curl venv_storage_curl;

/* What a copy's reader shares with its writer: all but the connections and the clock of the operation. */
typedef struct venv_storage_shared {
    venv_storage_settings settings;
    venv_storage_memory *memory;
    atomic_bool canceled;
    int wake[2]; /* a byte in this pipe ends a wait */
} venv_storage_shared;

struct venv_storage {
    venv_storage_shared *shared;
    venv_storage_curl *curl;     /* made when a driver first needs it */
    venv_storage *reader;        /* the other half of copies; owned; NULL in a reader */
    const atomic_bool *abandoned;/* a reader whose writer has failed */
    char without_mlsd[VENV_STORAGE_HOST_MAX + 8]; /* the last ftp server that does not know it */
    /* of the operation that runs */
    struct timespec began;
    uint64_t moved;              /* bytes, for its time-out */
    bool inner;                  /* within a copy, which tries again as a whole */
    bool cleaning;               /* a canceled operation tidies up: it has ten seconds and cannot be canceled */
};

/* Called by drivers wherever they wait or loop: VENV_OK, CANCELED or TIMEOUT. `moved` bytes are added to its time-out. */
venv_rc venv_storage_check(venv_storage *storage, uint64_t moved, venv_storage_phase phase, venv_storage_error *err);
/* Begin the time-out anew. */
void venv_storage_begin(venv_storage *storage);

/* Check a tag that was asked for, or tell it. False: it is another one. */
bool venv_storage_tag_meets(char *tag, const char *now);
/* An error of which the code says more than the class does. */
venv_rc venv_storage_fail_range(venv_storage_error *err);

/* rules.c: what the options allow. */
venv_rc venv_storage_rules_init(venv_storage_settings *settings, venv_storage_error *err);
venv_rc venv_storage_rules_check_url(const venv_storage_settings *settings, const venv_storage_url *url,
                                     venv_storage_error *err);
/* Whether a socket may be connected to this address. `address` is a struct sockaddr. */
bool venv_storage_rules_allow_address(const venv_storage_settings *settings, const void *address);

/* credential.c */
typedef struct venv_storage_secrets {
    const venv_storage_credential *credential; /* NULL: there is none */
    char user[512];
    char secret[4096];
    char token[4096];
} venv_storage_secrets;

/* Find and read the credential for what `target` (`https://host:port/path`) is about to be sent. `name` may be "". */
venv_rc venv_storage_secrets_find(const venv_storage_settings *settings, const venv_storage_url *url,
                                  const char *target, venv_storage_secrets *ret_secrets, venv_storage_error *err);
void venv_storage_secrets_wipe(venv_storage_secrets *secrets);
/* Names, prefixes and references are well formed. */
venv_rc venv_storage_credential_check(const venv_storage_credential *credential, venv_storage_error *err);

/* memory.c */
venv_rc venv_storage_memory_new(uint64_t size_max, venv_storage_memory **ret_memory);
void venv_storage_memory_free(venv_storage_memory *memory);
/* Count a failure of mock: under `key`. Returns how many there were before. */
uint64_t venv_storage_memory_count(venv_storage_memory *memory, const char *key);

/* curl.c */
void venv_storage_curl_free(venv_storage_curl *curl);

#endif
