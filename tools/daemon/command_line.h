/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TOOLS_DAEMON_COMMAND_LINE_H
#define TOOLS_DAEMON_COMMAND_LINE_H

/* The command line that venv-agent and venv-mgr share. */

#include <venv/daemon.h>

typedef struct daemon_program {
    venv_daemon_kind kind;
    const char *name;    /* of the program and of its pages in the manual */
    const char *summary; /* one line of --help */
    const char *config;  /* configuration where none is named */
} daemon_program;

/* All of main(). Returns the exit status. */
int daemon_command_line(const daemon_program *program, int argc, char **argv);

#endif
