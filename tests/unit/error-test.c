/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/* Every fault has a sentence that tells where, what and what instead. The sentences themselves are
 * compared where a poked image leads to them, in format-corrupt-test.c. */
#include "vhd/error.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

static void assert_has_number(const char *text, uint64_t number)
{
    g_autofree char *decimal = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    g_autofree char *hex = g_strdup_printf("0x%08" G_GINT64_MODIFIER "X", number);

    if (!strstr(text, decimal) && !strstr(text, hex))
        g_error("neither %s nor %s in: %s", decimal, hex, text);
}

static bool is_cookie(VhdFaultCode code)
{
    return code == VHD_FAULT_FOOTER_COOKIE || code == VHD_FAULT_FOOTER_POISONED ||
           code == VHD_FAULT_HEADER_COOKIE || code == VHD_FAULT_BATMAP_COOKIE;
}

static void test_every_fault(void)
{
    for (int code = VHD_FAULT_NONE + 1; code < VHD_FAULT_CODES; code++) {
        VhdFault fault = {(VhdFaultCode)code, 7654321, 1234568, 8765432};
        g_autofree char *text = vhd_fault_text(&fault);

        g_test_message("%s", text);
        assert_has_number(text, fault.off);
        if (!is_cookie(fault.code))
            assert_has_number(text, fault.found);
        if (!is_cookie(fault.code) && code != VHD_FAULT_TYPE)
            assert_has_number(text, fault.wanted);
        g_assert_null(strchr(text, '$'));
        g_assert_true(g_ascii_islower(text[0]));
        g_assert_true(g_ascii_isalnum(text[strlen(text) - 1]));
    }
}

static void test_set_fault(void)
{
    g_autoptr(GError) error = NULL;
    VhdFault fault = {VHD_FAULT_FOOTER_CHECKSUM, 64, 0x1234, 0xFFFFE6AB};

    vhd_error_set_fault(&error, "/srv/a.vhd", &fault);
    g_assert_error(error, VHD_ERROR, VHD_ERROR_CORRUPT);
    g_assert_cmpstr(error->message, ==,
                    "/srv/a.vhd: footer checksum at offset 64 is 0x00001234, expected 0xFFFFE6AB: "
                    "the image is damaged; restore it from a backup");
    vhd_error_set_fault(NULL, "/srv/a.vhd", &fault); /* who does not ask is not told */
}

/* Those that no decoder and no layout of one image makes. */
static void test_sentences(void)
{
    static const struct {
        VhdFault fault;
        VhdErrorCode error;
        const char *want;
    } rows[] = {
        {{VHD_FAULT_BATMAP_COOKIE, 2048, 0, 0},
         VHD_ERROR_CORRUPT,
         "batmap cookie at offset 2048 is 0x0000000000000000, expected \"tdbatmap\": the batmap is "
         "left aside, which costs no data"},
        {{VHD_FAULT_BATMAP_SIZE, 2064, 1, 2},
         VHD_ERROR_CORRUPT,
         "sectors of the batmap at offset 2064 are 1, expected at least 2: the batmap is left "
         "aside, which costs no data"},
        {{VHD_FAULT_BATMAP_CHECKSUM, 2072, 1, 2},
         VHD_ERROR_CORRUPT,
         "batmap checksum at offset 2072 is 0x00000001, expected 0x00000002: the batmap is left "
         "aside, which costs no data"},
        {{VHD_FAULT_BATMAP_RANGE, 2056, 4097, 4096},
         VHD_ERROR_CORRUPT,
         "the batmap that the field at offset 2056 names ends at 4097, expected at most 4096, "
         "where the file ends: the batmap is left aside, which costs no data"},
        {{VHD_FAULT_BLOCK_OVERLAP, 1540, 4096, 8192},
         VHD_ERROR_CORRUPT,
         "the block that the table's entry at offset 1540 names begins at 4096, inside another "
         "that ends at 8192: the image is damaged; restore it from a backup"},
        {{VHD_FAULT_BLOCK_IN_METADATA, 1540, 512, 1536},
         VHD_ERROR_CORRUPT,
         "the block that the table's entry at offset 1540 names begins at 512 and lies over "
         "metadata that end at 1536: the image is damaged; restore it from a backup"},
        {{VHD_FAULT_BLOCK_BEYOND_FILE, 1540, 9000, 8192},
         VHD_ERROR_CORRUPT,
         "the block that the table's entry at offset 1540 names ends at 9000, expected at most "
         "8192, where the room for blocks ends: the file was cut off or is damaged; restore it "
         "from a backup"},
        {{VHD_FAULT_FOOTERS_DIFFER, 48, 4194304, 8388608},
         VHD_ERROR_CORRUPT,
         "the field at offset 48 is 4194304 in the footer copy there but 8388608 in the footer at "
         "the end of the file: it can only be read; look at its content, then choose one with "
         "vhdctl repair --footer"},
        {{VHD_FAULT_TOO_SMALL, 0, 100, 512},
         VHD_ERROR_NOT_VHD,
         "the file is 100 bytes long, expected at least 512: it is no VHD or was cut off; name "
         "another file or copy it anew from its source"},
        {{VHD_FAULT_TOO_SMALL, 16, 1024, 1536},
         VHD_ERROR_CORRUPT,
         "the file is 1024 bytes long, expected at least 1536 for what the field at offset 16 asks "
         "for: it was cut off or is damaged; restore it from a backup"},
        {{VHD_FAULT_BLOCK_SIZE, 544, 4097, 0},
         VHD_ERROR_UNSUPPORTED,
         "block size at offset 544 is 4097, expected a power of two: such blocks are not served "
         "here; convert it with the program that made it"},
        {{VHD_FAULT_NONE, 0, 0, 0}, VHD_ERROR_CORRUPT, "no fault was found"},
        {{(VhdFaultCode)99, 0, 0, 0}, VHD_ERROR_CORRUPT, "no fault was found"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *text = vhd_fault_text(&rows[i].fault);

        g_assert_cmpstr(text, ==, rows[i].want);
        g_assert_cmpint(vhd_fault_error_code(&rows[i].fault), ==, rows[i].error);
    }
}

static void test_set_errno(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *want =
        g_strdup_printf("/srv/a.vhd: cannot write a block: %s", g_strerror(ENOSPC));

    vhd_error_set_errno(&error, VHD_ERROR_NOSPACE, "/srv/a.vhd", "write a block", ENOSPC);
    g_assert_error(error, VHD_ERROR, VHD_ERROR_NOSPACE);
    g_assert_cmpstr(error->message, ==, want);
    vhd_error_set_errno(NULL, VHD_ERROR_IO, "/srv/a.vhd", "read", EIO);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/error/every-fault", test_every_fault);
    g_test_add_func("/error/set-fault", test_set_fault);
    g_test_add_func("/error/sentences", test_sentences);
    g_test_add_func("/error/set-errno", test_set_errno);
    return g_test_run();
}
