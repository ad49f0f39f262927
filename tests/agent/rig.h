/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_AGENT_RIG_H
#define VENV_TESTS_AGENT_RIG_H

/* An agent on a test bench: events go in by hand, actions are looked at by hand, time is a number. */

#include "agent/agent.h"
#include "agent/config.h"

#include <stdio.h>

#define S VENV_NS_PER_S

typedef struct agent_rig {
    venv_agent_config *config;
    venv_agent *agent;
    venv_now now;
    venv_agent_actions actions; /* of the last step; those that were asked about are struck out */
    uint64_t request;
    bool verbose;
    bool silent;    /* the manager does not answer heartbeats */
    uint64_t heard; /* frames that the manager has got on this connection */
    venv_value kept; /* what the last KEEP held… */
    uint64_t kept_number; /* …and its number */
    bool dialing; /* CONNECT was asked for and not answered */
} agent_rig;

/* `properties` is YAML under `properties:`, `extra` further keys of `agent:`; both may be "". */
void rig_init(agent_rig *rig, const char *extra, const char *properties);
void rig_fini(agent_rig *rig);

void rig_event(agent_rig *rig, const venv_agent_event *event);
void rig_time(agent_rig *rig, int64_t ns);      /* set the time and tick */
void rig_run_to_deadline(agent_rig *rig);       /* jump to the deadline and tick */

/* The next action of a kind, in order; NULL if there is none (left). */
venv_agent_action *rig_take(agent_rig *rig, venv_agent_action_kind kind);
/* The next message of a type that is sent. */
venv_agent_action *rig_take_sent(agent_rig *rig, int16_t type);
/* The action that samples or runs a property, by the name of its source. */
venv_agent_action *rig_take_named(agent_rig *rig, venv_agent_action_kind kind, const char *name);
size_t rig_count(agent_rig *rig, venv_agent_action_kind kind);

/* Waits for CONNECT, if none is under way; then CONNECTED, HELLO is taken, WELCOME. */
void rig_connect(agent_rig *rig);
void rig_disconnect(agent_rig *rig, const char *reason);
/* A frame from the manager, its body as JSON; "@" + 32 hex digits stands for bytes in it. Returns the request id. */
uint64_t rig_frame(agent_rig *rig, int16_t type, const char *json);
void rig_sampled(agent_rig *rig, uint64_t token, venv_value value);
void rig_sample_failed(agent_rig *rig, uint64_t token, venv_rc rc, const char *text);
void rig_ran(agent_rig *rig, uint64_t token, const char *out, int exit_status);
void rig_ran_outcome(agent_rig *rig, uint64_t token, const venv_run_outcome *run);
void rig_machine_done(agent_rig *rig, uint64_t token, venv_rc rc, const char *text);
void rig_machines(agent_rig *rig, const char *json);
void rig_machines_failed(agent_rig *rig, venv_rc rc, const char *text);

/* JSON to a value; strings "@…" become bytes, "30s"-like strings under keys timeout, grace and after become durations. */
venv_value rig_value(const char *json);

#endif
