/* SPDX-License-Identifier: Apache-2.0 */
/* The least that a program of somebody else does: a value, as JSON. */
#include <venv/client.h>
#include <venv/codec.h>
#include <venv/value.h>

#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    char *text = NULL;
    venv_value value = venv_value_int(42);
    venv_client_config *config = NULL;
    if (venv_json_print(&value, VENV_JSON_COMPACT, &text, NULL, NULL) != VENV_OK ||
        venv_client_config_new(&config, NULL) != VENV_OK)
        return 1;
    printf("%s with venv %s\n", text, venv_version());
    venv_client_config_free(config);
    free(text);
    return 0;
}
