/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_STORE_LOG_CHECK_H
#define TESTS_STORE_LOG_CHECK_H

/* The log of a store whose entries begin with their own revision: is it whole, and does it end where it should? */

#include "store/store.h"

#include <string.h>

typedef struct log_check {
    uint64_t last, rows;
    bool wrong;
} log_check;

static bool log_check_entry(void *user, uint64_t revision, venv_str row)
{
    log_check *x = user;
    uint64_t number = 0;
    memcpy(&number, row.data, sizeof number);
    x->wrong = x->wrong || number != revision || (x->rows > 0 && revision != x->last + 1);
    x->last = revision;
    x->rows++;
    return true;
}

static inline bool log_is_whole(venv_store *store, uint64_t revision, venv_error *err)
{
    log_check log = { 0 };
    return venv_store_log(store, 0, UINT32_MAX, log_check_entry, &log, err) == VENV_OK && !log.wrong && log.last == revision;
}

#endif
