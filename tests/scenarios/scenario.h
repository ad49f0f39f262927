/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SCENARIOS_SCENARIO_H
#define TESTS_SCENARIOS_SCENARIO_H

/*
 * Scenarios: what happens to a cluster, step by step, and what must come of it; venv-sim(7) describes the language.
 *
 *      scenario.def  the statements             scenario.c  text → scenario, or line and column of a mistake
 *      expect.c      words of expectations      tool.c      files without a simulator: checked, as JSON, asked
 *      real.py       a file with real daemons   *.scenario  the files
 *
 * sim/scenario_run.c plays them in the simulator.
 */

#include <venv/expr.h>
#include <venv/trigger.h>

#define SCENARIO_SIZE_MAX  (256u << 10) /* bytes of a file */
#define SCENARIO_STEPS_MAX 1000u
#define SCENARIO_HOSTS_MAX 64u
#define SCENARIO_MORE_MAX  32u          /* groups, properties, settings of a host */
#define SCENARIO_TOKENS_MAX 512u        /* words of a statement */
#define SCENARIO_ARGS_MAX  4u

typedef enum scenario_verb {
#define FORM(verb, form, where, what) SCENARIO_##verb,
#include "scenarios/scenario.def"
#undef FORM
    SCENARIO_VERB__COUNT
} scenario_verb;

typedef enum scenario_where { SCENARIO_IN_BOTH = 0, SCENARIO_IN_SIMULATOR } scenario_where;

typedef struct scenario_form {
    const char *form;
    scenario_where where;
    const char *what;
} scenario_form;

extern const scenario_form scenario_forms[SCENARIO_VERB__COUNT];

/* A word that was filled in, in the order of the form. */
typedef struct scenario_argument {
    char *text;      /* owned; a name, a value as it was written, an expression, a block */
    int64_t number;  /* COUNT; SIZE in bytes; SPAN and JUMP in ns */
} scenario_argument;

typedef struct scenario_step {
    scenario_verb verb;
    uint32_t line, column;
    scenario_argument args[SCENARIO_ARGS_MAX];
    size_t count;
    venv_expr *expr; /* of an expectation */
} scenario_step;

typedef struct scenario_pair {
    char *name, *value;
} scenario_pair;

typedef struct scenario_host {
    char *name;
    char *manager;         /* of an agent; NULL: it is a manager */
    char *yaml;            /* of a manager: environments, triggers; NULL: none */
    int64_t cpus;          /* > 0: a hypervisor node */
    int64_t memory;
    char *groups[SCENARIO_MORE_MAX];
    size_t group_count;
    scenario_pair properties[SCENARIO_MORE_MAX]; /* label, type */
    size_t property_count;
    scenario_pair settings[SCENARIO_MORE_MAX];
    size_t setting_count;
} scenario_host;

typedef struct scenario {
    char *file, *about;
    char *only;            /* why only in the simulator; NULL: real daemons can do it */
    scenario_host hosts[SCENARIO_HOSTS_MAX];
    size_t host_count;
    scenario_step *steps;
    size_t step_count;
    venv_expr_env *words;
} scenario;

/* VENV_EINVAL with file, line, column and what was expected; VENV_ELIMIT; VENV_ENOMEM. */
venv_rc scenario_parse(const char *file, const char *text, size_t size, scenario **ret_scenario, venv_error *err);
void scenario_free(scenario *sc);
scenario_host *scenario_find_host(scenario *sc, const char *name);

/* --- expect.c ---------------------------------------------------------------------------------------------- */

/* What expectations can look at: the words of triggers but `agent`, and what only somebody outside sees. */
typedef struct expect_world {
    venv_trigger_world world;
    venv_value now;
    /* Lists, each a new reference: "actions", "events", "triggers", "all_instances"; "machines" is what really runs. */
    venv_rc (*list)(void *user, const char *what, venv_value *ret_list, venv_error *err);
    void *user;
} expect_world;

venv_rc expect_words(venv_expr_env **ret_env, venv_error *err);

typedef enum expect_answer { EXPECT_FALSE = 0, EXPECT_TRUE, EXPECT_UNKNOWN, EXPECT_FAILED } expect_answer;

/* Is it true now? `why` says what is missing or what failed, and may be NULL. */
expect_answer expect_ask(const venv_expr *expr, const expect_world *world, char *why, size_t size);
/* The parts of the expression with their values, for people; a new text. */
char *expect_explain(const venv_expr *expr, const expect_world *world);

/* A world that was written down: {now, agents, instances, queues, actions, events, triggers}, of real daemons. */
typedef struct expect_written {
    const venv_value *map;
} expect_written;
void expect_of_value(expect_written *written, const venv_value *map, expect_world *ret_world);

#endif
