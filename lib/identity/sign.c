/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that sign, apart from certificates: what they sign outlives any certificate. */
#include "identity/sign.h"

#include "identity/openssl.h"
#include "identity/write.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

struct venv_signer {
    EVP_PKEY *key;
    uint8_t public_key[VENV_PUBLIC_KEY_SIZE];
};

void venv_sha256(const void *data, size_t size, uint8_t ret_hash[VENV_SHA256_SIZE])
{
    /* Fails only where the library itself is broken: then no hash may look right. */
    if (EVP_Digest(data, size, ret_hash, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

static venv_rc write_pem(EVP_PKEY *key, bool private_part, const char *path, venv_error *err)
{
    VENV_AUTO_BIO BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    if (!bio || (private_part ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                              : PEM_write_bio_PUBKEY(bio, key)) != 1)
        return venv_openssl_fail(err, VENV_ENOMEM, "cannot write the key '%s'", path);
    long size = BIO_get_mem_data(bio, &data);
    return venv_write_file(path, data, (size_t)size, private_part ? 0600 : 0644, false, err);
}

venv_rc venv_sign_make(const char *private_path, const char *public_path, venv_error *err)
{
    VENV_AUTO_PKEY EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key)
        return venv_openssl_fail(err, VENV_EIO, "cannot make a key");
    /* The private key last: who finds it finds the public one, too. */
    venv_rc rc = write_pem(key, false, public_path, err);
    return rc == VENV_OK ? write_pem(key, true, private_path, err) : rc;
}

static bool raw_public(EVP_PKEY *key, uint8_t ret_key[VENV_PUBLIC_KEY_SIZE])
{
    size_t size = VENV_PUBLIC_KEY_SIZE;
    return EVP_PKEY_is_a(key, "ED25519") && EVP_PKEY_get_raw_public_key(key, ret_key, &size) == 1 &&
           size == VENV_PUBLIC_KEY_SIZE;
}

venv_rc venv_signer_load(const char *path, venv_signer **ret_signer, venv_error *err)
{
    venv_signer *signer = calloc(1, sizeof *signer);
    if (!signer)
        return venv_error_set(err, VENV_ENOMEM, "out of memory");
    venv_rc rc = venv_pkey_load(path, &signer->key, err);
    if (rc == VENV_OK && !raw_public(signer->key, signer->public_key))
        rc = venv_openssl_fail(err, VENV_EINVAL, "'%s' is not an Ed25519 key; make one with 'venv-sync key'", path);
    if (rc != VENV_OK)
        venv_signer_free(signer);
    else
        *ret_signer = signer;
    return rc;
}

void venv_signer_free(venv_signer *signer)
{
    if (!signer)
        return;
    EVP_PKEY_free(signer->key);
    free(signer);
}

void venv_signer_public(const venv_signer *signer, uint8_t ret_key[VENV_PUBLIC_KEY_SIZE])
{
    memcpy(ret_key, signer->public_key, VENV_PUBLIC_KEY_SIZE);
}

venv_rc venv_sign(const venv_signer *signer, const void *data, size_t size, uint8_t ret_signature[VENV_ED25519_SIZE],
                  venv_error *err)
{
    uint8_t signature[VENV_ED25519_SIZE];
    size_t length = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context && EVP_DigestSignInit(context, NULL, NULL, NULL, signer->key) == 1 &&
                EVP_DigestSign(context, signature, &length, data, size) == 1 && length == sizeof signature;
    EVP_MD_CTX_free(context);
    if (!done)
        return venv_openssl_fail(err, VENV_EIO, "cannot sign");
    memcpy(ret_signature, signature, sizeof signature);
    return VENV_OK;
}

venv_rc venv_public_keys_load(const char *path, uint8_t (*ret_keys)[VENV_PUBLIC_KEY_SIZE], size_t max, size_t *ret_count,
                              venv_error *err)
{
    VENV_AUTO_BIO BIO *bio = BIO_new_file(path, "r");
    size_t count = 0;
    if (!bio) {
        int error = errno;
        ERR_clear_error();
        return venv_error_set(err, error == ENOENT ? VENV_ENOENT : error == EACCES ? VENV_EDENIED : VENV_EIO,
                              "cannot read the public key '%s': %s", path, strerror(error));
    }
    for (;;) {
        VENV_AUTO_PKEY EVP_PKEY *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
        if (!key)
            break;
        if (count == max)
            return venv_error_set(err, VENV_ELIMIT, "'%s' has more than %zu keys", path, max);
        if (!raw_public(key, ret_keys[count++]))
            return venv_openssl_fail(err, VENV_EINVAL, "'%s' has a key that is not Ed25519", path);
    }
    ERR_clear_error();
    if (count == 0)
        return venv_error_set(err, VENV_EINVAL, "'%s' has no public key (PEM)", path);
    *ret_count = count;
    return VENV_OK;
}

bool venv_signature_is_right(const uint8_t key[VENV_PUBLIC_KEY_SIZE], const void *data, size_t size,
                             const uint8_t signature[VENV_ED25519_SIZE])
{
    VENV_AUTO_PKEY EVP_PKEY *public_key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, VENV_PUBLIC_KEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool right = public_key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, public_key) == 1 &&
                 EVP_DigestVerify(context, signature, VENV_ED25519_SIZE, data, size) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return right;
}
