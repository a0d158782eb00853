/*
 * The emulated CXL Type-2 device: registers, memory, gating, resets
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "hw/pci/pci_regs.h"
#include "cxl-type2-util.h"

/* Decoder control */
enum {
    CTRL_COMMIT = 1 << 9, CTRL_OK = 3 << 9,
    CTRL_REFUSED = 1 << 9 | 1 << 11,
};

/* All ones in every width, and writes leave no trace in the memory */
static void check_gated(Type2Rig *r, uint64_t kept)
{
    g_assert_cmphex(qtest_readq(r->q, VIRT_WINDOW), ==, ONES);
    g_assert_cmphex(qtest_readb(r->q, LAST + 7), ==, 0xff);
    qtest_writeq(r->q, VIRT_WINDOW, 0xdead);
    qtest_writeb(r->q, LAST, 0x55);
    g_assert_cmphex(type2_host_word(r, 0), ==, kept);
    g_assert_cmphex(type2_host_word(r, HDM_SIZE - 8), ==, kept);
}

static void set_memory_space(Type2Rig *r, bool on)
{
    qtest_writew(r->q, r->m->device + PCI_COMMAND,
                 on ? PCI_COMMAND_MEMORY : 0);
}

/* -- what is there -- */

static void test_config(void)
{
    static const struct {
        uint16_t id, length;
    } dvsecs[] = { { 0, 0x3c }, { 5, 0x10 }, { 7, 0x20 }, { 8, 0x14 } };
    Type2Rig r;
    uint64_t d;
    unsigned int pos;

    type2_start(&r, "");
    d = r.m->device;
    g_assert_cmphex(qtest_readl(r.q, d + PCI_VENDOR_ID), ==, 0x00f21b36);
    g_assert_cmphex(qtest_readl(r.q, d + PCI_CLASS_REVISION), ==, 0x12000001);
    for (int i = 0; i < ARRAY_SIZE(dvsecs); i++) {
        pos = vfio_cxl_find_dvsec(r.m, dvsecs[i].id);
        g_assert_cmpuint(pos, !=, 0);
        g_assert_cmphex(qtest_readw(r.q, d + pos + 6) >> 4, ==,
                        dvsecs[i].length);
    }
    pos = vfio_cxl_find_dvsec(r.m, 0);
    /* capability: cache, io, mem, one range, reset within 100 ms */
    g_assert_cmphex(type2_dvsec_word(&r, 0x0a), ==, 0x09df);
    g_assert_cmphex(type2_dvsec_word(&r, 0x0c), ==, 0x0006);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x18), ==, 0);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x1c), ==, HDM_SIZE | 3);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x20), ==, VIRT_WINDOW >> 32);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x24), ==, 0);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x2c), ==, 0);

    /* mem and io stay enabled, ranges and capability stay as they are */
    qtest_writew(r.q, d + pos + 0x0a, 0);
    qtest_writew(r.q, d + pos + 0x0c, 1);
    qtest_writel(r.q, d + pos + 0x20, 0x77);
    g_assert_cmphex(type2_dvsec_word(&r, 0x0a), ==, 0x09df);
    g_assert_cmphex(type2_dvsec_word(&r, 0x0c), ==, 0x0007);
    g_assert_cmphex(qtest_readl(r.q, d + pos + 0x20), ==, VIRT_WINDOW >> 32);

    /* a write-back is complete at once: there is no cache */
    type2_set_ctrl2(&r, CTRL2_FLUSH);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_CTRL2), ==, 0);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_STATUS2), ==,
                    STATUS2_PM | STATUS2_CLEAN);
    type2_stop(&r);
}

static void test_component(void)
{
    Type2Rig r;
    uint64_t cm, ras;

    type2_start(&r, "");
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
    type2_stop(&r);
}

static void test_firmware(void)
{
    Type2Rig r;
    int i;

    type2_start(&r, "");
    type2_check_committed(&r, VIRT_WINDOW);
    type2_fill(&r, PATTERN);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW + HDM_SIZE), ==, 0);
    for (i = HDM_BASE_LO; i < HDM_BASE_LO + HDM_NEXT; i += 4) {
        qtest_writel(r.q, r.m->hdm_block + i, 0);
    }
    type2_check_committed(&r, VIRT_WINDOW);
    type2_check_open(&r, PATTERN);

    /* the decoder moves with its BAR, the memory does not */
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64 + 16 * MiB);
    type2_check_committed(&r, VIRT_WINDOW);
    type2_check_open(&r, PATTERN);
    type2_stop(&r);
}

static void test_offset(void)
{
    Type2Rig r;

    type2_start(&r, ",cxl-hdm-offset=512M");
    type2_check_committed(&r, VIRT_WINDOW + 512 * MiB);
    qtest_writeq(r.q, VIRT_WINDOW + 512 * MiB, PATTERN);
    g_assert_cmphex(type2_host_word(&r, 0), ==, PATTERN);
    type2_stop(&r);
}

/* -- the guest commits -- */

static uint32_t commit_at(Type2Rig *r, uint64_t base, uint64_t size)
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
    return type2_hdm(r, HDM_CTRL);
}

static void test_guest(void)
{
    Type2Rig r;

    type2_start(&r, ",cxl-hdm-commit=guest");
    g_assert_cmphex(type2_hdm(&r, HDM_CTRL), ==, 0);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, 0);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW - HDM_SIZE, HDM_SIZE), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW, 2 * HDM_SIZE), ==,
                    CTRL_REFUSED);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW + HDM_SIZE, HDM_SIZE), ==,
                    CTRL_OK);
    qtest_writeq(r.q, VIRT_WINDOW + HDM_SIZE, PATTERN);
    g_assert_cmphex(type2_host_word(&r, 0), ==, PATTERN);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW, HDM_SIZE), ==, CTRL_OK);
    type2_fill(&r, ~PATTERN);

    /* an FLR leaves the decoder alone, a CXL reset and others do not */
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(type2_hdm(&r, HDM_CTRL), ==, CTRL_OK);
    type2_check_open(&r, ~PATTERN);
    type2_set_ctrl2(&r, CTRL2_RESET);
    qtest_clock_step(r.q, RESET_NS);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(type2_hdm(&r, HDM_CTRL), ==, 0);
    g_assert_cmphex(commit_at(&r, VIRT_WINDOW, HDM_SIZE), ==, CTRL_OK);
    type2_check_open(&r, ~PATTERN);
    qtest_system_reset(r.q);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(type2_hdm(&r, HDM_CTRL), ==, 0);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, 0);
    type2_stop(&r);
}

/* -- gating and resets -- */

static void test_gate(void)
{
    Type2Rig r;

    type2_start(&r, "");
    type2_fill(&r, PATTERN);
    set_memory_space(&r, false);
    check_gated(&r, PATTERN);
    set_memory_space(&r, true);
    type2_check_open(&r, PATTERN);
    qtest_writew(r.q, r.m->device + PM_CSR, 3);
    check_gated(&r, PATTERN);
    /* both at once: each alone keeps it closed */
    set_memory_space(&r, false);
    qtest_writew(r.q, r.m->device + PM_CSR, 0);
    check_gated(&r, PATTERN);
    set_memory_space(&r, true);
    type2_check_open(&r, PATTERN);
    type2_stop(&r);
}

/* What all resets do: registers of the function, and Memory Space off */
static void check_reset(Type2Rig *r)
{
    check_gated(r, PATTERN);
    vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
    accel_setup(r->m, MSI_AT);
    g_assert_cmphex(accel_read(r->m, 0x18), ==, 0);
    g_assert_cmphex(qtest_readl(r->q, ACCEL_SRAM), ==, 0);
    g_assert_cmpuint(accel_read(r->m, COPY_COUNT), ==, 0);
    type2_check_committed(r, VIRT_WINDOW);
    type2_check_open(r, PATTERN);
    /* for the next one */
    qtest_writel(r->q, ACCEL_BAR0 + 0x18, 0x1234);
    qtest_writel(r->q, ACCEL_SRAM, 0x1234);
    g_assert_cmphex(accel_read(r->m, 0x18), ==, 0x1234);
    g_assert_cmpuint(accel_copy(r->m, COPY_FILL, 0, 4096, 8), ==, ERROR_NONE);
    accel_wait_irq(r->m, MSI_AT);
}

static void test_resets(void)
{
    Type2Rig r;

    type2_start(&r, "");
    type2_fill(&r, PATTERN);
    accel_setup(r.m, MSI_AT);
    set_memory_space(&r, false);
    check_reset(&r);
    qtest_writew(r.q, r.m->device + EXP_DEVCTL, 0x8000);
    check_reset(&r);
    vfio_cxl_bus_reset(r.m);
    check_reset(&r);
    qtest_system_reset(r.q);
    check_reset(&r);
    type2_set_ctrl2(&r, CTRL2_RESET);
    qtest_clock_step(r.q, RESET_NS);
    check_reset(&r);
    type2_stop(&r);
}

static void test_cxl_reset(void)
{
    Type2Rig r;

    type2_start(&r, "");
    type2_fill(&r, PATTERN);
    type2_set_ctrl2(&r, CTRL2_RESET);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_CTRL2), ==, 0);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    /* until it is complete, Memory Space alone does not open the gate */
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    check_gated(&r, PATTERN);
    qtest_clock_step(r.q, RESET_NS);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_STATUS2), ==,
                    STATUS2_PM | STATUS2_DONE);
    type2_check_open(&r, PATTERN);
    type2_check_committed(&r, VIRT_WINDOW);

    /* the next one clears the memory, since the guest asks for it */
    type2_set_ctrl2(&r, CTRL2_CLEAR);
    type2_set_ctrl2(&r, CTRL2_CLEAR | CTRL2_RESET);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_CTRL2), ==, CTRL2_CLEAR);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    while (!(type2_dvsec_word(&r, DVSEC_STATUS2) & STATUS2_DONE)) {
        qtest_clock_step(r.q, RESET_NS);
    }
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    type2_check_open(&r, 0);
    qtest_system_reset(r.q);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_CTRL2), ==, 0);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);

    /* one that another reset overtakes is never complete */
    type2_fill(&r, PATTERN);
    type2_set_ctrl2(&r, CTRL2_RESET);
    qtest_system_reset(r.q);
    qtest_clock_step(r.q, RESET_NS);
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(type2_dvsec_word(&r, DVSEC_STATUS2), ==, STATUS2_PM);
    type2_check_open(&r, PATTERN);
    type2_stop(&r);
}

static void check_clear(Type2Rig *r, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += 16 * MiB) {
        qtest_writeq(r->q, VIRT_WINDOW + at, PATTERN);
    }
    type2_set_ctrl2(r, CTRL2_CLEAR);
    type2_set_ctrl2(r, CTRL2_CLEAR | CTRL2_RESET);
    while (!(type2_dvsec_word(r, DVSEC_STATUS2) & STATUS2_DONE)) {
        qtest_clock_step(r->q, RESET_NS);
    }
    vfio_cxl_machine_enumerate(r->m, VIRT_MMIO64);
    for (uint64_t at = 0; at < size; at += 16 * MiB) {
        g_assert_cmphex(qtest_readq(r->q, VIRT_WINDOW + at), ==, 0);
    }
}

/* Memory that is no file */
static void test_clear_anonymous(void)
{
    Type2Rig r;

    type2_start_with(&r, NULL, "-object memory-backend-ram,id=m2,size=256M "
                     "-device cxl-type2,id=hdm0,bus=rp0,memdev=m2");
    check_clear(&r, HDM_SIZE);
    type2_stop(&r);
}

/* More than is given back to the host in one go */
static void test_clear_large(void)
{
    Type2Rig r;

    type2_start_with(&r, NULL, "-object memory-backend-memfd,id=m2,size=2304M "
                     "-device cxl-type2,id=hdm0,bus=rp0,memdev=m2");
    check_clear(&r, 2304 * MiB);
    type2_stop(&r);
}

/* The memory is a private copy of a file, which stays as it is */
static void test_clear_private(void)
{
    static const char text[] = "what was in the file before";
    g_autofree char *name = NULL;
    g_autofree char *now = NULL;
    g_autofree char *options = NULL;
    int fd = g_file_open_tmp("cxl-type2-XXXXXX", &name, NULL);
    Type2Rig r;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, sizeof(text)), ==, sizeof(text));
    g_assert_cmpint(ftruncate(fd, HDM_SIZE), ==, 0);
    close(fd);
    options = g_strdup_printf("-object memory-backend-file,id=m2,size=256M,"
                              "share=off,mem-path=%s "
                              "-device cxl-type2,id=hdm0,bus=rp0,memdev=m2",
                              name);
    type2_start_with(&r, NULL, options);
    check_clear(&r, HDM_SIZE);
    type2_stop(&r);
    g_assert_true(g_file_get_contents(name, &now, NULL, NULL));
    g_assert_cmpstr(now, ==, text);
    g_unlink(name);
}

/*
 * What a processor runs: each time that the word at FLAG becomes other than
 * 0 it calls what is at the start of the HDM, which gives a number, stores
 * that at FLAG + 8 and the word at FLAG + 16, and clears the flag.
 */
#define CODE (VIRT_RAM + 0x80000)
#define FLAG (VIRT_RAM + 0x100000)

static const uint32_t code[] = {
    0xd2c02000,     /* mov   x0, #0x10000000000 */
    0xd2a80203,     /* mov   x3, #0x40100000 */
    0xf9400062,     /* 1: ldr  x2, [x3] */
    0xb4ffffe2,     /* cbz   x2, 1b */
    0xd63f0000,     /* blr   x0 */
    0xf9000461,     /* str   x1, [x3, #8] */
    0xf9000862,     /* str   x2, [x3, #16] */
    0xf900007f,     /* str   xzr, [x3] */
    0x17fffffa,     /* b     1b */
};

static void processor_calls(Type2Rig *r, uint32_t number)
{
    int64_t end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

    qtest_writel(r->q, VIRT_WINDOW, 0xd2800001 | number << 5); /* mov x1, # */
    qtest_writel(r->q, VIRT_WINDOW + 4, 0xd65f03c0);           /* ret */
    qtest_writeq(r->q, FLAG, number);
    while (qtest_readq(r->q, FLAG + 16) != number) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    g_assert_cmphex(qtest_readq(r->q, FLAG + 8), ==, number);
}

/* Of code in memory that was cleared, no translation is left */
static void test_clear_code(void)
{
    g_autofree char *options = g_strdup_printf("-accel tcg -S -device loader,"
        "addr=0x%" PRIx64 ",cpu-num=0 " TYPE2_DEVICE, (uint64_t)CODE);
    Type2Rig r;

    type2_start_with(&r, NULL, options);
    for (int i = 0; i < ARRAY_SIZE(code); i++) {
        qtest_writel(r.q, CODE + i * 4, code[i]);
    }
    qtest_qmp_assert_success(r.q, "{'execute': 'cont'}");
    processor_calls(&r, 1);
    processor_calls(&r, 2);
    type2_set_ctrl2(&r, CTRL2_CLEAR);
    type2_set_ctrl2(&r, CTRL2_CLEAR | CTRL2_RESET);
    while (!(type2_dvsec_word(&r, DVSEC_STATUS2) & STATUS2_DONE)) {
        g_usleep(1000);
    }
    vfio_cxl_machine_enumerate(r.m, VIRT_MMIO64);
    g_assert_cmphex(qtest_readq(r.q, VIRT_WINDOW), ==, 0);
    processor_calls(&r, 3);
    type2_stop(&r);
}

/* -- the other identity -- */

static void test_sfc(void)
{
    uint64_t bar0 = VIRT_MMIO64 + 1 * MiB;
    Type2Rig r;

    type2_start(&r, ",identity=sfc");
    g_assert_cmphex(qtest_readl(r.q, r.m->device + PCI_VENDOR_ID), ==,
                    0x0b031924);
    g_assert_cmphex(qtest_readl(r.q, r.m->device + PCI_CLASS_REVISION), ==,
                    0x02000000);
    g_assert_cmpint(r.m->component_bar, ==, 4);
    g_assert_cmphex(r.m->hdm_block, ==, r.m->component + 0x1128);
    type2_check_committed(&r, VIRT_WINDOW);
    type2_fill(&r, PATTERN);
    /* the boot status shows up at the fifth look, and goes with a write */
    qtest_writel(r.q, r.m->device + PCI_BASE_ADDRESS_0, bar0);
    qtest_writel(r.q, r.m->device + PCI_BASE_ADDRESS_1, bar0 >> 32);
    for (int round = 0; round < 2; round++) {
        g_assert_cmphex(qtest_readl(r.q, bar0 + 0x10), ==, 0);
        qtest_writel(r.q, bar0, 0);
        for (int i = 0; i < 4; i++) {
            g_assert_cmphex(qtest_readl(r.q, bar0 + 0x10), ==, 0);
        }
        g_assert_cmphex(qtest_readl(r.q, bar0 + 0x10), ==, 0xb0070001);
    }
    type2_stop(&r);
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
    qtest_add_func("/cxl-type2/clear-large", test_clear_large);
    qtest_add_func("/cxl-type2/clear-private", test_clear_private);
    qtest_add_func("/cxl-type2/clear-code", test_clear_code);
    qtest_add_func("/cxl-type2/sfc", test_sfc);
    return g_test_run();
}
