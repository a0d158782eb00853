/*
 * A passed-through CXL Type-2 device that uses guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "hw/pci/pci_regs.h"
#include "vfio-cxl-accel.h"
#include "vfio-cxl-smmu.h"

#define IOMMU "iommu=smmuv3," VFIO_CXL_WINDOW

static VFIOCXLMachine *start_machine(VFIOCXLServer *s, const char *machine,
                                     const char *more)
{
    g_autofree char *args = vfio_cxl_args(s, machine, NULL, NULL);
    g_autofree char *all = g_strdup_printf("%s %s", args, more ? more : "");
    VFIOCXLMachine *m = vfio_cxl_machine_start(all);

    accel_setup(m, MSI_AT);
    return m;
}

/* Bytes that went one way and the other way between device and guest */
static void check_summary(VFIOCXLServer *s, const char *used,
                          const char *unused, uint64_t bytes)
{
    QDict *all = vfio_cxl_server_summary(s);
    QDict *dma = qdict_get_qdict(all, "dma");
    QDict *yes = qdict_get_qdict(dma, used);
    QDict *no = qdict_get_qdict(dma, unused);

    g_assert_cmpint(qdict_get_int(yes, "read_bytes"), ==, bytes);
    g_assert_cmpint(qdict_get_int(yes, "write_bytes"), ==, bytes);
    g_assert_cmpint(qdict_get_int(no, "reads"), ==, 0);
    g_assert_cmpint(qdict_get_int(no, "writes"), ==, 0);
    qobject_unref(all);
}

static void test_copy(const void *data)
{
    const char *mode = data;
    g_autofree char *options = g_strdup_printf("--identity accel --dma %s",
                                               mode);
    VFIOCXLServer *s = vfio_cxl_server_start(options);
    VFIOCXLMachine *m = start_machine(s, NULL, NULL);
    bool shared = !g_str_equal(mode, "message");

    accel_check_round(m, 0);
    vfio_cxl_machine_stop(m);
    check_summary(s, shared ? "shared" : "message",
                  shared ? "message" : "shared", LENGTH);
    vfio_cxl_server_stop(s);
}

static void test_bad(const void *data)
{
    const char *mode = data;
    g_autofree char *options = g_strdup_printf("--identity accel --dma %s",
                                               mode);
    VFIOCXLServer *s = vfio_cxl_server_start(options);
    VFIOCXLMachine *m = start_machine(s, NULL, NULL);

    accel_check_bad(m);
    accel_check_round(m, 0);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/*
 * BAR and HDM as the other side of a copy; on-board memory for the guest.
 * QEMU shares no descriptor of these, so only messages reach them.
 */
static void test_peer(const void *data)
{
    const char *mode = data;
    g_autofree char *options = g_strdup_printf("--identity accel --dma %s",
                                               mode);
    VFIOCXLServer *s = vfio_cxl_server_start(options);
    VFIOCXLMachine *m = start_machine(s, NULL, NULL);
    g_autofree uint8_t *bytes = accel_pattern(2, 300000);

    qtest_memwrite(m->qts, ACCEL_SRAM + 256 * KiB, bytes, 300000);
    accel_check_mem(m, ACCEL_SRAM + 256 * KiB, bytes, 300000);
    if (g_str_equal(mode, "shared")) {
        g_assert_cmpuint(accel_copy(m, COPY_IN, ACCEL_SRAM, 0, 8), ==,
                         ERROR_DMA);
        g_assert_cmpuint(accel_copy(m, COPY_OUT, 0, VIRT_WINDOW + 8, 8), ==,
                         ERROR_DMA);
        goto out;
    }
    g_assert_cmpuint(accel_copy(m, COPY_IN, ACCEL_SRAM + 256 * KiB, 4096,
                                300000), ==, ERROR_NONE);
    accel_check_mem(m, VIRT_WINDOW + 4096, bytes, 300000);
    g_assert_cmpuint(accel_copy(m, COPY_OUT, 4096,
                                VIRT_WINDOW + 1 * MiB, 300000), ==,
                     ERROR_NONE);
    accel_check_mem(m, VIRT_WINDOW + 1 * MiB, bytes, 300000);
out:
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* The size has to keep the engine busy while a test looks */
#define LONG_HDM "16G"
#define LONG_WINDOW "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=16G"

static VFIOCXLMachine *start_long(VFIOCXLServer *s)
{
    VFIOCXLMachine *m = start_machine(s, LONG_WINDOW, NULL);

    qtest_writeq(m->qts, ACCEL_BAR0 + COPY_PATTERN, 0x1111111111111111);
    accel_start(m, COPY_FILL, 0, 0, 16 * GiB);
    g_assert_cmphex(accel_read(m, COPY_STATUS), ==, STATUS_BUSY);
    return m;
}

static void test_abort(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--identity accel --hdm-size "
                                             LONG_HDM);
    VFIOCXLMachine *m = start_long(s);
    uint64_t done;

    /* while busy: no other request, and no change of this one */
    accel_start(m, COPY_FILL, 1, 2, 3);
    g_assert_cmphex(accel_read(m, COPY_STATUS), ==, 1u << 31 | STATUS_BUSY);
    qtest_writel(m->qts, ACCEL_BAR0 + COPY_COMMAND, COPY_ABORT);
    g_assert_cmphex(accel_read(m, COPY_STATUS), ==, 1u << 31 | STATUS_FAILED);
    g_assert_cmpuint(accel_read(m, COPY_ERROR), ==, ERROR_ABORTED);
    accel_wait_irq(m, MSI_AT);
    done = qtest_readq(m->qts, ACCEL_BAR0 + COPY_DONE);
    g_assert_cmpuint(done, <, 16 * GiB);
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW + done), ==, 0);
    g_assert_cmpuint(accel_copy(m, COPY_FILL, 0, 0, 8), ==, ERROR_NONE);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static void test_reset(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--identity accel --hdm-size "
                                             LONG_HDM);
    VFIOCXLMachine *m = start_long(s);

    qtest_system_reset(m->qts);
    vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
    accel_setup(m, MSI_AT);
    g_assert_cmphex(accel_read(m, COPY_STATUS), ==, STATUS_IDLE);
    g_assert_cmpuint(accel_read(m, COPY_COUNT), ==, 0);
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW), ==, 0);
    g_assert_cmphex(qtest_readl(m->qts, MSI_AT), ==, 0);
    accel_check_mem(m, VIRT_WINDOW, (uint8_t[64]) { }, 64);
    g_assert_cmpuint(accel_copy(m, COPY_FILL, 0, 0, 8), ==, ERROR_NONE);
    accel_wait_irq(m, MSI_AT);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

static unsigned int count(const char *text, const char *what)
{
    unsigned int n = 0;

    while ((text = strstr(text, what))) {
        text += strlen(what);
        n++;
    }
    return n;
}

/*
 * The server goes in the middle of a copy: the machine lives on, registers
 * read as all-ones, HDM is what it was, and one line says why.
 */
static void test_death(const void *data)
{
    const char *mode = data;
    g_autofree char *options = g_strdup_printf(
        "--identity accel --fault die-in-copy=2 --dma %s", mode);
    VFIOCXLServer *s = vfio_cxl_server_start(options);
    g_autofree char *log = g_strdup_printf("%s/log", s->dir);
    g_autofree char *more = g_strdup_printf("2>%s", log);
    VFIOCXLMachine *m = start_machine(s, NULL, more);
    int64_t begin = g_get_monotonic_time();
    g_autofree char *text = NULL;

    accel_check_mem(m, VIRT_WINDOW, (uint8_t[64]) { }, 64);
    qtest_memset(m->qts, SOURCE, 0x77, LENGTH);
    g_assert_cmpuint(accel_copy(m, COPY_IN, SOURCE, 64, 64), ==, ERROR_NONE);
    accel_start(m, COPY_IN, SOURCE, 4096, LENGTH);
    while (accel_read(m, COPY_STATUS) != UINT32_MAX) {
        g_assert_cmpint(g_get_monotonic_time() - begin, <,
                        20 * G_USEC_PER_SEC);
    }
    begin = g_get_monotonic_time();
    g_assert_cmphex(accel_read(m, ACCEL_ID), ==, UINT32_MAX);
    g_assert_cmphex(accel_read(m, COPY_ERROR), ==, UINT32_MAX);
    accel_start(m, COPY_FILL, 0, 0, 8);
    g_assert_cmphex(qtest_readq(m->qts, VIRT_WINDOW + 64), ==, UINT64_MAX);
    g_assert_cmphex(qtest_readl(m->qts, m->hdm_block + HDM_CTRL), ==,
                    HDM_CTRL_LOCKED);
    qtest_qmp_assert_success(m->qts, "{'execute': 'query-status'}");
    qtest_system_reset(m->qts);
    /* no waiting for answers that cannot come */
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 3 * G_USEC_PER_SEC);
    vfio_cxl_machine_stop(m);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    g_test_message("%s", text);
    g_assert_cmpuint(count(text, s->socket), ==, 1);
    g_unlink(log);
    vfio_cxl_server_stop(s);
}

/* The SMMU is there, and lets everything pass */
static void test_smmu_bypass(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--identity accel");
    VFIOCXLMachine *m = start_machine(s, IOMMU, NULL);

    accel_check_round(m, 0);
    /* what is nowhere is an error of this copy, not of the machine */
    g_assert_cmpuint(accel_copy(m, COPY_OUT, 0, VIRT_RAM + 128 * MiB - 8, 16),
                     ==, ERROR_DMA);
    accel_wait_irq(m, MSI_AT);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

#define IOVA_RAM (7 * SMMU_PAGE)
#define IOVA_READ_ONLY (9 * SMMU_PAGE)
#define IOVA_HDM (11 * SMMU_PAGE)

static void test_smmu_translated(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--identity accel");
    VFIOCXLMachine *m = start_machine(s, IOMMU, NULL);
    const uint64_t offset = IOVA_RAM - VIRT_RAM;
    const uint64_t read_only = IOVA_READ_ONLY - VIRT_RAM;

    /* without translation the device has used these addresses before */
    accel_check_round(m, 0);
    smmu_enable(m->qts, 13 << 8, TABLES);
    smmu_map(m->qts, TABLES, IOVA_RAM, VIRT_RAM, true);
    smmu_map(m->qts, TABLES, IOVA_READ_ONLY, VIRT_RAM, false);
    smmu_map(m->qts, TABLES, IOVA_HDM, VIRT_WINDOW, true);
    /* an interrupt is a write like any other */
    accel_setup(m, MSI_AT + offset);
    accel_check_round(m, offset);

    /* nothing is left of the time before */
    qtest_writel(m->qts, SOURCE, 0x11111111);
    g_assert_cmpuint(accel_copy(m, COPY_OUT, 0, SOURCE, 4), ==, ERROR_DMA);
    accel_wait_irq(m, MSI_AT);
    g_assert_cmphex(qtest_readl(m->qts, SOURCE), ==, 0x11111111);

    g_assert_cmpuint(accel_copy(m, COPY_IN, SOURCE + read_only, 0, 4), ==,
                     ERROR_NONE);
    g_assert_cmphex(qtest_readl(m->qts, VIRT_WINDOW), ==, 0x11111111);
    g_assert_cmpuint(accel_copy(m, COPY_OUT, 8, SOURCE + read_only, 4), ==,
                     ERROR_DMA);
    g_assert_cmphex(qtest_readl(m->qts, SOURCE), ==, 0x11111111);

    /* the device's own memory, by way of the IOMMU */
    g_assert_cmpuint(accel_copy(m, COPY_OUT, 0, IOVA_HDM + 1 * MiB, 4), ==,
                     ERROR_NONE);
    g_assert_cmphex(qtest_readl(m->qts, VIRT_WINDOW + 1 * MiB), ==,
                    0x11111111);

    smmu_unmap(m->qts, TABLES, IOVA_READ_ONLY);
    g_assert_cmpuint(accel_copy(m, COPY_IN, SOURCE + read_only, 0, 4), ==,
                     ERROR_DMA);
    accel_check_round(m, offset);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* Only messages serve behind the IOMMU: what cannot send any says so */
static void test_smmu_shared(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--identity accel --dma shared");
    VFIOCXLMachine *m = start_machine(s, IOMMU, NULL);

    g_assert_cmpuint(accel_copy(m, COPY_IN, SOURCE, 0, 8), ==, ERROR_DMA);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = { "shared", "message" };
    int i;

    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/vfio/cxl/dma/copy/auto", "auto", test_copy);
    qtest_add_data_func("/vfio/cxl/dma/peer/auto", "auto", test_peer);
    for (i = 0; i < ARRAY_SIZE(modes); i++) {
        g_autofree char *copy = g_strdup_printf("/vfio/cxl/dma/copy/%s",
                                                modes[i]);
        g_autofree char *bad = g_strdup_printf("/vfio/cxl/dma/bad/%s",
                                               modes[i]);
        g_autofree char *peer = g_strdup_printf("/vfio/cxl/dma/peer/%s",
                                                modes[i]);
        g_autofree char *death = g_strdup_printf("/vfio/cxl/dma/death/%s",
                                                 modes[i]);

        qtest_add_data_func(copy, modes[i], test_copy);
        qtest_add_data_func(bad, modes[i], test_bad);
        qtest_add_data_func(peer, modes[i], test_peer);
        qtest_add_data_func(death, modes[i], test_death);
    }
    qtest_add_func("/vfio/cxl/dma/abort", test_abort);
    qtest_add_func("/vfio/cxl/dma/reset", test_reset);
    qtest_add_func("/vfio/cxl/dma/smmu/bypass", test_smmu_bypass);
    qtest_add_func("/vfio/cxl/dma/smmu/translated", test_smmu_translated);
    qtest_add_func("/vfio/cxl/dma/smmu/shared-only", test_smmu_shared);
    return g_test_run();
}
