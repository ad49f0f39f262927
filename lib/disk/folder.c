/* SPDX-License-Identifier: Apache-2.0 */
/* Making and removing the folder of one machine. What is left of those that nobody removed is the business of sweep.c. */
#include "disk/parts.h"

#include "base/cleanup.h"
#include "image/qcow2.h"
#include "sync/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOLDER_NAME_SIZE (VENV_ID_TEXT_SIZE + 2 * VENV_NAME_MAX + 16)
#define KEPT_MAX         1000 /* of one machine */
#define ENTRIES_MAX      1024 /* of one folder; far more than we make */

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1u
#endif

void venv_machine_place_fini(venv_machine_place *place)
{
    free((void *)place->directory);
    free((void *)place->cluster);
    free((void *)place->node);
    free((void *)place->hypervisor);
    free((void *)place->saves);
    *place = (venv_machine_place){ .directory = NULL };
}

venv_rc venv_machine_place_copy(const venv_machine_place *place, venv_machine_place *ret_place, venv_error *err)
{
    const char *const from[] = { place->directory, place->cluster, place->node, place->hypervisor, place->saves };
    venv_machine_place copy = { .saves_shared = place->saves_shared };
    const char **const to[] = { &copy.directory, &copy.cluster, &copy.node, &copy.hypervisor, &copy.saves };
    for (size_t i = 0; i < VENV_COUNT_OF(from); i++)
        if (from[i] && !(*to[i] = strdup(from[i]))) {
            venv_machine_place_fini(&copy);
            return venv_error_set(err, VENV_ENOMEM, "out of memory");
        }
    *ret_place = copy;
    return VENV_OK;
}

venv_rc venv_folders_open(const char *directory, bool make, int *ret_fd, venv_error *err)
{
    struct stat st;
    if (make && mkdir(directory, 0711) != 0 && errno != EEXIST)
        return venv_files_fail(err, errno, "make the directory", directory);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return venv_files_fail(err, errno, "open the directory", directory);
    venv_rc rc = VENV_OK;
    if (fstat(fd, &st) != 0)
        rc = venv_files_fail(err, errno, "look at", directory);
    else if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022) != 0)
        rc = venv_error_set(err, VENV_EDENIED, "the directory '%s' can be written by others, and disks of machines are to be in it: make it "
                            "'chown %u' and 'chmod go-w'", directory, (unsigned)geteuid());
    if (rc != VENV_OK) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return VENV_OK;
}

static DIR *list_folder(int directory, const char *name)
{
    int fd = venv_files_open(directory, name, O_RDONLY | O_DIRECTORY, 0);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (!list && fd >= 0)
        close(fd);
    return list;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

venv_rc venv_folder_delete(int directory, const char *name, venv_error *err)
{
    DIR *list = list_folder(directory, name);
    if (!list)
        return errno == ENOENT ? VENV_OK : venv_files_fail(err, errno, "open the directory", name);
    int failed = 0, count = 0;
    for (struct dirent *entry; !failed && (entry = readdir(list));) {
        if (is_dots(entry->d_name))
            continue;
        if (++count > ENTRIES_MAX)
            failed = ENOTEMPTY;
        else if (unlinkat(dirfd(list), entry->d_name, 0) != 0)
            failed = errno;
    }
    closedir(list);
    if (!failed && unlinkat(directory, name, AT_REMOVEDIR) != 0)
        failed = errno;
    return failed ? venv_files_fail(err, failed, "remove", name) : VENV_OK;
}

bool venv_folder_is_used(int directory, const char *name)
{
    DIR *list = list_folder(directory, name);
    bool used = false;
    for (struct dirent *entry; list && !used && (entry = readdir(list));) {
        int fd = is_dots(entry->d_name) ? -1 : venv_files_open(dirfd(list), entry->d_name, O_RDONLY | O_NONBLOCK, 0);
        used = fd >= 0 && venv_disk_is_locked(fd);
        if (fd >= 0)
            close(fd);
    }
    if (list)
        closedir(list);
    return used;
}

/* --- making -------------------------------------------------------------------------------------- */

static venv_rc write_empty_disk(int fd, const char *name, uint64_t size, const char *base, const char *base_format, venv_error *err)
{
    venv_qcow2_overlay overlay;
    venv_rc rc = venv_qcow2_overlay_make(size, base, base_format, &overlay, err);
    if (rc == VENV_OK && ftruncate(fd, (off_t)overlay.file_size) != 0)
        rc = venv_files_fail(err, errno, "write", name);
    if (rc == VENV_OK)
        rc = venv_files_write_at(fd, overlay.table, sizeof overlay.table, overlay.layout.refcount_table, name, err);
    if (rc == VENV_OK)
        rc = venv_files_write_at(fd, overlay.counts, overlay.counts_size, overlay.layout.refcount_blocks, name, err);
    if (rc == VENV_OK)
        rc = venv_files_write_at(fd, overlay.head, overlay.head_size, 0, name, err);
    return rc;
}

static venv_rc write_overlay(int fd, const venv_machine_file *file, venv_error *err)
{
    uint64_t base_size = 0;
    venv_rc rc = venv_disk_look_at_base(file->base, file->format, &base_size, err);
    if (rc == VENV_OK && file->size != 0 && file->size < base_size)
        rc = venv_error_set(err, VENV_EINVAL, "a disk of %llu bytes is smaller than its image '%s', which has %llu", (unsigned long long)file->size,
                            file->base, (unsigned long long)base_size);
    if (rc != VENV_OK)
        return rc;
    return write_empty_disk(fd, file->name, file->size ? file->size : base_size, file->base, venv_disk_format_names[file->format], err);
}

static venv_rc make_file(int folder, const venv_machine_files *files, const venv_machine_file *file, venv_error *err)
{
    int fd = venv_files_open(folder, file->name, O_RDWR | O_CREAT | O_EXCL, file->kind == VENV_FILE_SEED ? 0444 : 0600);
    if (fd < 0)
        return venv_files_fail(err, errno, "make", file->name);
    venv_rc rc = VENV_OK;
    if (file->kind == VENV_FILE_OVERLAY)
        rc = write_overlay(fd, file, err);
    else if (file->kind == VENV_FILE_SEED)
        rc = venv_seed_write(fd, files, err);
    else if (file->format == VENV_DISK_QCOW2)
        rc = write_empty_disk(fd, file->name, file->size, NULL, NULL, err);
    else if (ftruncate(fd, (off_t)((file->size + 511) / 512 * 512)) != 0)
        rc = venv_files_fail(err, errno, "make", file->name);
    if (rc == VENV_OK && file->keep && fsync(fd) != 0)
        rc = venv_files_fail(err, errno, "write", file->name);
    close(fd);
    return rc;
}

static int rename_new(int directory, const char *from, int to_directory, const char *to)
{
    return (int)syscall(SYS_renameat2, directory, from, to_directory, to, RENAME_NOREPLACE);
}

static venv_rc make_all(int directory, const venv_machine_files *files, const char *name, venv_error *err)
{
    char made[FOLDER_NAME_SIZE];
    snprintf(made, sizeof made, ".new-%s.%s", name, files->node);
    venv_rc rc = venv_folder_delete(directory, made, err);
    if (rc == VENV_OK && mkdirat(directory, made, 0711) != 0)
        rc = venv_files_fail(err, errno, "make the directory", made);
    if (rc != VENV_OK)
        return rc;
    int folder = venv_files_open(directory, made, O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0)
        rc = venv_files_fail(err, errno, "open the directory", made);
    for (size_t i = 0; i < files->count && rc == VENV_OK; i++)
        if (files->items[i].kind != VENV_FILE_USED)
            rc = make_file(folder, files, &files->items[i], err);
    if (rc == VENV_OK)
        rc = venv_note_write(folder, files, false, err);
    if (rc == VENV_OK && rename_new(directory, made, directory, name) != 0)
        rc = venv_files_fail(err, errno, "make the directory", name);
    if (folder >= 0)
        close(folder);
    if (rc != VENV_OK)
        (void)venv_folder_delete(directory, made, NULL);
    return rc;
}

/* --- taking what is there --------------------------------------------------------------------------- */

static venv_rc check_overlay(int fd, const venv_machine_file *file, const char *path, venv_error *err)
{
    uint8_t head[VENV_QCOW2_HEADER_SIZE + 24 + VENV_QCOW2_NAME_MAX];
    char base[VENV_QCOW2_NAME_MAX + 1];
    uint64_t size;
    memset(head, 0, sizeof head);
    venv_rc rc = venv_files_read_at(fd, head, sizeof head, 0, path, err);
    if (rc == VENV_OK && (!venv_qcow2_base(head, sizeof head, base) || strcmp(base, file->base) != 0))
        rc = venv_error_set(err, VENV_ECONFLICT, "the disk '%s' of the machine does not stand on '%s'", path, file->base);
    return rc == VENV_OK ? venv_disk_look_at_base(file->base, file->format, &size, err) : rc;
}

static venv_rc check_file(int folder, const venv_machine_file *file, venv_error *err)
{
    struct stat st;
    int fd = venv_files_open(folder, file->name, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return venv_files_fail(err, errno, "open the machine's file", file->name);
    venv_rc rc = VENV_OK;
    if (fstat(fd, &st) != 0)
        rc = venv_files_fail(err, errno, "look at", file->name);
    else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        rc = venv_error_set(err, VENV_EDENIED, "the machine's file '%s' is not a file of its own", file->name);
    else if (file->kind == VENV_FILE_OVERLAY)
        rc = check_overlay(fd, file, file->name, err);
    close(fd);
    return rc;
}

static venv_rc take_all(int folder, const venv_machine_files *files, venv_error *err)
{
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < files->count && rc == VENV_OK; i++)
        if (files->items[i].kind != VENV_FILE_USED)
            rc = check_file(folder, &files->items[i], err);
    return rc == VENV_OK ? venv_note_write(folder, files, true, err) : rc;
}

venv_rc venv_machine_folder_make(const venv_machine_files *files, bool *ret_made, venv_error *err)
{
    char name[VENV_ID_TEXT_SIZE];
    int directory = -1;
    venv_rc rc = VENV_OK;
    bool made = false;
    for (size_t i = 0; i < files->count && rc == VENV_OK; i++)
        if (files->items[i].kind == VENV_FILE_USED)
            rc = venv_disk_look(files->items[i].name, files->items[i].format, err);
    if (rc == VENV_OK && venv_machine_files_own(files)) {
        rc = venv_folders_open(files->directory, true, &directory, err);
        int folder = rc == VENV_OK ? venv_files_open(directory, venv_id_format(files->id, name), O_RDONLY | O_DIRECTORY, 0) : -1;
        made = rc == VENV_OK && folder < 0 && errno == ENOENT;
        if (made)
            rc = make_all(directory, files, name, err);
        else if (rc == VENV_OK)
            rc = folder >= 0 ? take_all(folder, files, err) : venv_files_fail(err, errno, "open the directory", name);
        if (folder >= 0)
            close(folder);
        if (directory >= 0)
            close(directory);
    }
    if (rc == VENV_OK)
        *ret_made = made;
    return rc;
}

/* --- removing ---------------------------------------------------------------------------------------- */

/* What is discarded goes, what is kept is put aside: kept/INSTANCE.UUID. */
static venv_rc put_aside(int directory, const char *name, const venv_note *note, venv_error *err)
{
    char kept[FOLDER_NAME_SIZE];
    DIR *list = list_folder(directory, name);
    int failed = list ? 0 : errno;
    for (struct dirent *entry; !failed && (entry = readdir(list));)
        if (!is_dots(entry->d_name) && strcmp(entry->d_name, VENV_NOTE_NAME) != 0 && !venv_note_keeps(note, entry->d_name) &&
            unlinkat(dirfd(list), entry->d_name, 0) != 0)
            failed = errno;
    if (list)
        closedir(list);
    if (!failed && mkdirat(directory, "kept", 0711) != 0 && errno != EEXIST)
        failed = errno;
    int to = failed ? -1 : venv_files_open(directory, "kept", O_RDONLY | O_DIRECTORY, 0);
    if (!failed && to < 0)
        failed = errno;
    for (unsigned i = 0; !failed; i++) { /* a machine can end here more than once, where it was started elsewhere in between */
        snprintf(kept, sizeof kept, i ? "%s.%s.%u" : "%s.%s", note->instance, name, i);
        if (rename_new(directory, name, to, kept) == 0)
            break;
        if (errno != EEXIST || i == KEPT_MAX)
            failed = errno;
    }
    if (to >= 0)
        close(to);
    return failed ? venv_files_fail(err, failed, "put aside", name) : VENV_OK;
}

static venv_rc discard(int directory, const char *name, const char *node, venv_error *err)
{
    char old[FOLDER_NAME_SIZE];
    snprintf(old, sizeof old, ".old-%s.%s", name, node);
    venv_rc rc = venv_folder_delete(directory, old, err);
    if (rc == VENV_OK && renameat(directory, name, directory, old) != 0)
        rc = errno == ENOENT ? VENV_OK : venv_files_fail(err, errno, "remove", name);
    return rc == VENV_OK ? venv_folder_delete(directory, old, err) : rc;
}

venv_rc venv_machine_folder_remove(const venv_machine_place *place, venv_id id, bool keep, venv_error *err)
{
    char name[VENV_ID_TEXT_SIZE];
    int directory = -1;
    venv_note note = { .map = venv_value_null() };
    venv_rc rc = venv_folders_open(place->directory, false, &directory, err);
    if (rc != VENV_OK)
        return rc == VENV_ENOENT ? VENV_OK : rc;
    int folder = venv_files_open(directory, venv_id_format(id, name), O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0) {
        rc = errno == ENOENT ? VENV_OK : venv_files_fail(err, errno, "open the directory", name);
        close(directory);
        return rc;
    }
    bool noted = venv_note_read(folder, &note, NULL) == VENV_OK;
    close(folder);
    if (noted && !venv_note_is_of(&note, place))
        rc = VENV_OK; /* on a directory that nodes share it is another's, or by now */
    else if (venv_folder_is_used(directory, name))
        rc = venv_error_set(err, VENV_ECONFLICT, "the files of machine %s are in use: they are left alone", name);
    else if (keep && noted && venv_note_keeps_any(&note))
        rc = put_aside(directory, name, &note, err);
    else
        rc = discard(directory, name, place->node, err);
    venv_note_fini(&note);
    close(directory);
    return rc;
}
