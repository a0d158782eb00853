/*
 * Unit tests of the CXL Type-2 device model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "standard-headers/linux/pci_regs.h"
#include "cxl-model.h"
#include "hdm-mem.h"

static CxlModel *make_model(const char *identity, uint64_t size,
                            CxlModelConfig *config)
{
    config->identity = cxl_identity_find(identity);
    config->hdm_size = size;
    config->host_base = CXL_MODEL_HOST_BASE;
    config->mem_fd = hdm_mem_anon("test", size, &error_abort);
    g_assert(cxl_model_check(config, &error_abort));
    return cxl_model_new(config, &error_abort);
}

static void drop_model(CxlModel *m, CxlModelConfig *config)
{
    cxl_model_free(m);
    close(config->mem_fd);
}

static uint32_t cfg32(CxlModel *m, uint32_t off)
{
    uint8_t buf[4];

    g_assert(cxl_model_cfg_read(m, off, buf, 4) == 4);
    return ldl_le_p(buf);
}

static void cfg_put16(CxlModel *m, uint32_t off, uint16_t val)
{
    uint8_t buf[2];

    stw_le_p(buf, val);
    g_assert(cxl_model_cfg_write(m, off, buf, 2) == 2);
}

static uint32_t bar32(CxlModel *m, int bar, uint64_t off)
{
    uint8_t buf[4];

    g_assert(cxl_model_bar_read(m, bar, off, buf, 4) == 4);
    return ldl_le_p(buf);
}

/* Offset of CXL DVSEC @id, 0 if it is missing */
static uint16_t find_dvsec(CxlModel *m, uint16_t id)
{
    for (uint16_t p = 0x100; p; p = cfg32(m, p) >> 20) {
        if ((cfg32(m, p) & 0xffff) == PCI_EXT_CAP_ID_DVSEC &&
            (cfg32(m, p + 4) & 0xffff) == 0x1e98 &&
            (cfg32(m, p + 8) & 0xffff) == id) {
            return p;
        }
    }
    return 0;
}

static void test_check(void)
{
    static const uint64_t bad[] = {
        0, 1, 255 * MiB, 257 * MiB, 1 * TiB + 256 * MiB, UINT64_MAX,
    };
    CxlModelConfig c = { .identity = cxl_identity_find("accel") };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        Error *err = NULL;

        c.hdm_size = bad[i];
        g_assert(!cxl_model_check(&c, &err));
        error_free_or_abort(&err);
    }
    c.hdm_size = 1 * TiB;
    g_assert(cxl_model_check(&c, &error_abort));
    c.host_base = 4096;
    g_assert(!cxl_model_check(&c, NULL));
    c.host_base = 0 - 256 * MiB;
    g_assert(!cxl_model_check(&c, NULL));
}

/* Locator, capability array and reported geometry say the same */
static void test_discovery(const void *identity)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model(identity, 256 * MiB, &c);
    uint16_t loc = find_dvsec(m, 8);
    uint32_t low = cfg32(m, loc + 0x0c);
    uint64_t cm = (low & 0xffff0000) + 0x1000;
    int bar = low & 7;
    unsigned ras = 0, hdm = 0;

    g_assert(find_dvsec(m, 0) != 0);
    g_assert(find_dvsec(m, 7) != 0);
    g_assert(loc != 0);
    g_assert(((low >> 8) & 0xff) == 1);
    g_assert(bar == cxl_model_identity(m)->comp_bar);
    g_assert((bar32(m, bar, cm) & 0xffff) == 1);
    for (unsigned i = 1; i <= bar32(m, bar, cm) >> 24; i++) {
        uint32_t entry = bar32(m, bar, cm + 4 * i);

        ras += (entry & 0xffff) == 2;
        if ((entry & 0xffff) == 5) {
            hdm++;
            g_assert(cm + (entry >> 20) == cxl_model_decoder_offset(m));
        }
    }
    g_assert(ras == 1);
    g_assert(hdm == 1);
    drop_model(m, &c);
}

static void test_dvsec_writes(void)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model("sfc", 256 * MiB, &c);
    uint16_t d = find_dvsec(m, 0);
    uint32_t cap = cfg32(m, d + 8);

    cfg_put16(m, d + 0x0a, 0);
    g_assert(cfg32(m, d + 8) == cap);
    cfg_put16(m, d + 0x0c, 0x0001);
    g_assert((cfg32(m, d + 0x0c) & 0xffff) == 0x0007);
    cfg_put16(m, d + 0x10, 0x0006);
    g_assert(cfg32(m, d + 0x10) == 0x80030000);
    cfg_put16(m, d + 0x20, 0xffff);
    g_assert(cfg32(m, d + 0x20) == CXL_MODEL_HOST_BASE >> 32);

    /* a new user finds none of it */
    g_assert(cxl_model_open(m) == 0);
    g_assert((cfg32(m, d + 0x0c) & 0xffff) == 0x0006);
    g_assert(cfg32(m, d + 0x10) == 0x80000000);
    drop_model(m, &c);
}

static void test_decoder(void)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model("accel", 1 * TiB, &c);
    int bar = cxl_model_identity(m)->comp_bar;
    uint64_t at = cxl_model_decoder_offset(m);
    uint8_t buf[0x40];

    g_assert(cxl_model_decoder_len(m) == 0x30);
    g_assert(cxl_model_decoder_read(m, 0, buf, 4) == -EIO);
    cfg_put16(m, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert(cxl_model_decoder_read(m, 0, buf, 0x40) == 0x30);
    g_assert(ldq_le_p(buf + 0x10) == CXL_MODEL_HOST_BASE);
    g_assert(ldq_le_p(buf + 0x18) == 1 * TiB);
    g_assert(ldl_le_p(buf + 0x20) == 0x600);
    g_assert(cxl_model_decoder_read(m, 2, buf, 4) == -EINVAL);
    g_assert(cxl_model_decoder_read(m, 0, buf, 3) == -EINVAL);
    g_assert(cxl_model_decoder_read(m, 0x30, buf, 4) == -EINVAL);
    memset(buf, 0, sizeof(buf));
    g_assert(cxl_model_decoder_write(m, 0x20, buf, 4) == 4);
    g_assert(cxl_model_bar_write(m, bar, at + 0x20, buf, 4) == 4);
    g_assert(cxl_model_decoder_read(m, 0x20, buf, 4) == 4);
    g_assert(ldl_le_p(buf) == 0x600);
    g_assert(bar32(m, bar, at + 0x10) == 0xffffffff);
    g_assert(bar32(m, bar, at + 0x2c) == 0xffffffff);
    g_assert(bar32(m, bar, at + 0x30) == 0);
    drop_model(m, &c);
}

static void test_memory(void)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model("accel", 512 * MiB, &c);
    char buf[8] = "pattern";

    g_assert(cxl_model_hdm_write(m, 0, buf, 8) == -EIO);
    cfg_put16(m, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert(cxl_model_hdm_write(m, 512 * MiB - 4, buf, 8) == 4);
    g_assert(cxl_model_hdm_write(m, 512 * MiB, buf, 8) == -EINVAL);
    g_assert(cxl_model_hdm_read(m, 512 * MiB - 4, buf + 4, 4) == 4);
    g_assert(memcmp(buf, "pattpatt", 8) == 0);
    g_assert(cxl_model_reset(m) == 0);
    g_assert(cxl_model_hdm_read(m, 512 * MiB - 4, buf, 4) == 4);
    g_assert(memcmp(buf, "\0\0\0\0", 4) == 0);
    drop_model(m, &c);
}

static void test_failed_reset(void)
{
    CxlModelConfig c = { .reset_fails = true };
    CxlModel *m = make_model("sfc", 256 * MiB, &c);
    char buf[4];

    cfg_put16(m, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_assert(cxl_model_hdm_read(m, 0, buf, 4) == 4);
    g_assert(cxl_model_reset(m) == -EIO);
    g_assert(cxl_model_hdm_read(m, 0, buf, 4) == -EIO);
    g_assert(cxl_model_decoder_read(m, 0, buf, 4) == -EIO);
    drop_model(m, &c);
}

static void count_irq(void *opaque, unsigned vector)
{
    ((unsigned *)opaque)[vector]++;
}

static void test_doorbell(void)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model("accel", 256 * MiB, &c);
    unsigned seen[4] = { };
    uint8_t buf[4];

    cxl_model_set_irq(m, count_irq, seen);
    for (unsigned v = 0; v < 6; v++) {
        stl_le_p(buf, v);
        g_assert(cxl_model_bar_write(m, 0, 0x10, buf, 4) == 4);
    }
    /* half a doorbell rings nothing */
    g_assert(cxl_model_bar_write(m, 0, 0x10, buf, 2) == 2);
    for (unsigned v = 0; v < 4; v++) {
        g_assert(seen[v] == 1);
    }
    g_assert(bar32(m, 0, 0x14) == 4);
    drop_model(m, &c);
}

static void bar_put(CxlModel *m, uint64_t off, uint64_t val)
{
    uint8_t buf[8];

    stq_le_p(buf, val);
    g_assert(cxl_model_bar_write(m, 0, off, buf, 8) == 8);
}

/* A copy through the registers of BAR 0; guest memory needs bus mastering */
static void test_copy(void)
{
    CxlModelConfig c = { .capacity_set = true, .capacity = 77 };
    CxlModel *m = make_model("accel", 256 * MiB, &c);
    unsigned seen[4] = { };
    uint64_t val = 0;

    cxl_model_set_irq(m, count_irq, seen);
    g_assert(bar32(m, 0, 0x08) == 77);
    bar_put(m, 0x48, 256 * MiB - 600000);
    bar_put(m, 0x50, 600000);
    bar_put(m, 0x58, 0x0123456789abcdef);
    /* gated, since Memory Space is off */
    bar_put(m, 0x60, 1ULL << 32 | 3 | 1 << 8 | 1 << 16);
    g_assert(bar32(m, 0, 0x6c) == 9);
    cfg_put16(m, PCI_COMMAND, PCI_COMMAND_MEMORY);
    bar_put(m, 0x60, 1ULL << 32 | 3 | 1 << 8 | 1 << 16);
    g_assert(bar32(m, 0, 0x68) == 1);
    g_assert(cxl_model_hdm_read(m, 256 * MiB - 8, &val, 8) == 8);
    g_assert(val == 0);
    while (cxl_model_copy_runnable(m)) {
        cxl_model_copy_run(m);
    }
    g_assert(bar32(m, 0, 0x68) == 2);
    g_assert(bar32(m, 0, 0x70) == 600000);
    g_assert(bar32(m, 0, 0x78) == 2);
    g_assert(seen[1] == 2);
    g_assert(cxl_model_hdm_read(m, 256 * MiB - 8, &val, 8) == 8);
    g_assert(le64_to_cpu(val) == 0x0123456789abcdef);
    g_assert(cxl_model_copy_stats(m)->bytes == 600000);

    /* a user that leaves stops it */
    bar_put(m, 0x60, 1ULL << 32 | 3);
    g_assert(cxl_model_copy_runnable(m));
    cxl_model_close(m);
    g_assert(!cxl_model_copy_runnable(m));
    g_assert(bar32(m, 0, 0x68) == 0);
    /* nobody gave it a way to guest memory */
    bar_put(m, 0x50, 8);
    bar_put(m, 0x60, 1ULL << 32 | 1);
    g_assert(bar32(m, 0, 0x6c) == 4);
    drop_model(m, &c);
}

/* On-board memory: mappable, clipped at its ends, cleared by a reset */
static void test_sram(void)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model("accel", 256 * MiB, &c);
    CxlModelArea areas[CXL_MODEL_MAX_AREAS];
    uint8_t buf[16] = { };
    uint64_t val;
    unsigned n;
    int fd = cxl_model_bar_fd(m, 0, areas, &n);

    g_assert(fd >= 0 && n == 1);
    g_assert(areas[0].offset == 1 * MiB && areas[0].size == 1 * MiB);
    bar_put(m, 2 * MiB - 8, 0x1122334455667788);
    g_assert(pread(fd, &val, 8, 2 * MiB - 8) == 8);
    g_assert(le64_to_cpu(val) == 0x1122334455667788);
    g_assert(cxl_model_bar_write(m, 0, 2 * MiB - 4, buf, 8) == 4);
    g_assert(cxl_model_bar_read(m, 0, 1 * MiB - 4, buf, 8) == 4);
    g_assert(cxl_model_reset(m) == 0);
    g_assert(cxl_model_bar_read(m, 0, 2 * MiB - 8, &val, 8) == 8);
    g_assert(val == 0);
    drop_model(m, &c);
}

/* The driver's first four polls fail, and a request starts this anew */
static void test_sfc_boot(void)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model("sfc", 256 * MiB, &c);
    uint8_t buf[4] = { };

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            g_assert(bar32(m, 0, 0x10) == 0);
        }
        g_assert(bar32(m, 0, 0x10) == 0xb0070001);
        g_assert(bar32(m, 0, 0x10) == 0);
        g_assert(cxl_model_bar_write(m, 0, 0x204, buf, 4) == 4);
    }
    drop_model(m, &c);
}

static void test_bar_sizing(const void *identity)
{
    CxlModelConfig c = { };
    CxlModel *m = make_model(identity, 256 * MiB, &c);
    uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };

    for (int bar = 0; bar < CXL_MODEL_BARS; bar++) {
        uint64_t size = cxl_model_bar_size(m, bar);
        uint32_t reg = PCI_BASE_ADDRESS_0 + 4 * bar;

        if (!size) {
            continue;
        }
        cxl_model_cfg_write(m, reg, ones, 4);
        g_assert((cfg32(m, reg) & ~0xfU) == (uint32_t)-size);
    }
    drop_model(m, &c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-model/check", test_check);
    g_test_add_data_func("/cxl-model/discovery/sfc", "sfc", test_discovery);
    g_test_add_data_func("/cxl-model/discovery/accel", "accel",
                         test_discovery);
    g_test_add_data_func("/cxl-model/bars/sfc", "sfc", test_bar_sizing);
    g_test_add_data_func("/cxl-model/bars/accel", "accel", test_bar_sizing);
    g_test_add_func("/cxl-model/dvsec", test_dvsec_writes);
    g_test_add_func("/cxl-model/decoder", test_decoder);
    g_test_add_func("/cxl-model/memory", test_memory);
    g_test_add_func("/cxl-model/failed-reset", test_failed_reset);
    g_test_add_func("/cxl-model/doorbell", test_doorbell);
    g_test_add_func("/cxl-model/copy", test_copy);
    g_test_add_func("/cxl-model/sram", test_sram);
    g_test_add_func("/cxl-model/sfc-boot", test_sfc_boot);
    return g_test_run();
}
