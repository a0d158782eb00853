/*
 * Config space of the CXL Type-2 device model
 *
 * The body of the CXL Device DVSEC behaves as the kernel's per-open shadow
 * does: Capability, Lock and the ranges are fixed, Control is writable with
 * Mem_Enable forced, and the doorbells of Control2 complete at once without
 * doing anything.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "cxl-model-int.h"

/* Where the capabilities stand */
#define CAP_PM 0x40
#define CAP_MSIX 0x50
#define CAP_EXP 0x60
#define EXT_AER 0x100
#define EXT_DSN 0x150
#define EXT_DVSEC0 0x160
#define EXT_DVSEC7 0x1a0
#define EXT_DVSEC8 0x1c0
#define EXT_DVSEC5 0x1e0

#define AER_LEN 0x48

/* CXL Device DVSEC, CXL r3.1 8.1.3 */
#define DVSEC0_LEN 0x3c
#define DVSEC0_CAP 0x0a
#define DVSEC0_CTRL 0x0c
#define DVSEC0_STATUS 0x0e
#define DVSEC0_CTRL2 0x10
#define DVSEC0_STATUS2 0x12
#define DVSEC0_CAP2 0x16
#define DVSEC0_RANGE1 0x18
#define DVSEC0_RANGE2 0x28

#define CAP_CACHE (1 << 0)
#define CAP_MEM (1 << 2)
#define CAP_CACHE_FLUSH (1 << 6)
#define CTRL2_FLUSH (1 << 1)
#define CTRL2_RESET (1 << 2)
#define STATUS2_INVALID (1 << 0)
#define STATUS2_RESET_DONE (1 << 1)
#define STATUS2_RESET_ERROR (1 << 2)

static void cfg_header(CxlModel *m)
{
    const CxlIdentity *id = m->id;
    CxlRegs *c = &m->cfg;

    cxl_regs_set(c, PCI_VENDOR_ID, 2, id->vendor);
    cxl_regs_set(c, PCI_DEVICE_ID, 2, id->device);
    cxl_regs_set(c, PCI_REVISION_ID, 1, id->revision);
    cxl_regs_set(c, PCI_CLASS_PROG, 1, id->class_code & 0xff);
    cxl_regs_set(c, PCI_CLASS_DEVICE, 2, id->class_code >> 8);
    cxl_regs_set(c, PCI_SUBSYSTEM_VENDOR_ID, 2, id->sub_vendor);
    cxl_regs_set(c, PCI_SUBSYSTEM_ID, 2, id->sub_device);
    cxl_regs_set(c, PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
    cxl_regs_w1c(c, PCI_STATUS, 2, 0xf900);
    cxl_regs_wmask(c, PCI_COMMAND, 2, PCI_COMMAND_MEMORY |
                   PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
                   PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
    cxl_regs_wmask(c, PCI_CACHE_LINE_SIZE, 1, 0xff);
    cxl_regs_wmask(c, PCI_INTERRUPT_LINE, 1, 0xff);
    cxl_regs_set(c, PCI_CAPABILITY_LIST, 1, CAP_PM);

    for (int i = 0; i < CXL_MODEL_BARS; i++) {
        uint64_t size = id->bar[i].size;
        uint32_t reg = PCI_BASE_ADDRESS_0 + 4 * i;

        if (!size) {
            continue;
        }
        cxl_regs_set(c, reg, 4, id->bar[i].type);
        if (id->bar[i].type & PCI_BASE_ADDRESS_MEM_TYPE_64) {
            cxl_regs_wmask(c, reg, 8, ~(size - 1));
        } else {
            cxl_regs_wmask(c, reg, 4, ~(size - 1));
        }
    }
}

static void cfg_caps(CxlModel *m)
{
    const CxlIdentity *id = m->id;
    CxlRegs *c = &m->cfg;

    m->pm_cap = CAP_PM;
    cxl_regs_set(c, CAP_PM, 2, PCI_CAP_ID_PM | CAP_MSIX << 8);
    cxl_regs_set(c, CAP_PM + PCI_PM_PMC, 2, 3);
    cxl_regs_set(c, CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET);
    cxl_regs_wmask(c, CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK);

    cxl_regs_set(c, CAP_MSIX, 2, PCI_CAP_ID_MSIX | CAP_EXP << 8);
    cxl_regs_set(c, CAP_MSIX + PCI_MSIX_FLAGS, 2, id->msix_vectors - 1);
    cxl_regs_wmask(c, CAP_MSIX + PCI_MSIX_FLAGS, 2,
                   PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    cxl_regs_set(c, CAP_MSIX + PCI_MSIX_TABLE, 4,
                 id->msix_table | id->msix_bar);
    cxl_regs_set(c, CAP_MSIX + PCI_MSIX_PBA, 4, id->msix_pba | id->msix_bar);

    /* PCIe endpoint, version 2, 32 GT/s x8 */
    m->exp_cap = CAP_EXP;
    cxl_regs_set(c, CAP_EXP, 2, PCI_CAP_ID_EXP);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_FLAGS, 2, 2);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_DEVCAP, 4,
                 PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER |
                 PCI_EXP_DEVCAP_EXT_TAG | 1);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_DEVCTL, 2, 0x2810);
    cxl_regs_wmask(c, CAP_EXP + PCI_EXP_DEVCTL, 2, 0xffff);
    cxl_regs_w1c(c, CAP_EXP + PCI_EXP_DEVSTA, 2, 0xf);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_LNKCAP, 4, 0x85);
    cxl_regs_wmask(c, CAP_EXP + PCI_EXP_LNKCTL, 2, 0x01c8);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_LNKSTA, 2, 0x85);
    cxl_regs_wmask(c, CAP_EXP + PCI_EXP_DEVCTL2, 2, 0x1f);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_LNKCAP2, 4, 0x3e);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_LNKCTL2, 2, 5);
    cxl_regs_wmask(c, CAP_EXP + PCI_EXP_LNKCTL2, 2, 0xf);
    cxl_regs_set(c, CAP_EXP + PCI_EXP_LNKSTA2, 2, CXL_TYPE2_LNKSTA2);
}

static void ext_header(CxlRegs *c, uint16_t off, uint16_t id, uint8_t ver,
                       uint16_t next)
{
    cxl_regs_set(c, off, 4, id | ver << 16 | (uint32_t)next << 20);
}

static void dvsec_header(CxlRegs *c, uint16_t off, uint8_t id, uint8_t rev,
                         uint16_t len, uint16_t next)
{
    ext_header(c, off, PCI_EXT_CAP_ID_DVSEC, 1, next);
    cxl_regs_set(c, off + PCI_DVSEC_HEADER1, 4,
                 CXL_VENDOR_ID | rev << 16 | (uint32_t)len << 20);
    cxl_regs_set(c, off + PCI_DVSEC_HEADER2, 2, id);
}

static void dvsec0_range(CxlRegs *c, uint16_t at, uint64_t base, uint64_t size)
{
    cxl_regs_set(c, at, 4, size >> 32);
    /* valid and active */
    cxl_regs_set(c, at + 4, 4, (uint32_t)size | 3);
    cxl_regs_set(c, at + 8, 4, base >> 32);
    cxl_regs_set(c, at + 12, 4, (uint32_t)base);
}

static void cfg_dvsec0(CxlModel *m)
{
    uint64_t base = m->config.host_base;
    uint64_t size = m->config.hdm_size;
    bool cache = m->config.coherency == CXL_MODEL_HDM_D;
    /*
     * cache, io, mem, hardware init, one HDM range, write-back capable,
     * reset capable (100 ms), memory clear on reset
     */
    uint16_t cap = 0x09df;
    uint16_t d = EXT_DVSEC0;
    CxlRegs *c = &m->cfg;

    m->dvsec0 = d;
    m->dvsec0_len = DVSEC0_LEN;
    dvsec_header(c, d, 0, 3, DVSEC0_LEN, EXT_DVSEC7);
    if (!cache) {
        cap &= ~(CAP_CACHE | CAP_CACHE_FLUSH);
    }
    if (m->config.no_cache) {
        cap &= ~CAP_CACHE;
    }
    if (m->config.no_mem) {
        cap &= ~CAP_MEM;
    }
    cxl_regs_set(c, d + DVSEC0_CAP, 2, cap);
    cxl_regs_set(c, d + DVSEC0_CTRL, 2, 0x0006);
    /* without IO_Enable and Mem_Enable: those two stay set */
    cxl_regs_wmask(c, d + DVSEC0_CTRL, 2, cache ? 0x5ff9 : 0x4000);
    cxl_regs_w1c(c, d + DVSEC0_STATUS, 2, 0x4000);
    cxl_regs_wmask(c, d + DVSEC0_CTRL2, 2, 0x003f);
    cxl_regs_set(c, d + DVSEC0_STATUS2, 2, 0x8000);
    cxl_regs_w1c(c, d + DVSEC0_STATUS2, 2, 0x000f);
    /* 1 MiB of cache */
    cxl_regs_set(c, d + DVSEC0_CAP2, 2, cache ? 0x0102 : 0);
    dvsec0_range(c, d + DVSEC0_RANGE1, base, size);
    if (m->config.second_range) {
        dvsec0_range(c, d + DVSEC0_RANGE2, base, size);
    }
}

static void cfg_ext_caps(CxlModel *m)
{
    const CxlIdentity *id = m->id;
    uint16_t after_dsn = m->config.no_dvsec ? cxl_link_cap_nth(0)->offset :
                                              EXT_DVSEC0;
    /* io, mem, 68-byte flits; cache */
    uint16_t modes = m->config.coherency == CXL_MODEL_HDM_D ? 0x27 : 0x26;
    CxlRegs *c = &m->cfg;

    ext_header(c, EXT_AER, PCI_EXT_CAP_ID_ERR, 2, EXT_DSN);
    cxl_regs_w1c(c, EXT_AER + PCI_ERR_UNCOR_STATUS, 4, 0x01fff030);
    cxl_regs_wmask(c, EXT_AER + PCI_ERR_UNCOR_MASK, 4, 0x01fff030);
    cxl_regs_set(c, EXT_AER + PCI_ERR_UNCOR_SEVER, 4, 0x00462030);
    cxl_regs_wmask(c, EXT_AER + PCI_ERR_UNCOR_SEVER, 4, 0x01fff030);
    cxl_regs_w1c(c, EXT_AER + PCI_ERR_COR_STATUS, 4, 0x0000f1c1);
    cxl_regs_set(c, EXT_AER + PCI_ERR_COR_MASK, 4, 0x00006000);
    cxl_regs_wmask(c, EXT_AER + PCI_ERR_COR_MASK, 4, 0x0000f1c1);

    ext_header(c, EXT_DSN, PCI_EXT_CAP_ID_DSN, 1, after_dsn);
    cxl_regs_set(c, EXT_DSN + 4, 8, m->config.serial);

    m->dvsec0 = 0;
    if (m->config.no_dvsec) {
        return;
    }
    cfg_dvsec0(m);

    /* Flex Bus Port, CXL r3.1 8.1.8 */
    dvsec_header(c, EXT_DVSEC7, 7, 2, 0x20, EXT_DVSEC8);
    cxl_regs_set(c, EXT_DVSEC7 + 0x0a, 2, modes);
    cxl_regs_set(c, EXT_DVSEC7 + 0x0c, 2, modes);
    cxl_regs_set(c, EXT_DVSEC7 + 0x0e, 2, modes);

    /* Register Locator, CXL r3.1 8.1.9: one entry, the component block */
    dvsec_header(c, EXT_DVSEC8, 8, 0, 0x14, EXT_DVSEC5);
    cxl_regs_set(c, EXT_DVSEC8 + 0x0c, 4,
                 (id->comp_offset & 0xffff0000) | 1 << 8 | id->comp_bar);

    /* GPF, CXL r3.1 8.1.7: nothing to save, the memory is volatile */
    dvsec_header(c, EXT_DVSEC5, 5, 0, 0x10, cxl_link_cap_nth(0)->offset);
}

static void cfg_link_caps(CxlModel *m)
{
    const CxlLinkCap *cap, *next;

    for (unsigned i = 0; (cap = cxl_link_cap_nth(i)); i++) {
        next = cxl_link_cap_nth(i + 1);
        ext_header(&m->cfg, cap->offset, cap->id, 1, next ? next->offset : 0);
        for (unsigned r = 0; r < CXL_LINK_CAP_REGS && cap->reg[r].offset;
             r++) {
            cxl_regs_set(&m->cfg, cap->offset + cap->reg[r].offset, 4,
                         cap->reg[r].value);
        }
    }
}

void cxl_cfg_init(CxlModel *m)
{
    cxl_regs_clear(&m->cfg);
    cfg_header(m);
    cfg_caps(m);
    cfg_ext_caps(m);
    cfg_link_caps(m);
}

/* Control2 was written: complete what its doorbells asked for */
static void dvsec0_doorbells(CxlModel *m)
{
    uint8_t *ctrl2 = &m->cfg.val[m->dvsec0 + DVSEC0_CTRL2];
    uint8_t *status2 = &m->cfg.val[m->dvsec0 + DVSEC0_STATUS2];

    if (*ctrl2 & CTRL2_FLUSH) {
        *status2 |= STATUS2_INVALID;
    }
    if (*ctrl2 & CTRL2_RESET) {
        *status2 |= STATUS2_RESET_DONE;
        *status2 &= ~STATUS2_RESET_ERROR;
    }
    *ctrl2 &= ~(CTRL2_FLUSH | CTRL2_RESET);
}

bool cxl_model_mem_enabled(const CxlModel *m)
{
    uint16_t pmcsr = lduw_le_p(&m->cfg.val[m->pm_cap + PCI_PM_CTRL]);

    return (m->cfg.val[PCI_COMMAND] & PCI_COMMAND_MEMORY) &&
           !(pmcsr & PCI_PM_CTRL_STATE_MASK) && !m->reset_failed;
}

int cxl_model_cfg_read(CxlModel *m, uint64_t off, void *buf, uint32_t len)
{
    if (off > CXL_MODEL_CFG_SIZE || len > CXL_MODEL_CFG_SIZE - off) {
        return -EINVAL;
    }
    memcpy(buf, &m->cfg.val[off], len);
    return len;
}

int cxl_model_cfg_write(CxlModel *m, uint64_t off, const void *buf,
                        uint32_t len)
{
    uint32_t devctl_hi = m->exp_cap + PCI_EXP_DEVCTL + 1;
    const uint8_t *data = buf;

    if (off > CXL_MODEL_CFG_SIZE || len > CXL_MODEL_CFG_SIZE - off) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < len; i++) {
        cxl_regs_write_byte(&m->cfg, off + i, data[i]);
    }
    if (m->dvsec0) {
        dvsec0_doorbells(m);
    }
    if (m->cfg.val[devctl_hi] & (PCI_EXP_DEVCTL_BCR_FLR >> 8)) {
        m->cfg.val[devctl_hi] &= ~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
        /* the guest sees no status of an FLR; the gate shows a failure */
        cxl_model_reset(m);
    }
    return len;
}
