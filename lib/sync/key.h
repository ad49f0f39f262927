/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VENV_SYNC_KEY_H
#define VENV_SYNC_KEY_H

/* Which keys are trusted to sign manifests. */

#include "identity/sign.h"
#include "image/manifest.h"
#include <venv/image.h>

#define VENV_TRUST_KEYS_MAX 16u

typedef struct venv_trust {
    uint8_t keys[VENV_TRUST_KEYS_MAX][VENV_PUBLIC_KEY_SIZE];
    size_t count;
} venv_trust;

/* The keys of options->trust, else that of options->key; none if neither is there. */
venv_rc venv_trust_load(const venv_image_options *options, venv_trust *ret_trust, venv_error *err);

/* The short name of a key: the first bytes of its SHA-256. */
void venv_key_id(const uint8_t key[VENV_PUBLIC_KEY_SIZE], uint8_t ret_id[VENV_KEY_ID_SIZE]);

bool venv_trust_has(const venv_trust *trust, const venv_envelope *envelope);

/* Sign a body and put it into its envelope. */
venv_rc venv_manifest_seal(const venv_signer *signer, const venv_buf *body, venv_buf *ret_data, venv_error *err);

#endif
