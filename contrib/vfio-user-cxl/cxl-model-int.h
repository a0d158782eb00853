/*
 * Inside of the CXL Type-2 device model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_MODEL_INT_H
#define VFIO_USER_CXL_MODEL_INT_H

#include "hw/cxl/cxl_accel.h"
#include "cxl-model.h"

#define CXL_VENDOR_ID 0x1e98

/* HDM decoder capability, CXL r3.1 8.2.4.20 */
#define CXL_HDM_LEN(decoders) (0x10 + 0x20 * (decoders))
#define CXL_HDM_LEN_MAX CXL_HDM_LEN(32)

struct CxlModel {
    CxlModelConfig config;
    const CxlIdentity *id;
    CxlRegs cfg;
    uint16_t pm_cap;
    uint16_t exp_cap;
    uint16_t dvsec0;                /* 0: not present */
    uint16_t dvsec0_len;
    CxlRegs cm;                     /* capability array and RAS */
    uint8_t hdm[CXL_HDM_LEN_MAX];   /* the host's decoder */
    uint32_t hdm_len;
    int bar_fd;                     /* component BAR */
    uint8_t *bar_mem;
    uint8_t *msix;                  /* table and PBA, the whole BAR */
    CxlAccel accel;
    int sram_fd;                    /* -1: none */
    const CxlDmaOps *dma;
    void *dma_opaque;
    CxlSfc sfc;
    uint64_t resets;        /* of this process */
    bool reset_failed;
    CxlModelIrqFn *irq;
    void *irq_opaque;
};

/* Decoders that the count code of an HDM capability stands for. */
unsigned cxl_hdm_decoders(unsigned code);

/* Put config space into its power-on state. */
void cxl_cfg_init(CxlModel *m);

/* Put the CM part and the decoder into the state that firmware left. */
void cxl_comp_init(CxlModel *m);

/* Access to the component BAR; [off, off + len) is inside it. */
void cxl_comp_read(CxlModel *m, uint64_t off, uint8_t *buf, uint32_t len);
void cxl_comp_write(CxlModel *m, uint64_t off, const uint8_t *buf,
                    uint32_t len);

/*
 * The accelerator's on-board memory and registers; [off, off + len) is
 * inside its BAR.  The first two are called once, reset each time the device
 * is cleared.  False and @errp: no memory.
 */
bool cxl_model_accel_init(CxlModel *m, Error **errp);
void cxl_model_accel_cleanup(CxlModel *m);
void cxl_model_accel_reset(CxlModel *m);
/* Return @len or a negative errno */
int cxl_model_accel_read(CxlModel *m, uint64_t off, uint8_t *buf,
                         uint32_t len);
int cxl_model_accel_write(CxlModel *m, uint64_t off, const uint8_t *buf,
                          uint32_t len);

#endif /* VFIO_USER_CXL_MODEL_INT_H */
