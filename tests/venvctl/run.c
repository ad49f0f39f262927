/* SPDX-License-Identifier: Apache-2.0 */
/* See run.h. */
#include "run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <assert.h>

#define WORDS_MAX 32

static int split(char *line, char **words)
{
    int count = 0;
    char *at = line;
    for (;;) {
        while (*at == ' ')
            at++;
        if (*at == 0)
            return count;
        assert(count < WORDS_MAX);
        char *to = at;
        words[count++] = to;
        bool quoted = false;
        for (; *at && (quoted || *at != ' '); at++) {
            if (*at == '\'')
                quoted = !quoted;
            else
                *to++ = *at;
        }
        bool more = *at != 0;
        *to = 0;
        at += more;
    }
}

static outcome run_at(const char *line, int64_t seconds, bool terminal)
{
    char *words[WORDS_MAX + 1] = { NULL };
    char *copy = strdup(line);
    outcome run = { 0 };
    size_t out_size = 0, err_size = 0;
    venvctl *app = calloc(1, sizeof *app);
    assert(copy && app);
    int count = split(copy, words);
    app->out = open_memstream(&run.out, &out_size);
    app->err = open_memstream(&run.err, &err_size);
    app->out_is_terminal = terminal;
    app->now.ns = seconds * VENV_NS_PER_S;
    assert(app->out && app->err);
    run.code = app_main(app, count, words);
    fclose(app->out);
    fclose(app->err);
    free(app);
    free(copy);
    return run;
}

outcome run_line(const char *line)
{
    return run_at(line, RUN_NOW_SECONDS, false);
}

outcome run_line_terminal(const char *line)
{
    return run_at(line, RUN_NOW_SECONDS, true);
}

outcome run_line_now(const char *line)
{
    return run_at(line, (int64_t)time(NULL), false);
}

void run_free(outcome *run)
{
    free(run->out);
    free(run->err);
    run->out = run->err = NULL;
}
