/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of the executables in the administrator's directories.
 */
#include "runner/index.h"

#include "base/cleanup.h"
#include "runner/runner.h"
#include "runner/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* asprintf */
#include <string.h>
#include <unistd.h>

/* Where `name` is or would be. */
static size_t place(const venv_index *index, venv_str name, bool *ret_found)
{
    size_t low = 0, high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *there = index->entries[middle].name;
        size_t there_size = strlen(there);
        int order = memcmp(there, name.data, there_size < name.size ? there_size : name.size);
        if (order == 0 && there_size == name.size) {
            *ret_found = true;
            return middle;
        }
        if (order < 0 || (order == 0 && there_size < name.size))
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = false;
    return low;
}

const venv_index_entry *venv_index_find(const venv_index *index, venv_str name)
{
    bool found;
    size_t at = place(index, name, &found);
    return found ? &index->entries[at] : NULL;
}

void venv_index_fini(venv_index *index)
{
    for (size_t i = 0; i < index->count; i++)
        free(index->entries[i].path);
    free(index->entries);
    *index = (venv_index){ 0 };
}

/* Takes `path` over when it succeeds. */
static venv_rc insert(venv_index *index, const char *name, char *path, size_t directory_size, const venv_log *log,
                      venv_error *err)
{
    bool found;
    size_t at = place(index, (venv_str){ name, strlen(name) }, &found);
    if (found) {
        venv_log_print(log, VENV_LOG_INFO, "command %s is taken from %s, not from %s", name, path,
                       index->entries[at].path);
        free(index->entries[at].path);
        index->entries[at].path = path;
        index->entries[at].directory_size = directory_size;
        return VENV_OK;
    }
    if (index->count == VENV_RUNNER_COMMAND_COUNT_MAX)
        return venv_error_set(err, VENV_ELIMIT, "more than %d commands", VENV_RUNNER_COMMAND_COUNT_MAX);
    if (index->count == index->capacity) {
        size_t capacity = index->capacity > 0 ? index->capacity * 2 : 32;
        venv_index_entry *entries = realloc(index->entries, capacity * sizeof *entries);
        if (!entries)
            return venv_error_set(err, VENV_ENOMEM, "out of memory for the index of commands");
        index->entries = entries;
        index->capacity = capacity;
    }
    memmove(&index->entries[at + 1], &index->entries[at], (index->count - at) * sizeof index->entries[0]);
    index->count++;
    venv_index_entry *entry = &index->entries[at];
    memcpy(entry->name, name, strlen(name) + 1); /* a valid name fits */
    entry->path = path;
    entry->directory_size = directory_size;
    return VENV_OK;
}

/* One name of a directory. Fails only for memory and limits. */
static venv_rc consider(venv_index *index, const char *directory, const char *name, const venv_log *log,
                        venv_error *err)
{
    venv_error why = { 0 };
    char *path = NULL;
    int fd = -1;

    if (name[0] == '.')
        return VENV_OK;
    if (!venv_name_is_valid((venv_str){ name, strlen(name) })) {
        venv_log_print(log, VENV_LOG_WARNING, "%s/%s is left out: a command's name has lower-case letters, digits, "
                       "'.', '_' and '-' only", directory, name);
        return VENV_OK;
    }
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the index of commands");
    if (venv_trust_open(path, VENV_TRUST_EXECUTABLE, &fd, &why) != VENV_OK) {
        venv_log_print(log, VENV_LOG_WARNING, "%s is left out: %s", path, why.text);
        free(path);
        return VENV_OK;
    }
    close(fd);
    venv_rc rc = insert(index, name, path, strlen(directory), log, err);
    if (rc != VENV_OK)
        free(path);
    return rc;
}

venv_rc venv_index_add_directory(venv_index *index, const char *directory, const venv_log *log, venv_error *err)
{
    venv_error why = { 0 };
    venv_rc rc = VENV_OK;
    int fd = -1;

    if (venv_trust_open(directory, VENV_TRUST_DIRECTORY, &fd, &why) != VENV_OK) {
        venv_log_print(log, VENV_LOG_WARNING, "the directory of commands %s is left out: %s", directory, why.text);
        return VENV_OK;
    }
    int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    DIR *listing = readable >= 0 ? fdopendir(readable) : NULL;
    if (!listing) {
        venv_log_print(log, VENV_LOG_WARNING, "the directory of commands %s is left out: %s", directory, strerror(errno));
        if (readable >= 0)
            close(readable);
        return VENV_OK;
    }
    const struct dirent *entry;
    while (rc == VENV_OK && (entry = readdir(listing)))
        rc = consider(index, directory, entry->d_name, log, err);
    closedir(listing);
    return rc;
}
