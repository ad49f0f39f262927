/* SPDX-License-Identifier: Apache-2.0 */
/* The order of things: a machine never starts before its files are whole, and they never go before it is gone. */
#include "runtime/machine_ground.h"

#include <stdio.h>

static bool is_definite(venv_rc rc)
{
    return rc != VENV_EUNREACHABLE && rc != VENV_EUNKNOWN && rc != VENV_ETIMEDOUT;
}

/* It has a process, or there is no telling: its files are not touched. */
static bool may_be_up(venv_hypervisor *hypervisor, venv_id id)
{
    venv_machine_info info;
    venv_rc rc = venv_machine_get(hypervisor, id, &info, NULL);
    if (rc == VENV_ENOENT)
        return false;
    return rc != VENV_OK || (info.state != VENV_MACHINE_STOPPED && info.state != VENV_MACHINE_FAILED);
}

venv_rc venv_ground_start(const venv_machine_ground *ground, venv_hypervisor *hypervisor, venv_id id, const char *xml,
                          const venv_machine_files *files, venv_error *err)
{
    bool made = false;
    venv_rc rc = VENV_OK;
    if (files && !may_be_up(hypervisor, id))
        rc = venv_machine_folder_make(files, &made, err);
    if (rc != VENV_OK)
        return rc;
    rc = venv_machine_start(hypervisor, id, xml, err);
    if (rc != VENV_OK && made && is_definite(rc) && !may_be_up(hypervisor, id))
        (void)venv_machine_folder_remove(&ground->place, id, false, NULL);
    return rc;
}

venv_rc venv_ground_destroy(const venv_machine_ground *ground, venv_hypervisor *hypervisor, venv_id id, venv_error *err)
{
    venv_rc rc = venv_machine_destroy(hypervisor, id, err);
    if (rc == VENV_OK && ground->place.directory)
        (void)venv_machine_folder_remove(&ground->place, id, true, NULL);
    return rc;
}

static venv_rc look(void *user, venv_id id)
{
    venv_machine_info info;
    return venv_machine_get(user, id, &info, NULL);
}

bool venv_ground_sweep(venv_machine_ground *ground, venv_hypervisor *hypervisor, venv_instant now, char *ret_text, size_t size)
{
    venv_sweep_report report = { 0 };
    venv_error err = { 0 };
    if (!ground->place.directory || now.ns < ground->next_sweep.ns)
        return false;
    ground->next_sweep.ns = now.ns + VENV_GROUND_SWEEP_S * VENV_NS_PER_S;
    venv_rc rc = venv_machine_folders_sweep(&ground->place, look, hypervisor, (venv_span){ VENV_GROUND_AGE_S * VENV_NS_PER_S }, &report, &err);
    if (rc != VENV_OK)
        snprintf(ret_text, size, "%s", err.text);
    else if (report.removed + report.left > 0)
        snprintf(ret_text, size, "the files of %u machines that are no more were removed, those of %u were left%s%s", report.removed, report.left,
                 report.left ? ": " : "", report.left ? report.why.text : "");
    return rc != VENV_OK || report.removed + report.left > 0;
}
