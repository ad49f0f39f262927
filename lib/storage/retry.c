/* SPDX-License-Identifier: Apache-2.0 */
/* When to try again: a pure function of the policy, the error and a random number. */
#include <venv/storage.h>

bool venv_storage_retry_next(const venv_storage_retry *policy, const venv_storage_error *error, uint32_t attempt,
                             venv_span elapsed, uint64_t chance, venv_span *ret_wait)
{
    if (!error->retryable || attempt >= policy->attempts_max)
        return false;
    int64_t wait = policy->first.ns > 0 ? policy->first.ns : 0;
    int64_t max = policy->max.ns > 0 ? policy->max.ns : 0;
    for (uint32_t i = 1; i < attempt && wait < max; i++)
        wait = wait > max / 2 ? max : wait * 2;
    wait = wait < max ? wait : max;
    /* A part of the wait is left to chance, so that a thousand nodes do not come back at once. */
    int64_t jitter = wait / 100 * (policy->jitter < 100 ? policy->jitter : 100);
    if (jitter > 0)
        wait -= (int64_t)(chance % (uint64_t)jitter);
    if (wait < error->retry_after.ns)
        wait = error->retry_after.ns;
    if (policy->total_max.ns > 0 && wait > policy->total_max.ns - elapsed.ns)
        return false;
    *ret_wait = (venv_span){ wait };
    return true;
}
