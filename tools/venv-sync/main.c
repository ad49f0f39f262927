/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of venv-sync. What it does is venv/image.h; what it shows, print.c. */
#include "sync.h"

#include <venv/text.h>

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_FOUND = 3, EXIT_DENIED = 4, EXIT_UNREACHABLE = 5, EXIT_TIMEOUT = 6 };

static volatile sig_atomic_t stopped;

struct arguments {
    venv_image_options options;
    venv_image_gc_options gc;
    const char *verb;
    char **rest;
    int count;
    const char *name;
    int64_t version;
    const char *format;
    const char *seeds[VENV_IMAGE_SEEDS_MAX + 1];
    size_t seed_count;
    bool repair;
    const char *file;
    bool json, quiet;
    const char *schemes, *networks;
    char key[VENV_IMAGE_PATH_MAX + 16], trust[VENV_IMAGE_PATH_MAX + 16];
    sync_bar bar;
};

struct verb {
    const char *name;
    const char *arguments;
    const char *summary;
    int least, most;
    int (*run)(struct arguments *arguments);
};

static int fail(const venv_error *err)
{
    char text[VENV_ERROR_TEXT_MAX + VENV_ERROR_FILE_MAX + 32];
    fprintf(stderr, "venv-sync: %s\n", venv_error_format(err, text, sizeof text));
    switch (err->rc) {
    case VENV_EINVAL: case VENV_EKIND: case VENV_ERANGE: case VENV_EUNSUPPORTED: return EXIT_USAGE;
    case VENV_ENOENT: return EXIT_NOT_FOUND;
    case VENV_EDENIED: return EXIT_DENIED;
    case VENV_EUNREACHABLE: return EXIT_UNREACHABLE;
    case VENV_ETIMEDOUT: case VENV_EUNKNOWN: return EXIT_TIMEOUT;
    default: return EXIT_FAILED;
    }
}

static int finish(struct arguments *a, venv_rc rc, venv_value *report, venv_error *err)
{
    sync_bar_clear(&a->bar);
    if (rc == VENV_OK)
        rc = sync_print(a->verb, report, a->json, a->quiet, err);
    int status = rc == VENV_OK ? EXIT_DONE : fail(err);
    if (rc == VENV_OK && strcmp(a->verb, "verify") == 0 &&
        venv_value_get_int(report, "broken", 0) > venv_value_get_int(report, "repaired", 0))
        status = EXIT_FAILED;
    venv_value_unref(report);
    return fflush(stdout) == 0 ? status : EXIT_FAILED;
}

static bool ends_in_qcow2(const char *path)
{
    size_t size = strlen(path);
    return size > 6 && strcmp(path + size - 6, ".qcow2") == 0;
}

static venv_image_format format_of(const struct arguments *a, const char *path)
{
    bool qcow2 = a->format ? strcmp(a->format, "qcow2") == 0 : ends_in_qcow2(path);
    return qcow2 ? VENV_IMAGE_QCOW2 : VENV_IMAGE_RAW;
}

/* The first one of this user makes a key; a machine has one by its administrator. */
static venv_rc need_key(struct arguments *a, venv_error *err)
{
    char directory[VENV_IMAGE_PATH_MAX + 16];
    if (a->options.key)
        return VENV_OK;
    if (access(a->key, F_OK) != 0) {
        snprintf(directory, sizeof directory, "%s", a->key);
        for (char *slash = strchr(directory + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            if (mkdir(directory, 0755) != 0 && errno != EEXIST)
                return venv_error_set(err, VENV_EIO, "cannot make the directory '%s' for a key: %s", directory, strerror(errno));
            *slash = '/';
        }
        venv_rc rc = venv_image_key_make(a->key, err);
        if (rc != VENV_OK && rc != VENV_EEXIST)
            return rc;
        if (rc == VENV_OK && !a->quiet)
            fprintf(stderr, "venv-sync: made the key '%s'; who gets images needs '%s'\n", a->key, a->trust);
    }
    a->options.key = a->key;
    return VENV_OK;
}

static void need_trust(struct arguments *a)
{
    if (!a->options.trust && access(a->trust, R_OK) == 0)
        a->options.trust = a->trust;
}

static int run_make(struct arguments *a)
{
    venv_value report = venv_value_null();
    venv_error err = { 0 };
    if (!a->name) {
        fprintf(stderr, "venv-sync: make needs the name of the image: --name NAME\n");
        return EXIT_USAGE;
    }
    venv_rc rc = need_key(a, &err);
    a->options.repository = a->rest[1];
    a->options.trust = NULL; /* what we signed */
    if (rc == VENV_OK)
        rc = venv_image_make(&a->options, a->rest[0], format_of(a, a->rest[0]), a->name, a->version, &report, &err);
    return finish(a, rc, &report, &err);
}

static int run_get(struct arguments *a)
{
    venv_value report = venv_value_null();
    venv_error err = { 0 };
    need_trust(a);
    a->options.repository = a->rest[0];
    venv_rc rc = venv_image_get(&a->options, a->rest[1], a->rest[2], format_of(a, a->rest[2]), a->seeds, &report, &err);
    return finish(a, rc, &report, &err);
}

static int run_list(struct arguments *a)
{
    venv_value report = venv_value_null();
    venv_error err = { 0 };
    need_trust(a);
    a->options.repository = a->rest[0];
    venv_rc rc = venv_image_list(&a->options, a->count > 1 ? a->rest[1] : NULL, &report, &err);
    return finish(a, rc, &report, &err);
}

static int run_diff(struct arguments *a)
{
    venv_value report = venv_value_null();
    venv_error err = { 0 };
    need_trust(a);
    a->options.repository = a->rest[0];
    venv_rc rc = venv_image_diff(&a->options, a->rest[1], a->rest[2], &report, &err);
    return finish(a, rc, &report, &err);
}

static int run_verify(struct arguments *a)
{
    venv_value report = venv_value_null();
    venv_error err = { 0 };
    const char *reference = a->count > 1 ? a->rest[1] : NULL;
    if (a->file && (!reference || a->repair)) {
        fprintf(stderr, "venv-sync: verify --file needs the image to compare with, and repairs nothing\n");
        return EXIT_USAGE;
    }
    need_trust(a);
    a->options.repository = a->rest[0];
    venv_rc rc = a->file ? venv_image_verify_file(&a->options, reference, a->file, format_of(a, a->file), &report, &err)
                         : venv_image_verify(&a->options, reference, a->repair ? a->seeds : NULL, &report, &err);
    return finish(a, rc, &report, &err);
}

static int run_gc(struct arguments *a)
{
    venv_value report = venv_value_null();
    venv_error err = { 0 };
    need_trust(a);
    a->options.repository = a->rest[0];
    venv_rc rc = venv_image_gc(&a->options, &a->gc, &report, &err);
    return finish(a, rc, &report, &err);
}

static int run_key(struct arguments *a)
{
    venv_error err = { 0 };
    return venv_image_key_make(a->rest[0], &err) == VENV_OK ? EXIT_DONE : fail(&err);
}

static const struct verb verbs[] = {
    { "make", "IMAGE REPO --name NAME", "publish a new version of an image", 2, 2, run_make },
    { "get", "REPO NAME[@VERSION] FILE", "bring an image to a file", 3, 3, run_get },
    { "list", "REPO [NAME]", "what a repository has", 1, 2, run_list },
    { "diff", "REPO NAME@VERSION NAME@VERSION", "how much is new in the second", 3, 3, run_diff },
    { "verify", "REPO [NAME[@VERSION]]", "check all chunks, and repair", 1, 2, run_verify },
    { "gc", "REPO", "delete what nothing uses", 1, 1, run_gc },
    { "key", "FILE", "make a pair of keys: FILE and its .pub", 1, 1, run_key },
};
enum { VERB_COUNT = sizeof verbs / sizeof verbs[0] };

static void print_help(void)
{
    printf("Usage: venv-sync VERB [OPTION]... ARGUMENT...\n"
           "Images in versions: made, kept in a repository (a directory or a URL), brought to this machine.\n\n");
    for (int i = 0; i < VERB_COUNT; i++)
        printf("  %-7s %-32s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].summary);
    printf("\n"
           "  -n, --name NAME        make: the image's name\n"
           "      --version N        make: this version, not the next one\n"
           "  -f, --format FORMAT    raw or qcow2, of the file; else by its name (.qcow2)\n"
           "  -s, --seed FILE        get: a file that may have some of the content; may be repeated\n"
           "      --repair FILE      verify: take right chunks from FILE; may be repeated\n"
           "      --file FILE        verify: check FILE against the image instead of the repository\n"
           "      --keep N           gc: keep the newest N versions of each image\n"
           "      --grace TIME       gc: delete what was unused for so long (default 1d)\n"
           "      --dry-run          gc: only say what would be deleted\n"
           "  -k, --key FILE         private key that signs\n"
           "  -t, --trust FILE       public keys that are trusted\n"
           "  -j, --threads N        default: one for each processor\n"
           "      --chunk SIZE       make: mean length of chunks, 4KiB to 1MiB (default 64KiB)\n"
           "      --level N          make: level of zstd, 1 to 19 (default 3)\n"
           "      --no-fsync         get: do not wait until the file is on disk\n"
           "      --schemes LIST     URLs that may be used, as file,https,http (default: those that encrypt, and file)\n"
           "      --networks LIST    addresses that may be connected to beside public ones, as 10.0.0.0/8, loopback, private\n"
           "      --json             the result as JSON\n"
           "  -q, --quiet            no progress, no result\n"
           "  -h, --help             show this\n"
           "  -V                     show the version\n"
           "\n"
           "Exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 denied, 5 unreachable, 6 timed out.\n"
           "Manual: venv-sync(1).\n");
}

enum { OPTION_VERSION = 256, OPTION_REPAIR, OPTION_FILE, OPTION_KEEP, OPTION_GRACE, OPTION_DRY_RUN, OPTION_CHUNK, OPTION_LEVEL,
       OPTION_NO_FSYNC, OPTION_SCHEMES, OPTION_NETWORKS, OPTION_JSON };

static bool number_of(const char *text, int64_t most, int64_t *ret_number)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end || text[0] < '0' || text[0] > '9' || number > most)
        return false;
    *ret_number = number;
    return true;
}

static bool add_seed(struct arguments *a, const char *path)
{
    if (a->seed_count == VENV_IMAGE_SEEDS_MAX)
        return false;
    a->seeds[a->seed_count++] = path;
    return true;
}

/* NULL, or what is wrong with the option's argument. */
static const char *take_option(struct arguments *a, int option)
{
    int64_t number = 0;
    uint64_t size = 0;
    switch (option) {
    case 'n': a->name = optarg; return NULL;
    case OPTION_VERSION: return number_of(optarg, 999999999, &a->version) && a->version > 0 ? NULL : "--version takes a number from 1";
    case 'f': a->format = optarg; return strcmp(optarg, "raw") == 0 || strcmp(optarg, "qcow2") == 0 ? NULL : "--format is raw or qcow2";
    case 's': return add_seed(a, optarg) ? NULL : "too many seeds";
    case OPTION_REPAIR: a->repair = true; return add_seed(a, optarg) ? NULL : "too many files";
    case OPTION_FILE: a->file = optarg; return NULL;
    case OPTION_KEEP:
        if (!number_of(optarg, 1000000, &number) || number < 1)
            return "--keep takes a number from 1";
        a->gc.keep = (uint32_t)number;
        return NULL;
    case OPTION_GRACE: return venv_span_parse((venv_str){ optarg, strlen(optarg) }, &a->gc.grace) ? NULL : "--grace takes a length of time, as 12h";
    case OPTION_DRY_RUN: a->gc.dry_run = true; return NULL;
    case 'k': a->options.key = optarg; return NULL;
    case 't': a->options.trust = optarg; return NULL;
    case 'j':
        if (!number_of(optarg, 64, &number) || number < 1)
            return "--threads takes a number from 1 to 64";
        a->options.threads = (unsigned)number;
        return NULL;
    case OPTION_CHUNK:
        if (!venv_size_parse((venv_str){ optarg, strlen(optarg) }, &size) || size > 1u << 20 || size < 4096 || (size & (size - 1)))
            return "--chunk takes a power of two from 4KiB to 1MiB";
        a->options.chunk_mean = (uint32_t)size;
        return NULL;
    case OPTION_LEVEL:
        if (!number_of(optarg, 19, &number) || number < 1)
            return "--level takes a number from 1 to 19";
        a->options.level = (int)number;
        return NULL;
    case OPTION_NO_FSYNC: a->options.no_sync = true; return NULL;
    case OPTION_SCHEMES: a->schemes = optarg; return NULL;
    case OPTION_NETWORKS: a->networks = optarg; return NULL;
    case OPTION_JSON: a->json = true; return NULL;
    case 'q': a->quiet = true; return NULL;
    default: return "";
    }
}

static bool read_options(struct arguments *a, int argc, char **argv)
{
    static const struct option long_options[] = {
        { "name", required_argument, NULL, 'n' }, { "version", required_argument, NULL, OPTION_VERSION },
        { "format", required_argument, NULL, 'f' }, { "seed", required_argument, NULL, 's' },
        { "repair", required_argument, NULL, OPTION_REPAIR }, { "file", required_argument, NULL, OPTION_FILE },
        { "keep", required_argument, NULL, OPTION_KEEP }, { "grace", required_argument, NULL, OPTION_GRACE },
        { "dry-run", no_argument, NULL, OPTION_DRY_RUN }, { "key", required_argument, NULL, 'k' },
        { "trust", required_argument, NULL, 't' }, { "threads", required_argument, NULL, 'j' },
        { "chunk", required_argument, NULL, OPTION_CHUNK }, { "level", required_argument, NULL, OPTION_LEVEL },
        { "no-fsync", no_argument, NULL, OPTION_NO_FSYNC }, { "schemes", required_argument, NULL, OPTION_SCHEMES },
        { "networks", required_argument, NULL, OPTION_NETWORKS }, { "json", no_argument, NULL, OPTION_JSON },
        { "quiet", no_argument, NULL, 'q' }, { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    int option;
    while ((option = getopt_long(argc, argv, "n:f:s:k:t:j:qhV", long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            exit(EXIT_DONE);
        }
        if (option == 'V') {
            printf("venv-sync %s\n", venv_version());
            exit(EXIT_DONE);
        }
        const char *wrong = take_option(a, option);
        if (wrong) {
            if (wrong[0])
                fprintf(stderr, "venv-sync: %s, not '%s'\n", wrong, optarg ? optarg : "");
            return false;
        }
    }
    return true;
}

static void default_keys(struct arguments *a)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char directory[VENV_IMAGE_PATH_MAX];
    if (geteuid() == 0 || (!config && !home))
        snprintf(directory, sizeof directory, "/etc/venv");
    else if (config && config[0] == '/')
        snprintf(directory, sizeof directory, "%s/venv", config);
    else
        snprintf(directory, sizeof directory, "%s/.config/venv", home);
    const char *own = getenv("VENV_SYNC_KEYS");
    if (own && own[0] == '/')
        snprintf(directory, sizeof directory, "%s", own);
    snprintf(a->key, sizeof a->key, "%s/image.key", directory);
    snprintf(a->trust, sizeof a->trust, "%s/image.pub", directory);
}

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static bool on_progress(void *user, const venv_image_progress *progress)
{
    struct arguments *a = user;
    if (!a->quiet && isatty(STDERR_FILENO))
        sync_bar_progress(&a->bar, progress);
    return !stopped;
}

static int usage(const char *word)
{
    const char *names[VERB_COUNT + 1] = { NULL };
    for (int i = 0; i < VERB_COUNT; i++)
        names[i] = verbs[i].name;
    const char *near = word ? venv_text_nearest((venv_str){ word, strlen(word) }, names) : NULL;
    if (word && near)
        fprintf(stderr, "venv-sync: there is no verb '%s'; is '%s' meant?\n", word, near);
    else if (word)
        fprintf(stderr, "venv-sync: there is no verb '%s'\n", word);
    fprintf(stderr, "Try 'venv-sync --help'.\n");
    return EXIT_USAGE;
}

/* The storage is for URLs; a directory does without. */
static int run_verb(struct arguments *a, const struct verb *verb)
{
    venv_storage_options options = VENV_STORAGE_OPTIONS_INIT;
    venv_storage_error error = { 0 };
    venv_error err = { 0 };
    options.schemes = a->schemes;
    options.networks = a->networks;
    if (venv_storage_new(&options, &a->options.storage, &error) != VENV_OK) {
        venv_storage_error_tell(&error, &err);
        return fail(&err);
    }
    int status = verb->run(a);
    venv_storage_free(a->options.storage);
    return status;
}

static int run(struct arguments *a, int argc, char **argv)
{
    if (!read_options(a, argc, argv))
        return usage(NULL);
    if (optind >= argc)
        return usage(NULL);
    a->verb = argv[optind];
    a->rest = argv + optind + 1;
    a->count = argc - optind - 1;
    for (int i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, a->verb) != 0)
            continue;
        if (a->count < verbs[i].least || a->count > verbs[i].most) {
            fprintf(stderr, "venv-sync: usage: venv-sync %s %s\n", verbs[i].name, verbs[i].arguments);
            return EXIT_USAGE;
        }
        return run_verb(a, &verbs[i]);
    }
    return usage(a->verb);
}

int main(int argc, char **argv)
{
    struct arguments arguments = { .options = VENV_IMAGE_OPTIONS_INIT, .gc = VENV_IMAGE_GC_OPTIONS_INIT };
    struct sigaction action = { .sa_handler = on_signal };
    arguments.options.progress = on_progress;
    arguments.options.user = &arguments;
    default_keys(&arguments);
    /* Interrupted like this it ends in order; what is fetched is kept for the next run. */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return run(&arguments, argc, argv);
}
