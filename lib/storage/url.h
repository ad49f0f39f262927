/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_URL_H
#define VENV_STORAGE_URL_H

/* URLs taken apart, strictly: what is not clearly one thing is refused (RFC 3986, and less of it). */

#include "storage/error.h"

#define VENV_STORAGE_HOST_MAX 256
#define VENV_STORAGE_USER_MAX 128
#define VENV_STORAGE_QUERY_MAX 2048
#define VENV_STORAGE_SETTINGS_MAX 512

typedef struct venv_storage_url {
    char scheme[16];
    char user[VENV_STORAGE_USER_MAX];
    char host[VENV_STORAGE_HOST_MAX]; /* lower case, without the brackets of an IPv6 address */
    bool host_is_ipv6;
    uint16_t port;                    /* 0 if the URL has none */
    bool directory;                   /* ended with a slash */
    char path[VENV_STORAGE_URL_MAX];  /* decoded, without slashes at the ends; "" is the root */
    char query[VENV_STORAGE_QUERY_MAX]; /* of http and https, as it came, without the '?' */
    char settings[VENV_STORAGE_SETTINGS_MAX]; /* after the '#', as it came */
    char shown[VENV_STORAGE_URL_MAX]; /* for people: without user, query and settings, where secrets might stand */
} venv_storage_url;

/* VENV_EINVAL with a text that never repeats what might be a secret; VENV_EUNSUPPORTED for a scheme without a driver. */
venv_rc venv_storage_url_parse(const char *text, venv_storage_url *ret_url, venv_storage_error *err);
/* A key of the settings, decoded. False if it is not there or does not fit. */
bool venv_storage_url_setting(const venv_storage_url *url, const char *key, char *buffer, size_t size);
/* Percent-encode all but unreserved bytes and, if `slashes`, '/'. False if it does not fit. */
bool venv_storage_encode(const char *text, bool slashes, char *buffer, size_t size);
bool venv_storage_decode(const char *text, size_t size, char *buffer, size_t buffer_size);
/* The parent and the last segment of a path without slashes at its ends; both borrow from `path`. */
venv_str venv_storage_path_parent(const char *path);
const char *venv_storage_path_name(const char *path);
/* A name that may come out of a list: no '/', no control characters, not "." or "..", not too long. */
bool venv_storage_entry_name_is_valid(const char *name);

#endif
