/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text → scenario. A statement is a line; lines that begin with a blank belong to the one before; `#` begins a comment;
 * a block `<<WORD` is all lines up to one that is WORD.
 *
 * The parser knows no statement: it tries the forms of scenario.def one after the other, and where none fits it says
 * what each of those that came furthest expected there.
 */
#include "scenarios/scenario.h"

#include <venv/codec.h>
#include <venv/property.h>
#include <venv/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORM(verb, form, where, what) [SCENARIO_##verb] = { form, SCENARIO_IN_##where, what },
const scenario_form scenario_forms[SCENARIO_VERB__COUNT] = {
#include "scenarios/scenario.def"
};
#undef FORM

typedef struct token {
    venv_str text;
    uint32_t line, column;
} token;

typedef struct parser {
    scenario *sc;
    const char *at, *end;
    uint32_t line;
    token tokens[SCENARIO_TOKENS_MAX];
    size_t count;
    venv_str block; /* of the statement; data NULL: it has none */
    bool stepping;  /* the first step was read */
    venv_error *err;
} parser;

static venv_rc fail_at(parser *p, uint32_t line, uint32_t column, venv_error *err)
{
    (void)p;
    venv_error_at(err, p->sc->file, line, column);
    return err->rc;
}

static char *copy(venv_str text)
{
    return strndup(text.data ? text.data : "", text.size);
}

static bool is(venv_str text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

scenario_host *scenario_find_host(scenario *sc, const char *name)
{
    for (size_t i = 0; i < sc->host_count; i++)
        if (strcmp(sc->hosts[i].name, name) == 0)
            return &sc->hosts[i];
    return NULL;
}

/* --- words of a statement --------------------------------------------------------------------------------------- */

static venv_rc add_token(parser *p, const char *begin, const char *end, const char *line_begin)
{
    if (p->count == SCENARIO_TOKENS_MAX) {
        venv_error_set(p->err, VENV_ELIMIT, "a statement has more than %u words", SCENARIO_TOKENS_MAX);
        return fail_at(p, p->line, 1, p->err);
    }
    p->tokens[p->count++] = (token){ { begin, (size_t)(end - begin) }, p->line, (uint32_t)(begin - line_begin) + 1 };
    return VENV_OK;
}

/* The end of a text in quotes, its last quote included; NULL: it has none on this line. */
static const char *quoted_end(const char *at, const char *line_end)
{
    for (const char *c = at + 1; c < line_end; c++) {
        if (*c == '\\')
            c++;
        else if (*c == *at)
            return c + 1;
    }
    return NULL;
}

/* One line into tokens. Quotes hold blanks and `#` together. */
static venv_rc split_line(parser *p, const char *begin, const char *end)
{
    const char *at = begin;
    while (at < end) {
        while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
            at++;
        if (at == end || *at == '#')
            return VENV_OK;
        const char *first = at;
        while (at < end && *at != ' ' && *at != '\t' && *at != '\r') {
            const char *close = *at == '"' || *at == '\'' ? quoted_end(at, end) : at + 1;
            if (!close) {
                venv_error_set(p->err, VENV_EINVAL, "a text begins here, and has no closing %c on its line", *at);
                return fail_at(p, p->line, (uint32_t)(at - begin) + 1, p->err);
            }
            at = close;
        }
        venv_rc rc = add_token(p, first, at, begin);
        if (rc != VENV_OK)
            return rc;
    }
    return VENV_OK;
}

static const char *line_end(const parser *p, const char *at)
{
    const char *end = memchr(at, '\n', (size_t)(p->end - at));
    return end ? end : p->end;
}

static void next_line(parser *p, const char *end)
{
    p->at = end < p->end ? end + 1 : end;
    p->line++;
}

/* All lines up to WORD. */
static venv_rc take_block(parser *p, const token *opening)
{
    venv_str word = { opening->text.data + 2, opening->text.size - 2 };
    const char *begin = p->at;
    while (p->at < p->end) {
        const char *end = line_end(p, p->at);
        size_t size = (size_t)(end - p->at);
        if (size == word.size && memcmp(p->at, word.data, size) == 0) {
            p->block = (venv_str){ begin, (size_t)(p->at - begin) };
            next_line(p, end);
            return VENV_OK;
        }
        next_line(p, end);
    }
    venv_error_set(p->err, VENV_EINVAL, "a block begins here, and no line `%.*s` ends it", (int)word.size, word.data);
    return fail_at(p, opening->line, opening->column, p->err);
}

/* The next statement. No tokens: the file is over. */
static venv_rc take_statement(parser *p)
{
    p->count = 0;
    p->block = (venv_str){ NULL, 0 };
    while (p->at < p->end) {
        bool more = *p->at == ' ' || *p->at == '\t';
        if (!more && p->count > 0)
            return VENV_OK;
        const char *end = line_end(p, p->at);
        venv_rc rc = split_line(p, p->at, end);
        if (rc != VENV_OK)
            return rc;
        next_line(p, end);
        const token *last = p->count > 0 ? &p->tokens[p->count - 1] : NULL;
        if (last && last->text.size > 2 && memcmp(last->text.data, "<<", 2) == 0)
            return take_block(p, last);
    }
    return VENV_OK;
}

/* --- forms --------------------------------------------------------------------------------------------------------- */

#define EXPECTED_MAX 400

/* Where the parser came to in the forms that fit best, and what they wanted there. */
typedef struct furthest {
    size_t at;
    char expected[EXPECTED_MAX];
} furthest;

static void expect_there(furthest *f, size_t at, const char *what)
{
    if (at < f->at)
        return;
    if (at > f->at)
        f->expected[0] = '\0';
    f->at = at;
    char word[EXPECTED_MAX];
    snprintf(word, sizeof word, "%s%.60s", f->expected[0] ? " or " : "", what);
    if (!strstr(f->expected, what) && strlen(f->expected) + strlen(word) < sizeof f->expected)
        memcpy(f->expected + strlen(f->expected), word, strlen(word) + 1);
}

/* The names of hosts, as "mgr, n1 or n2". */
static void name_hosts(const scenario *sc, bool managers, bool agents, char *to, size_t size)
{
    size_t used = 0;
    to[0] = '\0';
    for (size_t i = 0; i < sc->host_count && used < size; i++)
        if (sc->hosts[i].manager ? agents : managers)
            used += (size_t)snprintf(to + used, size - used, "%s%s", used ? ", " : "", sc->hosts[i].name);
}

static bool fits_host(parser *p, venv_str text, bool managers, bool agents, const char *kind, char *what, size_t size)
{
    char name[VENV_NAME_MAX + 1], list[160];
    if (text.size <= VENV_NAME_MAX) {
        snprintf(name, sizeof name, "%.*s", (int)text.size, text.data);
        const scenario_host *host = scenario_find_host(p->sc, name);
        if (host && (host->manager ? agents : managers))
            return true;
    }
    name_hosts(p->sc, managers, agents, list, sizeof list);
    snprintf(what, size, "%s (%.150s)", kind, list[0] ? list : "none is declared yet");
    return false;
}

static bool fits_count(venv_str text, int64_t *ret_number)
{
    int64_t number = 0;
    if (text.size == 0 || text.size > 9)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        number = number * 10 + (text.data[i] - '0');
    }
    *ret_number = number;
    return true;
}

static bool fits_jump(venv_str text, int64_t *ret_number)
{
    venv_span span;
    if (text.size < 2 || (text.data[0] != '+' && text.data[0] != '-') ||
        !venv_span_parse((venv_str){ text.data + 1, text.size - 1 }, &span))
        return false;
    *ret_number = text.data[0] == '-' ? -span.ns : span.ns;
    return true;
}

static bool fits_value(venv_str text)
{
    venv_value value = venv_value_null();
    bool good = venv_json_parse(text.data, text.size, SCENARIO_SIZE_MAX, &value, NULL) == VENV_OK;
    venv_value_unref(&value);
    return good;
}

static bool one_of(venv_str text, const char *const *words, const char *kind, char *what, size_t size)
{
    size_t used = (size_t)snprintf(what, size, "%s:", kind);
    for (size_t i = 0; words[i]; i++) {
        if (is(text, words[i]))
            return true;
        used += (size_t)snprintf(what + used, size - used, "%s %s", i ? "," : "", words[i]);
    }
    return false;
}

/* Does this token fit this word in capitals? If not, *what says what would. */
static bool fits(parser *p, const char *word, const token *t, int64_t *ret_number, char *what, size_t size)
{
    static const char *const states[] = { "connected", "suspect", "lost", NULL };
    static const char *const types[] = { "int", "double", "string", "bool", "json", NULL };
    venv_span span;
    uint64_t bytes;
    if (strcmp(word, "MANAGER") == 0)
        return fits_host(p, t->text, true, false, "a manager", what, size);
    if (strcmp(word, "AGENT") == 0)
        return fits_host(p, t->text, false, true, "an agent", what, size);
    if (strcmp(word, "HOST") == 0)
        return fits_host(p, t->text, true, true, "a manager or an agent", what, size);
    if (strcmp(word, "STATE") == 0)
        return one_of(t->text, states, "a state", what, size);
    if (strcmp(word, "TYPE") == 0)
        return one_of(t->text, types, "a type", what, size);
    if (strcmp(word, "NAME") == 0) {
        snprintf(what, size, "a name (small letters, digits, '.', '_', '-')");
        return venv_name_is_valid(t->text);
    }
    if (strcmp(word, "LABEL") == 0) {
        snprintf(what, size, "the name of a property or a key");
        return venv_label_is_valid(t->text);
    }
    if (strcmp(word, "COUNT") == 0) {
        snprintf(what, size, "a whole number");
        return fits_count(t->text, ret_number);
    }
    if (strcmp(word, "SIZE") == 0) {
        snprintf(what, size, "a size such as 8GiB");
        bool good = venv_size_parse(t->text, &bytes) && bytes <= INT64_MAX;
        *ret_number = good ? (int64_t)bytes : 0;
        return good;
    }
    if (strcmp(word, "SPAN") == 0) {
        snprintf(what, size, "a length of time such as 30s or 5m");
        bool good = venv_span_parse(t->text, &span);
        *ret_number = good ? span.ns : 0;
        return good;
    }
    if (strcmp(word, "JUMP") == 0) {
        snprintf(what, size, "a signed length of time such as +1h or -10m");
        return fits_jump(t->text, ret_number);
    }
    if (strcmp(word, "TEXT") == 0) {
        snprintf(what, size, "a text in double quotes");
        return t->text.size >= 2 && t->text.data[0] == '"' && t->text.data[t->text.size - 1] == '"';
    }
    if (strcmp(word, "BLOCK") == 0) {
        snprintf(what, size, "a block: <<END, lines, END");
        return p->block.data != NULL;
    }
    snprintf(what, size, "a value: a number, true, false, \"text\", or JSON without blanks");
    return fits_value(t->text);
}

typedef struct words {
    char text[12][16];
    size_t count;
} words;

static void read_form(const char *form, words *ret)
{
    ret->count = 0;
    while (*form && ret->count < 12) {
        size_t size = strcspn(form, " ");
        snprintf(ret->text[ret->count++], sizeof ret->text[0], "%.*s", (int)size, form);
        form += size;
        form += *form == ' ';
    }
}

/* The source of tokens [first, end), line breaks and all, so that places in it are places in the file. */
static venv_str source_of(const parser *p, size_t first, size_t end)
{
    const char *begin = p->tokens[first].text.data;
    const token *last = &p->tokens[end - 1];
    return (venv_str){ begin, (size_t)(last->text.data + last->text.size - begin) };
}

static venv_rc keep(scenario_step *step, venv_str text, int64_t number)
{
    scenario_argument *a = &step->args[step->count++];
    a->number = number;
    a->text = copy(text);
    return a->text ? VENV_OK : VENV_ENOMEM;
}

/* Try one form. *ret_fits tells; a failure is a lack of memory. */
static venv_rc try_form(parser *p, const char *form, scenario_step *step, furthest *far, bool *ret_fits)
{
    words w;
    char what[256];
    size_t t = 0;
    *ret_fits = false;
    read_form(form, &w);
    for (size_t i = 0; i < w.count; i++, t++) {
        bool capital = w.text[i][0] >= 'A' && w.text[i][0] <= 'Z';
        int64_t number = 0;
        snprintf(what, sizeof what, capital ? "%s" : "`%s`", w.text[i]);
        if (strcmp(w.text[i], "EXPRESSION") == 0) {
            size_t after = w.count - i - 1;
            bool reserved = t < p->count && (is(p->tokens[t].text, "never") || is(p->tokens[t].text, "always") || is(p->tokens[t].text, "agent"));
            if (t + after >= p->count || reserved) {
                expect_there(far, t, "an expression");
                return VENV_OK;
            }
            size_t end = p->count - after;
            if (keep(step, source_of(p, t, end), (int64_t)t) != VENV_OK)
                return VENV_ENOMEM;
            t = end - 1;
            continue;
        }
        if (t == p->count || !(capital ? fits(p, w.text[i], &p->tokens[t], &number, what, sizeof what) : is(p->tokens[t].text, w.text[i]))) {
            if (t == p->count && capital) {
                const token nothing = { { "", 0 }, 0, 0 };
                (void)fits(p, w.text[i], &nothing, &number, what, sizeof what);
            }
            expect_there(far, t, what);
            return VENV_OK;
        }
        venv_str text = strcmp(w.text[i], "BLOCK") == 0 ? p->block : p->tokens[t].text;
        if (strcmp(w.text[i], "TEXT") == 0)
            text = (venv_str){ text.data + 1, text.size - 2 };
        if (capital && keep(step, text, number) != VENV_OK)
            return VENV_ENOMEM;
    }
    if (t < p->count) {
        expect_there(far, t, "the end of the line");
        return VENV_OK;
    }
    *ret_fits = true;
    return VENV_OK;
}

static void step_clear(scenario_step *step)
{
    for (size_t i = 0; i < step->count; i++)
        free(step->args[i].text);
    venv_expr_unref(step->expr);
    memset(step, 0, sizeof *step);
}

static venv_rc read_step(parser *p, scenario_step *step)
{
    furthest far = { 0, "" };
    for (int verb = 0; verb < SCENARIO_VERB__COUNT; verb++) {
        bool good = false;
        step_clear(step);
        *step = (scenario_step){ .verb = (scenario_verb)verb, .line = p->tokens[0].line, .column = p->tokens[0].column };
        if (try_form(p, scenario_forms[verb].form, step, &far, &good) != VENV_OK)
            return venv_error_set(p->err, VENV_ENOMEM, "out of memory");
        if (good)
            return VENV_OK;
    }
    const token *t = &p->tokens[far.at < p->count ? far.at : p->count - 1];
    bool over = far.at == p->count;
    venv_error_set(p->err, VENV_EINVAL, "expected %s and found %s%.*s%s", far.at == 0 ? "a statement (venv-sim(7) lists them)" : far.expected,
                   over ? "the end of the statement" : "'", over ? 0 : (int)(t->text.size < 60 ? t->text.size : 60), t->text.data,
                   over ? "" : "'");
    return fail_at(p, t->line, t->column + (over ? (uint32_t)t->text.size : 0), p->err);
}

/* --- what a statement says ---------------------------------------------------------------------------------------------- */

static venv_rc refuse(parser *p, const scenario_step *step, const char *why)
{
    venv_error_set(p->err, VENV_EINVAL, "%s", why);
    return fail_at(p, step->line, step->column, p->err);
}

static venv_rc move_text(char **to, scenario_argument *from)
{
    free(*to);
    *to = from->text;
    from->text = NULL;
    return VENV_OK;
}

static venv_rc add_host(parser *p, scenario_step *step)
{
    scenario *sc = p->sc;
    const char *manager = NULL;
    if (scenario_find_host(sc, step->args[0].text))
        return refuse(p, step, "this name is taken: managers and agents have names of their own");
    if (sc->host_count == SCENARIO_HOSTS_MAX)
        return refuse(p, step, "there are more than 64 managers and agents");
    if (step->verb == SCENARIO_AGENT_OF)
        manager = step->args[1].text;
    for (size_t i = 0; step->verb == SCENARIO_AGENT && i < sc->host_count; i++) {
        if (sc->hosts[i].manager)
            continue;
        if (manager)
            return refuse(p, step, "there are several managers: say `agent NAME of MANAGER`");
        manager = sc->hosts[i].name;
    }
    if (step->verb == SCENARIO_AGENT && !manager)
        return refuse(p, step, "declare its manager first: `manager NAME`");
    scenario_host *host = &sc->hosts[sc->host_count++];
    memset(host, 0, sizeof *host);
    if (manager && !(host->manager = strdup(manager)))
        return venv_error_set(p->err, VENV_ENOMEM, "out of memory");
    return move_text(&host->name, &step->args[0]);
}

static venv_rc add_pair(parser *p, scenario_step *step, scenario_pair *pairs, size_t *count)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(pairs[i].name, step->args[0].text) == 0)
            return refuse(p, step, "it was given before");
    if (*count == SCENARIO_MORE_MAX)
        return refuse(p, step, "there are more than 32 of them");
    scenario_pair *pair = &pairs[(*count)++];
    *pair = (scenario_pair){ NULL, NULL };
    move_text(&pair->name, &step->args[0]);
    return move_text(&pair->value, &step->args[2]);
}

/* Whom a declaration is about; NULL for those that are about nobody, or make somebody. */
static scenario_host *subject_of(parser *p, const scenario_step *step)
{
    switch (step->verb) {
    case SCENARIO_HYPERVISOR:
    case SCENARIO_CONFIGURATION: return scenario_find_host(p->sc, step->args[0].text);
    case SCENARIO_GROUP:
    case SCENARIO_PROPERTY:
    case SCENARIO_SETTING: return scenario_find_host(p->sc, step->args[1].text);
    default: return NULL;
    }
}

static venv_rc take_declaration(parser *p, scenario_step *step)
{
    scenario *sc = p->sc;
    scenario_host *host = subject_of(p, step);
    switch (step->verb) {
    case SCENARIO_ABOUT: return move_text(&sc->about, &step->args[0]);
    case SCENARIO_ONLY: return move_text(&sc->only, &step->args[0]);
    case SCENARIO_MANAGER:
    case SCENARIO_AGENT:
    case SCENARIO_AGENT_OF: return add_host(p, step);
    case SCENARIO_HYPERVISOR:
        host->cpus = step->args[1].number;
        host->memory = step->args[2].number;
        return host->cpus > 0 && host->cpus <= 1024 ? VENV_OK : refuse(p, step, "cpus: expected 1 to 1024");
    case SCENARIO_GROUP:
        if (host->group_count == SCENARIO_MORE_MAX)
            return refuse(p, step, "it is in more than 32 groups");
        host->groups[host->group_count] = NULL;
        return move_text(&host->groups[host->group_count++], &step->args[0]);
    case SCENARIO_PROPERTY: return add_pair(p, step, host->properties, &host->property_count);
    case SCENARIO_SETTING: return add_pair(p, step, host->settings, &host->setting_count);
    default: return move_text(&host->yaml, &step->args[1]); /* CONFIGURATION */
    }
}

/* An error inside of an expression: from its line and column to those of the file. */
static venv_rc blame(parser *p, const token *first)
{
    uint32_t line = first->line + (p->err->line > 0 ? p->err->line - 1 : 0);
    uint32_t column = p->err->line > 1 ? p->err->column : first->column + (p->err->column > 0 ? p->err->column - 1 : 0);
    venv_error_at(p->err, p->sc->file, line, column);
    return p->err->rc;
}

static venv_rc compile(parser *p, scenario_step *step)
{
    char text[256];
    const char *source = step->args[0].text;
    const token *first = &p->tokens[0];
    if (step->verb == SCENARIO_EXPECT_STATE) {
        snprintf(text, sizeof text, "agents.exists(a, a.name == \"%.64s\" && a.state == \"%.16s\")", step->args[0].text, step->args[1].text);
        source = text;
    } else {
        first = &p->tokens[(size_t)step->args[0].number];
    }
    venv_rc rc = venv_expr_compile(p->sc->words, source, strlen(source), &step->expr, p->err);
    if (rc != VENV_OK)
        return blame(p, first);
    return venv_expr_may_be(step->expr, VENV_BOOL) ? VENV_OK : refuse(p, step, "an expectation is true or false, and this is neither");
}

static venv_rc take_step(parser *p, scenario_step *step)
{
    scenario *sc = p->sc;
    if (step->verb <= SCENARIO_CONFIGURATION) {
        venv_rc rc = p->stepping ? refuse(p, step, "what there is stands before the first step") : take_declaration(p, step);
        step_clear(step);
        return rc;
    }
    p->stepping = true;
    venv_rc rc = VENV_OK;
    if (step->verb >= SCENARIO_EXPECT_STATE)
        rc = compile(p, step);
    if (rc == VENV_OK && sc->step_count == SCENARIO_STEPS_MAX)
        rc = refuse(p, step, "there are more than 1000 steps");
    if (rc == VENV_OK && sc->step_count % 64 == 0) {
        scenario_step *grown = realloc(sc->steps, (sc->step_count + 64) * sizeof *grown);
        if (!grown)
            rc = venv_error_set(p->err, VENV_ENOMEM, "out of memory");
        else
            sc->steps = grown;
    }
    if (rc != VENV_OK) {
        step_clear(step);
        return rc;
    }
    sc->steps[sc->step_count++] = *step;
    memset(step, 0, sizeof *step);
    return VENV_OK;
}

/* --- the whole -------------------------------------------------------------------------------------------------------------- */

void scenario_free(scenario *sc)
{
    if (!sc)
        return;
    for (size_t i = 0; i < sc->host_count; i++) {
        scenario_host *host = &sc->hosts[i];
        for (size_t k = 0; k < host->group_count; k++)
            free(host->groups[k]);
        for (size_t k = 0; k < host->property_count; k++) {
            free(host->properties[k].name);
            free(host->properties[k].value);
        }
        for (size_t k = 0; k < host->setting_count; k++) {
            free(host->settings[k].name);
            free(host->settings[k].value);
        }
        free(host->name);
        free(host->manager);
        free(host->yaml);
    }
    for (size_t i = 0; i < sc->step_count; i++)
        step_clear(&sc->steps[i]);
    free(sc->steps);
    free(sc->file);
    free(sc->about);
    free(sc->only);
    venv_expr_env_unref(sc->words);
    free(sc);
}

static venv_rc parse_all(parser *p)
{
    scenario_step step = { .count = 0 };
    for (;;) {
        venv_rc rc = take_statement(p);
        if (rc != VENV_OK || p->count == 0)
            return rc;
        rc = read_step(p, &step);
        if (rc == VENV_OK)
            rc = take_step(p, &step);
        if (rc != VENV_OK) {
            step_clear(&step);
            return rc;
        }
    }
}

static venv_rc check_whole(parser *p)
{
    const char *why = NULL;
    if (p->sc->host_count == 0)
        why = "it declares no manager: begin with `manager NAME`";
    else if (!p->sc->about)
        why = "it does not say what it shows: begin with `about \"…\"`";
    else if (p->sc->step_count == 0)
        why = "it has no step";
    if (!why)
        return VENV_OK;
    venv_error_set(p->err, VENV_EINVAL, "%s", why);
    return fail_at(p, p->line, 1, p->err);
}

venv_rc scenario_parse(const char *file, const char *text, size_t size, scenario **ret_scenario, venv_error *err)
{
    venv_error own = { 0 };
    err = err ? err : &own;
    if (size > SCENARIO_SIZE_MAX)
        return venv_error_set(err, VENV_ELIMIT, "%s: a scenario is at most %u bytes long", file, SCENARIO_SIZE_MAX);
    scenario *sc = calloc(1, sizeof *sc);
    parser *p = calloc(1, sizeof *p);
    venv_rc rc = sc && p && (sc->file = strdup(file)) ? expect_words(&sc->words, err) : venv_error_set(err, VENV_ENOMEM, "out of memory");
    if (rc == VENV_OK) {
        *p = (parser){ .sc = sc, .at = text, .end = text + size, .line = 1, .err = err };
        rc = parse_all(p);
    }
    if (rc == VENV_OK)
        rc = check_whole(p);
    free(p);
    if (rc != VENV_OK) {
        scenario_free(sc);
        return rc;
    }
    *ret_scenario = sc;
    return VENV_OK;
}
