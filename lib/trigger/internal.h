/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TRIGGER_INTERNAL_H
#define VENV_TRIGGER_INTERNAL_H

/*
 * What the files of this folder share: a compiled trigger, its units, and the set of both.
 *
 *      definition.c  value → trigger            arguments.c  `do` → templates → orders
 *      kinds.c       what each action takes
 *      words.c       what expressions can say    note.c       what changed → which triggers
 *      machine.c     the table of states         unit.c       units: making, ending, counting
 *      step.c        evaluation                  rows.c       what outlives a restart, and looking
 *      explain.c     why, part by part            where.c     which agents
 *      cron.c        times by the calendar       schedule.c   when a trigger with `at` is due
 *      switch.c      enabling and disabling      limit.c      how much may be done
 *      reload.c      one set in the place of another
 */

#include "base/seeded.h"
#include "base/table.h"

#include "trigger/cron.h"
#include "trigger/trigger.h"

#define PROBLEM_TEXT_MAX 256

typedef enum trigger_on {
    ON_UPDATE = 1 << 0,
    ON_JOIN = 1 << 1,
    ON_LEAVE = 1 << 2,
    ON_DISCONNECT = 1 << 3,
} trigger_on;

/* --- orders as they stand in a definition -------------------------------------------------------- */

#define ARGUMENTS_MAX 5u
#define ARGUMENT_PARTS_MAX 64u

#define ARGUMENT_DEPTH_MAX 8u /* of a tree */

typedef enum argument_kind {
    ARGUMENT_TEXT,
    ARGUMENT_INT,
    ARGUMENT_BOOL,
    ARGUMENT_SPAN,
    ARGUMENT_TEXTS,
    ARGUMENT_WHERE, /* an expression about an agent: checked here, evaluated for each agent when it is carried out */
    ARGUMENT_NAME,     /* of a node, an environment, an instance, a command, a plug-in */
    ARGUMENT_LABEL,    /* of a property */
    ARGUMENT_IMAGE,    /* NAME, NAME@latest, NAME@VERSION */
    ARGUMENT_GROUPS,   /* a list of names of groups */
    ARGUMENT_SELECTOR, /* names and @groups with commas; what a `${…}` puts in is a part of one name */
    ARGUMENT_TREE, /* anything; each text in it may have `${…}` */
} argument_kind;

typedef struct argument_row {
    venv_order_verb verb;
    const char *key;
    argument_kind kind;
    bool required;
    int64_t min, max;   /* ARGUMENT_INT */
    const char *words[5]; /* ARGUMENT_TEXT: one of these, if there are any */
} argument_row;

/* One argument: a literal that is no text, or a text (a list of them) that may have `${…}` in it; of a tree both, the
 * texts in the order in which they are met. */
typedef struct argument {
    const argument_row *row;
    venv_value literal;            /* null: see parts */
    venv_expr_template **parts;
    size_t part_count;
} argument;

typedef struct order_plan {
    venv_order_verb verb;
    argument arguments[ARGUMENTS_MAX];
    size_t argument_count;
} order_plan;

typedef struct plan {
    order_plan orders[VENV_TRIGGER_ORDERS_MAX];
    size_t count;
} plan;

#define LIMITS_MAX 4u

/* One limit: of actions, of a share of a group, or of both in the same time. */
typedef struct limit {
    uint32_t actions; /* 0: not limited */
    uint32_t share;   /* hundredths of a percent; 0: not limited */
    char *group;      /* valid if share */
    venv_span per;
} limit;

typedef struct spend {
    venv_instant at;
    venv_wall wall;
} spend;

typedef enum trigger_mode { MODE_ACT = 0, MODE_OBSERVE, MODE_PROPOSE } trigger_mode;

/* --- triggers and units ---------------------------------------------------------------------------- */

typedef enum problem { PROBLEM_NONE = 0, PROBLEM_MISSING, PROBLEM_FAILED, PROBLEM_LIMITED } problem;

typedef struct unit {
    char *key;             /* "ELEMENT", "AGENT", "ELEMENT AGENT", "" */
    char *element, *agent; /* "" if none */
    venv_value element_value;
    char *group, *property, *reason; /* context of the last evaluation */
    venv_trigger_state state;
    venv_instant since;    /* of the state */
    venv_wall since_wall;
    venv_instant limited_until; /* valid if the problem is PROBLEM_LIMITED: when to look again */
    uint32_t true_count;   /* evaluations in a row that were true, while holding */
    bool ever_fired;
    venv_instant fired_at; /* valid if ever_fired */
    venv_wall fired_wall;
    uint64_t fired;        /* how often */
    problem problem;
    char problem_text[PROBLEM_TEXT_MAX];
    bool due, seen, changed, saved, when_true;
    venv_wall pulsed;      /* the time of `at` that was dealt with last */
} unit;

/* In whose context a trigger is to be evaluated. */
typedef struct context {
    char *agent, *group, *property, *reason;
} context;

typedef struct trigger {
    char *name;
    size_t index;
    venv_value definition;
    venv_expr_env *words;
    char *for_variable;
    uint32_t for_slot;
    venv_expr *for_list, *when, *until;
    venv_span hold, cooldown;
    uint32_t hold_count;     /* > 0: this many evaluations in a row instead of a time */
    bool has_every;
    int64_t every;
    unsigned on;             /* set of trigger_on */
    limit limits[LIMITS_MAX];
    size_t limit_count;
    trigger_mode mode;
    venv_span expires;       /* of what is proposed */
    plan act, recover;
    bool has_at, has_late;
    venv_cron at;            /* valid if has_at */
    venv_span late;          /* valid if has_late: it does not fire later than this after its time */
    bool contextual;         /* reads agent, group, property or reason */
    bool reads_now;

    venv_table *units;       /* key → unit */
    venv_table *contexts;    /* agent → context, noted since the last step */
    bool noted;              /* something it reads changed */
    bool ticked;             /* `every: 0` was done, or the first tick is set */
    venv_instant next_tick;  /* valid if it ticks */
    bool planned, never;     /* `at`: planned_from and next are valid; there is no next */
    venv_wall planned_from, next, came; /* came: the time that it is due for in this step */
    bool pulse;              /* it is due in this step */
    spend *spent;            /* when each action that a limit counts was done, oldest first */
    size_t spent_count, spent_max;
    venv_table *touched;     /* agent → spend *, valid if there is a limit */
    bool changed, saved;     /* its row: counters and what `limit` has spent */
    bool has_fired;
    venv_wall last_fired;
    uint64_t evaluations, fired;
    bool disabled;
    char *disabled_by, *disabled_why; /* valid if disabled */
    venv_wall disabled_at;
    problem problem;         /* of `for` */
    char problem_text[PROBLEM_TEXT_MAX];
} trigger;

/* Triggers that something concerns. */
typedef struct trigger_list {
    trigger **items;
    size_t count;
} trigger_list;

struct venv_triggers {
    trigger **items;
    size_t count;
    venv_span tick;
    venv_expr_context *memory;
    venv_table *by_name;
    venv_table *by_label;       /* property → trigger_list */
    venv_table *by_environment; /* environment → trigger_list */
    trigger_list any_label, any_environment, by_state, by_membership;
    bool pending, started, short_of_memory;
    bool ages;                  /* `age` is valid */
    venv_span age;              /* what is added to the monotonic clock for what is kept in rows */
    venv_instant deadline;
};

/* words.c: slots of the variables that every trigger has, in this order. */
enum { SLOT_NOW = 0, SLOT_AGENT, SLOT_AGENTS, SLOT_GROUP, SLOT_PROPERTY, SLOT_REASON, SLOT__COUNT };
typedef struct asked {
    const venv_trigger_world *world;
    const char *agent;
} asked;
venv_rc venv_trigger_words_new(const venv_trigger_options *options, venv_expr_env **ret_env, venv_error *err);
/* What an expression is given. `slots` has room for SLOT__COUNT + 1; it and `a` are used for as long as the input. `u` may be NULL. */
venv_expr_input venv_trigger_words_input(venv_now now, const venv_trigger_world *world, const trigger *t, const unit *u,
                                         venv_value *slots, asked *a);
venv_expr_answer venv_trigger_words_resolve(void *user, const venv_expr_read *read, venv_value *ret_value, uint32_t *ret_depth);

/* definition.c */
/* An error inside of an expression: from "line, column of the expression" to those of the file. */
venv_rc venv_trigger_blame_expr(const venv_mark *mark, venv_error *err);
/* A duration: "30s", or a value of that kind. */
bool venv_trigger_read_span(const venv_value *value, venv_span *ret_span);
venv_rc venv_trigger_new(const char *name, const venv_value *definition, const venv_mark *mark,
                         const venv_trigger_options *options, trigger **ret_trigger, venv_error *err);
void venv_trigger_free(trigger *t);

/* kinds.c */
const argument_row *venv_trigger_argument_find(venv_order_verb verb, const venv_value *key); /* NULL: it does not take that */
const char *venv_trigger_argument_missing(const order_plan *o); /* that it must have; or NULL */
bool venv_trigger_argument_is_list(argument_kind kind);
/* A value to the kind that the row wants. VENV_EKIND or VENV_ERANGE with a text that says what was expected. */
venv_rc venv_trigger_argument_convert(const argument_row *row, const venv_value *value, venv_value *ret_value, venv_error *err);
venv_rc venv_trigger_argument_group(const argument_row *row, const venv_value *value, venv_error *err); /* one item of a list of groups */
/* A venv_expr_check_fn: what a `${…}` puts into a selector is a name or a part of one, so that it cannot choose more than the place where
 * it stands; and what came out does not say @all, which is more than any group, where that was not written. */
venv_rc venv_trigger_selector_inserted(void *user, const venv_value *value, venv_error *err);
bool venv_trigger_selector_is_wider(venv_str made, venv_str written);

/* arguments.c */
bool venv_trigger_order_has(const order_plan *o, const char *key);
venv_rc venv_trigger_plan_compile(venv_expr_env *words, const char *where, const venv_value *orders, const venv_mark *mark,
                     plan *ret_plan, venv_error *err);
void venv_trigger_plan_fini(plan *p);
typedef void (*plan_expr_fn)(void *user, const venv_expr *expr);
void venv_trigger_plan_each_expr(const plan *p, plan_expr_fn each, void *user);
/* VENV_EUNKNOWN: an argument is unknown, err says which. */
venv_rc venv_trigger_plan_orders(const plan *p, venv_expr_context *memory, const venv_expr_input *input,
                    venv_order **ret_orders, size_t *ret_count, venv_error *err);
void venv_trigger_orders_free(venv_order *orders, size_t count);
/* "queue("class2"), agent.p.cputemp" of the last evaluation; and into an error's text. */
void venv_trigger_missing_list(const venv_expr_context *memory, const venv_expr_result *result, char *list, size_t size);
venv_rc venv_trigger_missing_error(const venv_expr_context *memory, const venv_expr_result *result, const char *what, venv_error *err);

/* note.c */
venv_rc venv_trigger_index_build(venv_triggers *set, venv_error *err);
void venv_trigger_index_fini(venv_triggers *set);
void venv_trigger_context_free(context *c);

/* schedule.c: all for triggers with `at`. */
/* True if it is due: once for all times that went by. */
bool venv_trigger_at_take(trigger *t, venv_now now);
bool venv_trigger_at_is_late(const trigger *t, venv_now now);
venv_instant venv_trigger_at_deadline(const trigger *t, venv_now now);
/* "the time … has come" */
void venv_trigger_at_describe(const trigger *t, venv_now now, char *text, size_t size);
/* Times until now are dealt with. */
void venv_trigger_at_skip(trigger *t, venv_now now);
void venv_trigger_at_save(const trigger *t, venv_map_builder *map);
void venv_trigger_at_restore(trigger *t, const venv_value *row);

/* limit.c */
typedef struct allowance {
    uint32_t granted;     /* actions */
    bool cut, refused;    /* less than asked for; nothing at all */
    venv_instant free_at; /* valid if refused */
    char text[512];
} allowance;
venv_rc venv_trigger_limit_read(trigger *t, const venv_value *value, venv_error *err);
void venv_trigger_limit_fini(trigger *t);
/* Cut the orders down to what the limits leave; `whole`: all of it or nothing. Spends nothing. */
venv_rc venv_trigger_limit_apply(trigger *t, venv_now now, const venv_trigger_world *world, bool whole, venv_order *orders,
                                 size_t *count, allowance *ret, venv_error *err);
venv_rc venv_trigger_limit_spend(trigger *t, const allowance *granted, const venv_order *orders, size_t count, venv_now now,
                                 const venv_trigger_world *world, venv_error *err);
venv_instant venv_trigger_limit_look(const allowance *refused, venv_now now);
void venv_trigger_limit_tell(const trigger *t, venv_now now, venv_map_builder *map);
venv_rc venv_trigger_limit_save(const venv_triggers *set, const trigger *t, venv_map_builder *map, venv_error *err);
venv_rc venv_trigger_limit_restore(const venv_triggers *set, trigger *t, const venv_value *row, venv_now now, venv_error *err);
venv_rc venv_trigger_limit_describe(const trigger *t, venv_now now, venv_value *ret_list, venv_error *err);

/* rows.c */
/* An instant, for a row; null if the set has no clock for that. And back: by that clock, or by the wall clock if the row has none. */
venv_value venv_trigger_stamp(const venv_triggers *set, venv_instant at);
venv_instant venv_trigger_instant_of(const venv_triggers *set, const venv_value *stamp, venv_wall wall, venv_now now);

/* switch.c */
void venv_trigger_switch_save(const trigger *t, venv_map_builder *map);
venv_rc venv_trigger_switch_restore(trigger *t, const venv_value *row, venv_error *err);

/* machine.c: the table of states. */
typedef enum truth { TRUTH_TRUE = 1, TRUTH_FALSE = 2, TRUTH_UNKNOWN = 4 } truth;
typedef enum cool { COOL_NONE = 1, COOL_RUNNING = 2, COOL_OVER = 4 } cool; /* no cooldown, not over, over */
typedef enum unit_effect { EFFECT_NONE = 0, EFFECT_HOLD, EFFECT_FIRE, EFFECT_RECOVER, EFFECT_REST } unit_effect;
typedef struct unit_input {
    truth when, until;
    bool held; /* `when` has been true for long enough */
    cool cool;
} unit_input;
void venv_trigger_unit_next(venv_trigger_state state, const unit_input *input, venv_trigger_state *ret_state, unit_effect *ret_effect);

/* unit.c */
unit *venv_trigger_unit_find(const trigger *t, const char *element, const char *agent);
venv_rc venv_trigger_unit_get(trigger *t, const char *element, const venv_value *element_value, const char *agent, venv_now now,
                 unit **ret_unit, venv_error *err);
void venv_trigger_unit_free(unit *u);
bool venv_trigger_unit_set_context(unit *u, const context *c);
void venv_trigger_unit_enter(unit *u, venv_trigger_state state, venv_now now);
venv_instant venv_trigger_unit_deadline(const trigger *t, const unit *u);
bool venv_trigger_unit_is_held(const trigger *t, const unit *u, venv_now now);
cool venv_trigger_unit_coolness(const trigger *t, const unit *u, venv_now now);


/* explain.c: the conditions of a unit part by part, and the policy. With `orders` also what would come of it. */
venv_rc venv_trigger_explain_unit(venv_triggers *set, const trigger *t, const unit *u, venv_now now, const venv_trigger_world *world,
                                  bool orders, venv_value *ret_map, venv_error *err);
/* The text behind "NAMEbetween", or all of it if it does not begin so. */
const char *venv_trigger_without_prefix(const char *text, const char *name, const char *between);
/* arguments.c: the orders under "orders", those that cannot be given with "error". */
venv_rc venv_trigger_plan_explain(const plan *p, venv_expr_context *memory, const venv_expr_input *input, venv_map_builder *map,
                                  venv_error *err);
/* step.c: how an element of `for` is called. False: it cannot be one. */
bool venv_trigger_element_text(const venv_value *value, char *text, size_t size);

#endif
