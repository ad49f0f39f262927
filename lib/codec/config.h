/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_CODEC_CONFIG_H
#define VENV_CODEC_CONFIG_H

/*
 * Configuration rows: what a section of a YAML file may hold, as a table. From one table come the
 * checks with their error messages, the defaults, and the page of the manual.
 *
 *      static const char *const hypervisors[] = { "kvm", "qemu", "xen", "lxc", NULL };
 *      static const venv_config_row disk_rows[] = {
 *          { "size", VENV_CONFIG_SIZE, .required = true, .min = 1 << 20, .help = "Size of the overlay." },
 *          { "bus", VENV_CONFIG_ENUM, .choices = buses, .fallback = "virtio", .help = "How the guest sees it." },
 *          { .name = NULL },
 *      };
 *      static const venv_config_row disk = { "disk", VENV_CONFIG_TABLE, .of = disk_rows };
 *      static const venv_config_row rows[] = {
 *          { "hypervisor", VENV_CONFIG_ENUM, .choices = hypervisors, .fallback = "kvm", .help = "…" },
 *          { "vcpus", VENV_CONFIG_INT, .min = 1, .max = 1024, .fallback = "1", .help = "Virtual processors." },
 *          { "memory", VENV_CONFIG_SIZE, .required = true, .min = 1 << 20, .help = "Memory of the guest." },
 *          { "disks", VENV_CONFIG_LIST, .of = &disk, .max = 32, .fallback = "[]", .help = "…" },
 *          { .name = NULL },
 *      };
 *      venv_config_read(rows, value, mark, "environment class2", &settings, err)
 *          class2.yaml:7:12: environment class2: disks[0].size must be a size such as 512MiB, at least 1MiB, not "lots"
 *
 * It reads no file. The tables are constant data of whoever uses them.
 */

#include "base/buf.h"
#include <venv/codec.h>

typedef enum venv_config_kind {
    VENV_CONFIG_ANY = 0,    /* whatever it is, as it is: checked by somebody else */
    VENV_CONFIG_BOOL,
    VENV_CONFIG_INT,        /* min and max bound the number */
    VENV_CONFIG_DOUBLE,     /* an int is accepted and becomes a double; min and max bound it */
    VENV_CONFIG_STRING,     /* min and max bound its bytes; a number, true or null must be quoted */
    VENV_CONFIG_SPAN,       /* "30s": becomes a duration; min and max in nanoseconds */
    VENV_CONFIG_SIZE,       /* "2GiB", or bytes as an int: becomes an int of bytes; min and max in bytes */
    VENV_CONFIG_NAME,       /* venv_name_is_valid() */
    VENV_CONFIG_GROUP_NAME, /* venv_group_name_is_valid() */
    VENV_CONFIG_PATH,       /* an absolute path without . and .. in it */
    VENV_CONFIG_ENUM,       /* one of `choices` */
    VENV_CONFIG_EXPRESSION, /* text of an expression, not empty; `true`, `false` and numbers become their text */
    VENV_CONFIG_LIST,       /* of `of`; min and max bound the items */
    VENV_CONFIG_MAP,        /* from keys of kind `keys` to `of`; min and max bound the entries */
    VENV_CONFIG_TABLE,      /* a map with the rows `of` */
    VENV_CONFIG_KIND__COUNT
} venv_config_kind;

#define VENV_CONFIG_DEPTH_MAX 16 /* tables in tables */
#define VENV_CONFIG_PATH_MAX  256

/* One key. Whatever is not set is zero. */
typedef struct venv_config_row {
    const char *name; /* the key; NULL ends a table */
    venv_config_kind kind;
    bool required;
    bool or_null;     /* null is accepted, and stays null */
    bool one_or_list; /* LIST: a single item may stand for a list of it */
    venv_config_kind keys; /* MAP: NAME, GROUP_NAME or STRING; 0 means NAME */
    int64_t min, max; /* bounds, both included; max = 0: no bound above (and, if min is 0 too, none below) */
    const char *unit; /* of a number, for people: "KiB", "ticks" */
    const char *fallback; /* default, as it would be written in YAML; NULL: the key is left out. A default of a
                             TABLE is its rows' defaults: write "{}" */
    const char *const *choices;       /* ENUM: ends with NULL */
    const struct venv_config_row *of; /* LIST, MAP: one row for every item; TABLE: its rows */
    const char *help; /* one sentence */
} venv_config_row;

/*
 * Check a map against rows and give it back normalised: durations and sizes converted, single items as
 * lists, defaults filled in (for nested tables, too).
 *
 * value, mark: what was parsed and where it stands. `mark` may be NULL.
 * where:       what the section is to a person, for example "agent" or "trigger hot"; may be "".
 * ret_settings: a map; owned by the caller. Its entries have other places than those of `value`: to blame
 *              something later use venv_mark_get(mark, value, key), with `value`.
 *
 * Errors have file, line and column of what is wrong, and say what is expected:
 * VENV_EINVAL  an unknown key (with the nearest known one), a missing key, malformed text
 * VENV_EKIND   a value of another kind
 * VENV_ERANGE  out of bounds
 * VENV_ENOMEM
 */
VENV_MUST_USE venv_rc venv_config_read(const venv_config_row *rows, const venv_value *value, const venv_mark *mark,
                                       const char *where, venv_value *ret_settings, venv_error *err);

/* The same for one value and one row, for example for what came over the wire. */
VENV_MUST_USE venv_rc venv_config_read_one(const venv_config_row *row, const venv_value *value, const venv_mark *mark,
                                           const char *where, venv_value *ret_value, venv_error *err);

/* Reading normalised settings. Of another kind or absent: 0, false, empty, NULL. */
venv_span venv_config_span(const venv_value *settings, const char *key);
uint64_t venv_config_size(const venv_value *settings, const char *key);
int64_t venv_config_int(const venv_value *settings, const char *key);
double venv_config_double(const venv_value *settings, const char *key);
bool venv_config_bool(const venv_value *settings, const char *key);
venv_str venv_config_text(const venv_value *settings, const char *key);
/* A list, map or table; NULL if absent. */
const venv_value *venv_config_get(const venv_value *settings, const char *key);

/* What a row accepts, for people: "a duration such as 30s, from 100ms to 1h". */
void venv_config_expected(const venv_config_row *row, venv_buf *out);

/* One key for the manual: nested tables as "disks[].size", "properties.NAME.every". */
typedef struct venv_config_line {
    const char *path;
    const venv_config_row *row;
    const char *expected;
} venv_config_line;

/*
 * Visit every row, nested ones after the one that holds them. `line` lives during the call. Stops at the
 * first code but VENV_OK, and returns it; VENV_ENOMEM, VENV_ELIMIT (a path beyond VENV_CONFIG_PATH_MAX).
 */
venv_rc venv_config_describe(const venv_config_row *rows, const char *prefix,
                             venv_rc (*visit)(void *user, const venv_config_line *line), void *user);

#endif
