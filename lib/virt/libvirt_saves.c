/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memories in files: save and restore, checkpoint and revert.
 *
 *      save          FOLDER/ID.EPOCH.save          the machine is defined, inactive, and goes on from here
 *      restore       FOLDER/ID.EPOCH.restoring     the guest may have gone on since: nobody goes on from it a second time
 *      checkpoint    FOLDER/ID.checkpoint.save, and a copy FOLDER/ID.checkpoint.TARGET of each disk that is written to
 *
 * A name is changed before the guest goes on and a file removed after, so at no moment is there a memory that looks fresh and is not.
 * A file that a save was interrupted in is known by libvirt as incomplete. Without a folder libvirt keeps the file ("managed save"),
 * which is as safe, stays on the node, and has no checkpoints.
 */
#include "virt/libvirt_parts.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define self_of venv_libvirt_self
#define failed venv_libvirt_failed

bool venv_libvirt_save_path(const venv_libvirt_hypervisor *self, const venv_machine_info *info, uint64_t epoch, const char *what,
                            char path[VENV_LIBVIRT_PATH_MAX])
{
    char id[VENV_ID_TEXT_SIZE];
    if (!self->saves)
        return false;
    int size = snprintf(path, VENV_LIBVIRT_PATH_MAX, "%s/%s.%llu.%s", self->saves, venv_id_format(info->id, id), (unsigned long long)epoch, what);
    return size > 0 && (size_t)size < VENV_LIBVIRT_PATH_MAX;
}

/* Of a checkpoint: its memory ("save", or "new" while it is made), or the copy of a disk. */
static bool checkpoint_path(const venv_libvirt_hypervisor *self, const venv_machine_info *info, const char *state, const char *what,
                            char path[VENV_LIBVIRT_PATH_MAX])
{
    char id[VENV_ID_TEXT_SIZE];
    if (!self->saves)
        return false;
    int size = snprintf(path, VENV_LIBVIRT_PATH_MAX, "%s/%s.%s.%s", self->saves, venv_id_format(info->id, id), state, what);
    return size > 0 && (size_t)size < VENV_LIBVIRT_PATH_MAX;
}

static venv_rc no_folder(const char *what, venv_error *err)
{
    return venv_error_set(err, VENV_EUNSUPPORTED, "%s: no folder for memories was given (saves)", what);
}

/* libvirt can read it, so it is complete. */
static bool is_complete(venv_libvirt_hypervisor *self, const char *path)
{
    if (access(path, F_OK) != 0)
        return false;
    char *xml = virDomainSaveImageGetXMLDesc(self->conn, path, 0);
    free(xml);
    return xml != NULL;
}

void venv_libvirt_look_saved(venv_libvirt_hypervisor *self, virDomainPtr handle, int reason, venv_machine_info *info)
{
    char path[VENV_LIBVIRT_PATH_MAX];
    if (virDomainHasManagedSaveImage(handle, 0) == 1 ||
        (venv_libvirt_save_path(self, info, info->epoch, "save", path) && is_complete(self, path))) {
        info->state = VENV_MACHINE_SAVED;
        snprintf(info->reason, sizeof info->reason, "saved");
    } else if (venv_libvirt_save_path(self, info, info->epoch, "restoring", path) && access(path, F_OK) == 0) {
        /* libvirt says whether the guest went on from it. */
        bool never = reason == VIR_DOMAIN_SHUTOFF_FAILED;
        if (info->state != VENV_MACHINE_STOPPED)
            info->state = never ? VENV_MACHINE_SAVED : VENV_MACHINE_FAILED;
        if (info->state != VENV_MACHINE_STOPPED)
            snprintf(info->reason, sizeof info->reason, never ? "saved" : "it was being restored, and may have gone on; its memory is kept");
    }
}

/* --- save and restore ----------------------------------------------------------------------------------- */

/* The driver does not know VIR_DOMAIN_SAVE_RUNNING: whatever it was, it goes on running when it is restored. */
static bool lacks_flag(void)
{
    int code = virGetLastErrorCode();
    return code == VIR_ERR_INVALID_ARG || code == VIR_ERR_ARGUMENT_UNSUPPORTED;
}

static int save_managed(virDomainPtr domain)
{
    if (virDomainManagedSave(domain, VIR_DOMAIN_SAVE_RUNNING) == 0)
        return 0;
    return lacks_flag() ? virDomainManagedSave(domain, 0) : -1;
}

static venv_rc save_to(venv_libvirt_hypervisor *self, virDomainPtr handle, const char *path, venv_error *err)
{
    if (virDomainSaveFlags(handle, path, NULL, VIR_DOMAIN_SAVE_RUNNING) == 0 ||
        (lacks_flag() && virDomainSaveFlags(handle, path, NULL, 0) == 0))
        return VENV_OK;
    venv_rc rc = failed(self, true, "the machine cannot be saved", err);
    if (rc != VENV_EUNKNOWN)
        (void)unlink(path); /* what there is of it is no use to anybody, and may have filled the disk */
    return rc;
}

venv_rc venv_libvirt_save(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    venv_libvirt_hypervisor *self = self_of(hypervisor);
    char path[VENV_LIBVIRT_PATH_MAX];
    venv_rc rc = venv_libvirt_check_alive(self, err);
    if (rc != VENV_OK)
        return rc;
    if (venv_libvirt_save_path(self, &domain->info, domain->info.epoch, "save", path))
        return save_to(self, domain->handle, path, err);
    return save_managed(domain->handle) < 0 ? failed(self, true, "the machine cannot be saved", err) : VENV_OK;
}

/* Its definition is there, so what is restored is the machine that was saved, and stays when it ends. */
static venv_rc go_on(venv_libvirt_hypervisor *self, venv_virt_domain *domain, const char *path, venv_error *err)
{
    VENV_AUTO_FREE char *saved = virDomainSaveImageGetXMLDesc(self->conn, path, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
    VENV_AUTO_FREE char *xml = NULL;
    if (!saved)
        return failed(self, false, "the saved memory cannot be read", err);
    venv_rc rc = venv_domain_set_epoch(saved, strlen(saved), domain->info.epoch, &xml, err);
    if (rc != VENV_OK)
        return rc;
    if (virDomainRestoreFlags(self->conn, path, xml, VIR_DOMAIN_SAVE_RUNNING) == 0 ||
        (lacks_flag() && virDomainRestoreFlags(self->conn, path, NULL, 0) == 0))
        return VENV_OK;
    return failed(self, true, "the machine cannot be restored", err);
}

venv_rc venv_libvirt_restore(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    venv_libvirt_hypervisor *self = self_of(hypervisor);
    char path[VENV_LIBVIRT_PATH_MAX], used[VENV_LIBVIRT_PATH_MAX];
    venv_rc rc = venv_libvirt_check_alive(self, err);
    if (rc != VENV_OK)
        return rc;
    if (!venv_libvirt_save_path(self, &domain->info, domain->info.epoch, "save", path) ||
        !venv_libvirt_save_path(self, &domain->info, domain->info.epoch, "restoring", used) ||
        (access(path, F_OK) != 0 && access(used, F_OK) != 0))
        return virDomainCreate(domain->handle) < 0 ? failed(self, true, "the machine cannot be restored", err) : VENV_OK;
    if (rename(path, used) != 0 && errno != ENOENT)
        return venv_error_set(err, VENV_EIO, "%s: %s", path, strerror(errno));
    rc = go_on(self, domain, used, err);
    if (rc == VENV_OK)
        (void)unlink(used);
    else if (rc != VENV_EUNKNOWN && rename(used, path) != 0) /* it has not gone on */
        return venv_error_set(err, VENV_EIO, "the machine cannot be restored, and %s not be renamed: %s", used, strerror(errno));
    return rc;
}

void venv_libvirt_forget_saves(venv_libvirt_hypervisor *self, const venv_machine_info *info)
{
    char id[VENV_ID_TEXT_SIZE], own[64], path[VENV_LIBVIRT_PATH_MAX];
    static const char *const checkpoint[] = { "checkpoint.", "new." };
    DIR *folder = self->saves ? opendir(self->saves) : NULL;
    if (!folder)
        return;
    venv_id_format(info->id, id);
    snprintf(own, sizeof own, "%llu.", (unsigned long long)info->epoch);
    /* A definition that never ran is what is left of a move: the machine, and its checkpoint, may be elsewhere. */
    bool is_left_over = info->state == VENV_MACHINE_FAILED;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (strncmp(entry->d_name, id, strlen(id)) != 0 || entry->d_name[strlen(id)] != '.')
            continue;
        const char *rest = entry->d_name + strlen(id) + 1;
        bool drop = strncmp(rest, own, strlen(own)) == 0;
        for (size_t i = 0; i < VENV_COUNT_OF(checkpoint) && !is_left_over; i++)
            drop = drop || strncmp(rest, checkpoint[i], strlen(checkpoint[i])) == 0;
        int size = snprintf(path, sizeof path, "%s/%s", self->saves, entry->d_name);
        if (drop && size > 0 && (size_t)size < sizeof path)
            (void)unlink(path);
    }
    closedir(folder);
}

/* --- checkpoint and revert ------------------------------------------------------------------------------- */

static venv_rc file_failed(const char *path, venv_error *err)
{
    return venv_error_set(err, VENV_EIO, "%s: %s", path, strerror(errno));
}

/* By the kernel; from one file system to another it may leave that to us. */
static ssize_t copy_some(int in, off_t *from, int out, off_t *into, size_t size)
{
    char buffer[65536];
    ssize_t n = copy_file_range(in, from, out, into, size, 0);
    if (n >= 0 || (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP))
        return n;
    n = pread(in, buffer, size < sizeof buffer ? size : sizeof buffer, *from);
    if (n > 0)
        n = pwrite(out, buffer, (size_t)n, *into);
    if (n > 0) {
        *from += n;
        *into += n;
    }
    return n;
}

static venv_rc copy_bytes(int in, int out, const char *to, venv_error *err)
{
    struct stat st;
    if (fstat(in, &st) != 0 || ftruncate(out, st.st_size) != 0)
        return file_failed(to, err);
    if (ioctl(out, FICLONE, in) == 0)
        return VENV_OK;
    /* Holes stay holes. */
    for (off_t at = 0; at < st.st_size;) {
        off_t data = lseek(in, at, SEEK_DATA), hole = data < 0 ? -1 : lseek(in, data, SEEK_HOLE);
        if (data < 0 && errno == ENXIO)
            break; /* nothing but a hole is left */
        if (data < 0 || hole < 0)
            return file_failed(to, err);
        off_t from = data, into = data;
        while (from < hole) {
            ssize_t n = copy_some(in, &from, out, &into, (size_t)(hole - from));
            if (n <= 0)
                return file_failed(to, err);
        }
        at = hole;
    }
    return fsync(out) != 0 ? file_failed(to, err) : VENV_OK;
}

venv_rc venv_libvirt_copy_file(const char *from, const char *to, venv_error *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return file_failed(from, err);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out < 0) {
        venv_rc rc = file_failed(to, err);
        close(in);
        return rc;
    }
    venv_rc rc = copy_bytes(in, out, to, err);
    close(in);
    if (close(out) != 0 && rc == VENV_OK)
        rc = file_failed(to, err);
    if (rc != VENV_OK)
        (void)unlink(to);
    return rc;
}

/* Its disks, into files of `to_state`, or out of those of `from_state`. */
static venv_rc copy_disks(venv_libvirt_hypervisor *self, const venv_machine_info *info, const venv_domain_disk *disks, size_t count,
                          const char *state, bool back, venv_error *err)
{
    venv_rc rc = VENV_OK;
    for (size_t i = 0; i < count && rc == VENV_OK; i++) {
        char path[VENV_LIBVIRT_PATH_MAX];
        if (!checkpoint_path(self, info, state, disks[i].target, path))
            return venv_error_set(err, VENV_EINVAL, "the path of a checkpoint is too long");
        rc = back ? venv_libvirt_copy_file(path, disks[i].file, err) : venv_libvirt_copy_file(disks[i].file, path, err);
    }
    return rc;
}

/* The new one takes the place of the last, the memory last: without it there is no checkpoint. */
static venv_rc publish(venv_libvirt_hypervisor *self, const venv_machine_info *info, const venv_domain_disk *disks, size_t count,
                       venv_error *err)
{
    char from[VENV_LIBVIRT_PATH_MAX], to[VENV_LIBVIRT_PATH_MAX];
    (void)checkpoint_path(self, info, "checkpoint", "save", to);
    if (unlink(to) != 0 && errno != ENOENT)
        return file_failed(to, err);
    for (size_t i = 0; i <= count; i++) {
        const char *what = i < count ? disks[i].target : "save";
        (void)checkpoint_path(self, info, "new", what, from);
        (void)checkpoint_path(self, info, "checkpoint", what, to);
        if (rename(from, to) != 0)
            return file_failed(to, err);
    }
    return VENV_OK;
}

venv_rc venv_libvirt_checkpoint(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    venv_libvirt_hypervisor *self = self_of(hypervisor);
    venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX];
    size_t count = 0;
    char saved[VENV_LIBVIRT_PATH_MAX], copy[VENV_LIBVIRT_PATH_MAX];
    if (!venv_libvirt_save_path(self, &domain->info, domain->info.epoch, "save", saved) ||
        !checkpoint_path(self, &domain->info, "new", "save", copy))
        return no_folder("a checkpoint", err);
    venv_rc rc = venv_libvirt_check_alive(self, err);
    if (rc == VENV_OK)
        rc = venv_libvirt_disks(self, domain->handle, disks, &count, err);
    if (rc == VENV_OK)
        rc = save_to(self, domain->handle, saved, err);
    if (rc != VENV_OK)
        return rc;
    venv_error why = { .rc = VENV_OK };
    venv_rc kept = copy_disks(self, &domain->info, disks, count, "new", false, &why);
    if (kept == VENV_OK)
        kept = venv_libvirt_copy_file(saved, copy, &why);
    rc = venv_libvirt_restore(hypervisor, domain, err);
    if (rc == VENV_EUNKNOWN)
        return rc;
    if (rc != VENV_OK)
        return venv_error_set(err, VENV_EIO, "the machine is saved and does not go on: restore it when the reason is gone");
    if (kept == VENV_OK)
        return publish(self, &domain->info, disks, count, err);
    return venv_error_set(err, VENV_EIO, "there is no new checkpoint: %.400s", why.text);
}

venv_rc venv_libvirt_revert(venv_hypervisor *hypervisor, venv_virt_domain *domain, venv_error *err)
{
    venv_libvirt_hypervisor *self = self_of(hypervisor);
    venv_domain_disk disks[VENV_DOMAIN_DISKS_MAX];
    size_t count = 0;
    char saved[VENV_LIBVIRT_PATH_MAX], kept[VENV_LIBVIRT_PATH_MAX];
    if (!venv_libvirt_save_path(self, &domain->info, domain->info.epoch, "save", saved) ||
        !checkpoint_path(self, &domain->info, "checkpoint", "save", kept))
        return no_folder("going back to a checkpoint", err);
    venv_rc rc = venv_libvirt_check_alive(self, err);
    if (rc == VENV_OK && !is_complete(self, kept))
        rc = venv_error_set(err, VENV_ENOENT, "there is no checkpoint of instance %s", domain->info.instance);
    if (rc == VENV_OK)
        rc = venv_libvirt_disks(self, domain->handle, disks, &count, err);
    if (rc == VENV_OK && domain->active && virDomainDestroy(domain->handle) < 0 && virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID)
        rc = failed(self, true, "the machine cannot be powered off", err);
    if (rc == VENV_OK)
        rc = copy_disks(self, &domain->info, disks, count, "checkpoint", true, err);
    if (rc == VENV_OK)
        rc = venv_libvirt_copy_file(kept, saved, err);
    return rc == VENV_OK ? venv_libvirt_restore(hypervisor, domain, err) : rc;
}
