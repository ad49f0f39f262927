/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/machine_id.h"

#include "base/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define DIGITS 32u

static bool is_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* 32 digits, alone in the file. An image whose id was not made yet says "uninitialized". */
static bool read_digits(const char *path, char text[DIGITS + 1])
{
    char read_text[DIGITS + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, read_text, sizeof read_text);
    (void)close(fd);
    if (size != (ssize_t)DIGITS && !(size == (ssize_t)DIGITS + 1 && read_text[DIGITS] == '\n'))
        return false;
    for (size_t i = 0; i < DIGITS; i++)
        if (!is_digit(read_text[i]))
            return false;
    memcpy(text, read_text, DIGITS);
    text[DIGITS] = '\0';
    return true;
}

/* Whole or not at all, also if two of us begin at once: whoever is later takes what is there. */
static venv_rc draw(const char *path, char text[DIGITS + 1], venv_error *err)
{
    uint8_t bytes[DIGITS / 2];
    char other[4096];
    int size = snprintf(other, sizeof other, "%s.%ld", path, (long)getpid());
    if (size < 0 || (size_t)size >= sizeof other || getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return venv_error_set(err, VENV_EIO, "an id of this machine cannot be drawn");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, text, DIGITS) == (ssize_t)DIGITS && fsync(fd) == 0;
    int trouble = errno;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (good && link(other, path) != 0) {
        trouble = errno;
        good = trouble == EEXIST && read_digits(path, text);
    }
    (void)unlink(other);
    return good ? VENV_OK
                : venv_error_set(err, VENV_EIO, "an id of this machine cannot be kept in '%s': %s. Managers cannot tell an agent that was started "
                                 "again from a copy of it", path, trouble == EEXIST ? "what is there is damaged; remove it" : strerror(trouble));
}

venv_rc venv_machine_id_read(const char *system, const char *kept, venv_id *ret_id, venv_error *err)
{
    char text[DIGITS + 1] = "";
    venv_rc rc = VENV_OK;
    *ret_id = (venv_id){ { 0 } };
    if (!read_digits(system, text) && !read_digits(kept, text))
        rc = draw(kept, text, err);
    if (rc != VENV_OK)
        return rc;
    uint64_t halves[2] = { venv_hash_bytes(text, DIGITS, UINT64_C(0x76656e762d6d6163)), venv_hash_bytes(text, DIGITS, UINT64_C(0x68696e652d696431)) };
    memcpy(ret_id->bytes, halves, sizeof ret_id->bytes);
    return VENV_OK;
}
