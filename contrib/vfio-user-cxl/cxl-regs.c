/*
 * Register blocks with write masks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-model-int.h"

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
