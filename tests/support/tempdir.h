/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_TESTS_SUPPORT_TEMPDIR_H
#define VENV_TESTS_SUPPORT_TEMPDIR_H

/* A private directory for one test, and small files in it. For test programs only: what fails aborts. */

#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEMPDIR_PATH_MAX 512

static inline void tempdir_require(bool condition, const char *what)
{
    if (!condition) {
        perror(what);
        abort();
    }
}

/* "/tmp/venv-test-XXXXXX", mode 0700. Free with tempdir_remove(). */
static inline char *tempdir_make(void)
{
    char *path = strdup("/tmp/venv-test-XXXXXX");
    tempdir_require(path && mkdtemp(path), "mkdtemp");
    return path;
}

static inline int tempdir_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void tempdir_remove(char *path)
{
    (void)nftw(path, tempdir_remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    free(path);
}

/* DIRECTORY/NAME, in a static buffer that is used again after 64 calls. */
static inline const char *tempdir_path(const char *directory, const char *name)
{
    static char buffers[64][TEMPDIR_PATH_MAX];
    static unsigned next;
    char *buffer = buffers[next++ % 64];
    size_t size = strlen(directory), name_size = strlen(name);
    tempdir_require(size + name_size + 2 <= TEMPDIR_PATH_MAX, "path");
    memmove(buffer, directory, size); /* may itself be one of the buffers */
    buffer[size] = '/';
    memmove(buffer + size + 1, name, name_size + 1);
    return buffer;
}

static inline void tempdir_write(const char *path, const void *data, size_t size, mode_t mode)
{
    FILE *file = fopen(path, "w");
    tempdir_require(file && fwrite(data, 1, size, file) == size && fclose(file) == 0 && chmod(path, mode) == 0, path);
}

static inline void tempdir_write_text(const char *path, const char *text, mode_t mode)
{
    tempdir_write(path, text, strlen(text), mode);
}

/* Run a line of shell in a process of its own. Returns its exit status, or -1. */
static inline int tempdir_shell(const char *line)
{
    int status = -1;
    pid_t pid = fork();
    tempdir_require(pid >= 0, "fork");
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    tempdir_require(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
