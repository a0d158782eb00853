/*
 * The virt machine's SMMUv3 with one page table
 *
 * Arm SMMU architecture specification version 3 (IHI 0070): 5.2 stream
 * table entry, 5.4 context descriptor, 6.3 registers, 4 commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "vfio-cxl-smmu.h"

#define SMMU_BASE 0x09050000ull
#define CR0 (SMMU_BASE + 0x20)
#define CR0ACK (SMMU_BASE + 0x24)
#define STRTAB_BASE (SMMU_BASE + 0x80)
#define STRTAB_BASE_CFG (SMMU_BASE + 0x88)
#define CMDQ_BASE (SMMU_BASE + 0x90)
#define CMDQ_PROD (SMMU_BASE + 0x98)
#define CMDQ_CONS (SMMU_BASE + 0x9c)
#define EVENTQ_BASE (SMMU_BASE + 0xa0)

#define CR0_SMMUEN (1 << 0)
#define CR0_EVENTQEN (1 << 2)
#define CR0_CMDQEN (1 << 3)

/* What stands where in the memory for tables */
#define STREAMS 0               /* 4096 entries of 64 bytes */
#define STREAMS_LOG2 12
#define CONTEXT 0x40000
#define LEVEL1 0x41000          /* 512 entries: 39 address bits */
#define COMMANDS 0x42000
#define EVENTS 0x43000
#define QUEUE_LOG2 7

#define CMD_TLBI_NSNH_ALL 0x30

void smmu_enable(QTestState *q, unsigned int stream, uint64_t mem)
{
    uint64_t ste = mem + STREAMS + stream * 64;
    uint64_t cd = mem + CONTEXT;

    qtest_memset(q, mem, 0, 0x50000);

    /* valid, stage 1 translates, one context */
    qtest_writeq(q, ste, 1 | 5 << 1 | cd);
    /*
     * 39 address bits, 4 KiB granule, no second table, valid, 48 bits out,
     * 64-bit descriptors, faults are recorded and end the access
     */
    qtest_writeq(q, cd, 25 | 1ull << 30 | 1ull << 31 | 5ull << 32 |
                 1ull << 41 | 1ull << 45 | 1ull << 46);
    qtest_writeq(q, cd + 8, mem + LEVEL1);

    qtest_writeq(q, STRTAB_BASE, mem + STREAMS);
    qtest_writel(q, STRTAB_BASE_CFG, STREAMS_LOG2);
    qtest_writeq(q, CMDQ_BASE, (mem + COMMANDS) | QUEUE_LOG2);
    qtest_writeq(q, EVENTQ_BASE, (mem + EVENTS) | QUEUE_LOG2);
    qtest_writel(q, CR0, CR0_CMDQEN);
    qtest_writel(q, CR0, CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN);
    g_assert_cmphex(qtest_readl(q, CR0ACK), ==,
                    CR0_CMDQEN | CR0_EVENTQEN | CR0_SMMUEN);
}

void smmu_map(QTestState *q, uint64_t mem, uint64_t iova, uint64_t pa,
              bool writable)
{
    /* a block, accessed, inner shareable, for all privilege levels */
    qtest_writeq(q, mem + LEVEL1 + iova / SMMU_PAGE * 8,
                 pa | 1 << 10 | 3 << 8 | (writable ? 1 : 3) << 6 | 1);
}

void smmu_unmap(QTestState *q, uint64_t mem, uint64_t iova)
{
    uint32_t prod = qtest_readl(q, CMDQ_PROD);
    uint64_t cmd = mem + COMMANDS + (prod & ((1 << QUEUE_LOG2) - 1)) * 16;

    qtest_writeq(q, mem + LEVEL1 + iova / SMMU_PAGE * 8, 0);
    qtest_writeq(q, cmd, CMD_TLBI_NSNH_ALL);
    qtest_writeq(q, cmd + 8, 0);
    prod = (prod + 1) & ((2 << QUEUE_LOG2) - 1);
    qtest_writel(q, CMDQ_PROD, prod);
    g_assert_cmphex(qtest_readl(q, CMDQ_CONS), ==, prod);
}
