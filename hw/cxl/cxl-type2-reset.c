/*
 * Emulated CXL Type-2 device: resets
 *
 * An FLR resets the function and leaves CXL alone (CXL r3.1 section 9.8).  A
 * CXL reset (section 9.7) resets both, takes its time and may clear the HDM.
 * A conventional reset resets both at once and keeps the HDM's contents, as
 * it keeps those of RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "hw/pci/pci.h"
#include "system/ramblock.h"
#include "cxl-type2-int.h"
#include "trace.h"

/* What a CXL reset takes at least, so that its end can be seen to come */
#define RESET_NS (10 * SCALE_MS)
/* HDM that is cleared in one go: given back, or written */
#define DISCARD_STEP (1 * GiB)
#define CLEAR_STEP (64 * MiB)

/*
 * Give pages back: what is read then is 0.  Not where that would clear a
 * file too of which this is a private copy, or pages are pinned.
 */
static bool hdm_discard(CXLType2Dev *ct2, uint64_t offset, uint64_t len)
{
    RAMBlock *block = ct2->hdm->ram_block;

    return !ram_block_discard_is_disabled() &&
           (qemu_ram_is_shared(block) || qemu_ram_get_fd(block) < 0) &&
           ram_block_discard_range(block, offset, len) == 0;
}

/* Unmapped as written, so that TCG forgets the code that was there */
static void hdm_clear_step(CXLType2Dev *ct2)
{
    uint64_t left = ct2->hdm_size - ct2->reset_cleared;
    hwaddr len = MIN(left, ct2->reset_discards ? DISCARD_STEP : CLEAR_STEP);
    void *mem = address_space_map(&ct2->hdm_as, ct2->reset_cleared, &len,
                                  true, MEMTXATTRS_UNSPECIFIED);

    if (!ct2->reset_discards || !hdm_discard(ct2, ct2->reset_cleared, len)) {
        ct2->reset_discards = false;
        len = MIN(len, CLEAR_STEP);
        memset(mem, 0, len);
    }
    address_space_unmap(&ct2->hdm_as, mem, len, true, len);
    ct2->reset_cleared += len;
    trace_cxl_type2_reset_clear(cxl_type2_name(ct2), ct2->reset_cleared,
                                ct2->hdm_size);
}

static void reset_finish(void *opaque)
{
    CXLType2Dev *ct2 = opaque;

    if (ct2->reset_clears && ct2->reset_cleared < ct2->hdm_size) {
        hdm_clear_step(ct2);
        /* Later, not at once: others want their turn */
        timer_mod(ct2->reset_timer,
                  qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + 1);
        return;
    }
    trace_cxl_type2_reset(cxl_type2_name(ct2), "CXL reset complete");
    cxl_type2_config_reset_done(ct2);
    cxl_hdm_gate_set(&ct2->gate, CXL_HDM_GATE_RESET, false);
}

/* What every reset does.  Memory Space goes off and power comes on with it */
static void function_reset(CXLType2Dev *ct2)
{
    cxl_hdm_gate_set(&ct2->gate, CXL_HDM_GATE_MEMORY_SPACE, true);
    cxl_hdm_gate_set(&ct2->gate, CXL_HDM_GATE_POWER, false);
    cxl_type2_engine_reset(ct2);
}

static void component_reset(CXLType2Dev *ct2)
{
    cxl_cm_init(&ct2->cm, ct2->id);
    cxl_hdm_regs_reset(&ct2->regs);
}

void cxl_type2_reset_start(CXLType2Dev *ct2)
{
    trace_cxl_type2_reset(cxl_type2_name(ct2), "CXL reset");
    cxl_hdm_gate_set(&ct2->gate, CXL_HDM_GATE_RESET, true);
    ct2->reset_clears = cxl_type2_config_mem_clear(ct2);
    ct2->reset_cleared = 0;
    ct2->reset_discards = true;
    /* Of config space it takes as much as an FLR */
    ct2->in_cxl_reset = true;
    pci_device_reset(PCI_DEVICE(ct2));
    ct2->in_cxl_reset = false;
    timer_mod(ct2->reset_timer,
              qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + RESET_NS);
}

void cxl_type2_reset_hold(Object *obj, ResetType type)
{
    CXLType2Dev *ct2 = CXL_TYPE2(obj);
    PCIDevice *pdev = PCI_DEVICE(obj);

    function_reset(ct2);
    if (pci_get_word(pdev->config + pdev->exp.exp_cap + PCI_EXP_DEVCTL) &
        PCI_EXP_DEVCTL_BCR_FLR) {
        trace_cxl_type2_reset(cxl_type2_name(ct2), "FLR");
        return;
    }
    component_reset(ct2);
    if (ct2->in_cxl_reset) {
        return;
    }
    trace_cxl_type2_reset(cxl_type2_name(ct2), "conventional reset");
    timer_del(ct2->reset_timer);
    cxl_type2_config_reset(ct2);
    cxl_hdm_gate_set(&ct2->gate, CXL_HDM_GATE_RESET, false);
}

void cxl_type2_reset_init(CXLType2Dev *ct2)
{
    ct2->reset_timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, reset_finish, ct2);
}

void cxl_type2_reset_exit(CXLType2Dev *ct2)
{
    g_clear_pointer(&ct2->reset_timer, timer_free);
}
