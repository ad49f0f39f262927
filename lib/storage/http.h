/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_HTTP_H
#define VENV_STORAGE_HTTP_H

/* What http, dav and s3 share. */

#include "storage/curl.h"

venv_rc venv_storage_http_stat(venv_storage *storage, const venv_storage_url *url, venv_storage_info *ret_info,
                               venv_storage_error *err);
venv_rc venv_storage_http_get(venv_storage *storage, const venv_storage_url *url, uint64_t offset, uint64_t length,
                              char *tag, venv_storage_sink_fn sink, void *user, venv_storage_error *err);
/* With a target of its own; signed for s3 if `region` is given. */
venv_rc venv_storage_http_get_target(venv_storage *storage, const venv_storage_url *url, const char *target,
                                     const char *region, uint64_t offset, uint64_t length, char *tag,
                                     venv_storage_sink_fn sink, void *user, venv_storage_error *err);
venv_rc venv_storage_http_put(venv_storage *storage, const venv_storage_url *url, uint64_t size, uint32_t flags,
                              venv_storage_source_fn source, void *user, venv_storage_error *err);
/* A request without bodies of interest. `ret_status` may be NULL. */
venv_rc venv_storage_http_simple(venv_storage *storage, const venv_storage_url *url, const char *method, bool directory,
                                 struct curl_slist *headers, long *ret_status, venv_storage_error *err);
/* An instant of RFC 9110 or RFC 3339 in nanoseconds since 1970, 0 if it is neither. */
int64_t venv_storage_http_date(const char *text);

#endif
