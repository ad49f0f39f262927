/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's certificate authority: making it, and issuing certificates with it. The profile
 * follows RFC 5280 as OpenSSL's strict mode checks it; what makes a certificate one of ours is the
 * URI in its subjectAltName and the extended key usage of its role.
 */
#include "identity/openssl.h"
#include "identity/write.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#define DAY_S 86400
#define BACKDATE_S 3600 /* clocks differ */
#define CA_DAYS 3652    /* ten years */

/* A CA as it stands in its directory. */
typedef struct authority {
    X509 *x509;
    EVP_PKEY *key;
    venv_cert_info info;
} authority;

static void authority_fini(authority *ca)
{
    X509_free(ca->x509);
    EVP_PKEY_free(ca->key);
}

static venv_rc ca_path(const char *directory, const char *name, char path[VENV_CERT_PATH_MAX], venv_error *err)
{
    int n = snprintf(path, VENV_CERT_PATH_MAX, "%s/%s", directory, name);
    if (n < 0 || n >= VENV_CERT_PATH_MAX)
        return venv_error_set(err, VENV_EINVAL, "the path of the directory of certificates is too long");
    return VENV_OK;
}

const char *venv_cert_path(const char *directory, venv_role role, const char *name, const char *suffix,
                           char ret_path[VENV_CERT_PATH_MAX])
{
    int n = snprintf(ret_path, VENV_CERT_PATH_MAX, "%s/%s-%s.%s", directory, venv_role_name(role), name, suffix);
    if (n < 0 || n >= VENV_CERT_PATH_MAX)
        ret_path[0] = '\0';
    return ret_path;
}

static EVP_PKEY *make_key(venv_key_kind kind)
{
    return kind == VENV_KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                    : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

static bool add_name(X509_NAME *name, const char *field, const char *text)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool set_serial(X509 *x509)
{
    unsigned char bytes[20];
    if (venv_identity_random(bytes, sizeof bytes, NULL) != VENV_OK)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, and always 20 bytes */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != NULL;
    BN_free(number);
    return set;
}

static bool set_times(X509 *x509, int64_t now_s, int64_t end_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)(now_s - BACKDATE_S)) &&
           ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)end_s);
}

/* `value` is made of validated parts only: it is OpenSSL's configuration syntax. */
static bool add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* The names are built as objects and not as configuration text: host names come from outside. */
static bool add_general_name(GENERAL_NAMES *names, int type, const void *data, int size)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *text = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!name || !text || ASN1_STRING_set(text, data, size) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(text);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, text);
    if (sk_GENERAL_NAME_push(names, name) <= 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static bool host_is_valid(const char *host)
{
    size_t size = strlen(host);
    if (size == 0 || size > 253 || host[0] == '.' || host[0] == '-')
        return false;
    return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == size &&
           !strstr(host, "..");
}

static bool add_host(GENERAL_NAMES *names, const char *host)
{
    unsigned char address[16];
    if (inet_pton(AF_INET, host, address) == 1)
        return add_general_name(names, GEN_IPADD, address, 4);
    if (inet_pton(AF_INET6, host, address) == 1)
        return add_general_name(names, GEN_IPADD, address, 16);
    return add_general_name(names, GEN_DNS, host, (int)strlen(host));
}

static bool add_alternative_names(X509 *x509, const char *uri, const venv_cert_options *options)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool added = names && add_general_name(names, GEN_URI, uri, (int)strlen(uri));
    for (size_t i = 0; added && i < options->host_count; i++)
        added = add_host(names, options->hosts[i]);
    added = added && X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return added;
}

static bool sign(X509 *x509, EVP_PKEY *key)
{
    /* Ed25519 hashes for itself. */
    return X509_sign(x509, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0;
}

static bool build_ca(X509 *x509, EVP_PKEY *key, const char *cluster, const venv_cert_options *options, int64_t now_s,
                     int64_t end_s)
{
    char uri[VENV_IDENTITY_URI_MAX];
    X509_NAME *name = X509_get_subject_name(x509);
    const venv_cert_options no_hosts = { .key = options->key };

    snprintf(uri, sizeof uri, "venv://%s", cluster);
    return X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) && set_times(x509, now_s, end_s) &&
           add_name(name, "O", cluster) && add_name(name, "CN", "venv CA") &&
           X509_set_issuer_name(x509, name) == 1 && X509_set_pubkey(x509, key) == 1 &&
           add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(x509, x509, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(x509, x509, NID_subject_key_identifier, "hash") &&
           add_alternative_names(x509, uri, &no_hosts) && sign(x509, key);
}

static bool build_peer(X509 *x509, EVP_PKEY *key, const authority *ca, const venv_identity *identity,
                       const venv_cert_options *options, int64_t now_s, int64_t end_s)
{
    char uri[VENV_IDENTITY_URI_MAX];
    X509_NAME *name = X509_get_subject_name(x509);
    /* Only a manager may stand on the server's side, and only the others on the client's. */
    const char *usage = identity->role == VENV_ROLE_MANAGER ? "serverAuth" : "clientAuth";

    return X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) && set_times(x509, now_s, end_s) &&
           add_name(name, "O", identity->cluster) && add_name(name, "OU", venv_role_name(identity->role)) &&
           add_name(name, "CN", identity->name) &&
           X509_set_issuer_name(x509, X509_get_subject_name(ca->x509)) == 1 && X509_set_pubkey(x509, key) == 1 &&
           add_extension(x509, ca->x509, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x509, ca->x509, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x509, ca->x509, NID_ext_key_usage, usage) &&
           add_extension(x509, ca->x509, NID_subject_key_identifier, "hash") &&
           add_extension(x509, ca->x509, NID_authority_key_identifier, "keyid:always") &&
           add_alternative_names(x509, venv_identity_format(identity, uri), options) && sign(x509, ca->key);
}

static venv_rc write_bio(BIO *bio, const char *path, mode_t mode, bool replace, venv_error *err)
{
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    return venv_write_file(path, data, (size_t)size, mode, replace, err);
}

/* The key first: a certificate without its key is of no use, and what is there says so. */
static venv_rc write_pair(X509 *x509, EVP_PKEY *key, const char *crt_path, const char *key_path, bool replace,
                          venv_error *err)
{
    VENV_AUTO_BIO BIO *crt_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_secmem());

    if (!crt_bio || !key_bio || PEM_write_bio_X509(crt_bio, x509) != 1 ||
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return venv_openssl_fail(err, VENV_ENOMEM, "cannot encode %s", crt_path);
    if (!replace && access(crt_path, F_OK) == 0)
        return venv_error_set(err, VENV_EEXIST, "%s is there already; it is left as it is", crt_path);
    venv_rc rc = write_bio(key_bio, key_path, 0600, replace, err);
    if (rc == VENV_EEXIST)
        return venv_error_set(err, rc, "%s is there already; it is left as it is", key_path);
    if (rc != VENV_OK)
        return rc;
    rc = write_bio(crt_bio, crt_path, 0644, replace, err);
    if (rc != VENV_OK && !replace)
        unlink(key_path);
    return rc;
}

static venv_rc check_options(const venv_cert_options *options, bool hosts_allowed, venv_wall now, venv_error *err)
{
    if (options->days > VENV_CERT_DAYS_MAX)
        return venv_error_set(err, VENV_EINVAL, "%u days are too long for a certificate; at most %d are allowed",
                              (unsigned)options->days, VENV_CERT_DAYS_MAX);
    if (options->key != VENV_KEY_P256 && options->key != VENV_KEY_ED25519)
        return venv_error_set(err, VENV_EINVAL, "key kind %d is neither P-256 nor Ed25519", (int)options->key);
    if (options->host_count > 0 && !hosts_allowed)
        return venv_error_set(err, VENV_EINVAL, "only a manager's certificate has host names");
    if (options->host_count > VENV_CERT_HOST_COUNT_MAX)
        return venv_error_set(err, VENV_EINVAL, "%zu host names; at most %d are allowed", options->host_count,
                              VENV_CERT_HOST_COUNT_MAX);
    for (size_t i = 0; i < options->host_count; i++) {
        unsigned char address[16];
        if (!host_is_valid(options->hosts[i]) && inet_pton(AF_INET6, options->hosts[i], address) != 1)
            return venv_error_set(err, VENV_EINVAL, "\"%s\" is neither a host name nor an address", options->hosts[i]);
    }
    if (now.ns < BACKDATE_S * VENV_NS_PER_S)
        return venv_error_set(err, VENV_EINVAL, "the clock is before 1970; set it first");
    return VENV_OK;
}

venv_rc venv_ca_init(const char *directory, const char *cluster, const venv_cert_options *options, venv_wall now,
                     venv_error *err)
{
    const venv_cert_options none = { 0 };
    char crt_path[VENV_CERT_PATH_MAX], key_path[VENV_CERT_PATH_MAX];
    int64_t now_s = now.ns / VENV_NS_PER_S;

    if (!options)
        options = &none;
    if (!venv_name_is_valid((venv_str){ cluster, strlen(cluster) }))
        return venv_error_set(err, VENV_EINVAL,
                              "\"%s\" cannot name a cluster; use lower-case letters, digits, '.', '_' and '-', "
                              "at most %d", cluster, VENV_NAME_MAX);
    venv_rc rc = check_options(options, false, now, err);
    if (rc == VENV_OK)
        rc = ca_path(directory, "ca.crt", crt_path, err);
    if (rc == VENV_OK)
        rc = ca_path(directory, "ca.key", key_path, err);
    if (rc == VENV_OK)
        rc = venv_write_directory(directory, err);
    if (rc != VENV_OK)
        return rc;
    VENV_AUTO_PKEY EVP_PKEY *key = make_key(options->key);
    VENV_AUTO_X509 X509 *x509 = X509_new();
    int64_t end_s = now_s + (int64_t)(options->days > 0 ? options->days : CA_DAYS) * DAY_S;
    if (!key || !x509 || !build_ca(x509, key, cluster, options, now_s, end_s))
        return venv_openssl_fail(err, VENV_EIO, "cannot make a CA");
    return write_pair(x509, key, crt_path, key_path, options->replace, err);
}

static venv_rc authority_load(const char *directory, authority *ca, venv_error *err)
{
    char path[VENV_CERT_PATH_MAX];
    venv_rc rc = ca_path(directory, "ca.crt", path, err);
    if (rc == VENV_OK)
        rc = venv_x509_load(path, &ca->x509, err);
    if (rc == VENV_OK)
        rc = venv_x509_info(ca->x509, path, &ca->info, err);
    if (rc == VENV_OK && !ca->info.is_ca)
        rc = venv_error_set(err, VENV_EINVAL, "%s is not the certificate of a CA", path);
    if (rc == VENV_OK)
        rc = ca_path(directory, "ca.key", path, err);
    if (rc == VENV_OK)
        rc = venv_pkey_load(path, &ca->key, err);
    if (rc == VENV_OK && X509_check_private_key(ca->x509, ca->key) != 1)
        rc = venv_openssl_fail(err, VENV_EINVAL, "%s does not belong to ca.crt beside it", path);
    if (rc == VENV_ENOENT)
        return venv_error_prefix(err, "there is no CA; make one with \"venvctl cert init\"");
    return rc;
}

/* When a new certificate ends: asked for and possible, or as late as usual and possible. */
static venv_rc choose_end(const authority *ca, const venv_cert_options *options, int64_t now_s, int64_t *ret_end_s,
                          venv_error *err)
{
    int64_t ca_end_s = ca->info.not_after.ns / VENV_NS_PER_S;
    int64_t end_s = now_s + (int64_t)(options->days > 0 ? options->days : VENV_CERT_DAYS_DEFAULT) * DAY_S;

    if (now_s >= ca_end_s)
        return venv_error_set(err, VENV_ERANGE, "the CA of cluster %s is expired; check the clock, or make a new CA",
                              ca->info.identity.cluster);
    if (end_s > ca_end_s && options->days > 0)
        return venv_error_set(err, VENV_ERANGE, "%u days are longer than the CA lives: it ends in %lld days",
                              (unsigned)options->days, (long long)((ca_end_s - now_s) / DAY_S));
    *ret_end_s = end_s < ca_end_s ? end_s : ca_end_s;
    return VENV_OK;
}

static venv_rc issue(const authority *ca, const venv_identity *identity, const char *output,
                     const venv_cert_options *options, int64_t now_s, venv_error *err)
{
    char crt_path[VENV_CERT_PATH_MAX], key_path[VENV_CERT_PATH_MAX];
    int64_t end_s = 0;

    venv_cert_path(output, identity->role, identity->name, "crt", crt_path);
    venv_cert_path(output, identity->role, identity->name, "key", key_path);
    if (!crt_path[0] || !key_path[0])
        return venv_error_set(err, VENV_EINVAL, "the path of the directory of certificates is too long");
    venv_rc rc = choose_end(ca, options, now_s, &end_s, err);
    if (rc != VENV_OK)
        return rc;
    VENV_AUTO_PKEY EVP_PKEY *key = make_key(options->key);
    VENV_AUTO_X509 X509 *x509 = X509_new();
    if (!key || !x509 || !build_peer(x509, key, ca, identity, options, now_s, end_s))
        return venv_openssl_fail(err, VENV_EIO, "cannot make a certificate");
    return write_pair(x509, key, crt_path, key_path, options->replace, err);
}

venv_rc venv_ca_issue(const char *directory, venv_role role, const char *name, const char *output,
                      const venv_cert_options *options, venv_wall now, venv_error *err)
{
    const venv_cert_options none = { 0 };
    venv_identity identity = { .role = role };
    authority ca = { 0 };

    if (!options)
        options = &none;
    if (role != VENV_ROLE_MANAGER && role != VENV_ROLE_AGENT && role != VENV_ROLE_USER)
        return venv_error_set(err, VENV_EINVAL, "a certificate is for a manager, an agent or a user");
    if (!venv_name_is_valid((venv_str){ name, strlen(name) }))
        return venv_error_set(err, VENV_EINVAL,
                              "\"%s\" cannot name a peer; use lower-case letters, digits, '.', '_' and '-', "
                              "at most %d", name, VENV_NAME_MAX);
    venv_rc rc = check_options(options, role == VENV_ROLE_MANAGER, now, err);
    if (rc == VENV_OK)
        rc = authority_load(directory, &ca, err);
    if (rc == VENV_OK && output)
        rc = venv_write_directory(output, err);
    if (rc == VENV_OK) {
        snprintf(identity.cluster, sizeof identity.cluster, "%s", ca.info.identity.cluster);
        snprintf(identity.name, sizeof identity.name, "%s", name);
        rc = issue(&ca, &identity, output ? output : directory, options, now.ns / VENV_NS_PER_S, err);
    }
    authority_fini(&ca);
    return rc;
}
