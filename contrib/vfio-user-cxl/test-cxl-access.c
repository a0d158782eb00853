/*
 * Unit tests of what the device model does with accesses: BARs, MSI-X,
 * memory and the files behind it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/file.h>
#include <glib/gstdio.h>
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "standard-headers/linux/pci_regs.h"
#include "cxl-model.h"
#include "hdm-mem.h"

typedef struct Device {
    CxlModelConfig config;
    CxlModel *m;
} Device;

static Device make_device(const char *identity)
{
    Device d = { };

    d.config.identity = cxl_identity_find(identity);
    d.config.hdm_size = 256 * MiB;
    d.config.host_base = CXL_MODEL_HOST_BASE;
    d.config.mem_fd = hdm_mem_anon("test", 256 * MiB, &error_abort);
    d.m = cxl_model_new(&d.config, &error_abort);
    return d;
}

static void drop_device(Device *d)
{
    cxl_model_free(d->m);
    close(d->config.mem_fd);
}

static void expect_error(bool ok, Error **err, const char *words)
{
    g_assert(!ok);
    g_assert(*err);
    g_assert(strstr(error_get_pretty(*err), words));
    error_free(*err);
    *err = NULL;
}

/* The lowest descriptor that is free: how a lost one is noticed */
static int lowest_fd(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void test_descriptors(void)
{
    int before = lowest_fd();
    Device d = make_device("sfc");

    drop_device(&d);
    g_assert(lowest_fd() == before);
}

static void test_identities(void)
{
    g_assert(!cxl_identity_find("none"));
    g_assert(g_str_equal(cxl_identity_nth(0)->name, "sfc"));
    g_assert(g_str_equal(cxl_identity_nth(1)->name, "accel"));
    g_assert(!cxl_identity_nth(2));
    g_assert(cxl_identity_nth(0)->hdm_capacity == 256 * MiB);
    g_assert(cxl_identity_nth(1)->hdm_capacity == 0);
}

static void test_check(void)
{
    CxlModelConfig c = { .identity = cxl_identity_find("accel"),
                         .hdm_size = 255 * MiB };
    Error *err = NULL;

    expect_error(cxl_model_check(&c, &err), &err, "0xff00000 (255 MiB)");
    c.hdm_size = 256 * MiB;
    c.host_base = 128 * MiB;
    expect_error(cxl_model_check(&c, &err), &err, "host base 0x8000000");
    c.host_base = 0 - 256 * MiB;
    expect_error(cxl_model_check(&c, &err), &err, "host base");
    c.host_base = 0 - 512 * MiB;
    g_assert(cxl_model_check(&c, &error_abort));
}

static void test_bars(void)
{
    static const uint64_t size[2][CXL_MODEL_BARS] = {
        { 1 * MiB, 0, 64 * KiB, 0, 64 * KiB, 0 },
        { 2 * MiB, 0, 128 * KiB, 0, 64 * KiB, 0 },
    };
    uint8_t buf[8] = { };

    for (int i = 0; i < 2; i++) {
        Device d = make_device(cxl_identity_nth(i)->name);

        g_assert(cxl_model_bar_size(d.m, -1) == 0);
        g_assert(cxl_model_bar_size(d.m, 6) == 0);
        for (int bar = 0; bar < CXL_MODEL_BARS; bar++) {
            uint64_t end = size[i][bar];

            g_assert(cxl_model_bar_size(d.m, bar) == end);
            g_assert(cxl_model_bar_read(d.m, bar, end, buf, 1) == -EINVAL);
            g_assert(cxl_model_bar_write(d.m, bar, end, buf, 1) == -EINVAL);
            if (end) {
                g_assert(cxl_model_bar_read(d.m, bar, end - 2, buf, 8) == 2);
                g_assert(cxl_model_bar_write(d.m, bar, end - 2, buf, 8) == 2);
            }
        }
        drop_device(&d);
    }
}

static void test_areas(void)
{
    CxlModelArea areas[CXL_MODEL_MAX_AREAS];
    Device sfc = make_device("sfc");
    Device accel = make_device("accel");
    uint32_t word = 0xa5a5a5a5;
    unsigned n = 9;
    uint8_t buf[4];
    int fd;

    g_assert(cxl_model_bar_fd(sfc.m, 0, areas, &n) == -1);
    g_assert(n == 0);
    g_assert(cxl_model_bar_fd(sfc.m, 4, areas, &n) >= 0);
    g_assert(n == 2);
    g_assert(areas[0].offset == 0);
    g_assert(areas[0].size == 0x1000);
    g_assert(areas[1].offset == 0x2000);
    g_assert(areas[1].size == 0xe000);

    fd = cxl_model_bar_fd(accel.m, 2, areas, &n);
    g_assert(n == 2);
    g_assert(areas[0].size == 0x11000);
    g_assert(areas[1].offset == 0x12000);
    g_assert(areas[1].size == 0xe000);

    /* what the file has is what the BAR shows */
    g_assert(pwrite(fd, &word, 4, 0x12000) == 4);
    g_assert(cxl_model_bar_read(accel.m, 2, 0x12000, buf, 4) == 4);
    g_assert((uint32_t)ldl_le_p(buf) == word);
    drop_device(&sfc);
    drop_device(&accel);
}

/* The table takes writes; the pending bits behind it do not */
static void check_msix(const char *identity, int bar, uint32_t table,
                       uint32_t end)
{
    Device d = make_device(identity);
    g_autofree uint8_t *ones = g_malloc(64 * KiB);
    g_autofree uint8_t *got = g_malloc(64 * KiB);

    memset(ones, 0xff, 64 * KiB);
    g_assert(cxl_model_bar_write(d.m, bar, 0, ones, 64 * KiB) == 64 * KiB);
    g_assert(cxl_model_bar_read(d.m, bar, 0, got, 64 * KiB) == 64 * KiB);
    for (uint32_t i = 0; i < 64 * KiB; i++) {
        g_assert(got[i] == (i >= table && i < end ? 0xff : 0));
    }
    g_assert(cxl_model_bar_write(d.m, bar, table + 4, "abcd", 4) == 4);
    g_assert(cxl_model_bar_read(d.m, bar, table + 3, got, 6) == 6);
    g_assert(memcmp(got, "\xff" "abcd" "\xff", 6) == 0);

    /* a reset leaves them to the kernel; a new user finds zeros */
    g_assert(cxl_model_reset(d.m) == 0);
    cxl_model_bar_read(d.m, bar, table + 4, got, 1);
    g_assert(got[0] == 'a');
    g_assert(cxl_model_open(d.m) == 0);
    cxl_model_bar_read(d.m, bar, 0, got, 64 * KiB);
    for (uint32_t i = 0; i < 64 * KiB; i++) {
        g_assert(got[i] == 0);
    }
    drop_device(&d);
}

static void test_msix(void)
{
    check_msix("sfc", 2, 0, 0x100);
    check_msix("accel", 4, 0x1000, 0x1040);
}

/* The accelerator's registers; only the scratch register takes writes */
static void test_accel(void)
{
    static const uint32_t want[] = {
        0x32545843, 0x00020000, 0x10000000, 0, 0, 0, 0xffffffff, 0xffffffff,
        4, 0, 0,
    };
    Device d = make_device("accel");
    uint8_t buf[0x40];

    memset(buf, 0xff, sizeof(buf));
    for (unsigned off = 0; off < 0x40; off += 4) {
        if (off != 0x10) {
            cxl_model_bar_write(d.m, 0, off, buf, 4);
        }
    }
    memset(buf, 0xee, sizeof(buf));
    g_assert(cxl_model_bar_read(d.m, 0, 0, buf, 0x2c) == 0x2c);
    for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
        g_assert((uint32_t)ldl_le_p(buf + 4 * i) == want[i]);
    }
    /* across the scratch register's edges */
    cxl_model_bar_write(d.m, 0, 0x16, "abcd", 4);
    cxl_model_bar_write(d.m, 0, 0x1e, "efgh", 4);
    cxl_model_bar_read(d.m, 0, 0x14, buf, 16);
    g_assert(memcmp(buf, "\0\0\0\0" "cd\xff\xff\xff\xff" "ef" "\4\0\0\0",
                    16) == 0);
    /* a doorbell in the middle of a longer write */
    stl_le_p(buf, 0);
    stl_le_p(buf + 4, 2);
    cxl_model_bar_write(d.m, 0, 0x0c, buf, 8);
    cxl_model_bar_read(d.m, 0, 0x14, buf, 4);
    g_assert(buf[0] == 1);
    stl_le_p(buf, 4);
    cxl_model_bar_write(d.m, 0, 0x10, buf, 4);
    cxl_model_bar_read(d.m, 0, 0x14, buf, 4);
    g_assert(buf[0] == 1);
    /* across the edge of the copy engine's, which begin at 0x40 */
    memset(buf, 0x5a, 16);
    g_assert(cxl_model_bar_write(d.m, 0, 0x38, buf, 16) == 16);
    memset(buf, 0xee, 16);
    g_assert(cxl_model_bar_read(d.m, 0, 0x38, buf, 16) == 16);
    g_assert(memcmp(buf, "\0\0\0\0\0\0\0\0" "ZZZZZZZZ", 16) == 0);
    g_assert(cxl_model_reset(d.m) == 0);
    cxl_model_bar_read(d.m, 0, 0x14, buf, 8);
    g_assert(memcmp(buf, "\0\0\0\0\0\0\0\0", 8) == 0);
    drop_device(&d);
}

/* Of the sfc registers, a dword at 0x10 counts and nothing else */
static void test_sfc(void)
{
    Device d = make_device("sfc");
    uint8_t buf[8];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            cxl_model_bar_read(d.m, 0, 0x10, buf, 4);
            g_assert((uint32_t)ldl_le_p(buf) == 0);
            cxl_model_bar_read(d.m, 0, 0x14, buf, 4);
            cxl_model_bar_read(d.m, 0, 0x10, buf, 2);
            cxl_model_bar_read(d.m, 0, 0x10, buf, 8);
        }
        if (!round) {
            g_assert(cxl_model_reset(d.m) == 0);
        }
    }
    cxl_model_bar_read(d.m, 0, 0x10, buf, 4);
    g_assert((uint32_t)ldl_le_p(buf) == 0xb0070001);
    drop_device(&d);
}

static void test_memory_edges(void)
{
    Device d = make_device("accel");
    uint64_t end = 256 * MiB;
    char buf[8] = "1234567";

    g_assert(cxl_model_hdm_read(d.m, end, buf, 1) == -EINVAL);
    g_assert(cxl_model_hdm_read(d.m, 0, buf, 1) == -EIO);
    cxl_model_cfg_write(d.m, PCI_COMMAND, "\2\0", 2);
    g_assert(cxl_model_hdm_write(d.m, 8, buf, 8) == 8);
    memset(buf, 0, sizeof(buf));
    g_assert(cxl_model_hdm_read(d.m, 9, buf, 4) == 4);
    g_assert(g_str_equal(buf, "2345"));
    g_assert(cxl_model_hdm_read(d.m, end - 1, buf, 8) == 1);
    g_assert(cxl_model_open(d.m) == 0);
    cxl_model_cfg_write(d.m, PCI_COMMAND, "\2\0", 2);
    g_assert(cxl_model_hdm_read(d.m, 8, buf, 8) == 8);
    g_assert(memcmp(buf, "\0\0\0\0\0\0\0\0", 8) == 0);
    drop_device(&d);
}

static void test_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("cxl-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "hdm", NULL);
    Error *err = NULL;
    struct stat st;
    char buf[4];
    int fd, fd2;

    fd = hdm_mem_file(path, 1 * MiB, &error_abort);
    g_assert(fstat(fd, &st) == 0);
    g_assert(st.st_size == 1 * MiB);
    g_assert((st.st_mode & 0777) == 0600);
    g_assert(hdm_mem_write(fd, 1 * MiB - 4, "abcd", 4) == 4);
    g_assert(hdm_mem_read(fd, 1 * MiB - 4, buf, 4) == 4);
    g_assert(memcmp(buf, "abcd", 4) == 0);
    g_assert(hdm_mem_read(fd, 1 * MiB - 2, buf, 4) == -EIO);

    fd2 = hdm_mem_file(path, 1 * MiB, &err);
    expect_error(fd2 >= 0, &err, "in use");
    close(fd);
    fd2 = hdm_mem_file(path, 2 * MiB, &err);
    expect_error(fd2 >= 0, &err, "1048576 bytes");
    fd2 = hdm_mem_file("/dev/null", 1 * MiB, &err);
    expect_error(fd2 >= 0, &err, "not a regular file");
    fd2 = hdm_mem_file(dir, 1 * MiB, &err);
    expect_error(fd2 >= 0, &err, "cannot open");

    /* found again, and cleared on request */
    fd = hdm_mem_file(path, 1 * MiB, &error_abort);
    g_assert(hdm_mem_read(fd, 1 * MiB - 4, buf, 4) == 4);
    g_assert(memcmp(buf, "abcd", 4) == 0);
    g_assert(hdm_mem_clear(fd, 1 * MiB) == 0);
    g_assert(hdm_mem_read(fd, 1 * MiB - 4, buf, 4) == 4);
    g_assert(memcmp(buf, "\0\0\0\0", 4) == 0);
    close(fd);

    g_assert(hdm_mem_write(-1, 0, buf, 4) == -EBADF);
    g_assert(hdm_mem_read(-1, 0, buf, 4) == -EBADF);
    g_assert(hdm_mem_clear(-1, 4096) == -EBADF);
    g_unlink(path);
    g_rmdir(dir);
}

/* The memory's size is final: a client cannot make it shorter */
static void test_seals(void)
{
    int fd = hdm_mem_anon("test", 1 * MiB, &error_abort);

    g_assert(ftruncate(fd, 4096) == -1);
    g_assert(ftruncate(fd, 2 * MiB) == -1);
    g_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-access/descriptors", test_descriptors);
    g_test_add_func("/cxl-access/identities", test_identities);
    g_test_add_func("/cxl-access/check", test_check);
    g_test_add_func("/cxl-access/bars", test_bars);
    g_test_add_func("/cxl-access/areas", test_areas);
    g_test_add_func("/cxl-access/msix", test_msix);
    g_test_add_func("/cxl-access/accel", test_accel);
    g_test_add_func("/cxl-access/sfc", test_sfc);
    g_test_add_func("/cxl-access/memory", test_memory_edges);
    g_test_add_func("/cxl-access/files", test_files);
    g_test_add_func("/cxl-access/seals", test_seals);
    return g_test_run();
}
