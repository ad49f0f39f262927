/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a connection failed: OpenSSL's reasons and a peer's alerts in words, for people.
 */
#include "identity/tls_internal.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const fault_names[] = {
    [VENV_TLS_FAULT_NONE] = "none",
    [VENV_TLS_FAULT_NO_CERTIFICATE] = "no-certificate",
    [VENV_TLS_FAULT_OTHER_CA] = "other-ca",
    [VENV_TLS_FAULT_EXPIRED] = "expired",
    [VENV_TLS_FAULT_NOT_YET_VALID] = "not-yet-valid",
    [VENV_TLS_FAULT_WEAK_KEY] = "weak-key",
    [VENV_TLS_FAULT_PURPOSE] = "wrong-purpose",
    [VENV_TLS_FAULT_IDENTITY] = "no-identity",
    [VENV_TLS_FAULT_CLUSTER] = "wrong-cluster",
    [VENV_TLS_FAULT_ROLE] = "wrong-role",
    [VENV_TLS_FAULT_CERTIFICATE] = "bad-certificate",
    [VENV_TLS_FAULT_VERSION] = "wrong-version",
    [VENV_TLS_FAULT_NOT_TLS] = "not-tls",
    [VENV_TLS_FAULT_PROTOCOL] = "broken-protocol",
    [VENV_TLS_FAULT_REFUSED] = "refused",
    [VENV_TLS_FAULT_CUT] = "cut",
    [VENV_TLS_FAULT_LIMIT] = "over-limit",
    [VENV_TLS_FAULT_INTERNAL] = "internal",
};

const char *venv_tls_fault_name(venv_tls_fault fault)
{
    return (unsigned)fault < VENV_COUNT_OF(fault_names) ? fault_names[fault] : "internal";
}

venv_rc venv_tls_fail(venv_tls *tls, venv_tls_fault fault, venv_rc rc, const char *format, ...)
{
    char text[VENV_ERROR_TEXT_MAX];
    va_list args;

    if (tls->fault != VENV_TLS_FAULT_NONE)
        return tls->error.rc;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    tls->fault = fault;
    return venv_error_set(&tls->error, rc, "%s", text);
}

/* RFC 8446, 6: what a peer means by refusing us. */
static venv_rc fail_alert(venv_tls *tls, int alert)
{
    static const struct {
        int alert;
        venv_tls_fault fault;
        const char *text;
    } alerts[] = {
        { SSL_AD_HANDSHAKE_FAILURE, VENV_TLS_FAULT_REFUSED,
          "it does not accept our cluster, role or kind of key (handshake failure); its log says which" },
        { SSL_AD_BAD_CERTIFICATE, VENV_TLS_FAULT_REFUSED, "it does not accept our certificate (bad certificate)" },
        { SSL_AD_UNSUPPORTED_CERTIFICATE, VENV_TLS_FAULT_REFUSED,
          "our certificate is not for this purpose (unsupported certificate)" },
        { SSL_AD_CERTIFICATE_REVOKED, VENV_TLS_FAULT_REFUSED, "our certificate is revoked" },
        { SSL_AD_CERTIFICATE_EXPIRED, VENV_TLS_FAULT_REFUSED,
          "by its clock our certificate is expired or not yet valid; check the clock on both sides, or issue a new "
          "certificate" },
        { SSL_AD_UNKNOWN_CA, VENV_TLS_FAULT_REFUSED,
          "our certificate is not signed by its CA (unknown CA); is it of another cluster?" },
        { TLS13_AD_CERTIFICATE_REQUIRED, VENV_TLS_FAULT_REFUSED, "we showed no certificate that it accepts" },
        { SSL_AD_PROTOCOL_VERSION, VENV_TLS_FAULT_VERSION, "it does not speak TLS 1.3" },
    };

    for (size_t i = 0; i < VENV_COUNT_OF(alerts); i++) {
        if (alerts[i].alert == alert)
            return venv_tls_fail(tls, alerts[i].fault, VENV_EUNREACHABLE, "%s refused the connection: %s", tls->address,
                                 alerts[i].text);
    }
    return venv_tls_fail(tls, VENV_TLS_FAULT_REFUSED, VENV_EUNREACHABLE, "%s ended the connection with alert %d (%s)",
                         tls->address, alert, SSL_alert_desc_string_long(alert));
}

/* Before it has said anything that makes sense. */
static bool nothing_understood(const venv_tls *tls)
{
    switch (SSL_get_state(tls->ssl)) {
    case TLS_ST_BEFORE:
    case TLS_ST_CW_CLNT_HELLO:
    case TLS_ST_CR_SRVR_HELLO:
    case TLS_ST_SR_CLNT_HELLO:
        return true;
    default:
        /* After an error the state says no more than that. */
        return SSL_get_peer_finished(tls->ssl, NULL, 0) == 0 && !SSL_get0_peer_certificate(tls->ssl) &&
               SSL_get_current_cipher(tls->ssl) == NULL;
    }
}

venv_rc venv_tls_fail_openssl(venv_tls *tls)
{
    unsigned long code = ERR_peek_error(); /* the first is the cause */
    int reason = ERR_GET_REASON(code);
    const char *text = ERR_reason_error_string(code);
    char what[128];

    snprintf(what, sizeof what, "%s", text ? text : "no reason given");
    ERR_clear_error();
    if (tls->fault != VENV_TLS_FAULT_NONE)
        return tls->error.rc;
    if (tls->output.rc != VENV_OK)
        return venv_tls_fail(tls, VENV_TLS_FAULT_INTERNAL, VENV_ENOMEM, "out of memory for %s", tls->address);
    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return venv_tls_fail(tls, reason == ERR_R_MALLOC_FAILURE ? VENV_TLS_FAULT_INTERNAL : VENV_TLS_FAULT_PROTOCOL,
                             reason == ERR_R_MALLOC_FAILURE ? VENV_ENOMEM : VENV_EPROTO, "%s broke off: %s",
                             tls->address, what);
    if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return fail_alert(tls, reason - SSL_AD_REASON_OFFSET);
    switch (reason) {
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return venv_tls_fail(tls, VENV_TLS_FAULT_NO_CERTIFICATE, VENV_EDENIED,
                             "%s showed no certificate (or has none of a kind that we use: P-256, Ed25519)",
                             tls->address);
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED:
        return venv_tls_fail(tls, VENV_TLS_FAULT_VERSION, VENV_EPROTO, "%s does not speak TLS 1.3", tls->address);
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_WRONG_SIGNATURE_TYPE:
    case SSL_R_WRONG_CURVE:
        return venv_tls_fail(tls, VENV_TLS_FAULT_VERSION, VENV_EPROTO,
                             "%s and we have no cipher, group or kind of signature in common (%s)", tls->address, what);
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return venv_tls_fail(tls, VENV_TLS_FAULT_LIMIT, VENV_ELIMIT, "%s sent a handshake message that is too long",
                             tls->address);
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return venv_tls_fail(tls, VENV_TLS_FAULT_NOT_TLS, VENV_EPROTO, "%s does not speak TLS", tls->address);
    default:
        break;
    }
    if (tls->state == VENV_TLS_HANDSHAKE && nothing_understood(tls))
        return venv_tls_fail(tls, VENV_TLS_FAULT_NOT_TLS, VENV_EPROTO, "%s does not speak TLS (%s)", tls->address, what);
    return venv_tls_fail(tls, VENV_TLS_FAULT_PROTOCOL, VENV_EPROTO, "%s broke the protocol of TLS: %s", tls->address,
                         what);
}
