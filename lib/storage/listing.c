/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of directories: see listing.h. */
#include "storage/listing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static void clear(venv_storage_info *info)
{
    *info = (venv_storage_info){ .permissions = -1, .size = VENV_STORAGE_SIZE_UNKNOWN };
}

static int32_t read_mode(const char *text)
{
    int32_t mode = 0;
    for (unsigned i = 0; i < 9; i++) {
        char c = text[i];
        if (!strchr("rwxsStT-", c) || c == 0)
            return -1;
        bool set = c != '-' && c != 'S' && c != 'T';
        mode = mode * 2 + (set ? 1 : 0);
    }
    return mode;
}

/* -rw-r--r--    1 root     root         1234 Nov 22 20:08 name with spaces */
bool venv_storage_listing_unix(char *line, const char **ret_name, venv_storage_info *ret_info)
{
    clear(ret_info);
    if (strlen(line) < 11 || !strchr("-dlbcps", line[0]))
        return false;
    ret_info->kind = line[0] == '-' ? VENV_STORAGE_FILE : line[0] == 'd' ? VENV_STORAGE_DIRECTORY : VENV_STORAGE_OTHER;
    ret_info->permissions = read_mode(line + 1);
    char *at = line + strcspn(line, " ");
    for (unsigned field = 1; field < 8; field++) { /* links, owner, group, size, month, day, time */
        at += strspn(at, " ");
        if (!*at)
            return false;
        if (field == 4) {
            if (!isdigit((unsigned char)*at))
                return false;
            ret_info->size = ret_info->kind == VENV_STORAGE_FILE ? strtoull(at, NULL, 10) : 0;
        }
        at += strcspn(at, " ");
    }
    if (*at != ' ')
        return false;
    at++;
    char *arrow = line[0] == 'l' ? strstr(at, " -> ") : NULL;
    if (arrow)
        *arrow = 0;
    *ret_name = at;
    return *at != 0;
}

/* type=file;size=1234;modify=20261122200800;UNIX.mode=0644; name */
bool venv_storage_listing_facts(char *line, const char **ret_name, venv_storage_info *ret_info)
{
    clear(ret_info);
    ret_info->kind = VENV_STORAGE_OTHER;
    char *name = strchr(line, ' ');
    if (!name || !name[1])
        return false;
    *name++ = 0;
    for (char *fact = line; *fact;) {
        char *end = fact + strcspn(fact, ";");
        bool last = *end == 0;
        *end = 0;
        if (strcasecmp(fact, "type=file") == 0) {
            ret_info->kind = VENV_STORAGE_FILE;
        } else if (strcasecmp(fact, "type=dir") == 0) {
            ret_info->kind = VENV_STORAGE_DIRECTORY;
        } else if (strcasecmp(fact, "type=cdir") == 0 || strcasecmp(fact, "type=pdir") == 0) {
            return false;
        } else if (strncasecmp(fact, "size=", 5) == 0 && isdigit((unsigned char)fact[5])) {
            ret_info->size = strtoull(fact + 5, NULL, 10);
        } else if (strncasecmp(fact, "unix.mode=", 10) == 0) {
            ret_info->permissions = (int32_t)(strtoul(fact + 10, NULL, 8) & 0777);
        } else if (strncasecmp(fact, "modify=", 7) == 0) {
            struct tm tm = { 0 };
            if (strptime(fact + 7, "%Y%m%d%H%M%S", &tm))
                ret_info->modified.ns = (int64_t)timegm(&tm) * VENV_NS_PER_S;
        }
        fact = last ? end : end + 1;
    }
    if (ret_info->kind != VENV_STORAGE_FILE)
        ret_info->size = 0;
    *ret_name = name;
    return true;
}
