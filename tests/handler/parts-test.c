/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Parts of the handler that need no disk. */
#include <errno.h>
#include <glib.h>
#include <stddef.h>
#include <string.h>

#include "handler/iovecs.h"
#include "handler/log.h"
#include "handler/relay.h"
#include "handler/sense.h"
#include "handler/tcmur-abi.h"
#include "tests/runner/runner.h"

static void test_sense_status(void)
{
    static const struct {
        int result;
        bool writes, failed;
        int status;
        uint32_t sense; /* with PASSTHROUGH_ERR */
    } cases[] = {
        {0, false, false, TCMU_STS_OK, 0},
        {0, true, false, TCMU_STS_OK, 0},
        {-EIO, false, false, TCMU_STS_RD_ERR, 0},
        {-EIO, false, true, TCMU_STS_RD_ERR, 0},
        {-EIO, true, false, TCMU_STS_WR_ERR, 0},
        {-EIO, true, true, TCMU_STS_HW_ERR, 0},
        {-ENODATA, false, false, TCMU_STS_RD_ERR, 0},
        {-EINVAL, true, false, TCMU_STS_RANGE, 0},
        {-ENOMEM, false, false, TCMU_STS_NO_RESOURCE, 0},
        {-EAGAIN, true, false, TCMU_STS_NO_RESOURCE, 0},
        {-ENOSPC, true, false, TCMU_STS_PASSTHROUGH_ERR, 0x072707},
        {-EDQUOT, true, false, TCMU_STS_PASSTHROUGH_ERR, 0x072707},
        {-EROFS, true, false, TCMU_STS_PASSTHROUGH_ERR, 0x072700},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct tcmulib_cmd lib = {0};
        int status = sense_status(&lib, cases[i].result, cases[i].writes, cases[i].failed);

        g_assert_cmpint(status, ==, cases[i].status);
        if (cases[i].sense)
            g_assert_cmphex(
                (guint)(lib.sense_buf[2] << 16 | lib.sense_buf[12] << 8 | lib.sense_buf[13]), ==,
                cases[i].sense);
    }
}

static void test_sense_miscompare(void)
{
    struct tcmulib_cmd lib;
    uint8_t zeros[TCMU_SENSE_SIZE] = {0};

    memset(&lib, 0xa5, sizeof lib);
    g_assert_cmpint(sense_miscompare(&lib, 0x123456), ==, TCMU_STS_MISCOMPARE);
    g_assert_cmphex(lib.sense_buf[0] & 0x80, ==, 0x80);
    g_assert_cmpmem(lib.sense_buf + 3, 4, "\0\x12\x34\x56", 4);
    g_assert_cmpmem(lib.sense_buf + 18, sizeof lib.sense_buf - 18, zeros, sizeof zeros - 18);
}

static void test_log_limit(void)
{
    LogLimit limit = {0};
    unsigned dropped;
    gint64 now = 12345;

    for (int i = 0; i < LOG_MESSAGES; i++)
        g_assert_true(log_limit_take(&limit, now + i, &dropped));
    for (int i = 0; i < 7; i++)
        g_assert_false(log_limit_take(&limit, now + LOG_WINDOW_US - 1, &dropped));
    g_assert_cmpuint(dropped, ==, 0);
    g_assert_true(log_limit_take(&limit, now + LOG_WINDOW_US, &dropped));
    g_assert_cmpuint(dropped, ==, 7);
    g_assert_true(log_limit_take(&limit, now + LOG_WINDOW_US + 1, &dropped));
    g_assert_cmpuint(dropped, ==, 0);
}

static void test_log_lines(void)
{
    g_autofree char *word = g_strnfill(500, 'x');
    g_autofree char *text = g_strdup_printf("first\nsecond %s last", word);
    Log log;

    log_init(&log, NULL);
    log_text(&log, LOG_LEVEL_ERROR, text);
    g_assert_true(runner_log_contains("first?second"));
    g_assert_true(runner_log_contains("last"));
    for (int i = 0; i < 20; i++)
        log_format(&log, LOG_LEVEL_WARNING, "flood %d", i);
    g_assert_true(runner_log_contains("flood 8"));
    g_assert_false(runner_log_contains("flood 9"));
    log_release(&log);
    g_assert_true(runner_log_contains("11 messages were not logged"));
}

/* A step that causes the next one, as a compound command's completions do. */
typedef struct Step {
    Relay relay;
    unsigned left, depth, deepest, ran;
} Step;

static void step_run(Relay *relay)
{
    Step *step = (Step *)(void *)((char *)relay - offsetof(Step, relay));

    step->ran++;
    step->depth++;
    step->deepest = MAX(step->deepest, step->depth);
    if (step->left-- > 0)
        relay_run(&step->relay);
    step->depth--;
}

static void test_relay_does_not_nest(void)
{
    Step step = {.relay = {.run = step_run}, .left = 100000};

    relay_run(&step.relay);
    g_assert_cmpuint(step.ran, ==, 100001);
    g_assert_cmpuint(step.deepest, ==, 1);
}

static void test_iovecs(void)
{
    uint8_t bytes[16] = "0123456789abcdef", out[16];

    /* Every cut into three, every offset. */
    for (size_t a = 0; a <= 16; a++) {
        for (size_t b = a; b <= 16; b++) {
            struct iovec iov[] = {{bytes, a}, {bytes + a, b - a}, {bytes + b, 16 - b}};

            g_assert_cmpuint(iovecs_bytes(iov, 3), ==, 16);
            memset(out, 0, sizeof out);
            g_assert_cmpuint(iovecs_copy_out(iov, 3, out, 99), ==, 16);
            g_assert_cmpmem(out, 16, bytes, 16);
            for (size_t off = 0; off < 16; off++) {
                g_assert_cmpuint(iovecs_same(iov, 3, off, bytes + off, 16 - off), ==, 16 - off);
                out[off] ^= 1;
                g_assert_cmpuint(iovecs_same(iov, 3, 0, out, 16), ==, off);
                out[off] ^= 1;
            }
            g_assert_false(iovecs_are_zero(iov, 3));
        }
    }
}

static void test_iovecs_zero(void)
{
    uint8_t bytes[32] = {0};
    struct iovec iov[] = {{bytes, 7}, {bytes + 7, 0}, {bytes + 7, 24}};

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 1;
        g_assert_true(iovecs_are_zero(iov, 3) == (i == 31)); /* the last byte is not theirs */
        iovecs_zero(iov, 3);
        g_assert_cmpuint(bytes[i], ==, i == 31);
    }
    g_assert_cmpuint(iovecs_copy_in(iov, 3, "abcdefghij", 10), ==, 10);
    g_assert_cmpmem(bytes, 11, "abcdefghij", 11);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    runner_log_print_level(-1);
    g_test_add_func("/handler/sense/status", test_sense_status);
    g_test_add_func("/handler/sense/miscompare", test_sense_miscompare);
    g_test_add_func("/handler/log/limit", test_log_limit);
    g_test_add_func("/handler/log/lines", test_log_lines);
    g_test_add_func("/handler/relay/does-not-nest", test_relay_does_not_nest);
    g_test_add_func("/handler/iovecs/cuts", test_iovecs);
    g_test_add_func("/handler/iovecs/zero", test_iovecs_zero);
    return g_test_run();
}
