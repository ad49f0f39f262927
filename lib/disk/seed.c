/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seed of cloud-init's data source NoCloud: an ISO 9660 image (with the Joliet and Rock Ridge names) whose volume is called
 * CIDATA, with the files meta-data, user-data and network-config. libarchive writes it; what stands in the files is made in lib/environment/files.c.
 */
#include "disk/parts.h"

#include "sync/files.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static venv_rc seed_failed(struct archive *archive, venv_error *err)
{
    const char *why = archive_error_string(archive);
    return venv_error_set(err, VENV_EIO, "cannot make the seed of cloud-init: %s", why ? why : "libarchive gives no reason");
}

static bool put_file(struct archive *archive, const char *name, const char *text, size_t size)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return false;
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0444);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_mtime(entry, 0, 0);
    bool written = archive_write_header(archive, entry) == ARCHIVE_OK && archive_write_data(archive, text, size) == (la_ssize_t)size;
    archive_entry_free(entry);
    return written;
}

static bool put_text(struct archive *archive, const char *name, const char *text)
{
    return put_file(archive, name, text ? text : "", text ? strlen(text) : 0);
}

static venv_rc write_all(int fd, const venv_machine_files *files, const char *user_data, size_t size, venv_error *err)
{
    struct archive *archive = archive_write_new();
    if (!archive)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the seed of cloud-init");
    bool written = archive_write_set_format_iso9660(archive) == ARCHIVE_OK &&
                   archive_write_set_format_option(archive, "iso9660", "volume-id", "CIDATA") == ARCHIVE_OK &&
                   archive_write_open_fd(archive, fd) == ARCHIVE_OK && put_text(archive, "meta-data", files->meta_data) &&
                   put_file(archive, "user-data", user_data, size) &&
                   (!files->network_config || put_text(archive, "network-config", files->network_config)) &&
                   archive_write_close(archive) == ARCHIVE_OK;
    venv_rc rc = written ? VENV_OK : seed_failed(archive, err);
    archive_write_free(archive);
    return rc;
}

venv_rc venv_seed_write(int fd, const venv_machine_files *files, venv_error *err)
{
    uint8_t *data = NULL;
    size_t size = 0;
    if (!files->user_data_file)
        return write_all(fd, files, files->user_data ? files->user_data : "", files->user_data ? strlen(files->user_data) : 0, err);
    /* Links in the directory that the administrator allowed are its owner's business, as with the other files of a definition. */
    int file = open(files->user_data_file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return venv_files_fail(err, errno, "open", files->user_data_file);
    venv_rc rc = venv_files_get_open(file, files->user_data_file, VENV_SEED_TEXT_MAX, &data, &size, err);
    close(file);
    if (rc == VENV_OK)
        rc = write_all(fd, files, (const char *)data, size, err);
    free(data);
    return rc;
}
