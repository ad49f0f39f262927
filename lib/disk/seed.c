/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seed of cloud-init's data source NoCloud: an ISO 9660 image (with the Joliet and Rock Ridge names) whose volume is called
 * CIDATA, with the files meta-data, user-data and network-config. libarchive writes it; what stands in the files is made in lib/environment/files.c.
 */
#include "disk/parts.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

static venv_rc seed_failed(struct archive *archive, venv_error *err)
{
    const char *why = archive_error_string(archive);
    return venv_error_set(err, VENV_EIO, "cannot make the seed of cloud-init: %s", why ? why : "libarchive gives no reason");
}

static bool put_file(struct archive *archive, const char *name, const char *text)
{
    struct archive_entry *entry = archive_entry_new();
    size_t size = strlen(text);
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

venv_rc venv_seed_write(int fd, const venv_machine_files *files, venv_error *err)
{
    struct archive *archive = archive_write_new();
    if (!archive)
        return venv_error_set(err, VENV_ENOMEM, "out of memory for the seed of cloud-init");
    bool written = archive_write_set_format_iso9660(archive) == ARCHIVE_OK &&
                   archive_write_set_format_option(archive, "iso9660", "volume-id", "CIDATA") == ARCHIVE_OK &&
                   archive_write_open_fd(archive, fd) == ARCHIVE_OK && put_file(archive, "meta-data", files->meta_data ? files->meta_data : "") &&
                   put_file(archive, "user-data", files->user_data ? files->user_data : "") &&
                   (!files->network_config || put_file(archive, "network-config", files->network_config)) &&
                   archive_write_close(archive) == ARCHIVE_OK;
    venv_rc rc = written ? VENV_OK : seed_failed(archive, err);
    archive_write_free(archive);
    return rc;
}
