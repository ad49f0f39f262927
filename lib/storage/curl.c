/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of libcurl that all protocols share. What it must never do by itself: follow a redirect, use a proxy or
 * a .netrc of the environment, connect to an address that the rules do not allow, take a weak or unverified TLS.
 */
#include "storage/curl.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define LIFETIME_S 118L /* a connection is not used for longer: its name may mean another address by now */

struct venv_storage_curl {
    CURL *easy; /* its cache of connections outlives requests */
};

/* What runs. */
typedef struct exchange {
    venv_storage *storage;
    CURL *easy;
    const venv_storage_request *request;
    venv_storage_response *response;
    uint64_t skip;          /* bytes of an answer that came without a range, before what is wanted */
    uint64_t left;          /* bytes still wanted */
    uint64_t data_at;
    curl_off_t down, up;    /* as of the last look, for the time-out */
    bool http;
    bool denied;            /* the rules refused an address */
    venv_rc check_rc;       /* canceled or timed out */
    venv_storage_error check_error;
    char denied_address[64];
} exchange;

void venv_storage_curl_free(venv_storage_curl *curl)
{
    if (curl) {
        curl_easy_cleanup(curl->easy);
        free(curl);
    }
}

static venv_rc get_easy(venv_storage *storage, CURL **ret_easy, venv_storage_error *err)
{
    venv_error why = { 0 };
    if (!storage->curl) {
        venv_storage_curl *curl = calloc(1, sizeof *curl);
        venv_rc rc = curl ? venv_net_curl_new(&curl->easy, &why) : VENV_ENOMEM;
        if (rc != VENV_OK) {
            free(curl);
            return rc == VENV_ENOMEM ? venv_storage_fail_memory(err)
                                     : venv_storage_fail(err, VENV_STORAGE_TOOL_MISSING, VENV_STORAGE_PARSE, "%s", why.text);
        }
        storage->curl = curl;
    }
    curl_easy_reset(storage->curl->easy);
    *ret_easy = storage->curl->easy;
    return VENV_OK;
}

bool venv_storage_curl_origin(const venv_storage_url *url, char *buffer, size_t size)
{
    const venv_storage_scheme *scheme = venv_storage_scheme_find(url->scheme);
    char port[8] = "";
    if (url->port)
        (void)snprintf(port, sizeof port, ":%u", (unsigned)url->port);
    int length = snprintf(buffer, size, "%s://%s%s%s%s", scheme->curl_protocol, url->host_is_ipv6 ? "[" : "", url->host,
                          url->host_is_ipv6 ? "]" : "", port);
    return length > 0 && (size_t)length < size;
}

bool venv_storage_curl_target(const venv_storage_url *url, bool directory, char *buffer, size_t size)
{
    if (!venv_storage_curl_origin(url, buffer, size))
        return false;
    size_t used = strlen(buffer);
    if (used + 2 >= size)
        return false;
    buffer[used++] = '/';
    if (!venv_storage_encode(url->path, true, buffer + used, size - used))
        return false;
    used += strlen(buffer + used);
    const char *tail = directory && url->path[0] ? "/" : "";
    int length = snprintf(buffer + used, size - used, "%s%s%s", tail, url->query[0] ? "?" : "", url->query);
    return length >= 0 && (size_t)length < size - used;
}

/* --- callbacks ------------------------------------------------------------------------------------------- */

static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    exchange *x = user;
    (void)purpose;
    if (!venv_storage_rules_allow_address(&x->storage->shared->settings, &address->addr)) {
        x->denied = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int watch(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    exchange *x = user;
    (void)down_total;
    (void)up_total;
    uint64_t moved = (down > x->down ? (uint64_t)(down - x->down) : 0) + (up > x->up ? (uint64_t)(up - x->up) : 0);
    x->down = down;
    x->up = up;
    x->check_rc = venv_storage_check(x->storage, moved, VENV_STORAGE_DATA, &x->check_error);
    return x->check_rc == VENV_OK ? 0 : 1;
}

static bool tell_sink(exchange *x, const char *data, size_t size)
{
    if (x->skip > 0) {
        size_t step = x->skip < size ? (size_t)x->skip : size;
        x->skip -= step;
        data += step;
        size -= step;
    }
    if (size > x->left)
        size = (size_t)x->left;
    if (size > 0 && !x->request->sink(x->request->user, data, size)) {
        x->response->stopped = true;
        return false;
    }
    x->response->told += size;
    if (x->left != VENV_STORAGE_SIZE_UNKNOWN)
        x->left -= size;
    return true;
}

static size_t take_body(char *data, size_t one, size_t count, void *user)
{
    exchange *x = user;
    size_t size = one * count;
    long status = 0;
    if (x->http)
        (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    bool success = !x->http || (status >= 200 && status < 300);
    if (!success || x->request->capture || !x->request->sink) {
        /* Of a refusal its beginning is enough; of an answer that is wanted whole all is. */
        size_t keep = size;
        if (!success && x->response->body.size + keep > 65536)
            keep = x->response->body.size < 65536 ? 65536 - x->response->body.size : 0;
        venv_buf_append(&x->response->body, data, keep);
        return x->response->body.rc == VENV_OK ? size : 0;
    }
    if (x->http && status == 200 && x->request->ranged && x->response->told == 0 && x->skip == 0 && x->left == x->request->length)
        x->skip = x->request->offset; /* the server does not know ranges: what is before is thrown away */
    if (!tell_sink(x, data, size))
        return 0;
    if (x->left == 0) {
        x->response->complete = true;
        curl_off_t length = -1, got = 0;
        (void)curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        (void)curl_easy_getinfo(x->easy, CURLINFO_SIZE_DOWNLOAD_T, &got);
        if (x->http && status == 200 && x->request->ranged && length != got + (curl_off_t)size)
            return 0; /* the rest is not wanted */
    }
    return size;
}

static size_t give_body(char *buffer, size_t one, size_t count, void *user)
{
    exchange *x = user;
    size_t size = one * count;
    const venv_storage_request *request = x->request;
    if (!request->source) {
        uint64_t left = request->data_size - x->data_at;
        size = left < size ? (size_t)left : size;
        if (size > 0)
            memcpy(buffer, (const char *)request->data + x->data_at, size);
        x->data_at += size;
        return size;
    }
    int64_t got = request->source(request->user, buffer, size);
    if (got < 0) {
        x->response->stopped = true;
        return CURL_READFUNC_ABORT;
    }
    x->data_at += (uint64_t)got;
    if (request->data_size != VENV_STORAGE_SIZE_UNKNOWN && x->data_at > request->data_size) {
        return CURL_READFUNC_ABORT; /* more than was promised */
    }
    return (size_t)got;
}

/* libcurl begins a body anew where a connection that it kept turned out to be dead. */
static int rewind_body(void *user, curl_off_t offset, int origin)
{
    exchange *x = user;
    if (x->request->source || origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->request->data_size)
        return x->data_at == 0 && offset == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
    x->data_at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* The value of a header, if it is this one. */
static bool header_is(const char *line, size_t size, const char *name, char *value, size_t value_size)
{
    size_t name_size = strlen(name);
    if (size <= name_size || strncasecmp(line, name, name_size) != 0 || line[name_size] != ':')
        return false;
    line += name_size + 1;
    size -= name_size + 1;
    while (size > 0 && (*line == ' ' || *line == '\t')) {
        line++;
        size--;
    }
    while (size > 0 && isspace((unsigned char)line[size - 1]))
        size--;
    if (size >= value_size)
        return false;
    memcpy(value, line, size);
    value[size] = 0;
    return true;
}

static size_t take_header(char *data, size_t one, size_t count, void *user)
{
    exchange *x = user;
    size_t size = one * count;
    venv_storage_response *response = x->response;
    char value[256];
    if (!x->http) {
        if (x->request->capture && x->request->quote) /* answers of commands come this way */
            venv_buf_append(&response->body, data, size);
        return response->body.rc == VENV_OK ? size : 0;
    }
    if (size > 5 && memcmp(data, "HTTP/", 5) == 0) { /* of a 100 before, or of the real answer */
        response->tag[0] = response->content_type[0] = 0;
        response->retry_after = 0;
        response->object_size = VENV_STORAGE_SIZE_UNKNOWN;
    } else if (header_is(data, size, "ETag", value, sizeof response->tag)) {
        memcpy(response->tag, value, strlen(value) + 1);
    } else if (header_is(data, size, "Content-Type", value, sizeof response->content_type)) {
        memcpy(response->content_type, value, strlen(value) + 1);
    } else if (header_is(data, size, "Retry-After", value, sizeof value) && isdigit((unsigned char)value[0])) {
        response->retry_after = strtoll(value, NULL, 10);
        response->retry_after = response->retry_after < 3600 ? response->retry_after : 3600;
    } else if (header_is(data, size, "Content-Range", value, sizeof value)) {
        const char *slash = strchr(value, '/');
        if (slash && isdigit((unsigned char)slash[1]))
            response->object_size = strtoull(slash + 1, NULL, 10);
    }
    return size;
}

/* --- a request -------------------------------------------------------------------------------------------- */

#define SET(option, value) do { if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value); } while (0)

static long milliseconds(venv_span span)
{
    return (long)(span.ns / 1000000);
}

static CURLcode set_rules(CURL *easy, exchange *x, const char *target)
{
    const venv_storage_options *options = &x->storage->shared->settings.options;
    CURLcode code = venv_net_curl_secure(easy, target);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, x);
    SET(CURLOPT_MAXLIFETIME_CONN, LIFETIME_S);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)(options->size_max < INT64_MAX ? options->size_max : INT64_MAX));
    SET(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options->connect_timeout.ns > 0 ? options->connect_timeout
                                                                                 : (venv_span){ 30 * VENV_NS_PER_S }));
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, options->idle_timeout.ns > 0 ? (long)((options->idle_timeout.ns + VENV_NS_PER_S - 1) / VENV_NS_PER_S) : 60L);
    /* With TLS 1.3 libcurl closes the data connection of ftp with session tickets unread in it: the reset that this
       makes takes the end of an upload with it (seen with vsftpd, reply 426). */
    SET(CURLOPT_SSLVERSION, strncmp(target, "ftp", 3) == 0 ? (long)CURL_SSLVERSION_TLSv1_2 | (long)CURL_SSLVERSION_MAX_TLSv1_2
                                                            : (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, watch);
    SET(CURLOPT_XFERINFODATA, x);
    SET(CURLOPT_USERAGENT, "venv-storage");
    if (options->rate_max > 0) {
        SET(CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)options->rate_max);
        SET(CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)options->rate_max);
    }
    return code;
}

static CURLcode set_secrets(CURL *easy, const venv_storage_secrets *secrets, const venv_storage_request *request)
{
    CURLcode code = CURLE_OK;
    const venv_storage_credential *credential = secrets->credential;
    bool http = strncmp(request->target, "http", 4) == 0, sftp = strncmp(request->target, "sftp", 4) == 0;
    if (http && !request->sign_region && secrets->token[0]) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(CURLOPT_XOAUTH2_BEARER, secrets->token);
    } else if (http && request->sign_region) {
        char signature[96];
        (void)snprintf(signature, sizeof signature, "aws:amz:%s:s3", request->sign_region);
        SET(CURLOPT_AWS_SIGV4, signature);
    } else if (http) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    }
    if (secrets->user[0])
        SET(CURLOPT_USERNAME, secrets->user);
    if (secrets->secret[0] && !(sftp && credential && credential->key_file))
        SET(CURLOPT_PASSWORD, secrets->secret);
    if (sftp) {
        bool key = credential && credential->key_file;
        SET(CURLOPT_SSH_AUTH_TYPES, key ? (long)CURLSSH_AUTH_PUBLICKEY
                                        : secrets->secret[0] ? (long)(CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD)
                                                             : (long)CURLSSH_AUTH_AGENT);
        if (key)
            SET(CURLOPT_SSH_PRIVATE_KEYFILE, credential->key_file);
        if (key && secrets->secret[0])
            SET(CURLOPT_KEYPASSWD, secrets->secret);
    } else if (credential && credential->certificate_file) {
        SET(CURLOPT_SSLCERT, credential->certificate_file);
        SET(CURLOPT_SSLKEY, credential->key_file ? credential->key_file : credential->certificate_file);
    }
    if (credential && credential->ca_file) {
        SET(CURLOPT_CAINFO, credential->ca_file);
        SET(CURLOPT_CAPATH, NULL);
    }
    return code;
}

/* libssh2 checks the key of a host only where it is given a file of known ones: without one nothing is connected. */
static CURLcode set_known_hosts(CURL *easy, const venv_storage_secrets *secrets)
{
    CURLcode code = CURLE_OK;
    char path[1024] = "";
    const char *home = secure_getenv("HOME");
    if (secrets->credential && secrets->credential->known_hosts)
        (void)snprintf(path, sizeof path, "%s", secrets->credential->known_hosts);
    else if (home)
        (void)snprintf(path, sizeof path, "%s/.ssh/known_hosts", home);
    if (!path[0] || access(path, R_OK) != 0)
        return CURLE_PEER_FAILED_VERIFICATION;
    SET(CURLOPT_SSH_KNOWNHOSTS, path);
    return code;
}

static CURLcode set_request(CURL *easy, exchange *x)
{
    const venv_storage_request *request = x->request;
    CURLcode code = CURLE_OK;
    char tls[16] = "", range[64];
    SET(CURLOPT_URL, request->target);
    SET(CURLOPT_ERRORBUFFER, x->response->message);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_FILETIME, request->file_time || x->http ? 1L : 0L);
    if (request->upload) {
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_READFUNCTION, give_body);
        SET(CURLOPT_READDATA, x);
        SET(CURLOPT_SEEKFUNCTION, rewind_body);
        SET(CURLOPT_SEEKDATA, x);
        SET(CURLOPT_INFILESIZE_LARGE, request->data_size == VENV_STORAGE_SIZE_UNKNOWN ? -1 : (curl_off_t)request->data_size);
    } else if (request->head) {
        SET(CURLOPT_NOBODY, 1L);
    }
    if (request->method)
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    if (request->headers)
        SET(CURLOPT_HTTPHEADER, request->headers);
    if (request->quote)
        SET(CURLOPT_QUOTE, request->quote);
    if (request->ranged && request->length == VENV_STORAGE_SIZE_UNKNOWN)
        (void)snprintf(range, sizeof range, "%llu-", (unsigned long long)request->offset);
    else
        (void)snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)request->offset,
                       (unsigned long long)(request->offset + request->length - 1));
    if (request->ranged)
        SET(CURLOPT_RANGE, range);
    if (!x->http) {
        SET(CURLOPT_FTP_FILEMETHOD, (long)CURLFTPMETHOD_NOCWD);
        SET(CURLOPT_FTP_SKIP_PASV_IP, 1L);
        SET(CURLOPT_FTPPORT, NULL);
        SET(CURLOPT_NEW_FILE_PERMS, 0644L);
        SET(CURLOPT_NEW_DIRECTORY_PERMS, 0755L);
        if (venv_storage_url_setting(request->url, "tls", tls, sizeof tls) && strcmp(tls, "required") == 0)
            SET(CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
    }
    return code;
}

/* Why a transfer failed. libcurl's own words say most; they never hold secrets. */
static venv_rc transfer_failed(exchange *x, venv_storage_error *err)
{
    venv_storage_response *response = x->response;
    CURLcode code = response->code;
    if (x->check_rc != VENV_OK) {
        if (err)
            *err = x->check_error;
        return x->check_rc;
    }
    if (response->stopped)
        return venv_storage_fail(err, VENV_STORAGE_CANCELED, VENV_STORAGE_DATA, "the %s gave up",
                                 x->request->upload ? "writer" : "reader");
    if (x->denied && (code == CURLE_COULDNT_CONNECT || code == CURLE_FTP_CANT_GET_HOST || code == CURLE_FTP_WEIRD_PASV_REPLY))
        return venv_storage_fail(err, VENV_STORAGE_PERMISSION, VENV_STORAGE_CONNECT,
                                 "its address is not one that may be connected to; list its network if it is meant");
    if (response->body.rc != VENV_OK)
        return venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_DATA, "its answer is too long");
    if (x->request->upload && x->request->data_size != VENV_STORAGE_SIZE_UNKNOWN && x->data_at != x->request->data_size &&
        (code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_PARTIAL_FILE || code == CURLE_UPLOAD_FAILED) &&
        x->data_at > x->request->data_size)
        return venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_DATA, "more bytes came than were promised");
    long reply = 0;
    (void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &reply);
    response->status = reply;
    const char *words = response->message[0] ? response->message : curl_easy_strerror(code);
    venv_rc rc;
    bool ftp = strncmp(x->request->target, "ftp", 3) == 0, sftp = strncmp(x->request->target, "sftp", 4) == 0;
    const venv_storage_row *row;
    if (sftp && (row = venv_storage_row_find(VENV_STORAGE_FAMILY_SFTP, -1, words)) != NULL)
        rc = venv_storage_fail_code(err, VENV_STORAGE_FAMILY_SFTP, -1, words, row->klass, "%s", words);
    else if (ftp && reply >= 400 && code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_USE_SSL_FAILED &&
             code != CURLE_OPERATION_TIMEDOUT &&
             venv_storage_row_find(VENV_STORAGE_FAMILY_FTP, reply, NULL))
        rc = venv_storage_fail_code(err, VENV_STORAGE_FAMILY_FTP, reply, NULL, VENV_STORAGE_OPERATION, "%s (FTP %ld)", words, reply);
    else
        rc = venv_storage_fail_code(err, VENV_STORAGE_FAMILY_CURL, code, NULL, VENV_STORAGE_TRANSFER, "%s", words);
    if (err && !err->native)
        err->native = code;
    if (err && code == CURLE_OPERATION_TIMEDOUT) {
        double connected = 0;
        (void)curl_easy_getinfo(x->easy, CURLINFO_CONNECT_TIME, &connected);
        if (connected <= 0)
            err->phase = VENV_STORAGE_CONNECT;
    }
    long errnum = 0;
    if (err && curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &errnum) == CURLE_OK && err->phase == VENV_STORAGE_CONNECT)
        err->errnum = (int)errnum;
    return rc;
}

static venv_rc perform(venv_storage *storage, const venv_storage_request *request, const venv_storage_secrets *secrets,
                       venv_storage_response *response, char *ret_location, size_t location_size, venv_storage_error *err)
{
    CURL *easy = NULL;
    venv_rc rc = get_easy(storage, &easy, err);
    if (rc != VENV_OK)
        return rc;
    exchange x = { .storage = storage, .easy = easy, .request = request, .response = response,
                   .left = request->ranged ? request->length : VENV_STORAGE_SIZE_UNKNOWN,
                   .http = strncmp(request->target, "http", 4) == 0 };
    venv_buf_clear(&response->body);
    response->object_size = VENV_STORAGE_SIZE_UNKNOWN;
    response->complete = response->stopped = false;
    CURLcode code = set_rules(easy, &x, request->target);
    if (code == CURLE_OK)
        code = set_secrets(easy, secrets, request);
    if (code == CURLE_OK)
        code = set_request(easy, &x);
    if (code == CURLE_OK && strncmp(request->target, "sftp", 4) == 0) {
        code = set_known_hosts(easy, secrets);
        if (code != CURLE_OK)
            return venv_storage_fail(err, VENV_STORAGE_CREDENTIAL, VENV_STORAGE_CONNECT,
                                     "there is no file of known hosts, so that its key cannot be checked; name one in the credential");
    }
    if (code == CURLE_OK)
        code = curl_easy_perform(easy);
    response->code = code;
    if (code == CURLE_WRITE_ERROR && response->complete)
        code = CURLE_OK;
    if (code == CURLE_OK && request->upload && request->source && request->data_size != VENV_STORAGE_SIZE_UNKNOWN &&
        x.data_at != request->data_size)
        rc = venv_storage_fail(err, VENV_STORAGE_INVALID, VENV_STORAGE_DATA, "fewer bytes came than were promised");
    else if (code != CURLE_OK)
        rc = transfer_failed(&x, err);
    curl_off_t size = -1, modified = -1;
    char *location = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &response->status);
    (void)curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &size);
    (void)curl_easy_getinfo(easy, CURLINFO_FILETIME_T, &modified);
    (void)curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &location);
    response->size = size < 0 ? VENV_STORAGE_SIZE_UNKNOWN : (uint64_t)size;
    response->modified = modified;
    ret_location[0] = 0;
    if (location && strlen(location) < location_size)
        memcpy(ret_location, location, strlen(location) + 1);
    return rc;
}

/* Where a redirect leads, if it may be followed. */
static venv_rc check_redirect(venv_storage *storage, const char *from, const char *to, venv_storage_url *ret_url,
                              venv_storage_error *err)
{
    venv_storage_error inner = { 0 };
    venv_rc rc = venv_storage_url_parse(to, ret_url, &inner);
    if (rc == VENV_OK && strncmp(ret_url->scheme, "http", 4) != 0)
        rc = venv_storage_fail(&inner, VENV_STORAGE_PERMISSION, VENV_STORAGE_REQUEST, "it leads to another protocol");
    if (rc == VENV_OK && strncmp(from, "https:", 6) == 0 && strcmp(ret_url->scheme, "https") != 0)
        rc = venv_storage_fail(&inner, VENV_STORAGE_PERMISSION, VENV_STORAGE_REQUEST, "it leads from https to http");
    if (rc == VENV_OK)
        rc = venv_storage_rules_check_url(&storage->shared->settings, ret_url, &inner);
    if (rc == VENV_OK)
        return VENV_OK;
    return venv_storage_fail(err, VENV_STORAGE_PERMISSION, VENV_STORAGE_REQUEST, "the redirect of the server is refused: %s",
                             inner.text);
}

venv_rc venv_storage_curl_do(venv_storage *storage, const venv_storage_request *request,
                             venv_storage_response *ret_response, venv_storage_error *err)
{
    venv_storage_request one = *request;
    venv_storage_secrets secrets;
    venv_storage_url hop = { 0 };
    char target[VENV_STORAGE_URL_MAX + VENV_STORAGE_QUERY_MAX], location[VENV_STORAGE_URL_MAX];
    *ret_response = (venv_storage_response){ .size = VENV_STORAGE_SIZE_UNKNOWN, .modified = -1 };
    venv_buf_init(&ret_response->body, VENV_STORAGE_BODY_MAX);
    venv_rc rc = venv_storage_check(storage, 0, VENV_STORAGE_CONNECT, err);
    for (unsigned hops = 0; rc == VENV_OK; hops++) {
        rc = venv_storage_secrets_find(&storage->shared->settings, hops == 0 ? request->url : &hop, one.target, &secrets, err);
        if (rc == VENV_OK)
            rc = perform(storage, &one, &secrets, ret_response, location, sizeof location, err);
        venv_storage_secrets_wipe(&secrets);
        if (rc != VENV_OK || ret_response->status < 300 || ret_response->status > 399 || !request->follow || !location[0])
            break;
        if (hops == VENV_STORAGE_REDIRECTS_MAX) {
            rc = venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_REQUEST, "more than %u redirects",
                                   VENV_STORAGE_REDIRECTS_MAX);
            break;
        }
        rc = check_redirect(storage, one.target, location, &hop, err);
        if (rc == VENV_OK && !venv_storage_curl_target(&hop, hop.directory, target, sizeof target))
            rc = venv_storage_fail(err, VENV_STORAGE_PROTOCOL_MISMATCH, VENV_STORAGE_REQUEST, "a redirect is too long");
        hop.settings[0] = 0; /* a server does not choose our settings */
        one.target = target;
    }
    if (rc != VENV_OK && err && ret_response->body.rc == VENV_OK)
        venv_storage_output(err, venv_buf_peek_text(&ret_response->body), ret_response->body.size);
    return rc;
}

void venv_storage_response_fini(venv_storage_response *response)
{
    venv_buf_fini(&response->body);
}

venv_rc venv_storage_http_result(const venv_storage_response *response, venv_storage_error *err)
{
    if (response->status >= 200 && response->status < 300)
        return VENV_OK;
    venv_rc rc = venv_storage_fail_code(err, VENV_STORAGE_FAMILY_HTTP, response->status, NULL,
                                        VENV_STORAGE_PROTOCOL_MISMATCH, "the server answers HTTP %ld", response->status);
    if (err) {
        err->retry_after = (venv_span){ response->retry_after * VENV_NS_PER_S };
        venv_storage_output(err, response->body.data ? (const char *)response->body.data : "",
                            response->body.size);
    }
    return rc;
}
