/*
 * The emulated CXL Type-2 device
 *
 * Its memory is a file, so that a test can look at it from the host's side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/mman.h>
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "vfio-cxl-accel.h"
#include "vfio-cxl-smmu.h"

#define LAST (VIRT_WINDOW + HDM_SIZE - 8)
#define PATTERN 0x1122334455667788ull
#define ONES UINT64_MAX

/* Configuration space */
#define PM_CSR 0x44
#define EXP_DEVCTL 0x68
#define DVSEC_CTRL2 0x10
#define DVSEC_STATUS2 0x12
enum { CTRL2_FLUSH = 1 << 1, CTRL2_RESET = 1 << 2, CTRL2_CLEAR = 1 << 3 };
enum { STATUS2_CLEAN = 1 << 0, STATUS2_DONE = 1 << 1, STATUS2_PM = 1 << 15 };

/* Decoder control */
enum {
    CTRL_COMMIT = 1 << 9, CTRL_OK = 3 << 9,
    CTRL_REFUSED = 1 << 9 | 1 << 11,
};

/* Longer than a CXL reset takes without clearing much */
#define RESET_NS 20000000

typedef struct {
    char *dir;
    char *file;
    VFIOCXLMachine *m;
    QTestState *q;
} Rig;

static void rig_start_with(Rig *r, const char *machine, const char *device)
{
    g_autofree char *options = NULL;
    g_autofree char *args = NULL;

    r->dir = g_dir_make_tmp("cxl-type2-XXXXXX", NULL);
    g_assert_nonnull(r->dir);
    r->file = g_build_filename(r->dir, "hdm", NULL);
    options = g_strdup_printf("-object memory-backend-file,id=mem,size=256M,"
                              "share=on,mem-path=%s %s", r->file, device);
    args = vfio_cxl_args(NULL, machine, options, NULL);
    r->m = vfio_cxl_machine_start(args);
    r->q = r->m->qts;
}

#define DEVICE "-device cxl-type2,id=hdm0,bus=rp0,memdev=mem"

static void rig_start(Rig *r, const char *members)
{
    g_autofree char *device = g_strdup_printf(DEVICE "%s", members);

    rig_start_with(r, NULL, device);
}

static void rig_stop(Rig *r)
{
    vfio_cxl_machine_stop(r->m);
    g_unlink(r->file);
    g_assert_cmpint(g_rmdir(r->dir), ==, 0);
    g_free(r->dir);
    g_free(r->file);
}

static uint64_t host_word(Rig *r, uint64_t offset)
{
    int fd = open(r->file, O_RDONLY);
    uint64_t value;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, &value, sizeof(value), offset), ==,
                    sizeof(value));
    close(fd);
    return value;
}

static void check_open(Rig *r, uint64_t value)
{
    g_assert_cmphex(qtest_readq(r->q, VIRT_WINDOW), ==, value);
    g_assert_cmphex(qtest_readq(r->q, LAST), ==, value);
    g_assert_cmphex(host_word(r, 0), ==, value);
    g_assert_cmphex(host_word(r, HDM_SIZE - 8), ==, value);
}

/* All ones in every width, and writes leave no trace in the memory */
static void check_gated(Rig *r, uint64_t kept)
{
    g_assert_cmphex(qtest_readq(r->q, VIRT_WINDOW), ==, ONES);
    g_assert_cmphex(qtest_readb(r->q, LAST + 7), ==, 0xff);
    qtest_writeq(r->q, VIRT_WINDOW, 0xdead);
    qtest_writeb(r->q, LAST, 0x55);
    g_assert_cmphex(host_word(r, 0), ==, kept);
    g_assert_cmphex(host_word(r, HDM_SIZE - 8), ==, kept);
}

static void fill(Rig *r, uint64_t value)
{
    qtest_writeq(r->q, VIRT_WINDOW, value);
    qtest_writeq(r->q, LAST, value);
    check_open(r, value);
}

static uint32_t hdm(Rig *r, unsigned int reg)
{
    return qtest_readl(r->q, r->m->hdm_block + reg);
}

static void check_committed(Rig *r, uint64_t base)
{
    g_assert_cmphex(hdm(r, HDM_CAP), ==, 0x300);
    g_assert_cmphex(hdm(r, HDM_GLOBAL), ==, 2);
    g_assert_cmphex(hdm(r, HDM_CTRL), ==, HDM_CTRL_LOCKED);
    g_assert_cmphex(hdm(r, HDM_BASE_HI), ==, base >> 32);
    g_assert_cmphex(hdm(r, HDM_BASE_LO), ==, (uint32_t)base);
    g_assert_cmphex(hdm(r, HDM_SIZE_LO), ==, HDM_SIZE);
    g_assert_cmphex(hdm(r, HDM_SIZE_HI), ==, 0);
}

static void set_memory_space(Rig *r, bool on)
{
    qtest_writew(r->q, r->m->device + PCI_COMMAND,
                 on ? PCI_COMMAND_MEMORY : 0);
}

static uint16_t dvsec_word(Rig *r, unsigned int reg)
{
    return qtest_readw(r->q, r->m->device + vfio_cxl_find_dvsec(r->m, 0) +
                       reg);
}

static void set_ctrl2(Rig *r, uint16_t value)
{
    qtest_writew(r->q, r->m->device + vfio_cxl_find_dvsec(r->m, 0) +
                 DVSEC_CTRL2, value);
}

/* -- what is there -- */

static void test_config(void)
{
    static const struct {
        uint16_t id, length;
    } dvsecs[] = { { 0, 0x3c }, { 5, 0x10 }, { 7, 0x20 }, { 8, 0x14 } };
    Rig r;
    uint64_t d;
    unsigned int pos;

    rig_start(&r, "");
    d = r.m->device;
    g_assert_cmphex(qtest_readl(r.q, d + PCI_VENDOR_ID), ==, 0x10fe1af4);
    g_assert_cmphex(qtest_readl(r.q, d + PCI_CLASS_REVISION), ==, 0x12000001);
    for (int i = 0; i < ARRAY_SIZE(dvsecs); i++) {
        pos = vfio_cxl_find_dvsec(r.m, dvsecs[i].id);
        g_assert_cmpuint(pos, !=, 0);
        g_assert_cmphex(qtest_readw(r.q, d + pos + 6) >> 4, ==,
                        dvsecs[i].length);
    }
    pos = vfio_cxl_find_dvsec(r.m, 0);
    /* capability: cache, io, mem, one range, reset within 100 ms */
    g_assert_cmphex(dvsec_word(&r, 0x0a), ==, 0x09df);
    g_assert_cmphex(dvsec_word(&r, 0x0c), ==, 0x0006);
    g_assert_cmphex(dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x18), ==, 0);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x1c), ==, HDM_SIZE | 3);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x20), ==, VIRT_WINDOW >> 32);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x24), ==, 0);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x2c), ==, 0);

    /* mem and io stay enabled, ranges and capability stay as they are */
    qtest_writew(r.q, d + pos + 0x0a, 0);
    qtest_writew(r.q, d + pos + 0x0c, 1);
    qtest_writel(r.q, d + pos + 0x20, 0x77);
    g_assert_cmphex(dvsec_word(&r, 0x0a), ==, 0x09df);
    g_assert_cmphex(dvsec_word(&r, 0x0c), ==, 0x0007);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x20), ==, VIRT_WINDOW >> 32);

    /* a write-back is complete at once: there is no cache */
    set_ctrl2(&r, CTRL2_FLUSH);
    g_assert_cmphex(dvsec_word(&r, DVSEC_CTRL2), ==, 0);
    g_assert_cmphex(dvsec_word(&r, DVSEC_STATUS2), ==,
                    STATUS2_PM | STATUS2_CLEAN);
    rig_stop(&r);
}

static void test_component(void)
{
    Rig r;
    uint64_t cm, ras;

    rig_start(&r, "");
    cm = r.m->component + 0x1000;
    ras = cm + 0x400;
    g_assert_cmphex(qtest_readl(r.q, cm), ==, 0x02110001);
    g_assert_cmphex(qtest_readl(r.q, cm + 4), ==, 0x20010005);
    g_assert_cmphex(qtest_readl(r.q, cm + 8), ==, 0x40010002);
    g_assert_cmphex(qtest_readl(r.q, ras + 4), ==, 0x1cfff);
    qtest_writel(r.q, ras + 4, 0);
    g_assert_cmphex(qtest_readl(r.q, ras + 4), ==, 0);
    qtest_writel(r.q, cm, 0);
    g_assert_cmphex(qtest_readl(r.q, cm), ==, 0x02110001);
    /* no register: reads 0, and no error of the bus */
    qtest_writel(r.q, r.m->component, UINT32_MAX);
    g_assert_cmphex(qtest_readl(r.q, r.m->component), ==, 0);

    /* a partial read is not permitted, CXL r3.1 section 8.2.2 */
    g_assert_cmphex(qtest_readw(r.q, r.m->hdm_block), ==, 0xffff);
    g_assert_cmphex(qtest_readq(r.q, r.m->hdm_block), ==, ONES);

    vfio_cxl_bus_reset(r.m);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(qtest_readl(r.q, ras + 4), ==, 0x1cfff);
    rig_stop(&r);
}

static void test_firmware(void)
{
    Rig r;
    int i;

    rig_start(&r, "");
    check_committed(&r, VIRT_WINDOW);
    fill(&r, PATTERN);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW + HDM_SIZE), ==, 0);
    for (i = HDM_BASE_LO; i < HDM_BASE_LO + HDM_NEXT; i += 4) {
        qtest_writel(r.q, r.m->hdm_block + i, 0);
    }
    check_committed(&r, VIRT_WINDOW);
    check_open(&r, PATTERN);

    /* the decoder moves with its BAR, the memory does not */
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64 + 16 * MiB);
    check_committed(&r, VIRT_WINDOW);
    check_open(&r, PATTERN);
    rig_stop(&r);
}

static void test_offset(void)
{
    Rig r;

    rig_start(&r, ",cxl-hdm-offset=512M");
    check_committed(&r, VIRT_WINDOW + 512 * MiB);
    qtest_writeq(r.q, VIRT_WINDOW + 512 * MiB, PATTERN);
    g_assert_cmphex(host_word(&r, 0), ==, PATTERN);
    rig_stop(&r);
}

/* -- the guest commits -- */

static uint32_t commit_at(Rig *r, uint64_t base, uint64_t size)
{
    uint64_t d = r->m->hdm_block;
    const struct {
        unsigned int reg;
        uint32_t value;
    } writes[] = {
        { HDM_CTRL, 0 }, { HDM_BASE_LO, base }, { HDM_BASE_HI, base >> 32 },
        { HDM_SIZE_LO, size }, { HDM_SIZE_HI, size >> 32 },
        { HDM_GLOBAL, 2 }, { HDM_CTRL, CTRL_COMMIT },
    };

    for (int i = 0; i < ARRAY_SIZE(writes); i++) {
        qtest_writel(r->q, d + writes[i].reg, writes[i].value);
    }
    return hdm(r, HDM_CTRL);
}

static void test_guest(void)
{
    Rig r;

    rig_start(&r, ",cxl-hdm-commit=guest");
    g_assert_cmphex(hdm(&r, HDM_CTRL), ==, 0);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, 0);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW - HDM_SIZE, HDM_SIZE), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW, 2 * HDM_SIZE), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW + HDM_SIZE, HDM_SIZE), ==,
                    CTRL_OK);
    qtest_writeq(r.q, VIRT_WINDOW + HDM_SIZE, PATTERN);
    g_assert_cmphex(host_word(&r, 0), ==, PATTERN);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW, HDM_SIZE), ==, CTRL_OK);
    fill(&r, ~PATTERN);

    /* an FLR leaves the decoder alone, a CXL reset and others do not */
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(hdm(&r, HDM_CTRL), ==, CTRL_OK);
    check_open(&r, ~PATTERN);
    set_ctrl2(&r, CTRL2_RESET);
    qtest_clock_step(r.q, RESET_NS);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(hdm(&r, HDM_CTRL), ==, 0);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW, HDM_SIZE), ==, CTRL_OK);
    check_open(&r, ~PATTERN);
    qtest_system_reset(r.q);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(hdm(&r, HDM_CTRL), ==, 0);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, 0);
    rig_stop(&r);
}

/* -- gating and resets -- */

static void test_gate(void)
{
    Rig r;

    rig_start(&r, "");
    fill(&r, PATTERN);
    set_memory_space(&r, false);
    check_gated(&r, PATTERN);
    set_memory_space(&r, true);
    check_open(&r, PATTERN);
    qtest_writew(r.q, r.m->device + PM_CSR, 3);
    check_gated(&r, PATTERN);
    /* both at once: each alone keeps it closed */
    set_memory_space(&r, false);
    qtest_writew(r.q, r.m->device + PM_CSR, 0);
    check_gated(&r, PATTERN);
    set_memory_space(&r, true);
    check_open(&r, PATTERN);
    rig_stop(&r);
}

/* What all resets do: registers of the function, and Memory Space off */
static void check_reset(Rig *r)
{
    check_gated(r, PATTERN);
    vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
    accel_setup(r->m, MSI_AT);
    g_assert_cmphex(accel_read(r->m, 0x18), ==, 0);
    g_assert_cmphex(qtest_readl(r->q, ACCEL_SRAM), ==, 0);
    g_assert_cmpuint(accel_read(r->m, COPY_COUNT), ==, 0);
    check_committed(r, VIRT_WINDOW);
    check_open(r, PATTERN);
    /* for the next one */
    qtest_writel(r->q, ACCEL_BAR0 + 0x18, 0x1234);
    qtest_writel(r->q, ACCEL_SRAM, 0x1234);
    g_assert_cmphex(accel_read(r->m, 0x18), ==, 0x1234);
    g_assert_cmpuint(accel_copy(r->m, COPY_FILL, 0, 4096, 8), ==, ERROR_NONE);
    accel_wait_irq(r->m, MSI_AT);
}

static void test_resets(void)
{
    Rig r;

    rig_start(&r, "");
    fill(&r, PATTERN);
    accel_setup(r.m, MSI_AT);
    set_memory_space(&r, false);
    check_reset(&r);
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    check_reset(&r);
    vfio_cxl_bus_reset(r.m);
    check_reset(&r);
    qtest_system_reset(r.q);
    check_reset(&r);
    set_ctrl2(&r, CTRL2_RESET);
    qtest_clock_step(r.q, RESET_NS);
    check_reset(&r);
    rig_stop(&r);
}

static void test_cxl_reset(void)
{
    Rig r;

    rig_start(&r, "");
    fill(&r, PATTERN);
    set_ctrl2(&r, CTRL2_RESET);
    g_assert_cmphex(dvsec_word(&r, DVSEC_CTRL2), ==, 0);
    g_assert_cmphex(dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    /* until it is complete, Memory Space alone does not open the gate */
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    check_gated(&r, PATTERN);
    qtest_clock_step(r.q, RESET_NS);
    g_assert_cmphex(dvsec_word(&r, DVSEC_STATUS2), ==,
                    STATUS2_PM | STATUS2_DONE);
    check_open(&r, PATTERN);
    check_committed(&r, VIRT_WINDOW);

    /* the next one clears the memory, since the guest asks for it */
    set_ctrl2(&r, CTRL2_CLEAR);
    set_ctrl2(&r, CTRL2_CLEAR | CTRL2_RESET);
    g_assert_cmphex(dvsec_word(&r, DVSEC_CTRL2), ==, CTRL2_CLEAR);
    g_assert_cmphex(dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    while (!(dvsec_word(&r, DVSEC_STATUS2) & STATUS2_DONE)) {
        qtest_clock_step(r.q, RESET_NS);
    }
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    check_open(&r, 0);

    /* one that another reset overtakes is never complete */
    fill(&r, PATTERN);
    set_ctrl2(&r, CTRL2_RESET);
    qtest_system_reset(r.q);
    qtest_clock_step(r.q, RESET_NS);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    check_open(&r, PATTERN);
    rig_stop(&r);
}

/* Memory that is no file */
static void test_clear_anonymous(void)
{
    Rig r;

    rig_start_with(&r, NULL, "-object memory-backend-ram,id=m2,size=256M "
                   "-device cxl-type2,id=hdm0,bus=rp0,memdev=m2");
    for (uint64_t at = 0; at < HDM_SIZE; at += 16 * MiB) {
        qtest_writeq(r.q, VIRT_WINDOW + at, PATTERN);
    }
    set_ctrl2(&r, CTRL2_CLEAR);
    set_ctrl2(&r, CTRL2_CLEAR | CTRL2_RESET);
    qtest_clock_step(r.q, RESET_NS);
    while (!(dvsec_word(&r, DVSEC_STATUS2) & STATUS2_DONE)) {
        qtest_clock_step(r.q, RESET_NS);
    }
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    for (uint64_t at = 0; at < HDM_SIZE; at += 16 * MiB) {
        g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW + at), ==, 0);
    }
    rig_stop(&r);
}

/* -- the accelerator -- */

static void accel_start_rig(Rig *r, const char *machine)
{
    rig_start_with(r, machine, DEVICE);
    accel_setup(r->m, MSI_AT);
}

static void test_copy(void)
{
    Rig r;

    accel_start_rig(&r, NULL);
    accel_check_round(r.m, 0);
    g_assert_cmpuint(accel_copy(r.m, COPY_FILL, 0, 64, 8), ==, ERROR_NONE);
    accel_wait_irq(r.m, MSI_AT);
    g_assert_cmpuint(accel_copy(r.m, COPY_HDM, 0, 1 * MiB, 999999), ==,
                     ERROR_NONE);
    rig_stop(&r);
}

static void test_bad(void)
{
    Rig r;

    accel_start_rig(&r, NULL);
    accel_check_bad(r.m);
    /* its own registers are no memory */
    g_assert_cmpuint(accel_copy(r.m, COPY_OUT, 0, ACCEL_BAR0, 8), ==,
                     ERROR_DMA);
    accel_wait_irq(r.m, MSI_AT);
    /* outside of D0 its registers are not there; so close the gate else */
    set_ctrl2(&r, CTRL2_RESET);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    accel_setup(r.m, MSI_AT);
    g_assert_cmpuint(accel_copy(r.m, COPY_FILL, 0, 0, 8), ==, ERROR_GATED);
    accel_wait_irq(r.m, MSI_AT);
    qtest_clock_step(r.q, RESET_NS);
    g_assert_cmpuint(accel_copy(r.m, COPY_FILL, 0, 0, 8), ==, ERROR_NONE);
    accel_wait_irq(r.m, MSI_AT);
    accel_check_round(r.m, 0);
    rig_stop(&r);
}

/* The BAR's memory and the HDM in the window are memory like any other */
static void test_peer(void)
{
    g_autofree uint8_t *bytes = accel_pattern(2, 300000);
    Rig r;

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
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, VIRT_WINDOW + 4095, 4096, 2),
                     ==, ERROR_OVERLAP);
    rig_stop(&r);
}

#define IOVA_RAM (7 * SMMU_PAGE)
#define IOVA_READ_ONLY (9 * SMMU_PAGE)

static void test_smmu(void)
{
    const uint64_t offset = IOVA_RAM - VIRT_RAM;
    const uint64_t read_only = IOVA_READ_ONLY - VIRT_RAM;
    Rig r;

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
    g_assert_cmphex(host_word(&r, 0) & UINT32_MAX, ==, 0x11111111);
    g_assert_cmpuint(accel_copy(r.m, COPY_OUT, 8, SOURCE + read_only, 4), ==,
                     ERROR_DMA);
    accel_wait_irq(r.m, MSI_AT);
    g_assert_cmphex(qtest_readl(r.q, SOURCE), ==, 0x11111111);
    smmu_unmap(r.q, TABLES, IOVA_READ_ONLY);
    g_assert_cmpuint(accel_copy(r.m, COPY_IN, SOURCE + read_only, 0, 4), ==,
                     ERROR_DMA);
    accel_wait_irq(r.m, MSI_AT);
    accel_check_round(r.m, offset);
    rig_stop(&r);
}

/* The size has to keep the engine busy while a test looks */
static void test_abort(void)
{
    Rig r;
    uint64_t done;

    rig_start_with(&r, "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=16G",
                   "-object memory-backend-ram,id=m2,size=16G,reserve=off "
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
    rig_stop(&r);
}

/* While the VM is stopped the device leaves memory alone */
static void test_stopped(void)
{
    Rig r;

    accel_start_rig(&r, NULL);
    qtest_qmp_assert_success(r.q, "{'execute': 'stop'}");
    accel_start(r.m, COPY_FILL, 0, 0, 8);
    g_usleep(50000);
    g_assert_cmphex(accel_read(r.m, COPY_STATUS), ==, STATUS_BUSY);
    qtest_qmp_assert_success(r.q, "{'execute': 'cont'}");
    g_assert_cmpuint(accel_wait(r.m), ==, ERROR_NONE);
    rig_stop(&r);
}

static void test_msix(void)
{
    Rig r;
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
    rig_stop(&r);
}

/* -- identity, life -- */

static void test_sfc(void)
{
    uint64_t bar0 = VIRT_MMIO64 + 1 * MiB;
    Rig r;

    rig_start(&r, ",identity=sfc");
    g_assert_cmphex(qtest_readl(r.q, r.m->device + PCI_VENDOR_ID), ==,
                    0x0b031924);
    g_assert_cmphex(qtest_readl(r.q, r.m->device + PCI_CLASS_REVISION), ==,
                    0x02000000);
    g_assert_cmpint(r.m->component_bar, ==, 4);
    g_assert_cmphex(r.m->hdm_block, ==, r.m->component + 0x1128);
    check_committed(&r, VIRT_WINDOW);
    fill(&r, PATTERN);
    /* the boot status shows up at the fifth look, and goes with a write */
    qtest_writel(r.q, r.m->device + PCI_BASE_ADDRESS_0, bar0);
    qtest_writel(r.q, r.m->device + PCI_BASE_ADDRESS_1, bar0 >> 32);
    for (int round = 0; round < 2; round++) {
        qtest_writel(r.q, bar0, 0);
        for (int i = 0; i < 4; i++) {
            g_assert_cmphex(qtest_readl(r.q, bar0 + 0x10), ==, 0);
        }
        g_assert_cmphex(qtest_readl(r.q, bar0 + 0x10), ==, 0xb0070001);
    }
    rig_stop(&r);
}

static void hotplug(Rig *r)
{
    qtest_qmp_assert_success(r->q,
        "{'execute': 'device_add', 'arguments': {'driver': 'cxl-type2',"
        " 'id': 'hdm0', 'bus': 'rp0', 'memdev': 'mem'}}");
    vfio_cxl_power_slot(r->m, true);
    vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
}

static void test_hotplug(void)
{
    Rig r;
    QDict *reply;

    rig_start_with(&r, NULL, "-object memory-backend-ram,id=odd,size=100M");
    for (int i = 0; i < 3; i++) {
        reply = qtest_qmp(r.q, "{'execute': 'device_add', 'arguments': {"
                          "'driver': 'cxl-type2', 'bus': 'rp0', 'memdev': "
                          "'odd'}}");
        qmp_expect_error_and_unref(reply, "GenericError");
        hotplug(&r);
        check_committed(&r, VIRT_WINDOW);
        fill(&r, PATTERN + i);
        accel_setup(r.m, MSI_AT);
        accel_check_round(r.m, 0);
        qtest_qmp_assert_success(r.q, "{'execute': 'device_del',"
                                 "'arguments': {'id': 'hdm0'}}");
        vfio_cxl_power_slot(r.m, false);
        qtest_qmp_eventwait(r.q, "DEVICE_DELETED");
        g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, 0);
        g_assert_cmphex(host_word(&r, 0), ==, PATTERN + i);
    }
    rig_stop(&r);
}

static void test_fixed(void)
{
    static const char *const values[] = {
        "'identity', 'value': 'sfc'", "'cxl-hdm-commit', 'value': 'guest'",
        "'cxl-hdm-offset', 'value': 0",
        "'memdev', 'value': '/objects/mem'",
    };
    Rig r;
    QDict *reply;

    rig_start(&r, "");
    for (int i = 0; i < ARRAY_SIZE(values); i++) {
        g_autofree char *set = g_strdup_printf(
            "{'execute': 'qom-set', 'arguments': {'path': "
            "'/machine/peripheral/hdm0', 'property': %s}}", values[i]);

        reply = qtest_qmp(r.q, set, NULL);
        qmp_expect_error_and_unref(reply, "GenericError");
    }
    /* nor can the machine be saved */
    reply = qtest_qmp(r.q, "{'execute': 'migrate', 'arguments': {'uri': "
                      "'exec:cat>/dev/null'}}");
    qmp_expect_error_and_unref(reply, "GenericError");
    check_committed(&r, VIRT_WINDOW);
    rig_stop(&r);
}

/* -- what must not work -- */

typedef struct {
    const char *name;
    const char *machine;    /* CXL properties, NULL for the usual window */
    const char *memory;     /* options before the device */
    const char *device;     /* its own, after bus and ID */
    const char *expect[3];
} Case;

#define MEM(size) "-object memory-backend-ram,id=mem,size=" size

static const Case cases[] = {
    { "no-memdev", NULL, "", "bus=rp0",
      { "no memory", "memdev=ID", "memory-backend-ram" } },
    { "size-unaligned", NULL, MEM("100M"), "bus=rp0,memdev=mem",
      { "'mem'", "0x6400000 (100 MiB)", "256 MiB" } },
    { "size-not-sfc", NULL, MEM("512M"), "bus=rp0,memdev=mem,identity=sfc",
      { "512 MiB", "256 MiB only", "identity=accel" } },
    { "memory-in-use", NULL, "", "bus=rp0,memdev=ram",
      { "'ram'", "in use", "one of its own" } },
    { "identity-unknown", NULL, MEM("256M"), "bus=rp0,memdev=mem,identity=x",
      { "'x'", NULL, NULL } },
    { "commit-unknown", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,cxl-hdm-commit=x", { "'x'", NULL, NULL } },
    { "no-window", "cxl=on", MEM("256M"), "bus=rp0,memdev=mem",
      { "none of 0", "256 MiB", "cxl-fmw.0.size=256M" } },
    { "window-too-small", NULL, MEM("5G,reserve=off"), "bus=rp0,memdev=mem",
      { "window 0 (size 4 GiB)", "5 GiB", "cxl-fmw.0.size=5120M" } },
    { "window-shared",
      "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.targets.1=cxl.2,"
      "cxl-fmw.0.size=4G",
      MEM("256M") " -device pxb-cxl,bus_nr=40,bus=pcie.0,id=cxl.2",
      "bus=rp0,memdev=mem", { "window 0 has 2", "window with 1", "cxl.1" } },
    { "machine-without-cxl",
      "cxl=off,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G", MEM("256M"),
      "bus=rp0,memdev=mem", { "cxl=off", "add -machine cxl=on", NULL } },
    { "on-root-bus", NULL, MEM("256M"), "bus=pcie.0,memdev=mem",
      { "'pcie.0'", "cxl-rp", "pxb-cxl" } },
    { "multifunction", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,multifunction=on",
      { "00.0", "multifunction=on", "only" } },
    { "offset-unaligned", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,cxl-hdm-offset=1M",
      { "cxl-hdm-offset=0x100000", "multiple of 256 MiB", "use 0x0" } },
    { "offset-with-guest", NULL, MEM("256M"),
      "bus=rp0,memdev=mem,cxl-hdm-offset=0,cxl-hdm-commit=guest",
      { "cxl-hdm-offset=0x0", "cxl-hdm-commit=guest", "leave one" } },
};

static void test_error(const void *data)
{
    const Case *c = data;
    g_autofree char *options = g_strdup_printf(
        "%s -device cxl-type2,id=hdm0,%s", c->memory, c->device);
    g_autofree char *args = vfio_cxl_args(NULL, c->machine, options, NULL);
    VFIOCXLRun run;

    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, "hdm0", c->expect);
    /* what only passthrough has is no remedy here */
    g_assert_null(strstr(run.err, "set cxl=off"));
    g_free(run.err);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-type2/config", test_config);
    qtest_add_func("/cxl-type2/component", test_component);
    qtest_add_func("/cxl-type2/firmware", test_firmware);
    qtest_add_func("/cxl-type2/offset", test_offset);
    qtest_add_func("/cxl-type2/guest", test_guest);
    qtest_add_func("/cxl-type2/gate", test_gate);
    qtest_add_func("/cxl-type2/resets", test_resets);
    qtest_add_func("/cxl-type2/cxl-reset", test_cxl_reset);
    qtest_add_func("/cxl-type2/clear-anonymous", test_clear_anonymous);
    qtest_add_func("/cxl-type2/copy", test_copy);
    qtest_add_func("/cxl-type2/bad", test_bad);
    qtest_add_func("/cxl-type2/peer", test_peer);
    qtest_add_func("/cxl-type2/smmu", test_smmu);
    qtest_add_func("/cxl-type2/abort", test_abort);
    qtest_add_func("/cxl-type2/stopped", test_stopped);
    qtest_add_func("/cxl-type2/msix", test_msix);
    qtest_add_func("/cxl-type2/sfc", test_sfc);
    qtest_add_func("/cxl-type2/hotplug", test_hotplug);
    qtest_add_func("/cxl-type2/fixed", test_fixed);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-type2/error/%s",
                                                cases[i].name);

        qtest_add_data_func(path, &cases[i], test_error);
    }
    return g_test_run();
}
