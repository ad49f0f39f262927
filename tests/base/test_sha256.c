/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256: the examples of FIPS 180-4, every split of an input, and both compression functions against each other. */
#include "base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check(const void *data, size_t size, const char *expected)
{
    uint8_t digest[VENV_SHA256_SIZE];
    char text[2 * VENV_SHA256_SIZE + 1];
    venv_sha256_of(data, size, digest);
    assert_string_equal(venv_sha256_text(digest, text), expected);
}

static void test_published(void **state)
{
    (void)state;
    check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check(two, strlen(two), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    static char million[1000000];
    memset(million, 'a', sizeof million);
    check(million, sizeof million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void test_splits_and_both_functions(void **state)
{
    (void)state;
    uint8_t data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 37 + 11);
    for (size_t size = 0; size <= sizeof data; size++) {
        uint8_t whole[VENV_SHA256_SIZE], plain[VENV_SHA256_SIZE], split[VENV_SHA256_SIZE];
        venv_sha256_of(data, size, whole);
        venv_sha256 sha;
        venv_sha256_init(&sha);
        sha.hardware = false;
        venv_sha256_update(&sha, data, size);
        venv_sha256_final(&sha, plain);
        assert_memory_equal(whole, plain, sizeof whole);
        for (size_t cut = 0; cut <= size; cut += 7) {
            venv_sha256_init(&sha);
            venv_sha256_update(&sha, data, cut);
            venv_sha256_update(&sha, data + cut, size - cut);
            venv_sha256_final(&sha, split);
            assert_memory_equal(whole, split, sizeof whole);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published),
        cmocka_unit_test(test_splits_and_both_functions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
