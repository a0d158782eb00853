/*
 * Unit tests of the registers that the device model shows
 *
 * Each table holds every register that is not 0, as it is at power-on and
 * after all ones were written to it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "standard-headers/linux/pci_regs.h"
#include "cxl-model-int.h"
#include "hdm-mem.h"

typedef struct Reg {
    uint32_t off;
    uint32_t value;
    uint32_t ones;
} Reg;

/* What the identities have in common */
static const Reg common[] = {
    { 0x004, 0x00100000, 0x00100546 }, /* command, status */
    { 0x00c, 0x00000000, 0x000000ff }, /* cache line size */
    { 0x034, 0x00000040, 0x00000040 }, /* first capability */
    { 0x03c, 0x00000000, 0x000000ff }, /* interrupt line */
    { 0x040, 0x00035001, 0x00035001 }, /* power management */
    { 0x044, 0x00000008, 0x0000000b },
    { 0x060, 0x00020010, 0x00020010 }, /* PCI Express */
    { 0x064, 0x10008021, 0x10008021 },
    { 0x068, 0x00002810, 0x00007fff },
    { 0x06c, 0x00000085, 0x00000085 },
    { 0x070, 0x00850000, 0x008501c8 },
    { 0x088, 0x00000000, 0x0000001f },
    { 0x08c, 0x0000003e, 0x0000003e },
    { 0x090, 0x001e0005, 0x001e000f },
    { 0x100, 0x15020001, 0x15020001 }, /* error reporting */
    { 0x108, 0x00000000, 0x01fff030 },
    { 0x10c, 0x00462030, 0x01fff030 },
    { 0x114, 0x00006000, 0x0000f1c1 },
    { 0x150, 0x16010003, 0x16010003 }, /* serial number */
    { 0x154, 0x00000001, 0x00000001 },
    { 0x158, 0x0200c500, 0x0200c500 },
    { 0x160, 0x1a010023, 0x1a010023 }, /* DVSEC 0: device */
    { 0x164, 0x03c31e98, 0x03c31e98 },
    { 0x168, 0x09df0000, 0x09df0000 },
    { 0x16c, 0x00000006, 0x00005fff },
    { 0x170, 0x80000000, 0x80030039 },
    { 0x174, 0x01020000, 0x01020000 },
    { 0x17c, 0x10000003, 0x10000003 },
    { 0x180, 0x0000004a, 0x0000004a },
    { 0x184, 0xc0000000, 0xc0000000 },
    { 0x1a0, 0x1c010023, 0x1c010023 }, /* DVSEC 7: Flex Bus port */
    { 0x1a4, 0x02021e98, 0x02021e98 },
    { 0x1a8, 0x00270007, 0x00270007 },
    { 0x1ac, 0x00270027, 0x00270027 },
    { 0x1c0, 0x1e010023, 0x1e010023 }, /* DVSEC 8: register locator */
    { 0x1c4, 0x01401e98, 0x01401e98 },
    { 0x1c8, 0x00000008, 0x00000008 },
    { 0x1e0, 0x1f010023, 0x1f010023 }, /* DVSEC 5: GPF */
    { 0x1e4, 0x01001e98, 0x01001e98 },
    { 0x1e8, 0x00000005, 0x00000005 },
    { 0x1f0, 0x21010019, 0x21010019 }, /* secondary PCI Express */
    { 0x210, 0x22010025, 0x22010025 }, /* data link feature */
    { 0x214, 0x80000001, 0x80000001 },
    { 0x218, 0x80000001, 0x80000001 },
    { 0x220, 0x25010026, 0x25010026 }, /* 16 GT/s */
    { 0x22c, 0x0000000f, 0x0000000f },
    { 0x250, 0x28010027, 0x28010027 }, /* lane margining */
    { 0x254, 0x00010000, 0x00010000 },
    { 0x258, 0x00009c38, 0x00009c38 },
    { 0x25c, 0x00009c38, 0x00009c38 },
    { 0x260, 0x00009c38, 0x00009c38 },
    { 0x264, 0x00009c38, 0x00009c38 },
    { 0x268, 0x00009c38, 0x00009c38 },
    { 0x26c, 0x00009c38, 0x00009c38 },
    { 0x270, 0x00009c38, 0x00009c38 },
    { 0x274, 0x00009c38, 0x00009c38 },
    { 0x280, 0x0001002a, 0x0001002a }, /* 32 GT/s */
    { 0x284, 0x00000500, 0x00000500 },
    { 0x28c, 0x0000002f, 0x0000002f },
    { 0x290, 0x1e980002, 0x1e980002 },
    { 0x298, 0x1e980002, 0x1e980002 },
};

static const Reg sfc[] = {
    { 0x000, 0x0b031924, 0x0b031924 }, /* IDs */
    { 0x008, 0x02000000, 0x02000000 },
    { 0x010, 0x0000000c, 0xfff0000c }, /* BARs */
    { 0x014, 0x00000000, 0xffffffff },
    { 0x018, 0x0000000c, 0xffff000c },
    { 0x01c, 0x00000000, 0xffffffff },
    { 0x020, 0x0000000c, 0xffff000c },
    { 0x024, 0x00000000, 0xffffffff },
    { 0x02c, 0x80221924, 0x80221924 },
    { 0x050, 0x000f6011, 0xc00f6011 }, /* MSI-X */
    { 0x054, 0x00000002, 0x00000002 },
    { 0x058, 0x00008002, 0x00008002 },
    { 0x1cc, 0x00000104, 0x00000104 },
};

static const Reg accel[] = {
    { 0x000, 0x00f21b36, 0x00f21b36 },
    { 0x008, 0x12000001, 0x12000001 },
    { 0x010, 0x00000004, 0xffe00004 },
    { 0x014, 0x00000000, 0xffffffff },
    { 0x018, 0x0000000c, 0xfffe000c },
    { 0x01c, 0x00000000, 0xffffffff },
    { 0x020, 0x00000000, 0xffff0000 },
    { 0x02c, 0x11001af4, 0x11001af4 },
    { 0x050, 0x00036011, 0xc0036011 },
    { 0x054, 0x00001004, 0x00001004 },
    { 0x058, 0x00002004, 0x00002004 },
    { 0x1cc, 0x00010102, 0x00010102 },
};

/* The RAS capability, from its start; @value is what clears when written */
static const Reg ras[] = {
    { 0x00, 0x0001cfff, 0 },            /* uncorrectable status */
    { 0x0c, 0x0000007f, 0 },            /* correctable status */
};

static CxlModel *make_model(CxlModelConfig *config)
{
    config->host_base = CXL_MODEL_HOST_BASE;
    config->serial = CXL_TYPE2_SERIAL(0, 1);
    if (!config->hdm_size) {
        config->hdm_size = 256 * MiB;
    }
    config->mem_fd = hdm_mem_anon("test", config->hdm_size, &error_abort);
    return cxl_model_new(config, &error_abort);
}

static void drop_model(CxlModel *m)
{
    int fd = m->config.mem_fd;

    cxl_model_free(m);
    close(fd);
}

static uint32_t cfg32(CxlModel *m, uint32_t off)
{
    uint8_t buf[4];

    g_assert(cxl_model_cfg_read(m, off, buf, 4) == 4);
    return ldl_le_p(buf);
}

static uint32_t le32(const uint8_t *p)
{
    return ldl_le_p(p);
}

static uint32_t bar32(CxlModel *m, int bar, uint64_t off)
{
    uint8_t buf[4];

    g_assert(cxl_model_bar_read(m, bar, off, buf, 4) == 4);
    return ldl_le_p(buf);
}

static const Reg *find(const Reg *table, unsigned n, uint32_t off)
{
    for (unsigned i = 0; i < n; i++) {
        if (table[i].off == off) {
            return &table[i];
        }
    }
    return NULL;
}

static void check_config(const char *identity, const Reg *own, unsigned n_own)
{
    CxlModelConfig c = { .identity = cxl_identity_find(identity) };
    CxlModel *m = make_model(&c);
    uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };

    for (uint32_t off = 0; off < CXL_MODEL_CFG_SIZE; off += 4) {
        const Reg *reg = find(own, n_own, off);

        if (!reg) {
            reg = find(common, ARRAY_SIZE(common), off);
        }
        g_test_message("offset 0x%x", off);
        g_assert(cfg32(m, off) == (reg ? reg->value : 0));
        g_assert(cxl_model_cfg_write(m, off, ones, 4) == 4);
        g_assert(cfg32(m, off) == (reg ? reg->ones : 0));
    }
    drop_model(m);
}

static void test_config_sfc(void)
{
    check_config("sfc", sfc, ARRAY_SIZE(sfc));
}

static void test_config_accel(void)
{
    check_config("accel", accel, ARRAY_SIZE(accel));
}

/* Bits that a write of 1 clears: the errors that hardware would set */
static void test_write_clears(void)
{
    static const Reg status[] = {
        { 0x004, 0xf9000000, 0 }, { 0x068, 0x000f0000, 0 },
        { 0x104, 0x01fff030, 0 }, { 0x110, 0x0000f1c1, 0 },
        { 0x16c, 0x40000000, 0 }, { 0x170, 0x000f0000, 0 },
    };
    CxlModelConfig c = { .identity = cxl_identity_find("sfc") };
    CxlModel *m = make_model(&c);

    for (uint32_t off = 0; off < CXL_MODEL_CFG_SIZE; off += 4) {
        const Reg *reg = find(status, ARRAY_SIZE(status), off);

        g_test_message("offset 0x%x", off);
        g_assert(le32(m->cfg.w1c + off) == (reg ? reg->value : 0));
    }
    for (uint32_t off = 0; off < m->cm.size; off += 4) {
        const Reg *reg = find(ras, ARRAY_SIZE(ras),
                              off - m->id->ras_offset);

        g_test_message("component offset 0x%x", off);
        g_assert(le32(m->cm.w1c + off) == (reg ? reg->value : 0));
    }

    /* and that is what happens to them, byte by byte */
    stl_le_p(m->cfg.val + 0x110, 0x0000f1c1);
    cxl_model_cfg_write(m, 0x110, "\x40\xff", 2);
    g_assert(cfg32(m, 0x110) == 0x00000081);
    drop_model(m);
}

static void check_component(const char *identity, uint32_t hdm,
                            uint32_t array1, uint32_t array2, uint64_t cm,
                            uint32_t at)
{
    const uint32_t regs[] = { 0, 0x1cfff, 0x1cfff, 0, 0x7f };
    CxlModelConfig c = { .identity = cxl_identity_find(identity) };
    CxlModel *m = make_model(&c);
    int bar = m->id->comp_bar;
    uint8_t zeros[4] = { }, word[4];

    g_assert(bar32(m, bar, cm) == 0x02110001);
    g_assert(bar32(m, bar, cm + 4) == array1);
    g_assert(bar32(m, bar, cm + 8) == array2);
    for (unsigned i = 0; i < 0x58; i += 4) {
        uint32_t want = i < sizeof(regs) ? regs[i / 4] : 0;

        g_test_message("RAS + 0x%x", i);
        g_assert(bar32(m, bar, cm + at + i) == want);
        cxl_model_bar_write(m, bar, cm + at + i, zeros, 4);
        g_assert(bar32(m, bar, cm + at + i) == 0);
    }

    /* The decoder is a hole; on both sides of it are registers */
    g_assert(cxl_model_decoder_offset(m) == cm + hdm);
    g_assert(bar32(m, bar, cm + hdm - 4) == 0);
    g_assert(bar32(m, bar, cm + hdm - 2) == 0xffff0000);
    g_assert(bar32(m, bar, cm + hdm + 0x2e) == 0x0000ffff);
    g_assert(bar32(m, bar, cm + hdm + 0x30) == 0);

    /* what is behind the CM registers is plain memory */
    stl_le_p(word, 0x12345678);
    cxl_model_bar_write(m, bar, cm + 0x1000, word, 4);
    g_assert(bar32(m, bar, cm + 0x1000) == 0x12345678);
    cxl_model_bar_write(m, bar, cm + 0xffc, word, 4);
    g_assert(bar32(m, bar, cm + 0xffc) == 0);
    g_assert(cxl_model_reset(m) == 0);
    g_assert(bar32(m, bar, cm + 0x1000) == 0);
    g_assert(bar32(m, bar, cm + at + 4) == 0x1cfff);
    drop_model(m);
}

static void test_component(void)
{
    check_component("sfc", 0x128, 0x08010002, 0x12810005, 0x1000, 0x80);
    check_component("accel", 0x200, 0x20010005, 0x40010002, 0x11000, 0x400);
}

/* Decoder registers, for each way that they can deviate */
static void test_decoder(void)
{
    static const struct {
        CxlModelConfig config;
        uint32_t capability, control, length;
        uint64_t size;
    } cases[] = {
        { { .hdm_size = 4 * GiB }, 0x300, 0x600, 0x30, 4 * GiB },
        { { .not_committed = true }, 0x300, 0, 0x30, 256 * MiB },
        { { .decoder_error = true }, 0x300, 0xa00, 0x30, 256 * MiB },
        { { .interleave = true }, 0x300, 0x610, 0x30, 256 * MiB },
        { { .decoder_size_set = true, .decoder_size = 5 * GiB }, 0x300, 0x600,
          0x30, 5 * GiB },
        { { .decoder_count_code = 1 }, 0x301, 0x600, 0x50, 256 * MiB },
        { { .decoder_count_code = 8 }, 0x308, 0x600, 0x210, 256 * MiB },
        { { .decoder_count_code = 9 }, 0x309, 0x600, 0x290, 256 * MiB },
        { { .decoder_count_code = 11 }, 0x30b, 0x600, 0x390, 256 * MiB },
        { { .decoder_count_code = 12 }, 0x30c, 0x600, 0x410, 256 * MiB },
        { { .decoder_count_code = 15 }, 0x30f, 0x600, 0x410, 256 * MiB },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        CxlModelConfig c = cases[i].config;
        g_autofree uint8_t *buf = g_malloc0(0x1000);
        CxlModel *m;

        c.identity = cxl_identity_find("accel");
        m = make_model(&c);
        g_test_message("case %u", i);
        g_assert(cxl_model_decoder_len(m) == cases[i].length);
        cxl_model_cfg_write(m, PCI_COMMAND, "\2\0", 2);
        g_assert(cxl_model_decoder_read(m, 0, buf, 0x1000) == cases[i].length);
        g_assert(le32(buf) == cases[i].capability);
        g_assert(le32(buf + 4) == 2);
        g_assert(ldq_le_p(buf + 0x10) == CXL_MODEL_HOST_BASE);
        g_assert(ldq_le_p(buf + 0x18) == cases[i].size);
        g_assert(le32(buf + 0x20) == cases[i].control);
        for (uint32_t off = 8; off < cases[i].length; off += 4) {
            if (off < 0x10 || off > 0x20) {
                g_assert(le32(buf + off) == 0);
            }
        }
        g_assert(cxl_model_decoder_write(m, 4, buf, 0x1000) ==
                 cases[i].length - 4);
        drop_model(m);
    }
}

static void test_decoder_refuses(void)
{
    CxlModelConfig c = { .identity = cxl_identity_find("sfc"),
                         .decoder_eio = true };
    CxlModel *m = make_model(&c);
    uint8_t buf[8] = { };

    cxl_model_cfg_write(m, PCI_COMMAND, "\2\0", 2);
    g_assert(cxl_model_decoder_read(m, 0, buf, 4) == -EIO);
    g_assert(cxl_model_decoder_write(m, 0, buf, 3) == -EINVAL);
    g_assert(cxl_model_decoder_write(m, 2, buf, 4) == -EINVAL);
    g_assert(cxl_model_decoder_write(m, 0x30, buf, 4) == -EINVAL);
    drop_model(m);
}

/* Every deviation of the DVSEC */
static void test_dvsec(void)
{
    CxlModelConfig none = { .identity = cxl_identity_find("sfc"),
                            .no_dvsec = true };
    CxlModelConfig odd = { .identity = cxl_identity_find("sfc"),
                           .no_cache = true, .second_range = true,
                           .hdm_size = 5 * GiB };
    CxlModel *m = make_model(&none);

    g_assert(cfg32(m, 0x150) == 0x1f010003);
    for (uint32_t off = 0x15c; off < 0x1f0; off += 4) {
        g_assert(cfg32(m, off) == 0);
    }
    drop_model(m);

    m = make_model(&odd);
    g_assert(cfg32(m, 0x168) == 0x09de0000);
    for (uint32_t off = 0x178; off < 0x198; off += 0x10) {
        g_assert(cfg32(m, off) == 1);
        g_assert(cfg32(m, off + 4) == 0x40000003);
        g_assert(cfg32(m, off + 8) == CXL_MODEL_HOST_BASE >> 32);
        g_assert(cfg32(m, off + 12) == (uint32_t)CXL_MODEL_HOST_BASE);
    }
    drop_model(m);
}

/* The DVSEC's doorbells: cache flush and CXL reset */
static void test_doorbells(void)
{
    CxlModelConfig c = { .identity = cxl_identity_find("sfc") };
    CxlModel *m = make_model(&c);

    cxl_model_cfg_write(m, 0x170, "\2", 1);
    g_assert(cfg32(m, 0x170) == 0x80010000);
    cxl_model_cfg_write(m, 0x172, "\1", 1);
    g_assert(cfg32(m, 0x170) == 0x80000000);
    m->cfg.val[0x172] = 4; /* an error of an earlier reset */
    cxl_model_cfg_write(m, 0x170, "\4", 1);
    g_assert(cfg32(m, 0x170) == 0x80020000);
    drop_model(m);
}

/* The function-level reset clears memory and keeps config space */
static void test_flr(void)
{
    CxlModelConfig c = { .identity = cxl_identity_find("sfc") };
    CxlModel *m = make_model(&c);
    char buf[4] = "abc";

    cxl_model_cfg_write(m, PCI_COMMAND, "\2\0", 2);
    g_assert(cxl_model_hdm_write(m, 0, buf, 4) == 4);
    cxl_model_cfg_write(m, 0x69, "\x28", 1);
    g_assert(cxl_model_hdm_read(m, 0, buf, 4) == 4);
    g_assert(g_str_equal(buf, "abc"));
    cxl_model_cfg_write(m, 0x69, "\x80", 1);
    g_assert(cfg32(m, 0x68) == 0x00000010);
    g_assert(cfg32(m, PCI_COMMAND) == 0x00100002);
    g_assert(cxl_model_hdm_read(m, 0, buf, 4) == 4);
    g_assert(ldl_le_p(buf) == 0);

    /* D3 closes the memory */
    cxl_model_cfg_write(m, 0x44, "\3", 1);
    g_assert(cxl_model_hdm_read(m, 0, buf, 4) == -EIO);
    cxl_model_cfg_write(m, 0x44, "\0", 1);
    g_assert(cxl_model_hdm_read(m, 0, buf, 4) == 4);

    g_assert(cxl_model_cfg_read(m, 4096, buf, 0) == 0);
    g_assert(cxl_model_cfg_read(m, 4094, buf, 4) == -EINVAL);
    g_assert(cxl_model_cfg_write(m, 4094, buf, 4) == -EINVAL);
    g_assert(cxl_model_cfg_write(m, 4097, buf, 0) == -EINVAL);
    drop_model(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-registers/config/sfc", test_config_sfc);
    g_test_add_func("/cxl-registers/config/accel", test_config_accel);
    g_test_add_func("/cxl-registers/write-clears", test_write_clears);
    g_test_add_func("/cxl-registers/component", test_component);
    g_test_add_func("/cxl-registers/decoder", test_decoder);
    g_test_add_func("/cxl-registers/decoder/refuses", test_decoder_refuses);
    g_test_add_func("/cxl-registers/dvsec", test_dvsec);
    g_test_add_func("/cxl-registers/doorbells", test_doorbells);
    g_test_add_func("/cxl-registers/flr", test_flr);
    return g_test_run();
}
