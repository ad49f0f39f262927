/* SPDX-License-Identifier: Apache-2.0 */
/* Headers and table entries of qcow2 from anybody: what is accepted reaches nowhere outside its file. */
#include "fuzz/fuzz.h"

#include "image/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    venv_qcow2 qcow2;
    uint64_t file_size = UINT64_C(1) << 30, offset = 0;
    venv_error err = { 0 };
    venv_rc rc = venv_qcow2_parse(data, size, file_size, &qcow2, &err);
    if (rc != VENV_OK) {
        FUZZ_CHECK(err.rc == rc && err.text[0]);
        return 0;
    }
    FUZZ_CHECK(venv_get_be64(data + 8) == 0); /* no backing file */
    FUZZ_CHECK(qcow2.version == 2 || (venv_get_be64(data + 72) & ~UINT64_C(1)) == 0);
    FUZZ_CHECK(qcow2.l1_offset + qcow2.l1_count * 8 <= file_size);
    FUZZ_CHECK(qcow2.cluster_count <= VENV_QCOW2_CLUSTERS_MAX);
    for (size_t at = VENV_QCOW2_HEADER_SIZE; at + 8 <= size; at += 8) {
        if (venv_qcow2_l1(&qcow2, data + at, file_size, &offset, NULL) == VENV_OK)
            FUZZ_CHECK(offset < file_size && offset % (UINT64_C(1) << qcow2.cluster_bits) == 0);
        if (venv_qcow2_l2(&qcow2, data + at, file_size, &offset, NULL) == VENV_OK)
            FUZZ_CHECK(offset < file_size && offset % (UINT64_C(1) << qcow2.cluster_bits) == 0);
    }
    return 0;
}
