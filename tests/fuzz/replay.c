/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * A fuzz target without libFuzzer: fuzz-NAME [-m MUTATIONS] FILE-OR-FOLDER... runs it on each file,
 * and on so many mutations of each, which are the same in every run. What ends in a signal is left
 * in the file crash-replay of the working folder.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"

#define INPUT_MAX  (1u << 20)
#define GROWTH_MAX 16u

static const uint8_t *current;
static size_t current_len;
static uint64_t executions;
static uint64_t random_state;

static void keep_input(int signum)
{
    int fd = open("crash-replay", O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (fd >= 0 && write(fd, current, current_len) == (ssize_t)current_len)
        close(fd);
    signal(signum, SIG_DFL);
    raise(signum);
}

/* xorshift64: all that is asked of it is to be the same everywhere. */
static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t random_below(size_t bound)
{
    return (size_t)(next_random() % bound);
}

static void run(const uint8_t *data, size_t len)
{
    uint8_t *exact = malloc(len > 0 ? len : 1); /* so that a sanitizer sees reads beyond it */

    if (!exact)
        abort();
    if (len > 0)
        memcpy(exact, data, len);
    current = exact;
    current_len = len;
    LLVMFuzzerTestOneInput(exact, len);
    executions++;
    free(exact);
}

/* A number that sizes and offsets go wrong at, at any width, most significant byte first. */
static void put_edge(uint8_t *data, size_t len)
{
    static const uint64_t edges[] = {0,          1,          511,        512,        513,
                                     0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, UINT32_MAX, INT64_MAX,
                                     UINT64_MAX, 0x200000,   0x1000,     0x10000};
    size_t width = (size_t)1 << random_below(4);
    uint64_t edge = edges[random_below(sizeof(edges) / sizeof(edges[0]))];
    size_t at;

    if (len < width)
        return;
    at = random_below(len - width + 1);
    for (size_t i = 0; i < width; i++)
        data[at + i] = (uint8_t)(edge >> 8 * (width - 1 - i));
}

/* Change the input a little, in place; room is GROWTH_MAX bytes more than len. The new length. */
static size_t mutate(uint8_t *data, size_t len)
{
    size_t from, to;

    switch (len == 0 ? 4 : random_below(6)) {
    case 0:
        data[random_below(len)] ^= (uint8_t)(1u << random_below(8));
        return len;
    case 1:
        data[random_below(len)] = (uint8_t)next_random();
        return len;
    case 2:
        put_edge(data, len);
        return len;
    case 3:
        return random_below(len + 1);
    case 4:
        for (to = len + random_below(GROWTH_MAX / 4 + 1); len < to; len++)
            data[len] = (uint8_t)next_random();
        return len;
    default:
        from = random_below(len);
        to = random_below(len);
        memmove(data + to, data + from, random_below(len - (from > to ? from : to)) + 1);
        return len;
    }
}

static void run_mutations(const uint8_t *seed, size_t len, uint64_t count)
{
    uint8_t *data = malloc(len + GROWTH_MAX);

    if (!data)
        abort();
    random_state = UINT64_C(0x9E3779B97F4A7C15) + len;
    for (uint64_t i = 0; i < count; i++) {
        size_t now = len;

        if (len > 0)
            memcpy(data, seed, len);
        for (size_t times = 1 + random_below(3); times > 0; times--)
            now = mutate(data, now);
        run(data, now);
    }
    free(data);
}

static int replay_file(const char *path, uint64_t mutations)
{
    static uint8_t data[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    size_t len;

    if (!file) {
        perror(path);
        return -1;
    }
    len = fread(data, 1, sizeof(data), file);
    fclose(file);
    run(data, len);
    run_mutations(data, len, mutations);
    return 0;
}

static int replay(const char *path, uint64_t mutations)
{
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort), failed = 0;
    char inside[4096];

    if (count < 0)
        return replay_file(path, mutations);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.') {
            snprintf(inside, sizeof(inside), "%s/%s", path, names[i]->d_name);
            failed |= replay_file(inside, mutations);
        }
        free(names[i]);
    }
    free(names);
    return failed;
}

int main(int argc, char **argv)
{
    uint64_t mutations = 0;
    int failed = 0, option;

    while ((option = getopt(argc, argv, "m:")) != -1) {
        if (option != 'm')
            return 2;
        mutations = strtoull(optarg, NULL, 10);
    }
    signal(SIGABRT, keep_input);
    signal(SIGSEGV, keep_input);
    for (int i = optind; i < argc; i++)
        failed |= replay(argv[i], mutations);
    printf("%" PRIu64 " executions\n", executions);
    return failed || executions == 0 ? 1 : 0; /* nothing run is nothing proved */
}
