/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENVCTL_H
#define VENVCTL_H

/*
 * What the files of venvctl share: the table of options, the table of verbs, one run of the program.
 *
 * Help, completion, the usage checks and the lists in venvctl(1) are made from the two tables. A verb
 * is one row of verbs.c and one function.
 */

#include <venv/client.h>
#include <venv/codec.h>
#include <venv/common.h>
#include <venv/text.h>
#include <venv/value.h>

#include <stdio.h>

/* --- exit codes ---------------------------------------------------------------------------------- */

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_DENIED = 4,
    EXIT_UNREACHABLE = 5,
    EXIT_UNKNOWN = 6, /* timed out, or the outcome is not known */
};

/* The exit code of a failure that a manager or the library reported. */
int exit_code_of(venv_rc rc);

/* --- options ------------------------------------------------------------------------------------- */

typedef enum option_id {
    OPTION_CONFIG,
    OPTION_MANAGER,
    OPTION_TLS,
    OPTION_USER,
    OPTION_CONNECT,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTION_VERSION, /* the last of the global ones */
    OPTION_COUNT,
    OPTION_NODE,
    OPTION_WAIT,
    OPTION_DRY_RUN,
    OPTION_ID,
    OPTION_ENVIRONMENT,
    OPTION_FORCE,
    OPTION_GRACE,
    OPTION_WHERE,
    OPTION_FOLLOW,
    OPTION_SINCE,
    OPTION_LAST,
    OPTION_CLUSTER,
    OPTION_DIR,
    OPTION_OUT,
    OPTION_DAYS,
    OPTION_KEY,
    OPTION_REPLACE,
    OPTION_HOSTS,
    OPTION_VARS,
    OPTION_CHECK,
    OPTION_AST,
    OPTION_COST,
    OPTION_AGENT,
    OPTION_WHY,
    OPTION_UNTIL,
    OPTION_STATE,
    OPTION_BOOT,
    OPTION_EXPLAIN,
    OPTION_TICK,
    OPTION_FILE,
    OPTION_NAME,
    OPTION_TO,
    OPTION_BANDWIDTH,
    OPTION_COPY_DISKS,
    OPTION_AUTO_CONVERGE,
    OPTION_BY,
    OPTION_DRAIN,
    OPTION_ABANDON,
    OPTION__END
} option_id;
#define OPTION_GLOBAL_END (OPTION_VERSION + 1)

/* What completion offers for an argument. */
typedef enum word_kind {
    WORDS_NONE = 0,
    WORDS_FILE,
    WORDS_DIRECTORY,
    WORDS_PLURAL,      /* agents, groups, … */
    WORDS_SINGULAR,    /* agent, group, … */
    WORDS_NAMED,       /* names of the kind that the word before says */
    WORDS_ENVIRONMENT,
    WORDS_INSTANCE,
    WORDS_AGENT,
    WORDS_TARGET,      /* an agent, or @ and a group */
    WORDS_GROUP,
    WORDS_STATE,
    WORDS_STEER,       /* stop, rcon, rjoin */
    WORDS_ROLE,
    WORDS_DRAIN,       /* migrate, stop, save, none */
    WORDS_KEY,
    WORDS_VERB,
    WORDS_TRIGGER,
    WORDS_TRIGGER_OR_FILE,
    WORDS_PROPOSAL,
    WORDS_BREAKER,
    WORDS_WHY,         /* instance, node, trigger, action */
} word_kind;

typedef struct option_row {
    const char *name;     /* without the dashes */
    char letter;          /* short form, 0 for none */
    const char *argument; /* how help writes its argument; NULL for a switch */
    bool optional;        /* the argument may be left out; then it is given as --name=VALUE only */
    bool repeatable;      /* only OPTION_MANAGER */
    word_kind words;
    const char *summary;
} option_row;

extern const option_row option_rows[OPTION__END];

/* --- verbs --------------------------------------------------------------------------------------- */

typedef struct venvctl venvctl;

#define VERB_OPTIONS_MAX 12
#define VERB_WORDS_MAX   4

typedef struct verb_row {
    const char *name;      /* one word, or two ("cert init") */
    const char *arguments; /* as the synopsis shows them */
    const char *summary;   /* one line */
    const char *text;      /* paragraphs, separated by an empty line; NULL if the summary says it all */
    const char *json;      /* what --json prints; NULL if it changes nothing */
    const char *example;   /* one command line */
    unsigned least, most;  /* arguments */
    unsigned rest_after;   /* after so many arguments everything is one, dashes or not; 0: never */
    option_id options[VERB_OPTIONS_MAX]; /* ends with 0, which is a global one and so never listed here */
    word_kind words[VERB_WORDS_MAX];     /* for each argument; the last row repeats */
    int (*run)(venvctl *app);
} verb_row;

extern const verb_row verb_rows[];
extern const size_t verb_count;

/* The row that one or two words name; *ret_words says how many. NULL if none. */
const verb_row *verb_find(char *const *words, size_t count, size_t *ret_words);
bool verb_takes(const verb_row *verb, option_id option);

/* --- one run of the program ------------------------------------------------------------------------ */

#define APP_ARGUMENTS_MAX 1024

struct venvctl {
    const verb_row *verb;
    const char *value[OPTION__END];                 /* NULL: not given; "" for a switch */
    const char *managers[VENV_CLIENT_MANAGERS_MAX];
    size_t manager_count;
    char *const *arguments; /* of the verb */
    size_t argument_count;
    char *words[APP_ARGUMENTS_MAX + 1];             /* storage of `arguments` */
    FILE *out, *err;
    bool out_is_terminal;
    venv_wall now;
    venv_span timeout;      /* of --timeout */
    bool has_timeout;
    venv_client *client;    /* set by app_connect() */
};

/* Parse a command line (without the program's name). EXIT_DONE, or EXIT_USAGE after telling why. */
int app_parse(venvctl *app, int argc, char *const *argv);
/* Parse and run. `argv[-1]` is the name of the program. */
int app_main(venvctl *app, int argc, char *const *argv);
/* What main() does: the clock and the streams of the process. `app` is zeroed. */
int venvctl_process(venvctl *app, int argc, char **argv);
/* Run the verb at the hypervisor of --connect: venvctl becomes venvctl-connect (become.c), which does it (connect/). */
int connect_run(venvctl *app, char *const *argv);

/* "venvctl: …" on standard error. */
void app_say(venvctl *app, const char *format, ...) VENV_PRINTF(2, 3);
/* Report an error and return its exit code. */
int app_fail(venvctl *app, const venv_error *err);
/* Report a misuse, point at the help, return EXIT_USAGE. */
int app_usage(venvctl *app, const char *format, ...) VENV_PRINTF(2, 3);
/* Connect to a manager as the options and the configuration say. EXIT_DONE, or reports and returns the code. */
int app_connect(venvctl *app);
/* Read an option as a number, a length of time, an id. EXIT_DONE (also if it is not given), or EXIT_USAGE. */
int app_number(venvctl *app, option_id option, int64_t min, int64_t max, int64_t *ret_number);
int app_span(venvctl *app, option_id option, venv_span *ret_span);
/* Read an option as a time, or as so long before now. */
int app_size(venvctl *app, option_id option, uint64_t *ret_bytes);
int app_moment(venvctl *app, option_id option, venv_wall fallback, venv_wall *ret_wall);
int app_id(venvctl *app, option_id option, venv_id *ret_id);

/* "2026-11-22T18:30:00Z", the Z may be left out. */
bool app_parse_time(venv_str text, venv_wall *ret_wall);
/* A file of YAML, and the marks of it if they are asked for. EXIT_DONE, or reports and returns the code. */
int app_read_yaml(venvctl *app, const char *path, venv_value *ret_value, venv_yaml_marks **ret_marks);
/* A file, at most so many bytes, as bytes. EXIT_DONE, or reports and returns the code. */
int app_read_text(venvctl *app, const char *path, size_t size_max, venv_value *ret_text);
/* For `zone` of expressions: TZif files of the system. */
venv_rc app_read_zone(void *user, const char *name, venv_value *ret_file, venv_error *err);

static inline bool app_has(const venvctl *app, option_id option)
{
    return app->value[option] != NULL;
}

/* --- output ---------------------------------------------------------------------------------------- */

/* Text of a peer, escaped. */
void print_safe(FILE *out, venv_str text);
/* "12s", "5m", "3h", "4d": how long before `now`. */
const char *format_age(venv_wall then, venv_wall now, char *buffer, size_t size);
/* "512MiB", "1.5GiB", "17". */
const char *format_size(uint64_t bytes, char *buffer, size_t size);
/* Columns of the terminal that the text takes, one for each character. */
size_t text_width(venv_str text);

typedef enum cell_kind {
    CELL_TEXT, /* a string, or any other scalar as it reads */
    CELL_LINE, /* the first line of a text */
    CELL_AGE,  /* a timestamp: how long ago */
    CELL_SIZE, /* bytes */
    CELL_LIST, /* strings, joined by commas */
    CELL_NUMBER, /* to the right */
} cell_kind;

typedef struct column {
    const char *title;
    const char *key;
    cell_kind kind;
} column;

/*
 * Print a list of maps: as JSON with --json, as names (the first column) with --quiet, else as columns
 * under a line of titles. A missing value is "-".
 */
int print_items(venvctl *app, const venv_value *items, const column *columns, size_t count);
/* The same for any value, without columns: JSON, or indented "key: value" lines. */
int print_value(venvctl *app, const venv_value *value);
/* A value as JSON: lists with one item a line, everything else indented. */
int print_json(venvctl *app, const venv_value *value);
/* A value as JSON on one line. */
int print_json_part(venvctl *app, const char *before, const venv_value *value, const char *after);
/* Instances as "list instances" prints them. */
int print_instances(venvctl *app, const venv_value *items);
/* One value on one line, for people: strings as they are (escaped), times and lists as a cell shows them. */
void print_scalar(venvctl *app, FILE *out, const venv_value *value);

/* A condition with the value of each part below it (`when` of EVALUATE and WHY). */
void print_condition(venvctl *app, const venv_value *condition, int indent);
/* The samples and the conditions of a unit of EVALUATE, or of what a firing rested on. */
void print_unit_reasons(venvctl *app, const venv_value *unit);
/* A paragraph, wrapped. */
void print_wrapped(FILE *out, const char *text);

/* --- help ------------------------------------------------------------------------------------------- */

void help_print(venvctl *app, const verb_row *verb); /* NULL: of the program */
void help_print_roff(venvctl *app);
void help_print_short(FILE *out);

/* --- verbs ------------------------------------------------------------------------------------------ */

int run_status(venvctl *app);
int run_list(venvctl *app);
int run_show(venvctl *app);
int run_start(venvctl *app);
int run_stop(venvctl *app);
int run_change(venvctl *app);
int run_sync(venvctl *app);
int run_get(venvctl *app);
int run_fetch(venvctl *app);
int run_exec(venvctl *app);
int run_events(venvctl *app);
int run_control(venvctl *app);
int run_history(venvctl *app);
int run_accept_rollback(venvctl *app);
int run_forget(venvctl *app);
int run_apply(venvctl *app);
int run_environment_list(venvctl *app);
int run_environment_show(venvctl *app);
int run_environment_diff(venvctl *app);
int run_environment_delete(venvctl *app);
int run_environment_import(venvctl *app);
int run_node_drain(venvctl *app);
int run_node_resume(venvctl *app);
int run_cert_init(venvctl *app);
int run_cert_issue(venvctl *app);
int run_cert_show(venvctl *app);
int run_eval(venvctl *app);
int run_why(venvctl *app);
int run_breaker_list(venvctl *app);
int run_breaker_reset(venvctl *app);
int run_reload(venvctl *app);
int run_trigger_list(venvctl *app);
int run_trigger_show(venvctl *app);
int run_trigger_test(venvctl *app);
int run_trigger_enable(venvctl *app);
int run_trigger_disable(venvctl *app);
int run_trigger_apply(venvctl *app);
int run_trigger_reject(venvctl *app);
int run_trigger_replay(venvctl *app);
/* Triggers out of a file: the word names one if it ends in .yaml or .yml, or has a slash in it. */
/* --id and --why, and a connection. */
int change_options(venvctl *app, venv_client_change_options *ret_options);
/* What came of a change: `value` is released. */
int change_finish(venvctl *app, venv_rc rc, venv_value *value, const venv_error *err, const char *done);
bool trigger_is_file(const char *word);
int trigger_read_file(venvctl *app, const char *path, venv_value *ret_definitions);
int run_dump(venvctl *app);
int run_help(venvctl *app);
int run_complete(venvctl *app);

#endif
