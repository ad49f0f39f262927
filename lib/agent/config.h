/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_AGENT_CONFIG_H
#define VENV_AGENT_CONFIG_H

/*
 * An agent's configuration: the file agent.yaml (venv-agent.yaml(5)) as a struct.
 *
 * It reads no files: the shell reads agent.yaml and the files that `include` names, and hands the
 * documents over with their marks. The first document holds `agent`, `include` and `properties`; a further one
 * holds `properties` only.
 */

#include "codec/config.h"

#include <venv/codec.h>
#include <venv/property.h>

enum {
    VENV_AGENT_MANAGERS_MAX = 16,
    VENV_AGENT_GROUPS_MAX = 64,
    VENV_AGENT_DIRS_MAX = 32,
};

/* Texts end with NUL and are owned by the configuration. */
typedef struct venv_agent_config {
    char *name, *cluster;                      /* "" until venv_agent_config_identify() */
    char *managers[VENV_AGENT_MANAGERS_MAX];   /* "host:port", tried in this order */
    size_t manager_count;
    char *groups[VENV_AGENT_GROUPS_MAX];
    size_t group_count;
    char *command_dirs[VENV_AGENT_DIRS_MAX];   /* absolute */
    size_t command_dir_count;
    char *paths[VENV_AGENT_DIRS_MAX];          /* directories that environments may take files from, absolute */
    size_t path_count;
    venv_id machine;                           /* of the node: the shell sets it (runtime/machine_id.h); none if it cannot */
    char *hypervisor;                          /* libvirt URI; "none": no hypervisor node; "fake": in memory, for tests */
    char *saves_dir;                           /* memories of saved machines, and checkpoints */
    bool saves_shared;                         /* other nodes see the same folder */
    char *migrate_uri;                         /* "" if no machine may migrate away; with {node} in it */
    char *images_repository, *images_trust, *images_directory; /* "": images are not synchronised */
    char *machines_dir;                        /* what is made for machines: MACHINES_DIR/UUID */
    char *state_dir, *console_dir;             /* guests' consoles are written to CONSOLE_DIR/INSTANCE.log */
    char *tls_ca, *tls_certificate, *tls_key;

    venv_span tick;                            /* sample_every */
    venv_span heartbeat, timeout, first_frame; /* as venv_session_options; the manager's WELCOME may set the first */
    venv_span reconnect_first, reconnect_max;  /* back-off */
    venv_span push_every;                      /* shortest time between two PUSH */
    venv_span refresh;                         /* an unchanged value is pushed again after this */
    venv_span machines_every;                  /* the driver is asked for its list at least this often */
    venv_span command_timeout;                 /* of EXECUTE without a time-out, and the largest that it may ask for: */
    venv_span command_timeout_max;
    uint32_t runs_max;                         /* commands that run at once for properties; as many again for EXECUTE */

    venv_property_set *properties;             /* definitions only; the agent makes its own set from them */
} venv_agent_config;

/* One document and where it came from. `file` and `marks` outlive the call only. */
typedef struct venv_config_document {
    const char *file;
    const venv_value *value;
    const venv_yaml_marks *marks;
} venv_config_document;

/*
 * Documents to a configuration. Defaults are filled in, built-in properties are added where the documents do not define
 * their labels. VENV_EINVAL, VENV_EKIND, VENV_ERANGE, VENV_EEXIST, each with file, line and column and what is expected; VENV_ENOMEM.
 */
venv_rc venv_agent_config_new(const venv_config_document *documents, size_t count,
                              venv_agent_config **ret_config, venv_error *err);
void venv_agent_config_free(venv_agent_config *config);

/* Is it a hypervisor node? */
bool venv_agent_config_has_hypervisor(const venv_agent_config *config);

/*
 * The certificate says who we are. VENV_EINVAL if the configuration says otherwise (the text names both). Needed before
 * venv_agent_new().
 */
venv_rc venv_agent_config_identify(venv_agent_config *config, const char *cluster, const char *name, venv_error *err);

/* The rows of the whole file, for the manual page (venv_config_describe()). */
const venv_config_row *venv_agent_config_rows(void);

#endif
