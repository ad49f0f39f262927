/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line that both daemons have. What they do is venv/daemon.h; what differs is in the program's own main.c.
 */
#include "command_line.h"

#include <getopt.h>
#include <stdio.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static void print_help(const daemon_program *program)
{
    printf("Usage: %s [OPTION]...\n"
           "%s\n"
           "\n"
           "  -c, --config FILE     configuration (default %s)\n"
           "      --check           read and check the configuration, then end\n"
           "      --log-level L     error, warning, info (default) or debug\n"
           "      --pid-file FILE   write the process id once ready\n"
           "  -h, --help            show this\n"
           "  -V, --version         show the version\n"
           "\n"
           "Exit status: 0 ended as asked, 1 failed, 2 bad usage or configuration.\n"
           "Manual: %s(8), %s.yaml(5).\n",
           program->name, program->summary, program->config, program->name, program->name);
}

static int fail(const daemon_program *program, const venv_error *err, int status)
{
    char text[VENV_ERROR_TEXT_MAX + VENV_ERROR_FILE_MAX + 32];
    fprintf(stderr, "%s: %s\n", program->name, venv_error_format(err, text, sizeof text));
    return status;
}

/* Of the configuration: a key or certificate that is missing, may not be read, or is not the one. Trying again does not help. */
static bool is_fault(venv_rc rc)
{
    return rc == VENV_EINVAL || rc == VENV_ENOENT || rc == VENV_EDENIED;
}

static int run(const daemon_program *program, const venv_daemon_options *options, bool check)
{
    venv_daemon *daemon = NULL;
    venv_error err = { 0 };
    if (venv_daemon_load(program->kind, options, &daemon, &err) != VENV_OK)
        return fail(program, &err, EXIT_USAGE);
    int status = EXIT_DONE;
    if (check)
        printf("%s: correct\n", options->config);
    else if (venv_daemon_run(daemon, &err) != VENV_OK)
        status = fail(program, &err, is_fault(err.rc) ? EXIT_USAGE : EXIT_FAILED);
    venv_daemon_free(daemon);
    return status;
}

int daemon_command_line(const daemon_program *program, int argc, char **argv)
{
    enum { OPTION_CHECK = 256, OPTION_LOG_LEVEL, OPTION_PID_FILE };
    static const struct option long_options[] = {
        { "config", required_argument, NULL, 'c' },
        { "check", no_argument, NULL, OPTION_CHECK },
        { "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
        { "pid-file", required_argument, NULL, OPTION_PID_FILE },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { NULL, 0, NULL, 0 },
    };
    venv_daemon_options options = { .config = program->config };
    bool check = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:hV", long_options, NULL)) != -1) {
        switch (option) {
        case 'c': options.config = optarg; break;
        case OPTION_CHECK: check = true; break;
        case OPTION_LOG_LEVEL: options.log_level = optarg; break;
        case OPTION_PID_FILE: options.pid_file = optarg; break;
        case 'h': print_help(program); return EXIT_DONE;
        case 'V': printf("%s %s\n", program->name, venv_version()); return EXIT_DONE;
        default: fprintf(stderr, "Try '%s --help'.\n", program->name); return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument '%s'\nTry '%s --help'.\n", program->name, argv[optind], program->name);
        return EXIT_USAGE;
    }
    return run(program, &options, check);
}
