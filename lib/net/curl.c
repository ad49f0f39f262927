/* SPDX-License-Identifier: Apache-2.0 */
/* The start of libcurl, and what is the same for every transfer. It transfers nothing. */
#include "net/curl.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode ready = CURLE_FAILED_INIT;

static void start_curl(void)
{
    ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool venv_net_curl_has(const char *protocol)
{
    (void)pthread_once(&once, start_curl);
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    for (size_t i = 0; info->protocols[i]; i++)
        if (strcmp(info->protocols[i], protocol) == 0)
            return true;
    return false;
}

venv_rc venv_net_curl_new(CURL **ret_easy, venv_error *err)
{
    (void)pthread_once(&once, start_curl);
    if (ready != CURLE_OK)
        return venv_error_set(err, VENV_EIO, "libcurl does not start: %s", curl_easy_strerror(ready));
    *ret_easy = curl_easy_init();
    return *ret_easy ? VENV_OK : venv_error_set(err, VENV_ENOMEM, "out of memory");
}

#define SET(option, value) do { if (code == CURLE_OK) code = curl_easy_setopt(easy, option, value); } while (0)

CURLcode venv_net_curl_secure(CURL *easy, const char *url)
{
    CURLcode code = CURLE_OK;
    char protocol[16];
    (void)snprintf(protocol, sizeof protocol, "%.*s", (int)strcspn(url, ":"), url);
    SET(CURLOPT_PROTOCOLS_STR, protocol);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return code;
}

bool venv_net_curl_add(struct curl_slist **list, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return false;
    struct curl_slist *grown = curl_slist_append(*list, text);
    free(text);
    if (grown)
        *list = grown;
    return grown != NULL;
}
