/*
 * The accelerator that the reference device and the emulated one pose as:
 * registers and copies
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

uint8_t *accel_pattern(unsigned int seed, size_t len)
{
    uint8_t *data = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245 + 12345;
        data[i] = seed >> 16;
    }
    return data;
}

void accel_check_mem(VFIOCXLMachine *m, uint64_t addr, const uint8_t *data,
                      size_t len)
{
    g_autofree uint8_t *seen = g_malloc(len);

    qtest_memread(m->qts, addr, seen, len);
    g_assert_cmpmem(seen, len, data, len);
}

void accel_check_round(VFIOCXLMachine *m, uint64_t bus_offset)
{
    g_autofree uint8_t *data = accel_pattern(1, LENGTH);
    uint64_t dpa = HDM_SIZE - LENGTH - 5;

    qtest_memwrite(m->qts, SOURCE + 3, data, LENGTH);
    qtest_memset(m->qts, TARGET, 0, LENGTH + 16);
    g_assert_cmpuint(accel_copy(m, COPY_IN, SOURCE + 3 + bus_offset, dpa,
                                LENGTH), ==, ERROR_NONE);
    accel_wait_irq(m, MSI_AT);
    g_assert_cmpuint(accel_read(m, COPY_DONE), ==, LENGTH);
    accel_check_mem(m, VIRT_WINDOW + dpa, data, LENGTH);

    /* what the guest stores in HDM is what the device reads there */
    for (int i = 0; i < 100; i++) {
        data[i * 1000] ^= 0xff;
        qtest_writeb(m->qts, VIRT_WINDOW + dpa + i * 1000, data[i * 1000]);
    }
    g_assert_cmpuint(accel_copy(m, COPY_OUT, dpa, TARGET + 7 + bus_offset,
                                LENGTH), ==, ERROR_NONE);
    accel_wait_irq(m, MSI_AT);
    accel_check_mem(m, TARGET + 7, data, LENGTH);
    g_assert_cmphex(qtest_readb(m->qts, TARGET + 6), ==, 0);
    g_assert_cmphex(qtest_readb(m->qts, TARGET + 7 + LENGTH), ==, 0);
}

typedef struct {
    unsigned int op;
    uint64_t src;
    uint64_t dst;
    uint64_t len;
    unsigned int error;
} BadCopy;

static const BadCopy bad_copies[] = {
    { COPY_IN, SOURCE, 0, 0, ERROR_LENGTH },
    { COPY_IN, SOURCE, HDM_SIZE, 8, ERROR_HDM_START },
    { COPY_OUT, UINT64_MAX, TARGET, 8, ERROR_HDM_START },
    { COPY_IN, SOURCE, HDM_SIZE - 8, 9, ERROR_HDM_END },
    { COPY_FILL, 0, 1, HDM_SIZE, ERROR_HDM_END },
    { COPY_HDM, 0, 8, UINT64_MAX, ERROR_HDM_END },
    /* below RAM there is none, and behind it neither */
    { COPY_IN, VIRT_RAM - 1, 0, 8, ERROR_DMA },
    { COPY_IN, VIRT_RAM + 128 * MiB - 8, 0, 9, ERROR_DMA },
    { COPY_OUT, 0, UINT64_MAX - 3, 8, ERROR_DMA },
    { COPY_HDM, 0, 4096, 4097, ERROR_OVERLAP },
    { 9, SOURCE, 0, 8, ERROR_OP },
};

void accel_check_bad(VFIOCXLMachine *m)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(bad_copies); i++) {
        const BadCopy *b = &bad_copies[i];

        g_assert_cmpuint(accel_copy(m, b->op, b->src, b->dst, b->len), ==,
                         b->error);
        g_assert_cmpuint(accel_read(m, COPY_DONE), ==, 0);
        accel_wait_irq(m, MSI_AT);
    }
    /* a vector that the device lacks */
    qtest_writel(m->qts, ACCEL_BAR0 + COPY_CONTROL,
                 COPY_FILL | 4 << 8 | 1 << 16);
    qtest_writel(m->qts, ACCEL_BAR0 + COPY_COMMAND, COPY_START);
    g_assert_cmpuint(accel_wait(m), ==, ERROR_VECTOR);
    /* bus mastering off: nothing of guest memory is the device's */
    qtest_writew(m->qts, m->device + PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert_cmpuint(accel_copy(m, COPY_IN, SOURCE, 0, 8), ==, ERROR_DMA);
    qtest_writew(m->qts, m->device + PCI_COMMAND,
                 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}
