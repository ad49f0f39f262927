/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_DELIVER_ATTEMPT_H
#define VENV_DELIVER_ATTEMPT_H

/* What mail.c and webhook.c share: one try over libcurl, its limits, and what its end means. */

#include "deliver/deliver.h"
#include "net/curl.h"

typedef struct attempt {
    CURL *easy;
    const atomic_bool *stop;
    venv_delivery_outcome *outcome;
    uint64_t read;       /* bytes of the answer */
    bool again;          /* it failed, and may work later */
} attempt;

/* Give `easy` the limits that are the same for both: time, size of the answer, being stopped, trust. */
CURLcode venv_deliver_prepare(attempt *a, const char *url, const venv_value *order);
/* The transfer ended with `code`; a try that got no reply of its own is judged by it. */
void venv_deliver_judge(attempt *a, CURLcode code);
void venv_deliver_fail(attempt *a, venv_rc rc, bool again, const char *format, ...) VENV_PRINTF(4, 5);

/* A text of the order as C text; "" if it is missing, too long, or has a NUL in it. */
const char *venv_deliver_text(const venv_value *order, const char *key, char *buffer, size_t size);

void venv_deliver_mail(attempt *a, const venv_value *order);
void venv_deliver_webhook(attempt *a, const venv_value *order);

#endif
