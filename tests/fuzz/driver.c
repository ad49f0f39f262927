/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzzer as a plain program: runs every file of the folders (and every file) that it is given, once.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX ((size_t)4 << 20)

static unsigned long executed;

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    /* Exact memory for what is read, so that the address sanitizer sees a read past its end. */
    uint8_t *buffer = malloc(INPUT_MAX);
    if (!file || !buffer) {
        perror(path);
        free(buffer);
        if (file)
            fclose(file);
        return 1;
    }
    size_t size = fread(buffer, 1, INPUT_MAX, file);
    fclose(file);
    uint8_t *exact = malloc(size ? size : 1);
    if (exact) {
        memcpy(exact, buffer, size);
        LLVMFuzzerTestOneInput(exact, size);
        executed++;
    }
    free(exact);
    free(buffer);
    return exact ? 0 : 1;
}

static int run_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) {
        perror(path);
        return 1;
    }
    int failed = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(file, sizeof file, "%s/%s", path, entry->d_name) < sizeof file)
            failed |= run_file(file);
    }
    closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        struct stat about;
        bool folder = stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode);
        failed |= folder ? run_folder(argv[i]) : run_file(argv[i]);
    }
    printf("%lu inputs\n", executed);
    return failed || executed == 0;
}
