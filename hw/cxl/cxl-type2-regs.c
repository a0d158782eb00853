/*
 * Register blocks with write masks, and the one that all identities have
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_type2_model.h"

void cxl_regs_init(CxlRegs *r, uint32_t size)
{
    r->size = size;
    r->val = g_malloc0(size);
    r->wmask = g_malloc0(size);
    r->w1c = g_malloc0(size);
}

void cxl_regs_free(CxlRegs *r)
{
    g_clear_pointer(&r->val, g_free);
    g_clear_pointer(&r->wmask, g_free);
    g_clear_pointer(&r->w1c, g_free);
}

void cxl_regs_clear(CxlRegs *r)
{
    memset(r->val, 0, r->size);
    memset(r->wmask, 0, r->size);
    memset(r->w1c, 0, r->size);
}

static void regs_put(uint8_t *block, const CxlRegs *r, uint32_t off,
                     unsigned size, uint64_t val)
{
    assert(off + size <= r->size && size <= 8);
    for (unsigned i = 0; i < size; i++) {
        block[off + i] = val >> (8 * i);
    }
}

void cxl_regs_set(CxlRegs *r, uint32_t off, unsigned size, uint64_t val)
{
    regs_put(r->val, r, off, size, val);
}

void cxl_regs_wmask(CxlRegs *r, uint32_t off, unsigned size, uint64_t mask)
{
    regs_put(r->wmask, r, off, size, mask);
}

void cxl_regs_w1c(CxlRegs *r, uint32_t off, unsigned size, uint64_t mask)
{
    regs_put(r->w1c, r, off, size, mask);
}

void cxl_regs_write_byte(CxlRegs *r, uint32_t off, uint8_t val)
{
    uint8_t keep = r->val[off] & ~r->wmask[off];

    r->val[off] = (keep | (val & r->wmask[off])) & ~(val & r->w1c[off]);
}

/* RAS capability, CXL r3.1 8.2.4.17 */
#define RAS_UNCOR 0x0001cfff
#define RAS_COR 0x0000007f

static void array_entry(CxlRegs *cm, unsigned i, uint16_t id, uint8_t ver,
                        uint32_t ptr)
{
    cxl_regs_set(cm, 4 + 4 * i, 4, id | ver << 16 | ptr << 20);
}

static void ras_init(CxlRegs *cm, uint32_t ras)
{
    cxl_regs_w1c(cm, ras + 0x00, 4, RAS_UNCOR);
    cxl_regs_set(cm, ras + 0x04, 4, RAS_UNCOR);
    cxl_regs_wmask(cm, ras + 0x04, 4, RAS_UNCOR);
    cxl_regs_set(cm, ras + 0x08, 4, RAS_UNCOR);
    cxl_regs_wmask(cm, ras + 0x08, 4, RAS_UNCOR);
    cxl_regs_w1c(cm, ras + 0x0c, 4, RAS_COR);
    cxl_regs_set(cm, ras + 0x10, 4, RAS_COR);
    cxl_regs_wmask(cm, ras + 0x10, 4, RAS_COR);
}

void cxl_cm_init(CxlRegs *cm, const CxlIdentity *id)
{
    cxl_regs_clear(cm);
    /* CXL r3.1 8.2.4: header version 1, CM version 1, two entries */
    cxl_regs_set(cm, 0, 4, 1 | 1 << 16 | 1 << 20 | 2 << 24);
    array_entry(cm, id->hdm_first ? 1 : 0, 2, 1, id->ras_offset);
    array_entry(cm, id->hdm_first ? 0 : 1, 5, 1, id->hdm_offset);
    ras_init(cm, id->ras_offset);
}
