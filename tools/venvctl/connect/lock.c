/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One venvctl at a time changes the machines of one hypervisor and cluster, as far as one user of one node goes: two cron jobs that start
 * the same instance would else both see that there is none. flock(2): the kernel lets go when the process ends, however it ends.
 */
#include "connect.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOK_AGAIN_NS (50 * 1000 * 1000)

/* FNV-1a: a file's name out of a URI of any length; two that meet only wait for each other. */
static uint64_t fingerprint(const char *uri, const char *cluster)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int part = 0; part < 2; part++)
        for (const char *at = part == 0 ? uri : cluster;; at++) {
            hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
            if (*at == 0)
                break;
        }
    return hash;
}

/* A folder that only this user writes to: of the session, of root, or else made below /tmp. */
static bool folder(char *path, size_t size)
{
    const char *session = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0)
        (void)snprintf(path, size, "/run/venv");
    else if (session && session[0] == '/')
        (void)snprintf(path, size, "%s/venv", session);
    else
        (void)snprintf(path, size, "/tmp/venv-%ju", (uintmax_t)geteuid());
    struct stat st;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return false;
    if (lstat(path, &st) < 0)
        return false;
    errno = EPERM;
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int64_t now_ns(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * VENV_NS_PER_S + now.tv_nsec;
}

int lock_take(venvctl *app, const char *uri, const char *cluster, venv_span timeout, int *ret_fd)
{
    char path[1024];
    if (!folder(path, sizeof path - 64)) {
        app_say(app, "%s: %s; it holds the lock that keeps two venvctl from changing the same hypervisor: make it a folder that is yours, mode 0700",
                path, strerror(errno));
        return EXIT_FAILED;
    }
    size_t used = strlen(path);
    (void)snprintf(path + used, sizeof path - used, "/connect-%016" PRIx64 ".lock", fingerprint(uri, cluster));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        app_say(app, "%s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    int64_t end = now_ns() + timeout.ns;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = errno;
        struct timespec wait = { 0, LOOK_AGAIN_NS };
        if (error != EWOULDBLOCK && error != EINTR) {
            app_say(app, "%s: cannot be locked: %s", path, strerror(error));
        } else if (now_ns() >= end) {
            app_say(app, "another venvctl works on %s and did not end in time (--timeout, or 30 s); nothing was done. Its lock is %s: lsof(8) shows who has it",
                    uri, path);
        } else {
            (void)nanosleep(&wait, NULL);
            continue;
        }
        (void)close(fd);
        return error == EWOULDBLOCK || error == EINTR ? EXIT_UNKNOWN : EXIT_FAILED;
    }
    *ret_fd = fd;
    return EXIT_DONE;
}
