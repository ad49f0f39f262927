/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading certificates and keys: what is in them, and which identity.
 */
#include "identity/openssl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

venv_rc venv_openssl_fail(venv_error *err, venv_rc rc, const char *format, ...)
{
    char text[VENV_ERROR_TEXT_MAX], reason[256] = "no reason given";
    unsigned long code = ERR_peek_last_error();
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (code != 0 && ERR_reason_error_string(code))
        snprintf(reason, sizeof reason, "%s", ERR_reason_error_string(code));
    ERR_clear_error();
    return venv_error_set(err, rc, "%s: %s", text, reason);
}

static bool parse_ca(venv_str uri, venv_identity *ret_identity)
{
    static const char scheme[] = "venv://";
    venv_identity identity = { 0 };
    if (uri.size < sizeof scheme - 1 || memcmp(uri.data, scheme, sizeof scheme - 1) != 0)
        return false;
    venv_str cluster = { uri.data + sizeof scheme - 1, uri.size - (sizeof scheme - 1) };
    if (!venv_name_is_valid(cluster))
        return false;
    memcpy(identity.cluster, cluster.data, cluster.size);
    *ret_identity = identity;
    return true;
}

const char *venv_x509_identity(X509 *x509, bool is_ca, venv_identity *ret_identity)
{
    int critical = 0;
    unsigned found = 0;
    bool parsed = false;
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, NULL);

    if (!names)
        return critical == -1 ? "it names nobody (it has no subjectAltName)"
                              : "its subjectAltName is malformed or there twice";
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
        venv_str uri = { (const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text) };
        found++;
        parsed = is_ca ? parse_ca(uri, ret_identity) : venv_identity_parse(uri, ret_identity);
    }
    GENERAL_NAMES_free(names);
    if (found == 0)
        return "it names nobody (it has no URI)";
    if (found > 1)
        return "it names more than one";
    return parsed ? NULL : "its URI is not venv://CLUSTER/ROLE/NAME";
}

void venv_x509_key_name(X509 *x509, char *name, size_t size)
{
    EVP_PKEY *key = X509_get0_pubkey(x509);
    char group[32] = "";

    if (key && EVP_PKEY_is_a(key, "ED25519"))
        snprintf(name, size, "Ed25519");
    else if (key && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1)
        snprintf(name, size, "%s", strcmp(group, "prime256v1") == 0 ? "P-256" : group);
    else if (key && EVP_PKEY_is_a(key, "RSA"))
        snprintf(name, size, "RSA-%d", EVP_PKEY_get_bits(key));
    else
        snprintf(name, size, "unknown");
    ERR_clear_error();
}

bool venv_x509_key_is_ours(X509 *x509)
{
    char name[32];
    venv_x509_key_name(x509, name, sizeof name);
    return strcmp(name, "P-256") == 0 || strcmp(name, "Ed25519") == 0;
}

bool venv_x509_time(const ASN1_TIME *time, venv_wall *ret_wall)
{
    struct tm tm;
    int64_t seconds;

    if (ASN1_TIME_to_tm(time, &tm) != 1)
        return false;
    seconds = timegm(&tm);
    if (__builtin_mul_overflow(seconds, VENV_NS_PER_S, &ret_wall->ns))
        ret_wall->ns = seconds < 0 ? INT64_MIN : INT64_MAX;
    return true;
}

/* DNS names and addresses, separated by spaces. */
static void list_hosts(X509 *x509, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && used < size; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        char address[INET6_ADDRSTRLEN] = "";
        int n = 0;
        if (name->type == GEN_IPADD) {
            int length = ASN1_STRING_length(name->d.iPAddress);
            if (length == 4 || length == 16)
                inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), address,
                          sizeof address);
            n = snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", address);
        } else if (name->type == GEN_DNS) {
            n = snprintf(text + used, size - used, "%s%.*s", used > 0 ? " " : "",
                         ASN1_STRING_length(name->d.dNSName), (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        }
        used += n > 0 ? (size_t)n : 0;
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
}

venv_rc venv_x509_info(X509 *x509, const char *path, venv_cert_info *ret_info, venv_error *err)
{
    venv_cert_info info = { 0 };
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_size = 0;

    info.is_ca = X509_check_ca(x509) == 1;
    const char *fault = venv_x509_identity(x509, info.is_ca, &info.identity);
    if (fault)
        return venv_error_set(err, VENV_EINVAL, "%s is not a certificate of venv: %s", path, fault);
    if (!venv_x509_time(X509_get0_notBefore(x509), &info.not_before) ||
        !venv_x509_time(X509_get0_notAfter(x509), &info.not_after) ||
        X509_digest(x509, EVP_sha256(), digest, &digest_size) != 1)
        return venv_openssl_fail(err, VENV_EINVAL, "%s is malformed", path);
    for (unsigned i = 0; i < digest_size && (i + 1) * 3 <= sizeof info.fingerprint; i++)
        snprintf(info.fingerprint + (size_t)i * 3, sizeof info.fingerprint - (size_t)i * 3, "%02X%s", digest[i], i + 1 < digest_size ? ":" : "");
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x509);
    const unsigned char *bytes = ASN1_STRING_get0_data(serial);
    for (int i = 0; i < ASN1_STRING_length(serial) && (i + 1) * 2 < (int)sizeof info.serial; i++)
        snprintf(info.serial + (size_t)i * 2, sizeof info.serial - (size_t)i * 2, "%02X", bytes[i]);
    venv_x509_key_name(x509, info.key, sizeof info.key);
    list_hosts(x509, info.hosts, sizeof info.hosts);
    *ret_info = info;
    return VENV_OK;
}

static venv_rc open_fail(venv_error *err, const char *what, const char *path)
{
    int error = errno;
    venv_rc rc = error == ENOENT || error == ENOTDIR ? VENV_ENOENT
                 : error == EACCES || error == EPERM ? VENV_EDENIED : VENV_EIO;
    return venv_error_set(err, rc, "cannot read the %s %s: %s", what, path, strerror(error));
}

/* A key is for its owner. Root may share one with a group: so does systemd with LoadCredential=. */
static venv_rc check_mode(int fd, const char *path, venv_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return open_fail(err, "key", path);
    mode_t others = st.st_mode & (st.st_uid == 0 ? 037 : 077);
    if (others == 0)
        return VENV_OK;
    return venv_error_set(err, VENV_EDENIED, "the key %s can be read or changed by others (mode %04o); chmod 600 it",
                          path, (unsigned)(st.st_mode & 07777));
}

/* The whole of a small file, in a memory BIO. */
static venv_rc read_file(const char *path, const char *what, bool secret, BIO **ret_bio, venv_error *err)
{
    char buffer[4096];
    size_t total = 0;
    ssize_t n = 0;
    venv_rc rc = VENV_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return open_fail(err, what, path);
    VENV_AUTO_BIO BIO *bio = BIO_new(secret ? BIO_s_secmem() : BIO_s_mem());
    if (!bio)
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for %s", path);
    if (rc == VENV_OK && secret)
        rc = check_mode(fd, path, err);
    while (rc == VENV_OK && (n = read(fd, buffer, sizeof buffer)) > 0) {
        total += (size_t)n;
        if (total > VENV_PEM_FILE_MAX)
            rc = venv_error_set(err, VENV_EINVAL, "the %s %s is larger than %u bytes", what, path, VENV_PEM_FILE_MAX);
        else if (BIO_write(bio, buffer, (int)n) != n)
            rc = venv_error_set(err, VENV_ENOMEM, "out of memory for %s", path);
    }
    if (rc == VENV_OK && n < 0)
        rc = open_fail(err, what, path);
    OPENSSL_cleanse(buffer, sizeof buffer);
    close(fd);
    if (rc == VENV_OK)
        *ret_bio = VENV_TAKE(bio);
    return rc;
}

venv_rc venv_x509_load(const char *path, X509 **ret_x509, venv_error *err)
{
    VENV_AUTO_BIO BIO *bio = NULL;
    venv_rc rc = read_file(path, "certificate", false, &bio, err);
    if (rc != VENV_OK)
        return rc;
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (!x509)
        return venv_openssl_fail(err, VENV_EINVAL, "%s is not a certificate in PEM form", path);
    *ret_x509 = x509;
    return VENV_OK;
}

/* Never ask a terminal. */
static int no_password(char *buffer, int size, int writing, void *user)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

venv_rc venv_pkey_load(const char *path, EVP_PKEY **ret_key, venv_error *err)
{
    VENV_AUTO_BIO BIO *bio = NULL;
    venv_rc rc = read_file(path, "key", true, &bio, err);
    if (rc != VENV_OK)
        return rc;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    if (!key)
        return venv_openssl_fail(err, VENV_EINVAL, "%s is not a private key in PEM form without a password", path);
    *ret_key = key;
    return VENV_OK;
}

venv_rc venv_cert_read(const char *path, venv_cert_info *ret_info, venv_error *err)
{
    VENV_AUTO_X509 X509 *x509 = NULL;
    venv_rc rc = venv_x509_load(path, &x509, err);
    return rc == VENV_OK ? venv_x509_info(x509, path, ret_info, err) : rc;
}
