/* SPDX-License-Identifier: Apache-2.0 */
/* Prints the functions, macros and limits of the expression language as roff, for venv-expressions(7). */
#include "expr/ast.h"
#include "expr/standard.h"

#include <venv/expr.h>

#include <stdio.h>
#include <string.h>

static void print(const char *text)
{
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
    }
}

static int functions(void)
{
    static const struct {
        const char *title;
        const expr_row *rows;
    } tables[] = {
        { "Conversions", venv_cel_convert_rows }, { "Texts, sizes and patterns", venv_cel_text_rows },
        { "Formatting", venv_cel_format_rows },   { "Numbers", venv_cel_math_rows },
        { "Time", venv_cel_time_rows },           { "Lists and sets", venv_cel_list_rows },
        { "Optional values", venv_cel_optional_rows }, { "Network addresses", venv_cel_network_rows },
        { "Encoders", venv_cel_encode_rows },
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        printf(".SS %s\n.nf\n", tables[i].title);
        for (const expr_row *row = tables[i].rows; row->signature; row++) {
            print(row->signature);
            putchar('\n');
        }
        puts(".fi");
    }
    return 0;
}

static int macros(void)
{
    venv_str names[32];
    size_t count = venv_cel_macro_names(names, sizeof names / sizeof *names);
    puts(".nf");
    for (size_t i = 0; i < count; i++) {
        print(venv_cel_macro_form(names[i]));
        putchar('\n');
    }
    print(venv_cel_macro_form((venv_str){ "bind", 4 }));
    putchar('\n');
    puts(".fi");
    return 0;
}

static int limits(void)
{
    static const struct {
        const char *what;
        unsigned number;
    } rows[] = {
        { "Bytes of one expression", VENV_EXPR_SOURCE_SIZE_MAX },
        { "Levels of the syntax tree", VENV_EXPR_DEPTH_MAX },
        { "Nodes of the syntax tree", VENV_EXPR_NODE_COUNT_MAX },
        { "Arguments of one call", VENV_EXPR_ARGS_MAX },
        { "Units of cost of one evaluation", VENV_EXPR_COST_MAX },
        { "Bytes of any one text that an evaluation makes", VENV_EXPR_STRING_SIZE_MAX },
        { "Bytes of all that one evaluation makes", VENV_EXPR_ARENA_SIZE_MAX },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        printf(".TP\n%s\n%u\n", rows[i].what, rows[i].number);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "functions") == 0)
        return functions();
    if (argc == 2 && strcmp(argv[1], "macros") == 0)
        return macros();
    if (argc == 2 && strcmp(argv[1], "limits") == 0)
        return limits();
    fputs("expr_tables functions|macros|limits\n", stderr);
    return 2;
}
