/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
/*
 * Opening, judging and making files. What happens to a name between its pinning and the judgement
 * is played through a wrapped readlink (--wrap), which comes between the two.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhd/error.h"
#include "vhd/file.h"

static void (*between)(void); /* called once between pinning and judging */
static int rename_error;      /* of renameat2 without replacing */
static int barrier_error;

ssize_t __real_readlink(const char *path, char *buf, size_t len);
ssize_t __wrap_readlink(const char *path, char *buf, size_t len);
int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

ssize_t __wrap_readlink(const char *path, char *buf, size_t len)
{
    void (*call)(void) = between;

    between = NULL;
    if (call)
        call();
    return __real_readlink(path, buf, len);
}

int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    errno = rename_error;
    return rename_error && flags ? -1 : __real_renameat2(from_fd, from, to_fd, to, flags);
}

int __wrap_fdatasync(int fd)
{
    errno = barrier_error;
    return barrier_error ? -1 : __real_fdatasync(fd);
}

/* The process stands in a folder of its own: in/a, in/sub/b, in2/c, with "inside a" and so on in
 * them. */
typedef struct Fixture {
    char *root; /* real path */
    char *before;
    guint fds;
} Fixture;

static guint count_entries(const char *folder)
{
    GDir *dir = g_dir_open(folder, 0, NULL);
    guint count = 0;

    while (g_dir_read_name(dir))
        count++;
    g_dir_close(dir);
    return count;
}

static void put(const char *path, const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void setup(Fixture *fix, gconstpointer data)
{
    g_autofree char *folder = g_dir_make_tmp("vhd-open-XXXXXX", NULL);

    (void)data;
    g_assert_nonnull(folder);
    fix->before = g_get_current_dir();
    g_assert_cmpint(g_chdir(folder), ==, 0);
    fix->root = realpath(".", NULL);
    g_assert_cmpint(g_mkdir_with_parents("in/sub", 0755), ==, 0);
    g_assert_cmpint(g_mkdir("in2", 0755), ==, 0);
    put("in/a", "inside a");
    put("in/sub/b", "inside b");
    put("in2/c", "outside c");
    fix->fds = count_entries("/proc/self/fd");
}

static void remove_all(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *below = g_build_filename(path, name, NULL);

        if (g_file_test(below, G_FILE_TEST_IS_DIR) && !g_file_test(below, G_FILE_TEST_IS_SYMLINK))
            remove_all(below);
        g_remove(below);
    }
    if (dir)
        g_dir_close(dir);
}

static void teardown(Fixture *fix, gconstpointer data)
{
    (void)data;
    between = NULL;
    rename_error = barrier_error = 0;
    g_assert_cmpuint(count_entries("/proc/self/fd"), ==, fix->fds); /* nothing was left open */
    remove_all(fix->root);
    g_assert_cmpint(g_chdir(fix->before), ==, 0);
    g_assert_cmpint(g_rmdir(fix->root), ==, 0);
    free(fix->root);
    g_free(fix->before);
}

static void assert_text(VhdFile *file, const char *text)
{
    char buf[32] = "";

    g_assert_cmpint(vhd_file_read(file, VHD_IO_DATA, 0, buf, strlen(text)), ==, 0);
    g_assert_cmpstr(buf, ==, text);
}

static void assert_refused(const char *path, VhdFileFlags flags, int code, const char *says)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file = vhd_file_open(path, flags, &error);

    g_assert_null(file);
    g_assert_error(error, VHD_ERROR, code);
    g_assert_true(g_str_has_prefix(error->message, path));
    g_assert_nonnull(strstr(error->message, says));
}

static void test_types(Fixture *fix, gconstpointer data)
{
    (void)fix;
    (void)data;
    g_assert_cmpint(mkfifo("fifo", 0600), ==, 0);
    alarm(10); /* opening a FIFO by name would wait for its other end */
    assert_refused("fifo", VHD_FILE_READ, VHD_ERROR_INVALID, "FIFO");
    assert_refused("fifo", VHD_FILE_WRITE, VHD_ERROR_INVALID, "FIFO");
    alarm(0);
    assert_refused("in", VHD_FILE_READ, VHD_ERROR_INVALID, "directory");
    assert_refused("/dev/null", VHD_FILE_BLOCK_DEVICE, VHD_ERROR_INVALID, "character device");
    assert_refused("in/none", VHD_FILE_READ, VHD_ERROR_IO, "No such file");
    assert_refused("in/a/x", VHD_FILE_READ, VHD_ERROR_IO, "Not a directory");
    g_assert_cmpint(symlink("loop", "loop"), ==, 0);
    assert_refused("loop", VHD_FILE_READ, VHD_ERROR_IO, "cannot open");
}

static void test_device(Fixture *fix, gconstpointer data)
{
    GDir *dir = g_dir_open("/sys/class/block", 0, NULL);
    const char *name;
    bool seen = false;

    (void)fix;
    (void)data;
    while (dir && !seen && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/dev", name, NULL);
        VhdFile *file = vhd_file_open(path, VHD_FILE_BLOCK_DEVICE, NULL);
        VhdFileInfo info;

        if (!file)
            continue;
        g_assert_cmpint(vhd_file_info(file, &info), ==, 0);
        seen = info.bytes > 0;
        if (seen)
            assert_refused(path, VHD_FILE_READ, VHD_ERROR_INVALID, "block device");
        vhd_file_close(file);
    }
    if (dir)
        g_dir_close(dir);
    if (!seen)
        g_test_skip("no block device can be read here");
}

static void test_open(Fixture *fix, gconstpointer data)
{
    g_autofree char *sub = g_build_filename(fix->root, "in", "sub", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file = NULL;
    VhdFileInfo info;

    (void)data;
    g_assert_cmpint(symlink("in/sub/b", "link"), ==, 0);
    file = vhd_file_open("link", VHD_FILE_READ, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(file->name, ==, "link");
    g_assert_cmpstr(file->folder, ==, sub); /* of what the link leads to */
    g_assert_false(file->writable);
    assert_text(file, "inside b");
    g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, 0, "x", 1), ==, -EBADF);
    g_assert_cmpint(vhd_file_info(file, &info), ==, 0);
    g_assert_cmpuint(info.bytes, ==, strlen("inside b"));
    g_assert_true(S_ISREG(info.mode));
}

/* No descriptor of the process is left non-blocking by the opening. */
static void test_blocking(Fixture *fix, gconstpointer data)
{
    g_autoptr(VhdFile) file = vhd_file_open("in/a", VHD_FILE_WRITE, NULL);
    unsigned seen = 0;
    VhdFileInfo info;

    (void)fix;
    (void)data;
    g_assert_cmpint(vhd_file_info(file, &info), ==, 0);
    for (int fd = 0; fd < 256; fd++) {
        struct stat st;

        if (fstat(fd, &st) < 0 || st.st_ino != info.inode || st.st_dev != info.device)
            continue;
        g_assert_cmpint(fcntl(fd, F_GETFL) & O_NONBLOCK, ==, 0);
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
        seen++;
    }
    g_assert_cmpuint(seen, ==, 1);
}

static void test_no_right(Fixture *fix, gconstpointer data)
{
    bool root = geteuid() == 0;

    (void)fix;
    (void)data;
    g_assert_cmpint(chmod("in/a", 0444), ==, 0);
    g_assert_cmpint(chmod(".", 0755), ==, 0);
    if (root)
        setfsuid(65534); /* root may write what it likes */
    assert_refused("in/a", VHD_FILE_WRITE, VHD_ERROR_READONLY, "for writing");
    vhd_file_close(vhd_file_open("in/a", VHD_FILE_READ, NULL));
    if (root)
        setfsuid(0);
}

/* Where name leads with in (a real path) allowed: "" if it is refused. */
static void assert_leads(const char *in, const char *name, const char *text)
{
    const char *allowed[] = {"/nowhere", in, NULL};
    int here = open(".", O_PATH | O_CLOEXEC);
    g_autoptr(GError) error = NULL;
    g_autoptr(VhdFile) file = vhd_file_open_at(here, name, allowed, VHD_FILE_READ, &error);

    close(here);
    if (*text) {
        g_assert_no_error(error);
        assert_text(file, text);
    } else {
        g_assert_null(file);
        g_assert_error(error, VHD_ERROR, VHD_ERROR_PARENT);
    }
}

static void test_allowed(Fixture *fix, gconstpointer data)
{
    g_autofree char *in = g_build_filename(fix->root, "in", NULL);
    g_autofree char *slash = g_strconcat(in, "//", NULL);
    g_autofree char *part = g_build_filename(fix->root, "i", NULL);
    g_autofree char *absolute = g_build_filename(fix->root, "in2", "c", NULL);
    const char *none[] = {NULL};

    (void)data;
    g_assert_cmpint(symlink("../in2/c", "in/out"), ==, 0);
    g_assert_cmpint(symlink("../in2", "in/folder-out"), ==, 0);
    g_assert_cmpint(symlink("../in/sub/b", "in2/back"), ==, 0);
    assert_leads(in, "in/a", "inside a");
    assert_leads(in, "in/sub/b", "inside b");
    assert_leads(slash, "in/a", "inside a");
    assert_leads("/", "in2/c", "outside c");
    assert_leads(in, "in2/c", ""); /* in is no part of in2's name */
    assert_leads(part, "in/a", "");
    assert_leads(in, absolute, "");
    assert_leads(in, "in/../in2/c", "");
    assert_leads(in, "in2/../in/a", "inside a");
    assert_leads(in, "in/out", "");
    assert_leads(in, "in/folder-out/c", "");
    assert_leads(in, "in2/back", "inside b"); /* what it leads to counts */
    g_assert_null(vhd_file_open_at(AT_FDCWD, "in/a", none, VHD_FILE_READ, NULL));
}

static void swap_outside(void)
{
    g_assert_cmpint(g_unlink("in/link"), ==, 0);
    g_assert_cmpint(symlink("../in2/c", "in/link"), ==, 0);
}

static void swap_inside(void)
{
    g_assert_cmpint(g_unlink("in/link"), ==, 0);
    g_assert_cmpint(symlink("a", "in/link"), ==, 0);
}

static void move_outside(void)
{
    g_assert_cmpint(g_rename("in/sub/b", "in2/b"), ==, 0);
}

static void remove_a(void)
{
    g_assert_cmpint(g_unlink("in/a"), ==, 0);
}

static void test_race(Fixture *fix, gconstpointer data)
{
    g_autofree char *in = g_build_filename(fix->root, "in", NULL);

    (void)data;
    g_assert_cmpint(symlink("a", "in/link"), ==, 0);
    between = swap_outside;
    assert_leads(in, "in/link", "inside a"); /* what was judged is what was opened */
    g_assert_null(between);
    between = swap_inside;
    assert_leads(in, "in/link", "");
    between = move_outside;
    assert_leads(in, "in/sub/b", "");
    between = remove_a;
    assert_leads(in, "in/a", "inside a"); /* and it lay in there */
    assert_leads(in, "in2/b", "");
}

static VhdFile *create(const char *path, const char *text)
{
    g_autoptr(GError) error = NULL;
    VhdFile *file = vhd_file_create(path, 0666, &error);

    g_assert_no_error(error);
    g_assert_true(file->writable);
    g_assert_cmpint(vhd_file_write(file, VHD_IO_DATA, 0, text, strlen(text)), ==, 0);
    return file;
}

static void assert_file(const char *path, const char *text)
{
    g_autofree char *bytes = NULL;

    g_assert_true(g_file_get_contents(path, &bytes, NULL, NULL));
    g_assert_cmpstr(bytes, ==, text);
}

static void test_create(Fixture *fix, gconstpointer data)
{
    g_autofree char *sub = g_build_filename(fix->root, "in", "sub", NULL);
    mode_t mask = umask(027);
    VhdFile *file = create("in/sub/new", "new text");
    struct stat st;

    (void)data;
    g_assert_cmpstr(file->folder, ==, sub);
    g_assert_false(g_file_test("in/sub/new", G_FILE_TEST_EXISTS));
    g_assert_cmpuint(count_entries("in/sub"), ==, 2);
    g_assert_true(vhd_file_publish(file, false, NULL));
    g_assert_cmpuint(count_entries("in/sub"), ==, 2);
    assert_file("in/sub/new", "new text");
    g_assert_cmpint(stat("in/sub/new", &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0640);
    vhd_file_close(file);
    assert_file("in/sub/new", "new text");
    umask(mask);
}

static void test_unpublished(Fixture *fix, gconstpointer data)
{
    (void)fix;
    (void)data;
    vhd_file_close(create("in/sub/new", "new text"));
    g_assert_cmpuint(count_entries("in/sub"), ==, 1);
}

/* data: errno of a rename that does not replace. */
static void test_existing(Fixture *fix, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VhdFile *file = create("in/a", "new text");

    (void)fix;
    rename_error = GPOINTER_TO_INT(data);
    g_assert_false(vhd_file_publish(file, false, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_EXISTS);
    assert_file("in/a", "inside a");
    g_assert_cmpint(g_rename("in/a", "in/moved"), ==, 0);
    g_assert_true(vhd_file_publish(file, false, NULL));
    assert_file("in/a", "new text");
    vhd_file_close(file);
    file = create("in/a", "newer");
    g_assert_true(vhd_file_publish(file, true, NULL));
    vhd_file_close(file);
    assert_file("in/a", "newer");
    assert_file("in/moved", "inside a");
    g_assert_cmpuint(count_entries("in"), ==, 3);
}

static void test_unsynced(Fixture *fix, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VhdFile *file = create("in/new", "new text");

    (void)fix;
    (void)data;
    barrier_error = EIO;
    g_assert_false(vhd_file_publish(file, false, &error));
    g_assert_error(error, VHD_ERROR, VHD_ERROR_IO);
    vhd_file_close(file);
    g_assert_cmpuint(count_entries("in"), ==, 2);
    file = vhd_file_open("in/a", VHD_FILE_WRITE, NULL);
    barrier_error = 0;
    g_assert_false(vhd_file_publish(file, true, NULL)); /* made by nobody here */
    vhd_file_close(file);
}

static void test_names(Fixture *fix, gconstpointer data)
{
    static const char *const folders[] = {"in/", "in/.", "..", ""};
    g_autofree char *longest = g_strnfill(255, 'x');
    g_autofree char *too_long = g_strnfill(256, 'x');
    GString *umlauts = g_string_new(NULL); /* the cut falls into the middle of one */
    VhdFile *file;

    (void)fix;
    (void)data;
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_null(vhd_file_create(folders[i], 0666, &error));
        g_assert_error(error, VHD_ERROR, VHD_ERROR_INVALID);
    }
    g_assert_null(vhd_file_create("none/new", 0666, NULL));
    g_assert_null(vhd_file_create("in/a/new", 0666, NULL));
    g_assert_null(vhd_file_create(too_long, 0666, NULL));
    while (umlauts->len < 254)
        g_string_append(umlauts, "ü");
    file = create(longest, "long");
    g_assert_true(vhd_file_publish(file, false, NULL));
    vhd_file_close(file);
    file = create(umlauts->str, "more");
    {
        GDir *dir = g_dir_open(".", 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(dir)))
            g_assert_true(g_utf8_validate(name, -1, NULL));
        g_dir_close(dir);
    }
    vhd_file_close(file);
    g_string_free(umlauts, TRUE);
}

static void add(const char *path, int error, void (*test)(Fixture *fix, gconstpointer data))
{
    g_test_add(path, Fixture, GINT_TO_POINTER(error), setup, test, teardown);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/file/open/types", 0, test_types);
    add("/file/open/device", 0, test_device);
    add("/file/open/link", 0, test_open);
    add("/file/open/blocking", 0, test_blocking);
    add("/file/open/no-right", 0, test_no_right);
    add("/file/open/allowed", 0, test_allowed);
    add("/file/open/race", 0, test_race);
    add("/file/create/publish", 0, test_create);
    add("/file/create/unpublished", 0, test_unpublished);
    add("/file/create/existing", 0, test_existing);
    add("/file/create/existing-linked", EINVAL, test_existing);
    add("/file/create/unsynced", 0, test_unsynced);
    add("/file/create/names", 0, test_names);
    return g_test_run();
}
