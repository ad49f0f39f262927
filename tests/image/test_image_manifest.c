/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests, maps and plans: round trips, and that nothing else is accepted. */
#include "image/cut.h"
#include "image/map.h"
#include "image/plan.h"

#include "base/random.h"
#include "identity/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void hash_of(uint64_t number, uint8_t ret_hash[VENV_HASH_SIZE])
{
    venv_sha256(&number, sizeof number, ret_hash);
}

/* `count` chunks, of which each fifth is a hole. */
static void make(venv_manifest *manifest, size_t count, uint64_t salt)
{
    uint8_t hash[VENV_HASH_SIZE];
    venv_manifest_init(manifest);
    strcpy(manifest->name, "class2");
    manifest->version = 3;
    manifest->created.ns = INT64_C(1700000000) * VENV_NS_PER_S;
    manifest->id.bytes[0] = 9;
    for (size_t i = 0; i < count; i++) {
        hash_of(i + salt, hash);
        assert_int_equal(venv_manifest_add(manifest, i % 5 == 4 ? 1000000 : 60000 + i, i % 5 == 4 ? NULL : hash, NULL), VENV_OK);
    }
}

static void encode(venv_manifest *manifest, venv_buf *body)
{
    venv_buf_init(body, VENV_MANIFEST_SIZE_MAX);
    assert_int_equal(venv_manifest_encode(manifest, venv_sha256, body, NULL), VENV_OK);
}

static void test_round_trip(void **state)
{
    (void)state;
    venv_manifest manifest, again;
    venv_buf body;
    make(&manifest, 1000, 0);
    encode(&manifest, &body);
    assert_int_equal(venv_manifest_decode(body.data, body.size, venv_sha256, &again, NULL), VENV_OK);
    assert_string_equal(again.name, "class2");
    assert_int_equal(again.version, 3);
    assert_int_equal(again.size, manifest.size);
    assert_int_equal(again.chunk_count, manifest.chunk_count);
    assert_memory_equal(again.digest, manifest.digest, VENV_HASH_SIZE);
    for (size_t i = 0; i < again.chunk_count; i++) {
        assert_int_equal(again.chunks[i].offset, manifest.chunks[i].offset);
        assert_int_equal(again.chunks[i].hole, manifest.chunks[i].hole);
        assert_memory_equal(again.chunks[i].hash, manifest.chunks[i].hash, VENV_HASH_SIZE);
        assert_int_equal(venv_manifest_find(&again, again.chunks[i].offset), i);
        assert_int_equal(venv_manifest_find(&again, again.chunks[i].offset + again.chunks[i].length - 1), i);
    }
    assert_int_equal(venv_manifest_find(&again, again.size), again.chunk_count);
    venv_buf_fini(&body);
    venv_manifest_fini(&manifest);
    venv_manifest_fini(&again);
}

static void test_holes_are_joined(void **state)
{
    (void)state;
    venv_manifest manifest;
    venv_manifest_init(&manifest);
    assert_int_equal(venv_manifest_add(&manifest, 5, NULL, NULL), VENV_OK);
    assert_int_equal(venv_manifest_add(&manifest, 7, NULL, NULL), VENV_OK);
    assert_int_equal(manifest.chunk_count, 1);
    assert_int_equal(manifest.size, 12);
    assert_int_equal(venv_manifest_add(&manifest, VENV_IMAGE_SIZE_MAX, NULL, NULL), VENV_ELIMIT);
    venv_manifest_fini(&manifest);
}

/* T24: every bit of a body matters to its signature, and a change is either refused or another content. */
static void test_flipped_bits(void **state)
{
    (void)state;
    venv_manifest manifest, again;
    venv_buf body;
    make(&manifest, 40, 0);
    encode(&manifest, &body);
    for (size_t bit = 0; bit < body.size * 8; bit++) {
        body.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        venv_rc rc = venv_manifest_decode(body.data, body.size, venv_sha256, &again, NULL);
        if (rc == VENV_OK) { /* the name, a number, the id: what the digest does not cover, and the signature does */
            assert_memory_equal(again.digest, manifest.digest, VENV_HASH_SIZE);
            assert_int_equal(again.chunk_count, manifest.chunk_count);
            venv_manifest_fini(&again);
        }
        body.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t size = 0; size < body.size; size += 7)
        assert_int_not_equal(venv_manifest_decode(body.data, size, venv_sha256, &again, NULL), VENV_OK);
    venv_buf_fini(&body);
    venv_manifest_fini(&manifest);
}

/* T14: a name that leads elsewhere is no name, signed or not. */
static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = { "", "..", "../x", "/etc/passwd", "a/b", "-rf", ".hidden", "A", "a..b", "a b", "a\n",
                                         "a%2e", "\xc0\xae" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        venv_manifest manifest, again;
        venv_buf body;
        make(&manifest, 10, 0);
        strcpy(manifest.name, names[i]);
        encode(&manifest, &body);
        assert_int_equal(venv_manifest_decode(body.data, body.size, venv_sha256, &again, NULL), VENV_EINVAL);
        venv_buf_fini(&body);
        venv_manifest_fini(&manifest);
    }
}

static void test_envelope(void **state)
{
    (void)state;
    uint8_t text[100] = { 1, 2, 3 };
    venv_envelope envelope = { text, sizeof text, { 4 }, { 5 } }, again;
    venv_buf data;
    venv_buf_init(&data, 4096);
    assert_int_equal(venv_envelope_encode(&envelope, &data, NULL), VENV_OK);
    assert_int_equal(venv_envelope_decode(data.data, data.size, &again, NULL), VENV_OK);
    assert_int_equal(again.body_size, sizeof text);
    assert_memory_equal(again.body, text, sizeof text);
    assert_memory_equal(again.signature, envelope.signature, VENV_SIGNATURE_SIZE);
    assert_int_not_equal(venv_envelope_decode(data.data, data.size - 1, &again, NULL), VENV_OK);
    assert_int_not_equal(venv_envelope_decode(text, sizeof text, &again, NULL), VENV_OK);
    venv_buf_fini(&data);
}

static void test_map(void **state)
{
    (void)state;
    venv_manifest manifest;
    venv_map map = { 0 }, again;
    venv_buf data;
    make(&manifest, 50, 0);
    map.places = calloc(manifest.chunk_count, sizeof *map.places);
    map.place_count = manifest.chunk_count;
    map.deltas = calloc(2, sizeof *map.deltas);
    for (size_t i = 0; i < manifest.chunk_count; i++) {
        venv_id id = { { (uint8_t)(i % 3) } };
        if (manifest.chunks[i].hole)
            continue;
        assert_int_equal(venv_map_pack(&map, id, &map.places[i].pack, NULL), VENV_OK);
        map.places[i].offset = (50 - i) * 100000; /* backwards, too */
        map.places[i].stored = (uint32_t)(1000 + i);
    }
    map.base = 2;
    map.delta_count = 2;
    map.deltas[0] = (venv_delta){ 0, 70000, 12, { 5, 1, 44 } };
    map.deltas[1] = (venv_delta){ 33, 1000, 0, { 49, 2, 45 } };
    venv_buf_init(&data, VENV_MAP_SIZE_MAX);
    assert_int_equal(venv_map_encode(&map, &manifest, &data, NULL), VENV_OK);
    assert_int_equal(venv_map_decode(data.data, data.size, &manifest, &again, NULL), VENV_OK);
    assert_int_equal(again.pack_count, 3);
    for (size_t i = 0; i < manifest.chunk_count; i++)
        if (!manifest.chunks[i].hole)
            assert_memory_equal(&again.places[i], &map.places[i], sizeof map.places[i]);
    assert_int_equal(again.delta_count, 2);
    assert_int_equal(again.deltas[1].chunk, 33);
    assert_int_equal(again.deltas[1].base_offset, 0);
    venv_map_fini_all(&again);
    /* Flipped bits: refused, or numbers within their bounds. */
    for (size_t bit = 0; bit < data.size * 8; bit++) {
        data.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (venv_map_decode(data.data, data.size, &manifest, &again, NULL) == VENV_OK) {
            for (size_t i = 0; i < manifest.chunk_count; i++)
                if (!manifest.chunks[i].hole) {
                    assert_true(again.places[i].pack < again.pack_count);
                    assert_true(again.places[i].stored <= manifest.chunks[i].length);
                }
            venv_map_fini_all(&again);
        }
        data.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    venv_buf_fini(&data);
    venv_map_fini_all(&map);
    venv_manifest_fini(&manifest);
}

static void test_bases(void **state)
{
    (void)state;
    venv_manifest older, newer;
    uint8_t hash[VENV_HASH_SIZE];
    venv_base bases[12];
    uint64_t bytes, chunks;
    make(&older, 4, 0); /* four chunks of data */
    venv_manifest_init(&newer);
    for (size_t i = 0; i < 5; i++) { /* the third is replaced by two */
        hash_of(i == 2 ? 100 : i == 3 ? 101 : i == 4 ? 3 : i, hash);
        assert_int_equal(venv_manifest_add(&newer, i == 4 ? 60003 : 60000 + i, hash, NULL), VENV_OK);
    }
    assert_int_equal(venv_plan_bases(&older, &newer, 1 << 20, bases, NULL), VENV_OK);
    assert_int_equal(bases[0].length, 0);
    assert_int_equal(bases[1].length, 0);
    assert_true(bases[2].length > 0 && bases[2].offset <= older.chunks[2].offset);
    assert_true(bases[2].offset + bases[2].length >= older.chunks[2].offset + 60000);
    assert_true(bases[3].length > 0 && bases[3].offset + bases[3].length <= older.size);
    assert_int_equal(bases[4].length, 0);
    assert_int_equal(venv_plan_difference(&older, &newer, &bytes, &chunks, NULL), VENV_OK);
    assert_int_equal(chunks, 2);
    assert_int_equal(bytes, 60002 + 60003);
    venv_manifest_fini(&older);
    venv_manifest_fini(&newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_holes_are_joined), cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_names), cmocka_unit_test(test_envelope), cmocka_unit_test(test_map), cmocka_unit_test(test_bases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
