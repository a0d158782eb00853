/*
 * Configuration space and decoder registers, as any device may show them
 *
 * The input is the registers of the decoder and the size of the HDM, then
 * the extended configuration space from its start on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_component.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/pci/pci.h"
#include "hw/vfio/cxl-info.h"
#include "fuzz.h"

static void check_decoder(FuzzInput *in)
{
    uint32_t regs[VFIO_CXL_DECODER_DWORDS];
    Error *err = NULL;
    uint64_t hdm_size;

    fuzz_take(in, regs, sizeof(regs));
    fuzz_take(in, &hdm_size, sizeof(hdm_size));
    if (vfio_cxl_check_decoder(regs, hdm_size, &err)) {
        uint32_t ctrl = regs[0x20 / 4];
        uint64_t size = (uint64_t)regs[0x1c / 4] << 32 | regs[0x18 / 4];

        FUZZ_RULE(!err, "what is accepted has no error");
        FUZZ_RULE((regs[0] & 0xf) == 0, "one decoder");
        FUZZ_RULE((ctrl & (1 << 10)) && !(ctrl & (1 << 11)),
                  "committed without error");
        FUZZ_RULE((ctrl >> 4 & 0xf) == 0, "one way");
        FUZZ_RULE(hdm_size == (size & ~0xfffffffull), "as large as the HDM");
    } else {
        FUZZ_RULE(err, "a refusal has a reason");
    }
    error_free(err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    g_autofree uint8_t *config = NULL;
    size_t config_size, pos;

    check_decoder(&in);

    /* Exactly as long as the input makes it: nothing behind may be read */
    config_size = MIN(PCI_CONFIG_SPACE_SIZE + in.left,
                      PCIE_CONFIG_SPACE_SIZE);
    config = g_malloc0(config_size);
    fuzz_take(&in, config + PCI_CONFIG_SPACE_SIZE,
              config_size - PCI_CONFIG_SPACE_SIZE);
    pos = vfio_cxl_find_dvsec(config, config_size);
    if (pos) {
        FUZZ_RULE(pos >= PCI_CONFIG_SPACE_SIZE && pos % 4 == 0 &&
                  pos + sizeof(CXLDVSECDevice) <= config_size,
                  "the DVSEC is inside extended configuration space");
        FUZZ_RULE(lduw_le_p(config + pos) == 0x23 &&
                  lduw_le_p(config + pos + 4) == 0x1e98 &&
                  lduw_le_p(config + pos + 8) == 0,
                  "the DVSEC is CXL's, with id 0");
    }
    return 0;
}
