/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_ENVIRONMENT_DEFINITION_H
#define VENV_ENVIRONMENT_DEFINITION_H

/*
 * What stands behind a definition, and its reading in two steps. For this folder's own files: others use
 * <venv/environment.h>.
 *
 * Every text in it has passed venv_environment_text_check(): valid UTF-8 without control characters or
 * what XML cannot hold, so that it can go into XML, a log and a message as it is. Expressions and user data may have
 * line ends and tabs; they go into none of these.
 */

#include "base/arena.h"
#include "environment/keys.h"

#include <venv/environment.h>

struct venv_environment {
    uint32_t references;
    venv_arena arena;         /* all texts and lists of `is` */
    venv_value settings;      /* normalised, defaults filled in, with the name: what it travels as, and is compared by */
    venv_definition is;
    venv_expr *where, *prefer, *desired, *idle; /* NULL: none, or not compiled */
};

/* By number; each ends with NULL, as the choices of a configuration row do. */
extern const char *const venv_hypervisor_kind_names[];
extern const char *const venv_disk_protocol_names[];
extern const char *const venv_disk_format_names[];
extern const char *const venv_disk_bus_names[];
extern const char *const venv_disk_device_names[];
extern const char *const venv_disk_cache_names[];
extern const char *const venv_disk_end_names[];
extern const char *const venv_network_kind_names[];
extern const char *const venv_network_model_names[];
extern const char *const venv_firmware_names[];
extern const char *const venv_display_names[];
extern const char *const venv_clock_names[];
extern const char *const venv_spread_names[];
extern const char *const venv_ready_names[];
extern const char *const venv_crash_names[];
extern const char *const venv_preempt_names[];
extern const char *const venv_scale_by_names[];

/* Valid UTF-8, no control character, nothing that XML 1.0 cannot hold, 1..max bytes. `lines`: line feeds and tabs, too. */
bool venv_environment_text_check(venv_str text, size_t size_max, bool lines);
/* Absolute, shorter than VENV_ENVIRONMENT_PATH_MAX, no empty, "." or ".." part, and as venv_environment_text_check(). */
bool venv_environment_path_check(venv_str path);
/* "NAME" or "NAME@VERSION", where the version is a number from 1, or "latest". */
bool venv_environment_image_check(venv_str reference);

/* What is being read: for errors, and the memory for it. */
typedef struct venv_environment_reading {
    const venv_value *value;
    const venv_mark *mark;
    char where[VENV_NAME_MAX + 32];
    char path[VENV_CONFIG_PATH_MAX]; /* of the map that is being looked at, or empty */
    venv_arena *arena;
    venv_error *err;
} venv_environment_reading;

/* "environment class2: disks[0].file must …", with the place of the key. `key` may be empty: the map itself. */
venv_rc venv_environment_blame(const venv_environment_reading *r, const char *key, venv_rc rc, const char *expected);
venv_rc venv_environment_no_memory(const venv_environment_reading *r);

/* The settings of one table into the struct at `base`, as the fields say. */
venv_rc venv_environment_fill(venv_environment_reading *r, const venv_config_row *rows, const venv_environment_field *fields,
                              const venv_value *settings, void *base);

/* What the tables cannot read or say, of devices (devices.c). `disks` and `networks` belong to `is`. */
venv_rc venv_environment_take_disks(venv_environment_reading *r, const venv_value *settings, venv_definition *is);
venv_rc venv_environment_take_networks(venv_environment_reading *r, const venv_value *settings, venv_definition *is);

/* The hardware address of interface `index` of a machine, said or made from its id (domain_devices.c). Returns `ret_text`. */
const char *venv_network_mac(const venv_environment_network *network, venv_id id, size_t index, char ret_text[18]);

#endif
