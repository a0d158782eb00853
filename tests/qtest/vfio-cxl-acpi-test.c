/*
 * What DSDT and CEDT say of CXL windows when a device is passed through
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "qemu/bswap.h"
#include "standard-headers/linux/qemu_fw_cfg.h"
#include "vfio-cxl-util.h"

#define TABLES_FILE "etc/acpi/tables"

#define CEDT_CFMWS 1

typedef struct {
    uint8_t *data;
    size_t size;
} Tables;

/* Let fw_cfg copy an item to guest memory, and fetch it from there */
static void fw_cfg_dma(QTestState *qts, uint16_t key, void *to, uint32_t size)
{
    const uint64_t access = VIRT_RAM, buffer = VIRT_RAM + 64;
    uint32_t control = key << 16 | FW_CFG_DMA_CTL_SELECT |
                       FW_CFG_DMA_CTL_READ;

    qtest_writel(qts, access, cpu_to_be32(control));
    qtest_writel(qts, access + 4, cpu_to_be32(size));
    qtest_writeq(qts, access + 8, cpu_to_be64(buffer));
    qtest_writeq(qts, VIRT_FW_CFG + 16, cpu_to_be64(access));
    g_assert_cmphex(qtest_readl(qts, access), ==, 0);
    qtest_memread(qts, buffer, to, size);
}

static Tables read_tables(QTestState *qts)
{
    struct fw_cfg_file files[64];
    Tables t = { NULL, 0 };
    uint32_t count;
    int i;

    fw_cfg_dma(qts, FW_CFG_FILE_DIR, &count, sizeof(count));
    count = be32_to_cpu(count);
    g_assert_cmpuint(count, <, ARRAY_SIZE(files));
    {
        g_autofree uint8_t *dir = g_malloc(sizeof(count) + sizeof(files));

        fw_cfg_dma(qts, FW_CFG_FILE_DIR, dir,
                   sizeof(count) + count * sizeof(files[0]));
        memcpy(files, dir + sizeof(count), count * sizeof(files[0]));
    }
    for (i = 0; i < count; i++) {
        if (!strcmp(files[i].name, TABLES_FILE)) {
            t.size = be32_to_cpu(files[i].size);
            t.data = g_malloc(t.size);
            fw_cfg_dma(qts, be16_to_cpu(files[i].select), t.data, t.size);
        }
    }
    g_assert_nonnull(t.data);
    return t;
}

/* The tables stand one behind the other, each with its length at byte 4 */
static const uint8_t *find_table(const Tables *t, const char *signature,
                                 uint32_t *length)
{
    size_t pos = 0;

    while (pos + 36 <= t->size) {
        uint32_t len = ldl_le_p(t->data + pos + 4);

        if (len < 36 || len > t->size - pos) {
            pos++; /* FACS and padding have no such header */
            continue;
        }
        if (!memcmp(t->data + pos, signature, 4)) {
            *length = len;
            return t->data + pos;
        }
        pos++;
    }
    return NULL;
}

typedef struct {
    uint64_t base, size;
    uint32_t target;
} Window;

static unsigned int read_windows(const Tables *t, Window *w, unsigned int max)
{
    uint32_t length, pos;
    const uint8_t *cedt = find_table(t, "CEDT", &length);
    unsigned int n = 0;

    g_assert_nonnull(cedt);
    for (pos = 36; pos < length; pos += lduw_le_p(cedt + pos + 2)) {
        g_assert_cmpuint(lduw_le_p(cedt + pos + 2), >, 4);
        if (cedt[pos] == CEDT_CFMWS) {
            g_assert_cmpuint(n, <, max);
            w[n].base = ldq_le_p(cedt + pos + 8);
            w[n].size = ldq_le_p(cedt + pos + 16);
            w[n].target = ldl_le_p(cedt + pos + 36);
            n++;
        }
    }
    return n;
}

/* The source text of the DSDT, or NULL where iasl is not installed */
static char *disassemble_dsdt(const Tables *t)
{
    g_autofree char *dir = g_dir_make_tmp("vfio-cxl-XXXXXX", NULL);
    g_autofree char *aml = g_build_filename(dir, "dsdt.aml", NULL);
    g_autofree char *dsl = g_build_filename(dir, "dsdt.dsl", NULL);
    const char *argv[] = { "iasl", "-d", aml, NULL };
    uint32_t length;
    const uint8_t *dsdt = find_table(t, "DSDT", &length);
    char *text = NULL;
    int status = -1;

    g_assert_nonnull(dsdt);
    g_assert_true(g_file_set_contents(aml, (const char *)dsdt, length, NULL));
    if (g_spawn_sync(NULL, (char **)argv, NULL,
                     G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
                     G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                     &status, NULL)) {
        g_assert_cmpint(status, ==, 0);
        g_assert_true(g_file_get_contents(dsl, &text, NULL, NULL));
    }
    g_unlink(aml);
    g_unlink(dsl);
    g_rmdir(dir);
    return text;
}

/*
 * All address ranges of the DSDT: iasl writes each resource's numbers one a
 * line, with a comment that tells which it is.
 */
static void check_no_range(const char *text, const Window *windows,
                           unsigned int n)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    uint64_t min = 0;
    unsigned int ranges = 0, i;
    char **line;

    for (line = lines; *line; line++) {
        if (strstr(*line, "Range Minimum")) {
            min = g_ascii_strtoull(g_strstrip(*line), NULL, 16);
        } else if (strstr(*line, "Range Maximum")) {
            uint64_t max = g_ascii_strtoull(g_strstrip(*line), NULL, 16);

            ranges++;
            for (i = 0; i < n; i++) {
                g_assert_true(max < windows[i].base ||
                              min >= windows[i].base + windows[i].size);
            }
        }
    }
    /* The host bridges have some, or the text was not understood */
    g_assert_cmpuint(ranges, >, 4);
}

static void test_tables(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(
        s, VFIO_CXL_WINDOW ",cxl-fmw.1.targets.0=cxl.1,cxl-fmw.1.size=512M",
        NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    Tables t = read_tables(m->qts);
    g_autofree char *dsl = NULL;
    Window w[4];

    g_assert_cmpuint(read_windows(&t, w, ARRAY_SIZE(w)), ==, 2);
    g_assert_cmphex(w[0].base, ==, VIRT_WINDOW);
    g_assert_cmphex(w[0].size, ==, 4 * GiB);
    g_assert_cmpuint(w[0].target, ==, 12);
    g_assert_cmphex(w[1].base, ==, VIRT_WINDOW + 4 * GiB);
    g_assert_cmphex(w[1].size, ==, 512 * MiB);
    g_assert_cmpuint(w[1].target, ==, 12);

    dsl = disassemble_dsdt(&t);
    if (dsl) {
        check_no_range(dsl, w, 2);
    } else {
        g_test_skip("iasl is not installed (package acpica-tools)");
    }
    g_free(t.data);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* A passed-through device is found by the guest, not described to it */
static void test_device_changes_nothing(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *with = vfio_cxl_args(s, NULL, NULL, NULL);
    g_autofree char *without = vfio_cxl_args(NULL, NULL, NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(with);
    Tables a = read_tables(m->qts), b;

    vfio_cxl_machine_stop(m);
    m = vfio_cxl_machine_start(without);
    b = read_tables(m->qts);
    vfio_cxl_machine_stop(m);

    g_assert_cmpmem(a.data, a.size, b.data, b.size);
    g_free(a.data);
    g_free(b.data);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/acpi/tables", test_tables);
    qtest_add_func("/vfio/cxl/acpi/device-changes-nothing",
                   test_device_changes_nothing);
    return g_test_run();
}
