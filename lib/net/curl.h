/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_NET_CURL_H
#define VENV_NET_CURL_H

/*
 * libcurl, for the folders that speak protocols through it: made ready once in a process, and with one set of things
 * that it must never do by itself: follow a redirect, use a proxy or a .netrc of the environment, take a weak or
 * unverified TLS, raise signals. What a transfer is about is the caller's.
 */

#include <venv/common.h>

#include <curl/curl.h>

/* Ready, and it knows the protocol: "https", "smtp". Any thread. */
bool venv_net_curl_has(const char *protocol);

/* A handle. VENV_EIO: libcurl does not start. VENV_ENOMEM. */
venv_rc venv_net_curl_new(CURL **ret_easy, venv_error *err);

/* The rules above, and no other protocol than that of `url`. */
CURLcode venv_net_curl_secure(CURL *easy, const char *url);

/* Append to a list; false on no memory. */
bool venv_net_curl_add(struct curl_slist **list, const char *format, ...) VENV_PRINTF(2, 3);

#endif
