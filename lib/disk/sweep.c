/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left of machines that are no more: of an agent that was killed between making a folder and starting the machine, or between its end and the removal.
 * It is removed only where nothing speaks against it: the hypervisor says that there is no such machine, the
 * note is ours, no QEMU has a file of it open, and nobody has touched it for a while.
 */
#include "disk/parts.h"

#include "sync/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SWEEP_MAX 100000 /* entries that are looked at in one go */

typedef struct sweep {
    const venv_machine_place *place;
    venv_machine_look_fn look;
    void *user;
    int64_t before; /* seconds: touched later is left alone */
    int directory;
    venv_sweep_report report;
} sweep;

static void leave(sweep *s, const venv_error *why)
{
    if (s->report.left++ == 0)
        s->report.why = *why;
}

/* Of ours, and old: ".new-UUID.NODE", ".old-UUID.NODE". */
static bool is_half(const sweep *s, const char *name)
{
    size_t size = strlen(name), at = 5 + VENV_ID_TEXT_SIZE - 1;
    return (strncmp(name, ".new-", 5) == 0 || strncmp(name, ".old-", 5) == 0) && size > at + 1 && name[at] == '.' &&
           strcmp(name + at + 1, s->place->node) == 0;
}

static bool is_old(const sweep *s, int folder)
{
    struct stat st, note;
    if (fstat(folder, &st) != 0 || st.st_mtime > s->before)
        return false;
    return fstatat(folder, VENV_NOTE_NAME, &note, AT_SYMLINK_NOFOLLOW) != 0 || note.st_mtime <= s->before;
}

static void delete_half(sweep *s, const char *name)
{
    venv_error err = { 0 };
    int folder = venv_files_open(s->directory, name, O_RDONLY | O_DIRECTORY, 0);
    bool old = folder >= 0 && is_old(s, folder);
    if (folder >= 0)
        close(folder);
    if (!old)
        return;
    if (venv_folder_delete(s->directory, name, &err) == VENV_OK)
        s->report.removed++;
    else
        leave(s, &err);
}

/* It is here now, and its folder was made by another node: it came by a migration. */
static void adopt(sweep *s, int folder, const venv_note *note)
{
    venv_error err = { 0 };
    if (strcmp(note->cluster, s->place->cluster) != 0 || strcmp(note->node, s->place->node) == 0)
        return;
    if (venv_note_move(folder, note, s->place->node, &err) == VENV_OK)
        s->report.adopted++;
    else
        leave(s, &err);
}

static void remove_leftover(sweep *s, int folder, venv_id id, venv_rc noted, const venv_note *note)
{
    venv_error err = { 0 };
    if (noted == VENV_OK && !venv_note_is_of(note, s->place))
        return; /* another node's, on a shared directory; or this hypervisor cannot tell */
    if (!is_old(s, folder))
        return;
    if (noted != VENV_OK && noted != VENV_ENOENT) /* an empty one is what a power cut leaves of a folder that nobody wanted kept */
        (void)venv_error_set(&err, noted, "the note of a machine's files cannot be read: they are left alone");
    else if (venv_machine_folder_remove(s->place, id, true, &err) == VENV_OK) {
        s->report.removed++;
        return;
    }
    leave(s, &err);
}

static void look_at_folder(sweep *s, const char *name, venv_id id)
{
    venv_note note = { .map = venv_value_null() };
    int folder = venv_files_open(s->directory, name, O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0)
        return;
    venv_rc noted = venv_note_read(folder, &note, NULL);
    venv_rc here = s->look(s->user, id);
    if (here == VENV_ENOENT)
        remove_leftover(s, folder, id, noted, &note);
    else if (here == VENV_OK && noted == VENV_OK)
        adopt(s, folder, &note);
    venv_note_fini(&note);
    close(folder);
}

venv_rc venv_machine_folders_sweep(const venv_machine_place *place, venv_machine_look_fn look, void *user, venv_span age,
                                   venv_sweep_report *ret_report, venv_error *err)
{
    sweep s = { .place = place, .look = look, .user = user, .before = (int64_t)time(NULL) - age.ns / VENV_NS_PER_S };
    venv_rc rc = venv_folders_open(place->directory, false, &s.directory, err);
    if (rc != VENV_OK) {
        if (rc != VENV_ENOENT)
            return rc;
        *ret_report = s.report;
        return VENV_OK;
    }
    int fd = openat(s.directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list) {
        rc = venv_files_fail(err, errno, "list", place->directory);
        if (fd >= 0)
            close(fd);
        close(s.directory);
        return rc;
    }
    struct dirent *entry;
    for (size_t seen = 0; seen < SWEEP_MAX && (entry = readdir(list)); seen++) {
        venv_id id;
        if (is_half(&s, entry->d_name))
            delete_half(&s, entry->d_name);
        else if (venv_id_parse((venv_str){ entry->d_name, strlen(entry->d_name) }, &id) && !venv_id_is_none(id))
            look_at_folder(&s, entry->d_name, id);
    }
    closedir(list);
    close(s.directory);
    *ret_report = s.report;
    return VENV_OK;
}
