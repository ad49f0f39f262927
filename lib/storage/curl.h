/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_STORAGE_CURL_H
#define VENV_STORAGE_CURL_H

/*
 * One request over libcurl, with everything that is the same for all protocols: rules, credentials, time-outs,
 * cancelling, redirects, limits, and what failures mean. The protocols themselves are in their drivers.
 */

#include "storage/driver.h"

#include "base/buf.h"
#include "net/curl.h"

#define VENV_STORAGE_BODY_MAX (8u << 20) /* of an answer that is read whole: a listing, an error */

typedef struct venv_storage_request {
    const venv_storage_url *url;      /* what the caller named: for settings, and for what errors say */
    const char *target;               /* what libcurl gets: `https://host:port/path?query`, made from parts */
    const char *method;               /* NULL for that of the protocol */
    struct curl_slist *headers;       /* owned by the caller */
    struct curl_slist *quote;         /* commands of ftp and sftp, before the transfer; owned by the caller */
    const char *sign_region;          /* s3: sign with version 4 for this region */
    bool head;                        /* no body is wanted */
    bool file_time;                   /* ask ftp and sftp for it */
    bool follow;                      /* redirects are followed */
    bool capture;                     /* the answer goes to `body`, not to `sink` */
    bool upload;
    const void *data;                 /* upload this… */
    uint64_t data_size;               /* …or what `source` gives: so many bytes or VENV_STORAGE_SIZE_UNKNOWN */
    venv_storage_source_fn source;
    bool ranged;                      /* only [offset, offset + length) is wanted */
    uint64_t offset, length;
    venv_storage_sink_fn sink;
    void *user;
} venv_storage_request;

typedef struct venv_storage_response {
    CURLcode code;
    long status;             /* of HTTP; the last reply of FTP */
    uint64_t size;           /* Content-Length of the object, VENV_STORAGE_SIZE_UNKNOWN if it is not told */
    uint64_t object_size;    /* from Content-Range */
    int64_t modified;        /* seconds since 1970, -1 if it is not told */
    char tag[VENV_STORAGE_TAG_MAX];
    char content_type[128];
    int64_t retry_after;     /* seconds, 0 if it is not told */
    bool complete;           /* all that was asked for has come, whatever libcurl thinks */
    bool stopped;            /* by the sink or the source */
    uint64_t told;           /* bytes that reached the sink */
    char message[CURL_ERROR_SIZE];
    venv_buf body;           /* of what was captured, or of the words of an error */
} venv_storage_response;

/*
 * Do it. VENV_OK says that an answer is there (look at `status`), for http as for the others; a failure of the
 * connection fills `err`. Release `ret_response` with venv_storage_response_fini() in either case.
 */
venv_rc venv_storage_curl_do(venv_storage *storage, const venv_storage_request *request,
                             venv_storage_response *ret_response, venv_storage_error *err);
void venv_storage_response_fini(venv_storage_response *response);

/* What a status of HTTP means, where it is no success: 2xx is VENV_OK. */
venv_rc venv_storage_http_result(const venv_storage_response *response, venv_storage_error *err);

/* `SCHEME://host[:port]` of a URL, with the scheme that libcurl knows. False if it does not fit. */
bool venv_storage_curl_origin(const venv_storage_url *url, char *buffer, size_t size);
/* …and its path, encoded, with a slash at the end if `directory`. */
bool venv_storage_curl_target(const venv_storage_url *url, bool directory, char *buffer, size_t size);

#endif
