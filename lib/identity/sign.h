/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_IDENTITY_SIGN_H
#define VENV_IDENTITY_SIGN_H

/* Signatures over bytes (Ed25519, RFC 8032), and SHA-256. */

#include <venv/common.h>

#define VENV_SHA256_SIZE 32
#define VENV_ED25519_SIZE 64
#define VENV_PUBLIC_KEY_SIZE 32

/* Any thread. */
void venv_sha256(const void *data, size_t size, uint8_t ret_hash[VENV_SHA256_SIZE]);

typedef struct venv_signer venv_signer;

/* PEM files for a new pair of keys; the private one has mode 0600. VENV_EEXIST: one is there. */
venv_rc venv_sign_make(const char *private_path, const char *public_path, venv_error *err);

/* Read a private key. VENV_EDENIED: others can read the file. VENV_EINVAL: it is no Ed25519 key. */
venv_rc venv_signer_load(const char *path, venv_signer **ret_signer, venv_error *err);
void venv_signer_free(venv_signer *signer);
void venv_signer_public(const venv_signer *signer, uint8_t ret_key[VENV_PUBLIC_KEY_SIZE]);
venv_rc venv_sign(const venv_signer *signer, const void *data, size_t size, uint8_t ret_signature[VENV_ED25519_SIZE],
                  venv_error *err);

/* The public keys in a PEM file, at most `max`. VENV_EINVAL: there is none, or one of another kind. */
venv_rc venv_public_keys_load(const char *path, uint8_t (*ret_keys)[VENV_PUBLIC_KEY_SIZE], size_t max, size_t *ret_count,
                              venv_error *err);
bool venv_signature_is_right(const uint8_t key[VENV_PUBLIC_KEY_SIZE], const void *data, size_t size,
                             const uint8_t signature[VENV_ED25519_SIZE]);

#endif
