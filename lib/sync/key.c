/* SPDX-License-Identifier: Apache-2.0 */
/* Signing and checking manifests. The keys are files: which ones is said by the caller. */
#include "sync/key.h"

#include "sync/files.h"

#include <stdio.h>
#include <string.h>

venv_rc venv_image_key_make(const char *path, venv_error *err)
{
    char public_path[VENV_SYNC_PATH_MAX];
    size_t size = strlen(path);
    if (size >= VENV_IMAGE_PATH_MAX)
        return venv_error_set(err, VENV_EINVAL, "the path of the key is too long");
    if (size > 4 && strcmp(path + size - 4, ".key") == 0)
        size -= 4;
    snprintf(public_path, sizeof public_path, "%.*s.pub", (int)size, path);
    return venv_sign_make(path, public_path, err);
}

venv_rc venv_trust_load(const venv_image_options *options, venv_trust *ret_trust, venv_error *err)
{
    venv_signer *signer = NULL;
    ret_trust->count = 0;
    if (options->trust)
        return venv_public_keys_load(options->trust, ret_trust->keys, VENV_TRUST_KEYS_MAX, &ret_trust->count, err);
    if (!options->key)
        return VENV_OK;
    venv_rc rc = venv_signer_load(options->key, &signer, err);
    if (rc != VENV_OK)
        return rc;
    venv_signer_public(signer, ret_trust->keys[0]);
    ret_trust->count = 1;
    venv_signer_free(signer);
    return VENV_OK;
}

void venv_key_id(const uint8_t key[VENV_PUBLIC_KEY_SIZE], uint8_t ret_id[VENV_KEY_ID_SIZE])
{
    uint8_t hash[VENV_SHA256_SIZE];
    venv_sha256(key, VENV_PUBLIC_KEY_SIZE, hash);
    memcpy(ret_id, hash, VENV_KEY_ID_SIZE);
}

/* What is signed: no signature for another purpose can be taken for one of a manifest. */
static bool signed_text(const void *body, size_t size, venv_buf *ret_text)
{
    venv_buf_init(ret_text, VENV_MANIFEST_SIZE_MAX + 64);
    venv_buf_append_text(ret_text, VENV_MANIFEST_CONTEXT);
    venv_buf_append(ret_text, body, size);
    return ret_text->rc == VENV_OK;
}

bool venv_trust_has(const venv_trust *trust, const venv_envelope *envelope)
{
    venv_buf text;
    bool right = false;
    if (signed_text(envelope->body, envelope->body_size, &text))
        for (size_t i = 0; i < trust->count && !right; i++) {
            uint8_t id[VENV_KEY_ID_SIZE];
            venv_key_id(trust->keys[i], id);
            right = memcmp(id, envelope->key, sizeof id) == 0 &&
                    venv_signature_is_right(trust->keys[i], text.data, text.size, envelope->signature);
        }
    venv_buf_fini(&text);
    return right;
}

venv_rc venv_manifest_seal(const venv_signer *signer, const venv_buf *body, venv_buf *ret_data, venv_error *err)
{
    uint8_t key[VENV_PUBLIC_KEY_SIZE];
    venv_envelope envelope = { .body = body->data, .body_size = body->size };
    venv_buf text;
    venv_rc rc = VENV_OK;
    if (!signed_text(body->data, body->size, &text))
        rc = venv_error_set(err, VENV_ENOMEM, "out of memory for the manifest");
    if (rc == VENV_OK)
        rc = venv_sign(signer, text.data, text.size, envelope.signature, err);
    venv_buf_fini(&text);
    if (rc != VENV_OK)
        return rc;
    venv_signer_public(signer, key);
    venv_key_id(key, envelope.key);
    return venv_envelope_encode(&envelope, ret_data, err);
}
