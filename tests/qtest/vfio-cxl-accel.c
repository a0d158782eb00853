/*
 * The accelerator that the reference device poses as: registers and copies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/pci/pci_regs.h"
#include "vfio-cxl-accel.h"

#define MSIX_TABLE 0x1000

#define TIME_LIMIT_US (20 * G_USEC_PER_SEC)
#define POLL_US 500

static unsigned int find_cap(VFIOCXLMachine *m, uint8_t id)
{
    unsigned int pos = qtest_readb(m->qts, m->device + PCI_CAPABILITY_LIST);

    while (qtest_readb(m->qts, m->device + pos) != id) {
        pos = qtest_readb(m->qts, m->device + pos + PCI_CAP_LIST_NEXT);
        g_assert_cmpuint(pos, !=, 0);
    }
    return pos;
}

void accel_setup(VFIOCXLMachine *m, uint64_t msi)
{
    QTestState *q = m->qts;
    uint64_t entry = ACCEL_BAR4 + MSIX_TABLE +
                     ACCEL_VECTOR * PCI_MSIX_ENTRY_SIZE;
    uint64_t flags = m->device + find_cap(m, PCI_CAP_ID_MSIX) +
                     PCI_MSIX_FLAGS;

    qtest_writew(q, m->port + PCI_MEMORY_BASE, ACCEL_BAR0 >> 16 & 0xfff0);
    qtest_writew(q, m->port + PCI_MEMORY_LIMIT, ACCEL_BAR4 >> 16 & 0xfff0);
    qtest_writew(q, m->device + PCI_COMMAND, PCI_COMMAND_MASTER);
    qtest_writel(q, m->device + PCI_BASE_ADDRESS_0, (uint32_t)ACCEL_BAR0);
    qtest_writel(q, m->device + PCI_BASE_ADDRESS_1, ACCEL_BAR0 >> 32);
    qtest_writel(q, m->device + PCI_BASE_ADDRESS_4, (uint32_t)ACCEL_BAR4);
    qtest_writew(q, m->device + PCI_COMMAND,
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    g_assert_cmphex(accel_read(m, ACCEL_ID), ==, 0x32545843);

    qtest_writew(q, flags, PCI_MSIX_FLAGS_ENABLE);
    qtest_writel(q, entry + PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)msi);
    qtest_writel(q, entry + PCI_MSIX_ENTRY_UPPER_ADDR, msi >> 32);
    qtest_writel(q, entry + PCI_MSIX_ENTRY_DATA, ACCEL_IRQ_DATA);
    qtest_writel(q, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 0);
}

uint32_t accel_read(VFIOCXLMachine *m, unsigned int reg)
{
    return qtest_readl(m->qts, ACCEL_BAR0 + reg);
}

void accel_start(VFIOCXLMachine *m, unsigned int op, uint64_t src,
                 uint64_t dst, uint64_t len)
{
    QTestState *q = m->qts;

    qtest_writeq(q, ACCEL_BAR0 + COPY_SRC, src);
    qtest_writeq(q, ACCEL_BAR0 + COPY_DST, dst);
    qtest_writeq(q, ACCEL_BAR0 + COPY_LEN, len);
    qtest_writel(q, ACCEL_BAR0 + COPY_CONTROL,
                 op | ACCEL_VECTOR << 8 | 1 << 16);
    qtest_writel(q, ACCEL_BAR0 + COPY_COMMAND, COPY_START);
}

unsigned int accel_wait(VFIOCXLMachine *m)
{
    int64_t end = g_get_monotonic_time() + TIME_LIMIT_US;
    uint32_t status, error;

    while ((status = accel_read(m, COPY_STATUS)) == STATUS_BUSY) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
    error = accel_read(m, COPY_ERROR);
    g_assert_cmphex(status, ==, error ? STATUS_FAILED : STATUS_DONE);
    return error;
}

unsigned int accel_copy(VFIOCXLMachine *m, unsigned int op, uint64_t src,
                        uint64_t dst, uint64_t len)
{
    accel_start(m, op, src, dst, len);
    return accel_wait(m);
}

void accel_wait_irq(VFIOCXLMachine *m, uint64_t mem)
{
    int64_t end = g_get_monotonic_time() + TIME_LIMIT_US;

    while (qtest_readl(m->qts, mem) != ACCEL_IRQ_DATA) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(POLL_US);
    }
    qtest_writel(m->qts, mem, 0);
}
