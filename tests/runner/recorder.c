/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command that prints everything it was given: arguments, environment, descriptors, directory, signals,
 * session, limits. It is run by the tests as a program; they also have it as a script.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void print_descriptors(void)
{
    char target[256], path[300];
    struct dirent *entry;
    DIR *directory = opendir("/proc/self/fd");

    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.' || strtol(entry->d_name, NULL, 10) == dirfd(directory))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n > 0 ? n : 0] = '\0';
        /* The numbers of pipes differ from run to run. */
        printf("fd %s %s\n", entry->d_name, strncmp(target, "pipe:", 5) == 0 ? "pipe" : target);
    }
    if (directory)
        closedir(directory);
}

int main(int argc, char **argv)
{
    char directory[256];
    struct rlimit core, files;
    sigset_t blocked;
    int ignored = 0, masked = 0;

    for (int i = 0; i < argc; i++)
        printf("arg %zu [%s]\n", strlen(argv[i]), argv[i]);
    for (char **variable = environ; *variable; variable++)
        printf("env %s\n", *variable);
    print_descriptors();
    printf("cwd %s\n", getcwd(directory, sizeof directory) ? directory : "?");
    printf("leader %d\n", getsid(0) == getpid() && getpgrp() == getpid());
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number < 65; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            ignored++;
        masked += sigismember(&blocked, number) == 1;
    }
    printf("signals %d %d\n", ignored, masked);
    getrlimit(RLIMIT_CORE, &core);
    getrlimit(RLIMIT_NOFILE, &files);
    printf("core %lu files %d\n", (unsigned long)core.rlim_max, files.rlim_max <= 1024);
    printf("umask %03o\n", (unsigned)umask(0));
    return 0;
}
