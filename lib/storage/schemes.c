/* SPDX-License-Identifier: Apache-2.0 */
/* The table of schemes: what venv_storage_driver_at() tells and what URLs are checked against. */
#include "storage/driver.h"

#include "net/curl.h"

#include "base/cleanup.h"

#include <string.h>

#define ALL_OF_A_DISK \
    (VENV_STORAGE_STAT | VENV_STORAGE_LIST | VENV_STORAGE_MAKE_DIRECTORY | VENV_STORAGE_GET | VENV_STORAGE_PUT | \
     VENV_STORAGE_RENAME | VENV_STORAGE_DELETE | VENV_STORAGE_PERMISSIONS | VENV_STORAGE_DIRECTORIES)
#define DAV \
    (VENV_STORAGE_STAT | VENV_STORAGE_LIST | VENV_STORAGE_MAKE_DIRECTORY | VENV_STORAGE_GET | VENV_STORAGE_PUT | \
     VENV_STORAGE_RENAME | VENV_STORAGE_DELETE | VENV_STORAGE_SPACE | VENV_STORAGE_DIRECTORIES)
#define HTTP (VENV_STORAGE_STAT | VENV_STORAGE_GET | VENV_STORAGE_PUT | VENV_STORAGE_DELETE)
#define S3 \
    (VENV_STORAGE_STAT | VENV_STORAGE_LIST | VENV_STORAGE_MAKE_DIRECTORY | VENV_STORAGE_GET | VENV_STORAGE_PUT | \
     VENV_STORAGE_RENAME | VENV_STORAGE_DELETE | VENV_STORAGE_ATOMIC_PUT | VENV_STORAGE_EXCLUSIVE_PUT)

static const char *const ftp_settings[] = { "tls", NULL };
static const char *const s3_settings[] = { "endpoint", "region", NULL };
static const char *const mock_settings[] = { "op", "phase", "class", "errno", "native", "times", "after", "retryable",
                                             "wait", "delay", "corrupt", "partial", NULL };

static const venv_storage_scheme schemes[] = {
    { .name = "file", .summary = "files of this machine", .driver = &venv_storage_file_driver, .encrypted = true,
      .operations = ALL_OF_A_DISK | VENV_STORAGE_SPACE | VENV_STORAGE_ATOMIC_PUT | VENV_STORAGE_EXCLUSIVE_PUT },
    { .name = "memory", .summary = "in the memory of this process, until it ends", .driver = &venv_storage_memory_driver,
      .encrypted = true,
      .operations = ALL_OF_A_DISK | VENV_STORAGE_SPACE | VENV_STORAGE_ATOMIC_PUT | VENV_STORAGE_EXCLUSIVE_PUT },
    { .name = "mock", .summary = "memory that fails as its URL says, for tests", .driver = &venv_storage_mock_driver,
      .encrypted = true, .settings = mock_settings,
      .operations = ALL_OF_A_DISK | VENV_STORAGE_SPACE | VENV_STORAGE_EXCLUSIVE_PUT },
    { .name = "https", .summary = "web server", .driver = &venv_storage_http_driver, .curl_protocol = "https",
      .port = 443, .encrypted = true, .query = true, .operations = HTTP },
    { .name = "http", .summary = "web server, in plain text", .driver = &venv_storage_http_driver,
      .curl_protocol = "http", .port = 80, .query = true, .operations = HTTP },
    { .name = "davs", .summary = "WebDAV over TLS", .driver = &venv_storage_dav_driver, .curl_protocol = "https",
      .port = 443, .encrypted = true, .operations = DAV },
    { .name = "dav", .summary = "WebDAV, in plain text", .driver = &venv_storage_dav_driver, .curl_protocol = "http",
      .port = 80, .operations = DAV },
    { .name = "ftps", .summary = "FTP over TLS from the first byte (implicit)", .driver = &venv_storage_ftp_driver,
      .curl_protocol = "ftps", .port = 990, .encrypted = true, .operations = ALL_OF_A_DISK },
    { .name = "ftp", .summary = "FTP; with #tls=required encrypted (explicit)", .driver = &venv_storage_ftp_driver,
      .curl_protocol = "ftp", .port = 21, .settings = ftp_settings, .operations = ALL_OF_A_DISK },
    { .name = "sftp", .summary = "files over SSH", .driver = &venv_storage_sftp_driver, .curl_protocol = "sftp",
      .port = 22, .encrypted = true, .operations = ALL_OF_A_DISK | VENV_STORAGE_SPACE },
    { .name = "s3", .summary = "object store with signature version 4", .driver = &venv_storage_s3_driver,
      .curl_protocol = "https", .port = 443, .encrypted = true, .settings = s3_settings, .operations = S3 },
};

const venv_storage_scheme *venv_storage_scheme_at(size_t index)
{
    return index < VENV_COUNT_OF(schemes) ? &schemes[index] : NULL;
}

const venv_storage_scheme *venv_storage_scheme_find(const char *name)
{
    for (size_t i = 0; i < VENV_COUNT_OF(schemes); i++)
        if (strcmp(schemes[i].name, name) == 0)
            return &schemes[i];
    return NULL;
}

bool venv_storage_driver_at(size_t index, venv_storage_driver_info *ret_info)
{
    const venv_storage_scheme *scheme = venv_storage_scheme_at(index);
    if (!scheme)
        return false;
    *ret_info = (venv_storage_driver_info){
        .scheme = scheme->name,
        .summary = scheme->summary,
        .operations = scheme->operations,
        .encrypted = scheme->encrypted,
        .available = !scheme->curl_protocol || venv_net_curl_has(scheme->curl_protocol),
    };
    return true;
}
