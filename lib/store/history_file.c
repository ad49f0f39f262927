/* SPDX-License-Identifier: Apache-2.0 */
#include "store/history_file.h"

#include "history/chunk.h"
#include "store/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char magic[8] = { 'v', 'e', 'n', 'v', 'h', 's', 't', '1' };

static void put_number(uint8_t *bytes, uint64_t number, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number >> (8 * i));
}

static uint64_t get_number(const uint8_t *bytes, unsigned size)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < size; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    return number;
}

void venv_history_record_put(venv_buf *buf, venv_history_record_kind kind, uint32_t chunk, int64_t first_ms, int64_t last_ms,
                             const void *payload, size_t size)
{
    uint8_t head[VENV_HISTORY_RECORD_SIZE];
    put_number(head, size, 4);
    head[8] = (uint8_t)kind;
    put_number(head + 9, chunk, 4);
    put_number(head + 13, (uint64_t)first_ms, 8);
    put_number(head + 21, (uint64_t)last_ms, 8);
    put_number(head + 4, venv_history_crc(venv_history_crc(0, head + 8, sizeof head - 8), payload, size), 4);
    venv_buf_append(buf, head, sizeof head);
    venv_buf_append(buf, payload, size);
}

bool venv_history_record_get(const uint8_t *bytes, venv_history_record *ret_record)
{
    *ret_record = (venv_history_record){ (venv_history_record_kind)bytes[8], (uint32_t)get_number(bytes, 4),
                                         (uint32_t)get_number(bytes + 4, 4), (uint32_t)get_number(bytes + 9, 4),
                                         (int64_t)get_number(bytes + 13, 8), (int64_t)get_number(bytes + 21, 8) };
    return bytes[8] >= VENV_HISTORY_RECORD_DEFINITIONS && bytes[8] <= VENV_HISTORY_RECORD_JOURNAL &&
           ret_record->size <= VENV_HISTORY_CHUNK_MAX;
}

bool venv_history_record_check(const uint8_t *head, const void *payload, const venv_history_record *record)
{
    uint32_t crc = venv_history_crc(0, head + 8, VENV_HISTORY_RECORD_SIZE - 8);
    return venv_history_crc(crc, payload, record->size) == record->crc;
}

void venv_history_head_put(uint8_t bytes[VENV_HISTORY_HEAD_SIZE], int64_t first_ms)
{
    memcpy(bytes, magic, sizeof magic);
    put_number(bytes + 8, (uint64_t)first_ms, 8);
}

bool venv_history_head_get(const uint8_t bytes[VENV_HISTORY_HEAD_SIZE], int64_t *ret_first_ms)
{
    *ret_first_ms = (int64_t)get_number(bytes + 8, 8);
    return memcmp(bytes, magic, sizeof magic) == 0;
}

static venv_history_name name_of(uint64_t number, const char *end)
{
    venv_history_name name;
    snprintf(name.text, sizeof name.text, "%010" PRIu64 ".%s", number, end);
    return name;
}

venv_history_name venv_history_segment_name(uint64_t number)
{
    return name_of(number, "seg");
}

venv_history_name venv_history_tail_name(uint64_t number)
{
    return name_of(number, "new");
}

static int ascending(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool is_segment(const char *name, uint64_t *ret_number)
{
    char *end = NULL;
    *ret_number = strtoull(name, &end, 10);
    return end && strcmp(end, ".seg") == 0 && strcmp(venv_history_segment_name(*ret_number).text, name) == 0;
}

venv_rc venv_history_list(int folder, uint64_t **ret_numbers, size_t *ret_count, venv_error *err)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return venv_error_set(err, venv_store_errno_rc(error), "cannot list the history: %s", strerror(error));
    }
    uint64_t *numbers = NULL, number;
    size_t count = 0, capacity = 0;
    venv_rc rc = VENV_OK;
    for (struct dirent *entry; rc == VENV_OK && (entry = readdir(directory)) != NULL;) {
        if (!is_segment(entry->d_name, &number))
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            uint64_t *grown = capacity <= VENV_HISTORY_SEGMENTS_MAX * 4 ? reallocarray(numbers, capacity, sizeof *grown) : NULL;
            if (!grown) {
                rc = venv_error_set(err, VENV_ENOMEM, "out of memory for the list of the history");
                break;
            }
            numbers = grown;
        }
        numbers[count++] = number;
    }
    closedir(directory);
    if (rc != VENV_OK) {
        free(numbers);
        return rc;
    }
    if (count > 1)
        qsort(numbers, count, sizeof *numbers, ascending);
    *ret_numbers = numbers;
    *ret_count = count;
    return VENV_OK;
}
