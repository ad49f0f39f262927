/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_DELIVER_DELIVER_H
#define VENV_DELIVER_DELIVER_H

/*
 * What actions send to the world outside: mail by SMTP, and webhooks, JSON by HTTP.
 *
 *      order (a map: what, to whom, how often) ──► venv_deliver() ──► outcome
 *
 * An order was put together from the configuration, which alone says where anything may go, and from the arguments
 * of an action, which are data: what is in them stays inside of a base64 body, an encoded word or a JSON text.
 *
 * A delivery that failed for a reason that may pass is tried again with growing pauses. Each try carries the id of the action
 * (Message-ID, Idempotency-Key), so that whoever gets it twice can tell.
 *
 * It blocks: for worker threads. Nothing here is shared between threads but `stop`.
 */

#include "base/buf.h"

#include <venv/value.h>

#include <stdatomic.h>

#define VENV_DELIVERY_ANSWER_MAX  4096u          /* bytes of an answer that are kept */
#define VENV_DELIVERY_READ_MAX    (256u << 10)   /* bytes of an answer after which no more are read */
#define VENV_MAIL_SUBJECT_MAX     200u           /* characters */
#define VENV_MAIL_TEXT_MAX        (256u << 10)   /* bytes */

typedef struct venv_delivery_outcome {
    venv_rc rc;          /* VENV_OK; VENV_EUNKNOWN and VENV_ETIMEDOUT: it may have arrived */
    char error[256];     /* if it is not VENV_OK */
    long status;         /* of HTTP; the last reply of SMTP; 0: there was none */
    unsigned attempts;
    bool truncated;      /* the answer is longer than what is kept */
    size_t answer_size;
    char answer[VENV_DELIVERY_ANSWER_MAX];
} venv_delivery_outcome;

/*
 * Do it, and come back within timeout × (1 + retries) and the pauses, or soon after `*stop` became true. The order's keys:
 *
 *   all:      kind "mail" or "webhook", id (text), timeout (of one try), retries, ca? (path)
 *   mail:     server (smtp:// or smtps:// URL), tls (bool: not without), from, to: [address], subject, text, made (timestamp),
 *             domain (of the Message-ID), user?, password_file?
 *   webhook:  url, body (anything), token_file?
 */
void venv_deliver(const venv_value *order, const atomic_bool *stop, venv_delivery_outcome *ret_outcome);

/* The message of an order for mail, by RFC 5322. It is pure. VENV_ELIMIT: the text is too long. VENV_ENOMEM. */
venv_rc venv_mail_compose(const venv_value *order, venv_buf *out, venv_error *err);

#endif
