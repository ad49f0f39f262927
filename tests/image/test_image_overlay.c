/* SPDX-License-Identifier: Apache-2.0 */
/* Empty disks on a base, judged by qemu-img; and images that a guest must never be given (T16), made by qemu-img where it can make them. */
#include "image/qcow2.h"

#include "../support/tempdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *directory;

static int begin(void **state)
{
    (void)state;
    directory = tempdir_make();
    return 0;
}

static int end(void **state)
{
    (void)state;
    tempdir_remove(directory);
    return 0;
}

static void put(const char *path, const venv_qcow2_overlay *o)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)o->file_size), 0);
    assert_int_equal(pwrite(fd, o->head, o->head_size, 0), o->head_size);
    assert_int_equal(pwrite(fd, o->table, sizeof o->table, (off_t)o->layout.refcount_table), sizeof o->table);
    assert_int_equal(pwrite(fd, o->counts, o->counts_size, (off_t)o->layout.refcount_blocks), o->counts_size);
    close(fd);
}

static void shell(int expected, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void shell(int expected, const char *format, ...)
{
    char line[4096];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_true(size > 0 && (size_t)size < sizeof line);
    if (tempdir_shell(line) != expected)
        fail_msg("%s", line);
}

static void test_qemu_reads_it(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 512, 65536, 65537, UINT64_C(20) << 30, (UINT64_C(4) << 40) - 65536, UINT64_C(4) << 40 };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        venv_qcow2_overlay o;
        uint64_t size = 0;
        struct stat st;
        const char *path = tempdir_path(directory, "blank.qcow2");
        assert_int_equal(venv_qcow2_overlay_make(sizes[i], NULL, NULL, &o, NULL), VENV_OK);
        put(path, &o);
        shell(0, "qemu-img check -q -f qcow2 %s", path);
        shell(0, "qemu-img info -f qcow2 --output=json %s | grep -q '\"virtual-size\": %llu,'", path, (unsigned long long)(sizes[i] + 511) / 512 * 512);
        assert_int_equal(stat(path, &st), 0);
        assert_true(st.st_blocks * 512 <= 65536);
        assert_int_equal(venv_qcow2_check_disk(o.head, o.head_size, o.file_size, &size, NULL), VENV_OK);
        assert_int_equal(size, (sizes[i] + 511) / 512 * 512);
    }
}

/* What the base has is seen through it, what is written stays in it. */
static void test_on_a_base(void **state)
{
    static const char *const formats[] = { "raw", "qcow2" };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        venv_qcow2_overlay o;
        uint64_t size;
        char name[VENV_QCOW2_NAME_MAX + 1];
        const char *base = tempdir_path(directory, "base"), *path = tempdir_path(directory, "over.qcow2");
        shell(0, "cd %s && yes base | head -c 3145728 >content && qemu-img convert -f raw -O %s content base", directory, formats[i]);
        assert_int_equal(venv_qcow2_overlay_make(5 << 20, base, formats[i], &o, NULL), VENV_OK);
        put(path, &o);
        shell(0, "cd %s && sha256sum base >sum && qemu-img check -q -f qcow2 over.qcow2", directory);
        shell(0, "cd %s && qemu-img info -f qcow2 --output=json over.qcow2 | grep -q '\"backing-filename-format\": \"%s\"'", directory, formats[i]);
        shell(0, "cd %s && truncate -s 5M content && qemu-img compare -q -f raw -F qcow2 content over.qcow2", directory);
        shell(0, "cd %s && qemu-io -f qcow2 -c 'write -P 7 1M 64k' -c 'write -P 8 4M 1M' over.qcow2 >/dev/null && qemu-img check -q -f qcow2 over.qcow2 &&"
                 " qemu-io -f qcow2 -c 'read -P 7 1M 64k' -c 'read -P 8 4M 1M' over.qcow2 | grep -vq fail && sha256sum -c --quiet sum", directory);
        assert_true(venv_qcow2_base(o.head, o.head_size, name));
        assert_string_equal(name, base);
        assert_int_equal(venv_qcow2_check_disk(o.head, o.head_size, o.file_size, &size, NULL), VENV_EDENIED);
    }
}

static void test_bases(void **state)
{
    venv_qcow2_overlay o;
    char name[VENV_QCOW2_NAME_MAX + 2];
    (void)state;
    assert_int_equal(venv_qcow2_overlay_make(1 << 20, "relative", "raw", &o, NULL), VENV_EINVAL);
    assert_int_equal(venv_qcow2_overlay_make(1 << 20, "json:{}", "raw", &o, NULL), VENV_EINVAL);
    assert_int_equal(venv_qcow2_overlay_make(1 << 20, "/base", "vmdk", &o, NULL), VENV_EINVAL);
    assert_int_equal(venv_qcow2_overlay_make(1 << 20, "/base", "", &o, NULL), VENV_EINVAL);
    memset(name, 'a', sizeof name);
    name[0] = '/';
    name[VENV_QCOW2_NAME_MAX + 1] = '\0';
    assert_int_equal(venv_qcow2_overlay_make(1 << 20, name, "raw", &o, NULL), VENV_EINVAL);
    name[VENV_QCOW2_NAME_MAX] = '\0';
    assert_int_equal(venv_qcow2_overlay_make(1 << 20, name, "qcow2", &o, NULL), VENV_OK);
    char read[VENV_QCOW2_NAME_MAX + 1];
    assert_true(venv_qcow2_base(o.head, o.head_size, read));
    assert_string_equal(read, name);
    for (size_t size = 0; size < o.head_size; size++) {
        uint8_t *exact = malloc(size + 1);
        memcpy(exact, o.head, size);
        assert_false(venv_qcow2_base(exact, size, read));
        free(exact);
    }
    assert_int_equal(venv_qcow2_overlay_make((UINT64_C(4) << 40) + 1, NULL, NULL, &o, NULL), VENV_ELIMIT);
    assert_int_equal(venv_qcow2_overlay_make(UINT64_MAX, NULL, NULL, &o, NULL), VENV_ELIMIT);
}

/* Of a file that qemu-img made. */
static venv_rc judge(const char *path, char *text, size_t text_size)
{
    uint8_t data[65536];
    uint64_t size;
    struct stat st;
    venv_error err = { 0 };
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    ssize_t got = read(fd, data, sizeof data);
    close(fd);
    assert_true(got >= 0);
    venv_rc rc = venv_qcow2_check_disk(data, (size_t)got, (uint64_t)st.st_size, &size, &err);
    snprintf(text, text_size, "%s", err.text);
    return rc;
}

static void test_images_of_others(void **state)
{
    static const struct {
        const char *make, *says;
        venv_rc rc;
    } rows[] = {
        { "qemu-img create -q -f qcow2 x 1G", "", VENV_OK },
        { "qemu-img create -q -f qcow2 -o compat=0.10 x 1G", "", VENV_OK },
        { "qemu-img create -q -f qcow2 -o cluster_size=512 x 1G", "", VENV_OK },
        { "qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=128k x 1G", "", VENV_OK },
        { "qemu-img create -q -f qcow2 -o preallocation=metadata x 64M", "", VENV_OK },
        { "qemu-img create -q -f qcow2 -o lazy_refcounts=on x 1G", "", VENV_OK },
        { "qemu-img create -q -f qcow2 x 1G && qemu-img snapshot -c one x", "", VENV_OK },
        { "yes a | head -c 4M >raw && qemu-img convert -q -c -f raw -O qcow2 -o compression_type=zstd raw x", "", VENV_OK },
        { "qemu-img create -q -u -f qcow2 -b /etc/shadow -F raw x 1G", "backing file", VENV_EDENIED },
        { "qemu-img create -q -u -f qcow2 -o compat=0.10 -b /etc/shadow -F raw x 1G", "backing file", VENV_EDENIED },
        { "qemu-img create -q -u -f qcow2 -b 'json:{\"driver\":\"file\",\"filename\":\"/etc/shadow\"}' -F raw x 1G", "backing file", VENV_EDENIED },
        { "qemu-img create -q -u -f qcow2 -b nbd://127.0.0.1:1/x -F raw x 1G", "backing file", VENV_EDENIED },
        { "qemu-img create -q -f qcow2 -o data_file=data x 1M", "another file", VENV_EDENIED },
        { "qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on x 1M", "another file", VENV_EDENIED },
        { "qemu-img create -q -f qcow2 --object secret,id=s,data=abc -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 x 1M", "encrypted", VENV_EUNSUPPORTED },
        { "qemu-img create -q -f vmdk x 1M", "not a qcow2", VENV_EINVAL },
        { "qemu-img create -q -f vdi x 1M", "not a qcow2", VENV_EINVAL },
        { "head -c 1M /dev/zero >x", "not a qcow2", VENV_EINVAL },
        { ": >x", "not a qcow2", VENV_EINVAL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[VENV_ERROR_TEXT_MAX];
        shell(0, "cd %s && rm -f x data && %s", directory, rows[i].make);
        venv_rc rc = judge(tempdir_path(directory, "x"), text, sizeof text);
        if (rc != rows[i].rc || !strstr(text, rows[i].says))
            fail_msg("%s: %d, %s", rows[i].make, rc, text);
    }
}

static void test_malformed(void **state)
{
    static const struct {
        const char *what;
        size_t at;
        uint64_t value;
        venv_rc rc;
    } rows[] = {
        { "version 1", 0, UINT64_C(0x514649fb00000001), VENV_EUNSUPPORTED },
        { "name of a base without its place", 16, (UINT64_C(9) << 32) | 16, VENV_EDENIED },
        { "place of a base without its name", 8, 104, VENV_EDENIED },
        { "clusters of 2^8", 16, 8, VENV_EINVAL },
        { "clusters of 2^63", 16, 63, VENV_EINVAL },
        { "size of a huge disk", 24, UINT64_MAX, VENV_ELIMIT },
        { "no L1", 32, 0, VENV_EINVAL },
        { "huge L1", 32, UINT32_MAX, VENV_EINVAL },
        { "L1 outside", 40, UINT64_C(1) << 40, VENV_EINVAL },
        { "L1 at the end of numbers", 40, UINT64_MAX - 65535, VENV_EINVAL },
        { "L1 not aligned", 40, 4096 + 8, VENV_EINVAL },
        { "corrupt", 72, 2, VENV_EUNSUPPORTED },
        { "external data", 72, 4, VENV_EDENIED },
        { "an unknown feature", 72, 32, VENV_EUNSUPPORTED },
        { "short header", 96, (UINT64_C(4) << 32) | 72, VENV_EINVAL },
        { "long header", 96, (UINT64_C(4) << 32) | 100000, VENV_EINVAL },
        { "extension: name of an external file", 104, (UINT64_C(0x44415441) << 32) | 8, VENV_EDENIED },
        { "extension: name of a backing format", 104, (UINT64_C(0xe2792aca) << 32) | 3, VENV_EDENIED },
        { "extension: too long", 104, (UINT64_C(0x6803f857) << 32) | UINT32_MAX, VENV_EINVAL },
        { "extension: known to nobody, passed over", 104, (UINT64_C(0x12345678) << 32) | 5, VENV_OK },
    };
    venv_qcow2_overlay o;
    uint8_t data[4096] = { 0 };
    uint64_t size;
    (void)state;
    assert_int_equal(venv_qcow2_overlay_make(1 << 30, NULL, NULL, &o, NULL), VENV_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(data, 0, sizeof data);
        memcpy(data, o.head, o.head_size);
        venv_put_be64(data + rows[i].at, rows[i].value);
        venv_rc rc = venv_qcow2_check_disk(data, sizeof data, o.file_size, &size, NULL);
        if (rc != rows[i].rc)
            fail_msg("%s: %d, not %d", rows[i].what, rc, rows[i].rc);
    }
    for (size_t length = 0; length < o.head_size; length++) {
        uint8_t *exact = malloc(length + 1);
        memcpy(exact, o.head, length);
        assert_int_equal(venv_qcow2_check_disk(exact, length, o.file_size, &size, NULL), VENV_EINVAL);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qemu_reads_it), cmocka_unit_test(test_on_a_base), cmocka_unit_test(test_bases),
        cmocka_unit_test(test_images_of_others), cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
