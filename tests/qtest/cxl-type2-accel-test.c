/*
 * The emulated CXL Type-2 device: copy engine and interrupts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-type2-util.h"
#include "vfio-cxl-smmu.h"

static void accel_start_rig(Type2Rig *r, const char *machine)
{
    type2_start_with(r, machine, TYPE2_DEVICE);
    accel_setup(r->m, MSI_AT);
}

static void test_copy(void)
{
    Type2Rig r;

    accel_start_rig(&r, NULL);
    accel_check_round(r.m, 0);
    g_assert_cmpuint(accel_copy(r.m, COPY_FILL, 0, 64, 8), ==, ERROR_NONE);
    accel_wait_irq(r.m, MSI_AT);
    g_assert_cmpuint(accel_copy(r.m, COPY_HDM, 0, 1 * MiB, 999999), ==,
                     ERROR_NONE);
    type2_stop(&r);
}

static void test_bad(void)
{
    Type2Rig r;

    accel_start_rig(&r, NULL);
    accel_check_bad(r.m);
    /* its own registers are no memory */
    g_assert_cmpuint(accel_copy(r.m, COPY_OUT, 0, ACCEL_BAR0, 8), ==,
                     ERROR_DMA);
    accel_wait_irq(r.m, MSI_AT);
    /* outside of D0 its registers are not there; so close the gate else */
    type2_set_ctrl2(&r, CTRL2_RESET);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    accel_setup(r.m, MSI_AT);
    g_assert_cmpuint(accel_copy(r.m, COPY_FILL, 0, 0, 8), ==, ERROR_GATED);
    accel_wait_irq(r.m, MSI_AT);
    qtest_clock_step(r.q, RESET_NS);
    g_assert_cmpuint(accel_copy(r.m, COPY_FILL, 0, 0, 8), ==, ERROR_NONE);
    accel_wait_irq(r.m, MSI_AT);
    accel_check_round(r.m, 0);
    type2_stop(&r);
}

/* The BAR's memory and the HDM in the window are memory like any other */
static void test_peer(void)
{
    g_autofree uint8_t *bytes = accel_pattern(2, 300000);
    Type2Rig r;

    accel_start_rig(&r, NULL);
    qtest_memwrite(r.q, ACCEL_SRAM + 256 * KiB, bytes, 300000);
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, ACCEL_SRAM + 256 * KiB, 4096,
                                300000), ==, ERROR_NONE);
    accel_check_mem(r.m, VIRT_WINDOW + 4096, bytes, 300000);
    g_assert_cmpuint(accel_copy(r.m, COPY_OUT, 4096, VIRT_WINDOW + 1 * MiB,
                                300000), ==, ERROR_NONE);
    accel_check_mem(r.m, VIRT_WINDOW + 1 * MiB, bytes, 300000);
    g_assert_cmpuint(accel_copy(r.m, COPY_OUT, 4096, VIRT_WINDOW + 304095,
                                300000), ==, ERROR_OVERLAP);
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, VIRT_WINDOW + 4095, 4096, 1),
                     ==, ERROR_NONE);
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, VIRT_WINDOW + 4097, 4096, 1),
                     ==, ERROR_NONE);
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, VIRT_WINDOW + 4095, 4096, 2),
                     ==, ERROR_OVERLAP);
    type2_stop(&r);
}

#define IOVA_RAM (7 * SMMU_PAGE)
#define IOVA_READ_ONLY (9 * SMMU_PAGE)

static void test_smmu(void)
{
    const uint64_t offset = IOVA_RAM - VIRT_RAM;
    const uint64_t read_only = IOVA_READ_ONLY - VIRT_RAM;
    Type2Rig r;

    accel_start_rig(&r, "iommu=smmuv3," VFIO_CXL_WINDOW);
    accel_check_round(r.m, 0);
    smmu_enable(r.q, 13 << 8, TABLES);
    smmu_map(r.q, TABLES, IOVA_RAM, VIRT_RAM, true);
    smmu_map(r.q, TABLES, IOVA_READ_ONLY, VIRT_RAM, false);
    accel_setup(r.m, MSI_AT + offset);
    accel_check_round(r.m, offset);

    /* what is not mapped, or not for this direction */
    qtest_writel(r.q, SOURCE, 0x11111111);
    g_assert_cmpuint(accel_copy(r.m, COPY_OUT, 0, SOURCE, 4), ==, ERROR_DMA);
    accel_wait_irq(r.m, MSI_AT);
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, SOURCE + read_only, 0, 4), ==,
                     ERROR_NONE);
    accel_wait_irq(r.m, MSI_AT);
    g_assert_cmphex(type2_host_word(&r, 0) & UINT32_MAX, ==, 0x11111111);
    g_assert_cmpuint(accel_copy(r.m, COPY_OUT, 8, SOURCE + read_only, 4), ==,
                     ERROR_DMA);
    accel_wait_irq(r.m, MSI_AT);
    g_assert_cmphex(qtest_readl(r.q, SOURCE), ==, 0x11111111);
    smmu_unmap(r.q, TABLES, IOVA_READ_ONLY);
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, SOURCE + read_only, 0, 4), ==,
                     ERROR_DMA);
    accel_wait_irq(r.m, MSI_AT);
    accel_check_round(r.m, offset);
    type2_stop(&r);
}

/* The size has to keep the engine busy while a test looks */
static void test_abort(void)
{
    Type2Rig r;
    uint64_t done;

    type2_start_with(&r, "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=16G",
                   "-object memory-backend-memfd,id=m2,size=16G "
                   "-device cxl-type2,id=hdm0,bus=rp0,memdev=m2");
    accel_setup(r.m, MSI_AT);
    accel_start(r.m, COPY_FILL, 0, 0, 16 * GiB);
    g_assert_cmphex(accel_read(r.m, COPY_STATUS), ==, STATUS_BUSY);
    accel_start(r.m, COPY_FILL, 1, 2, 3);
    g_assert_cmphex(accel_read(r.m, COPY_STATUS), ==, 1u << 31 | STATUS_BUSY);
    qtest_writel(r.q, ACCEL_BAR0 + COPY_COMMAND, COPY_ABORT);
    g_assert_cmphex(accel_read(r.m, COPY_STATUS), ==,
                    1u << 31 | STATUS_FAILED);
    g_assert_cmpuint(accel_read(r.m, COPY_ERROR), ==, ERROR_ABORTED);
    accel_wait_irq(r.m, MSI_AT);
    done = qtest_readq(r.q, ACCEL_BAR0 + COPY_DONE);
    g_assert_cmpuint(done, <, 16 * GiB);

    /* a reset ends it too, and says nothing */
    accel_start(r.m, COPY_FILL, 0, 0, 16 * GiB);
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    accel_setup(r.m, MSI_AT);
    g_assert_cmphex(accel_read(r.m, COPY_STATUS), ==, STATUS_IDLE);
    g_assert_cmphex(qtest_readl(r.q, MSI_AT), ==, 0);
    type2_stop(&r);
}

/* While the VM is stopped the device leaves memory alone */
static void test_stopped(void)
{
    Type2Rig r;

    accel_start_rig(&r, NULL);
    qtest_qmp_assert_success(r.q, "{'execute': 'stop'}");
    accel_start(r.m, COPY_FILL, 0, 0, 8);
    g_usleep(50000);
    g_assert_cmphex(accel_read(r.m, COPY_STATUS), ==, STATUS_BUSY);
    qtest_qmp_assert_success(r.q, "{'execute': 'cont'}");
    g_assert_cmpuint(accel_wait(r.m), ==, ERROR_NONE);
    type2_stop(&r);
}

static void test_msix(void)
{
    Type2Rig r;
    uint64_t bar = ACCEL_BAR0;

    accel_start_rig(&r, NULL);
    g_assert_cmpuint(accel_read(r.m, 0x20), ==, 4);
    qtest_writel(r.q, bar + 0x10, ACCEL_VECTOR);
    accel_wait_irq(r.m, MSI_AT);
    /* no such vector, and no whole dword */
    qtest_writel(r.q, bar + 0x10, 4);
    qtest_writew(r.q, bar + 0x10, ACCEL_VECTOR);
    g_assert_cmphex(qtest_readl(r.q, MSI_AT), ==, 0);
    g_assert_cmpuint(accel_read(r.m, 0x14), ==, 1);
    /* a masked one stays pending until it is unmasked */
    qtest_writel(r.q, ACCEL_BAR4 + 0x1000 + ACCEL_VECTOR * 16 + 12, 1);
    qtest_writel(r.q, bar + 0x10, ACCEL_VECTOR);
    g_assert_cmphex(qtest_readl(r.q, MSI_AT), ==, 0);
    g_assert_cmphex(qtest_readl(r.q, ACCEL_BAR4 + 0x2000), ==,
                    1 << ACCEL_VECTOR);
    qtest_writel(r.q, ACCEL_BAR4 + 0x1000 + ACCEL_VECTOR * 16 + 12, 0);
    accel_wait_irq(r.m, MSI_AT);
    type2_stop(&r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-type2/accel/copy", test_copy);
    qtest_add_func("/cxl-type2/accel/bad", test_bad);
    qtest_add_func("/cxl-type2/accel/peer", test_peer);
    qtest_add_func("/cxl-type2/accel/smmu", test_smmu);
    qtest_add_func("/cxl-type2/accel/abort", test_abort);
    qtest_add_func("/cxl-type2/accel/stopped", test_stopped);
    qtest_add_func("/cxl-type2/accel/msix", test_msix);
    return g_test_run();
}
