/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_EXPR_H
#define VENV_EXPR_H

/**
 * @file venv/expr.h
 * @brief Expressions: the Common Expression Language (github.com/google/cel-spec), compiled once and
 *        evaluated often.
 *
 *      source --compile--> venv_expr --eval(context, input)--> value | unknown | error
 *                 ^                            ^
 *            venv_expr_env               slots, a map, or a resolver
 *       (variables, functions, limits)
 *
 * An **environment** says which variables and functions there are.  A **program** (`venv_expr`) is an
 * expression parsed, checked and compiled against it; it never changes.  An **input** gives the
 * variables their values for one evaluation.  A **context** is the memory that evaluations reuse, so
 * that evaluating the same program again allocates nothing.
 *
 * @par Language
 *      All of CEL but protocol-buffer messages and enumerations: grammar, macros (also with two
 *      variables, `cel.bind`, `cel.block`), standard functions, optionals, containers, time zones,
 *      static types with declarations or none, and the extensions for strings, math, encoders, lists,
 *      sets and network addresses.  Beside `math.greatest` and its like there are the short `min`,
 *      `max`, `abs`, `ceil`, `floor` and `round`.
 *
 * @par Unknown
 *      A variable, a part of it, or the answer of a function can be *unknown*: there is one, but we could not
 *      look.  `&&`, `||`, `?:` and the macros absorb it where the result does not depend on it;
 *      otherwise the whole result is unknown, and names what was missing.
 *
 * @par Cost
 *      Costs are counted in units; one unit is about the time of one comparison.
 *      - 1 for each node of the syntax tree outside of a macro's body, charged when evaluation starts;
 *      - for each round of a macro, 1 and 1 for each node of its body, charged when the round starts
 *        (a branch that is not taken is charged as if it were);
 *      - 1 for each 8 bytes or each item that a function, an operator or a comparison reads or writes;
 *      - for `matches`, the steps that the matching machine made, divided by 4;
 *      - for a pattern that is computed, 200 and 20 for each of its bytes; for a time zone that is, 500;
 *      - what a function of yours states or charges.
 *
 *      Past the limit the evaluation ends with VENV_ELIMIT, which nothing absorbs.
 *
 * @par Example
 * @code
 *      venv_expr_env *env = NULL;
 *      venv_expr *expr = NULL;
 *      venv_expr_context *context = NULL;
 *      uint32_t memfree;
 *      if (venv_expr_env_new(NULL, &env, &err) != VENV_OK ||
 *          venv_expr_env_variable(env, "memfree", "int", &memfree, &err) != VENV_OK ||
 *          venv_expr_compile(env, "memfree < 512", 13, &expr, &err) != VENV_OK ||
 *          venv_expr_context_new(&context, &err) != VENV_OK)
 *          return report(&err);
 *      venv_value slots[1];
 *      slots[memfree] = venv_value_int(100);
 *      venv_expr_input input = { .slots = slots, .slot_count = 1 };
 *      venv_expr_result result;
 *      if (venv_expr_eval(expr, context, &input, &result, &err) != VENV_OK)
 *          return report(&err);                       // for example a division by zero
 *      if (result.outcome == VENV_EXPR_UNKNOWN) …     // venv_expr_missing() says what was missing
 *      else printf("%d\n", venv_value_peek_bool(&result.value));
 * @endcode
 *
 * @par Purity
 *      Nothing here reads a clock, a file or an environment variable.  There is no `now()`: declare a
 *      variable and give it a value.  Data of time zones come through a function of yours.
 *
 * @par Threads
 *      A program may be evaluated by several threads at once, each with a context of its own; reference
 *      counts of programs and environments are atomic.  An environment may be compiled against by
 *      several threads, but while one adds to it the others neither compile against it nor evaluate
 *      programs of it.  The functions and resolvers that you add are called in the thread that
 *      evaluates.
 */

#include <venv/common.h>
#include <venv/value.h>

VENV_BEGIN_DECLS

/** What there is to compile against.  Reference counted; programs keep theirs alive. */
typedef struct venv_expr_env venv_expr_env;

/** A compiled expression.  Immutable, reference counted. */
typedef struct venv_expr venv_expr;

/** Memory for evaluations, one at a time.  Owned by one thread. */
typedef struct venv_expr_context venv_expr_context;

/** A text with `${ expression }` parts.  Immutable, reference counted. */
typedef struct venv_expr_template venv_expr_template;

/** @name Limits @{ */
#define VENV_EXPR_SOURCE_SIZE_MAX 16384u    /**< Bytes of one expression. */
#define VENV_EXPR_DEPTH_MAX       64u       /**< Levels of the syntax tree. */
#define VENV_EXPR_NODE_COUNT_MAX  10000u    /**< Nodes of the syntax tree. */
#define VENV_EXPR_COST_MAX        1000000u  /**< Units of one evaluation, see *Cost*. */
#define VENV_EXPR_STRING_SIZE_MAX 65536u    /**< Bytes of any string or bytes that an evaluation makes. */
#define VENV_EXPR_ARENA_SIZE_MAX  8388608u  /**< Bytes of all that one evaluation makes. */
#define VENV_EXPR_VARIABLES_MAX   1024u     /**< Variables of one environment. */
#define VENV_EXPR_FUNCTIONS_MAX   1024u     /**< Overloads that one environment adds. */
#define VENV_EXPR_ARGS_MAX        64u       /**< Arguments of one call. */
#define VENV_EXPR_DEPTH_LIMIT_MAX 250u      /**< The most that `depth_max` may be set to. */

/** Limits of an environment.  A member that is 0 means the default above, or none if there is none. */
typedef struct venv_expr_limits {
    uint32_t source_size_max; /**< Bytes. */
    uint32_t depth_max;       /**< Levels. */
    uint32_t node_count_max;  /**< Nodes. */
    uint64_t cost_max;        /**< Units. */
    uint32_t string_size_max; /**< Bytes. */
    uint32_t arena_size_max;  /**< Bytes. */
    uint64_t estimate_max;    /**< Units: what could cost more, by venv_expr_estimate(), does not compile. 0: no limit. */
    uint64_t assumed_count;   /**< Items that lists, maps and texts of unknown size are then taken to have; 0: 1,000. */
} venv_expr_limits;
/** @} */

/**
 * Gives the bytes of a TZif file (RFC 9636, formerly 8536) for a name of the IANA time zone database.
 *
 * Called when a program with a constant zone is compiled, and during evaluation for a computed one
 * (each context keeps the last few).  "UTC", "" and offsets such as "+02:00" never ask.  `name` holds
 * only letters, digits and `_ + - /`, starts with a letter, and has no empty part: it is safe below a
 * directory.
 *
 * @param ret_file  A bytes value, taken over.
 * @retval VENV_OK
 * @retval VENV_ENOENT  No such zone.  Any other failure is reported as one, too.
 */
typedef venv_rc (*venv_expr_zone_fn)(void *user, const char *name, venv_value *ret_file,
                                     venv_error *err);

/** How an environment compiles. */
typedef struct venv_expr_options {
    venv_expr_limits limits;
    bool macros_off;         /**< `has`, `all`, … are ordinary names then. */
    bool mixed_numbers;      /**< Arithmetic on a double and an integer of unknown static type is that of doubles; in the
                                  language it is an error.  A property may be either, as its agent likes. */
    bool check_off;          /**< No static types: everything is found out when it runs. */
    const char *container;   /**< Namespace that names are resolved in, as "com.example"; NULL for none. */
    venv_expr_zone_fn zone;  /**< NULL: only UTC and fixed offsets. */
    void *zone_user;
} venv_expr_options;

/** @name Environment @{ */

/**
 * Make an environment with the standard functions and no variables.
 *
 * @param options  May be NULL for the defaults.  Copied.
 * @retval VENV_OK
 * @retval VENV_EINVAL  The container is no qualified name.
 * @retval VENV_ERANGE  A limit is beyond what can be offered.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_env_new(const venv_expr_options *options,
                                                 venv_expr_env **ret_env, venv_error *err);

/** One more reference.  @return `env`. */
VENV_API venv_expr_env *venv_expr_env_ref(venv_expr_env *env);

/** Drop one reference.  Accepts NULL.  @return NULL. */
VENV_API venv_expr_env *venv_expr_env_unref(venv_expr_env *env);

/**
 * Declare a variable.
 *
 * @param name      Identifier, or several joined by dots (`com.example.x`).
 * @param type      `int uint double bool string bytes null_type timestamp duration dyn type ip cidr`,
 *                  `list(T)`, `map(K, V)`, `optional_type(T)`, also `google.protobuf.Timestamp`,
 *                  `google.protobuf.Duration` and the wrapper types `wrapper(int)`.
 * @param ret_slot  Its slot: 0 for the first variable, and so on.  May be NULL.
 * @retval VENV_OK
 * @retval VENV_EINVAL  The name or the type is malformed; the error says where.
 * @retval VENV_EEXIST  Declared before.
 * @retval VENV_ELIMIT  VENV_EXPR_VARIABLES_MAX.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_env_variable(venv_expr_env *env, const char *name,
                                                      const char *type, uint32_t *ret_slot,
                                                      venv_error *err);

/** Slots so far: the least `slot_count` for which every variable has a place. */
VENV_API uint32_t venv_expr_env_slot_count(const venv_expr_env *env);

/** Slot of a variable, -1 if there is none. */
VENV_API int64_t venv_expr_env_slot(const venv_expr_env *env, const char *name);

/** What a function of yours is given. */
typedef struct venv_expr_call {
    const venv_value *args; /**< Lent for the time of the call. A receiver is the first. */
    size_t arg_count;
    void *user;             /**< As given to venv_expr_env_function(). */
    void *data;             /**< `data` of the input. */
    venv_expr_context *context; /**< For venv_expr_charge(). */
} venv_expr_call;

/**
 * A function of yours.
 *
 * It must not change anything that a second evaluation could see, and must not evaluate with the same context.
 *
 * @param ret_value  Its answer, taken over (`venv_value_ref()` what you only lend).
 * @retval VENV_OK
 * @retval VENV_EUNKNOWN  The answer is unknown; the result names the call.
 * @return Anything else: the call is an error with the text of `err`.
 */
typedef venv_rc (*venv_expr_call_fn)(const venv_expr_call *call, venv_value *ret_value,
                                     venv_error *err);

/**
 * Add a function, or one more overload of it.
 *
 * @param signature  `"queue(string) -> dyn"`, or with a receiver `"string.shout(int) -> string"`.
 *                   The name may be qualified in the first form (`"net.lookup(string) -> list(string)"`
 *                   is a receiver only if the part before the last dot is a type).
 *                   Single capital letters are type parameters: `"first(list(T)) -> T"`.
 *                   In a checked program arguments and answers are held to it.
 * @param cost       Units of one call.
 * @retval VENV_OK
 * @retval VENV_EINVAL  Malformed signature.
 * @retval VENV_EEXIST  An overload with these arguments exists.
 * @retval VENV_ELIMIT  VENV_EXPR_FUNCTIONS_MAX.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_env_function(venv_expr_env *env, const char *signature,
                                                      uint64_t cost, venv_expr_call_fn call,
                                                      void *user, venv_error *err);

/** Charge more units from within a call.  @return VENV_ELIMIT when the budget is spent: give up then. */
VENV_API venv_rc venv_expr_charge(venv_expr_context *context, uint64_t units);
/** @} */

/** @name Programs @{ */

/**
 * Parse, check and compile.
 *
 * The error carries line and column; its text says what is wrong and what was expected, for an
 * unknown name the nearest known one, and has two more lines: the offending line, and a caret.
 *
 * @param source    UTF-8.  Need not be terminated.  Copied.
 * @param ret_expr  Owned: release with venv_expr_unref().
 * @retval VENV_OK
 * @retval VENV_EINVAL  Malformed, or ill-typed, or names something undeclared.
 * @retval VENV_ELIMIT  Too long, too deep, too many nodes, or too costly by `estimate_max`.
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_compile(venv_expr_env *env, const char *source, size_t size,
                                                 venv_expr **ret_expr, venv_error *err);

/** One more reference.  @return `expr`. */
VENV_API venv_expr *venv_expr_ref(venv_expr *expr);

/** Drop one reference.  Accepts NULL.  @return NULL. */
VENV_API venv_expr *venv_expr_unref(venv_expr *expr);

/** The source, NUL-terminated.  Lent for the life of `expr`. */
VENV_API const char *venv_expr_source(const venv_expr *expr);

/** The type that the checker found, as text: `"bool"`, `"list(int)"`; `"dyn"` if not checked. Lent. */
VENV_API const char *venv_expr_type(const venv_expr *expr);

/** True if the result can be of this kind: the type is it, or is not known before it runs. */
VENV_API bool venv_expr_may_be(const venv_expr *expr, venv_kind kind);

/**
 * Print the syntax tree, one node a line, indented, with its type and position.
 * @return Bytes that the whole text needs, without the NUL.
 */
VENV_API size_t venv_expr_print_tree(const venv_expr *expr, char *buffer, size_t size);

/** What an expression reads. */
typedef enum venv_expr_read_kind {
    VENV_EXPR_READ_VARIABLE, /**< A variable, or a part of it under constant names. */
    VENV_EXPR_READ_CALL,     /**< A function that you added. */
} venv_expr_read_kind;

/** One thing that an expression reads: a row of the caller's dependency index. */
typedef struct venv_expr_read {
    venv_expr_read_kind kind;
    const char *text;        /**< `agent.p.cputemp`, `queue("class2")`, `queue(...)`. */
    const char *const *path; /**< Variable's name and the constant names after it; or the function's name. */
    uint32_t path_count;     /**< At least 1. */
    uint32_t slot;           /**< Of the variable; UINT32_MAX for calls. */
    const char *argument;    /**< The constant string that is the call's first argument; NULL if it is computed or none. */
    bool tested;             /**< Read by `has()` or `.?`: its absence is no error. */
} venv_expr_read;

/**
 * Number of things that the expression can read, each listed once; what is read by `has()` and otherwise, twice.
 *
 * A path is as long as its constant names reach: `agent.p[key].x` reads `agent.p`, and may look at all of it.
 */
VENV_API size_t venv_expr_read_count(const venv_expr *expr);

/** One of them, lent for the life of `expr`; NULL past the end. */
VENV_API const venv_expr_read *venv_expr_read_at(const venv_expr *expr, size_t index);

/** What an evaluation costs, see *Cost*. */
typedef struct venv_expr_cost {
    uint64_t min; /**< If every macro's range and every text is empty. */
    uint64_t max; /**< If each one of unknown size has `assumed_count` items; UINT64_MAX if it overflows. */
} venv_expr_cost;

/** Estimate the cost before running.  Regular expressions count as linear in their text. */
VENV_API venv_expr_cost venv_expr_estimate(const venv_expr *expr, uint64_t assumed_count);
/** @} */

/** @name Evaluation @{ */

/** What a resolver answers. */
typedef enum venv_expr_answer {
    VENV_EXPR_FOUND,       /**< `*ret_value` is set. */
    VENV_EXPR_NOT_KNOWN,   /**< There is one, but we could not look: unknown. */
    VENV_EXPR_NOT_THERE,   /**< There is none: an error where it is read, false in `has()`. */
} venv_expr_answer;

/**
 * Asked for what the expression reads, when it is read, and for nothing else.
 *
 * @param read       What is wanted: the whole path of `read`.
 * @param ret_value  Lent: must stay as it is until the result has been used.
 * @param ret_depth  In: `read->path_count`.  Out: for how many names of the path the value stands; with 1
 *                   it is the whole variable, and the rest of the path is looked up in it.
 */
typedef venv_expr_answer (*venv_expr_resolve_fn)(void *user, const venv_expr_read *read,
                                                 venv_value *ret_value, uint32_t *ret_depth);

/**
 * Values of the variables in one evaluation.  For each variable: its slot if there is one and it is not
 * venv_expr_absent(), else `map`, else `resolve`; where none has it, reading it is an error.
 */
typedef struct venv_expr_input {
    const venv_value *slots;      /**< By slot number; may be NULL. */
    size_t slot_count;
    const venv_value *map;        /**< A map from names to values; may be NULL. */
    venv_expr_resolve_fn resolve; /**< May be NULL. */
    void *resolve_user;
    void *data;                   /**< Handed to the functions that you added. */
    uint64_t cost_max;            /**< Units; 0 for the limit of the environment. */
} venv_expr_input;

/**
 * Stands in a slot, or anywhere inside a list or map, for a value that is unknown.
 *
 * What does not need it does not see it: the size of such a list is known, its sum is not.  A list or map that
 * is given and is the whole result comes back as it is.
 */
VENV_API venv_value venv_expr_unknown(void);
/** Stands in a slot for "not given here". */
VENV_API venv_value venv_expr_absent(void);

typedef enum venv_expr_outcome {
    VENV_EXPR_VALUE,
    VENV_EXPR_UNKNOWN,
} venv_expr_outcome;

typedef struct venv_expr_result {
    venv_expr_outcome outcome;
    venv_value value;      /**< Null if unknown. Lent until the next use of the context: venv_value_dup() what you keep, never unref it. */
    uint64_t cost;         /**< Units used. */
    size_t missing_count;  /**< Reads that were missing; 0 if the outcome is a value. */
} venv_expr_result;

/** Make a context.  @retval VENV_OK  @retval VENV_ENOMEM */
VENV_API VENV_MUST_USE venv_rc venv_expr_context_new(venv_expr_context **ret_context, venv_error *err);

/** Release a context.  Accepts NULL. */
VENV_API void venv_expr_context_free(venv_expr_context *context);

/** Bytes of memory that the last evaluation used, at most `arena_size_max`. */
VENV_API size_t venv_expr_context_used(const venv_expr_context *context);

/**
 * Evaluate.
 *
 * Ends by itself for every expression and input: within the cost limit, the memory limit, and the depth.
 * A context may serve any number of programs in turn.  The last result is forgotten.
 *
 * @param err  Filled on failure only, with line, column, and the offending line.
 * @retval VENV_OK      `*ret_result` holds a value, or unknown.
 * @retval VENV_EINVAL  The expression failed: no such key, division by zero, a wrong type, …
 * @retval VENV_ELIMIT  Cost, memory, or the size of a string.
 * @retval VENV_ENOMEM
 * @return Also what a function of yours failed with, where nothing absorbed it.
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_eval(const venv_expr *expr, venv_expr_context *context,
                                              const venv_expr_input *input,
                                              venv_expr_result *ret_result, venv_error *err);

/** What was missing: 0 <= index < missing_count of the last evaluation.  Lent for the life of its program. */
VENV_API const venv_expr_read *venv_expr_missing(const venv_expr_context *context, size_t index);
/** @} */

/** @name Explaining: the value of each part @{ */

#define VENV_EXPR_PARTS_MAX     128u /**< Parts of one expression that are explained. */
#define VENV_EXPR_PART_TEXT_MAX 200u /**< Bytes of one part's text, with its NUL. */

/** Why an expression is what it is.  Owned by the caller. */
typedef struct venv_expr_explanation venv_expr_explanation;

/** What became of a part. */
typedef enum venv_expr_part_state {
    VENV_EXPR_PART_VALUE,   /**< It has a value. */
    VENV_EXPR_PART_UNKNOWN, /**< It could not be looked at. */
    VENV_EXPR_PART_ERROR,   /**< It failed: `text` says why. */
    VENV_EXPR_PART_NOT_RUN, /**< Part of a macro that went no round, or of what was too costly. */
} venv_expr_part_state;

/** `"value"`, `"unknown"`, `"error"`, `"not-run"`. */
VENV_API const char *venv_expr_part_state_name(venv_expr_part_state state);

/** One part of an expression: whatever is not constant. */
typedef struct venv_expr_part {
    uint32_t begin, end; /**< Bytes of the source, `end` exclusive; brackets around it are part of it. */
    uint32_t depth;      /**< Parts around it. */
    venv_expr_part_state state;
    bool needed;         /**< The result hung on it; false: evaluated only to be shown. */
    bool repeats;        /**< It stands in the body of a macro: `rounds` times, and this is the last. */
    uint32_t rounds;     /**< How often it was evaluated. */
    uint32_t trues;      /**< How often it was true. */
    venv_value value;    /**< A scalar or a short text, else null: see `text`. */
    const char *text;    /**< The value or the error for people, cut with `…`; "" if there is neither. */
} venv_expr_part;

/**
 * Evaluate, and keep the value of each part.
 *
 * The result is that of venv_expr_eval() with the same input: it is the same code that runs.  Parts that the
 * result did not need (behind a false `&&`) are evaluated after it, within the same budget.
 *
 * @param ret_explanation  Owned: release with venv_expr_explanation_free().
 * @retval VENV_OK      Also where the expression failed: see venv_expr_explanation_error().
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_explain(const venv_expr *expr, const venv_expr_input *input,
                                                 venv_expr_explanation **ret_explanation, venv_error *err);

/** Release.  Accepts NULL. */
VENV_API void venv_expr_explanation_free(venv_expr_explanation *explanation);

/** Parts: the whole before its parts, and these from left to right. */
VENV_API size_t venv_expr_explanation_count(const venv_expr_explanation *explanation);

/** One of them, lent; NULL past the end. */
VENV_API const venv_expr_part *venv_expr_explanation_at(const venv_expr_explanation *explanation, size_t index);

/** True if the expression has more than VENV_EXPR_PARTS_MAX parts. */
VENV_API bool venv_expr_explanation_is_cut(const venv_expr_explanation *explanation);

/** What the whole failed with, lent; NULL if it did not. */
VENV_API const venv_error *venv_expr_explanation_error(const venv_expr_explanation *explanation);

/**
 * As a list of maps, for a message, a row or `--json`: `begin`, `end`, `depth`, `state`, `text`, `value`,
 * `needed` (only where false), `rounds` and `trues` (only in the body of a macro).
 *
 * @param count_max  At most so many parts.
 * @retval VENV_OK
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_explanation_value(const venv_expr_explanation *explanation,
                                                           size_t count_max, venv_value *ret_list,
                                                           venv_error *err);
/** @} */

/** @name Templates: text with `${ expression }` in it @{ */

#define VENV_EXPR_TEMPLATE_PARTS_MAX 64u /**< Expressions in one template. */

/**
 * Compile a text with `${ … }` parts.  `$${` stands for `${`.
 *
 * @param text  UTF-8.  Braces and quotes inside an expression are understood.
 * @retval VENV_EINVAL  As venv_expr_compile() (line and column count from the start of `text`), or `${` is not closed.
 * @retval VENV_ELIMIT
 * @retval VENV_ENOMEM
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_template_compile(venv_expr_env *env, const char *text,
                                                          size_t size, venv_expr_template **ret_template,
                                                          venv_error *err);

/** One more reference.  @return `template_`. */
VENV_API venv_expr_template *venv_expr_template_ref(venv_expr_template *template_);

/** Drop one reference.  Accepts NULL.  @return NULL. */
VENV_API venv_expr_template *venv_expr_template_unref(venv_expr_template *template_);

/** Expressions in it; 0 means that it is plain text. */
VENV_API size_t venv_expr_template_count(const venv_expr_template *template_);

/** One of them, lent, for what it reads; NULL past the end. */
VENV_API const venv_expr *venv_expr_template_at(const venv_expr_template *template_, size_t index);

/**
 * Fill it in.
 *
 * If the whole text is one `${ … }` the result is that expression's value, with its type.  Otherwise
 * it is a string: strings as they are, other scalars as `string()` makes them, the rest as
 * venv_value_print() does.  Unknown if any part is.
 *
 * Fails as venv_expr_eval() does.
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_template_eval(const venv_expr_template *template_,
                                                       venv_expr_context *context,
                                                       const venv_expr_input *input,
                                                       venv_expr_result *ret_result, venv_error *err);

/**
 * Looks at what one expression of a template gave, before its text is put in.
 *
 * @param value  Lent for the call.
 * @return VENV_OK, or what venv_expr_template_eval_checked() is to return; then `err` says why.
 */
typedef venv_rc (*venv_expr_check_fn)(void *user, const venv_value *value, venv_error *err);

/**
 * Fill it in, as venv_expr_template_eval() does, where not every value will do: in the text of a selector a value must not
 * bring a comma of its own.
 *
 * @param check  Called for each expression, in order, when its value is known.
 *
 * Fails as venv_expr_eval() does, and as `check` does.
 */
VENV_API VENV_MUST_USE venv_rc venv_expr_template_eval_checked(const venv_expr_template *template_,
                                                               venv_expr_context *context,
                                                               const venv_expr_input *input,
                                                               venv_expr_check_fn check, void *user,
                                                               venv_expr_result *ret_result, venv_error *err);
/** @} */

VENV_END_DECLS
#endif /* VENV_EXPR_H */
