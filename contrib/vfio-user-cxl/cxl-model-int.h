/*
 * Inside of the CXL Type-2 device model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_MODEL_INT_H
#define VFIO_USER_CXL_MODEL_INT_H

#include "cxl-model.h"

#define CXL_VENDOR_ID 0x1e98

/* Component block (CXL r3.1 8.2.3, 8.2.4) */
#define CXL_COMP_SIZE 0x10000
#define CXL_CM_OFFSET 0x1000
#define CXL_CM_SIZE 0x1000
#define CXL_RAS_LEN 0x58
#define CXL_HDM_LEN(decoders) (0x10 + 0x20 * (decoders))
#define CXL_HDM_LEN_MAX CXL_HDM_LEN(32)

#define CXL_ACCEL_REGS 0x28
#define CXL_ACCEL_COPY 0x40
/* most bytes that the copy engine moves before others get their turn */
#define CXL_ACCEL_COPY_CHUNK (256 * 1024)

/*
 * A block of registers, byte by byte: which bits a write changes and which
 * bits a written 1 clears.
 */
typedef struct CxlRegs {
    uint8_t *val;
    uint8_t *wmask;
    uint8_t *w1c;
    uint32_t size;
} CxlRegs;

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
    uint8_t accel[CXL_ACCEL_REGS];
    uint32_t accel_rings;
    int sram_fd;                    /* -1: none */
    CxlCopy copy;
    const CxlDmaOps *dma;
    void *dma_opaque;
    unsigned sfc_polls;
    uint64_t resets;        /* of this process */
    bool reset_failed;
    CxlModelIrqFn *irq;
    void *irq_opaque;
};

/* Registers: set @size bytes (1, 2, 4 or 8) at @off, little endian. */
void cxl_regs_init(CxlRegs *r, uint32_t size);
void cxl_regs_free(CxlRegs *r);
void cxl_regs_clear(CxlRegs *r);
void cxl_regs_set(CxlRegs *r, uint32_t off, unsigned size, uint64_t val);
void cxl_regs_wmask(CxlRegs *r, uint32_t off, unsigned size, uint64_t mask);
void cxl_regs_w1c(CxlRegs *r, uint32_t off, unsigned size, uint64_t mask);

/* Apply a write of one byte under the masks. */
void cxl_regs_write_byte(CxlRegs *r, uint32_t off, uint8_t val);

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
bool cxl_accel_init(CxlModel *m, Error **errp);
void cxl_accel_cleanup(CxlModel *m);
void cxl_accel_reset(CxlModel *m);
/* Return @len or a negative errno */
int cxl_accel_read(CxlModel *m, uint64_t off, uint8_t *buf, uint32_t len);
int cxl_accel_write(CxlModel *m, uint64_t off, const uint8_t *buf,
                    uint32_t len);

/* The same for the network adapter. */
void cxl_sfc_init(CxlModel *m);
void cxl_sfc_read(CxlModel *m, uint64_t off, uint8_t *buf, uint32_t len);
void cxl_sfc_write(CxlModel *m);

#endif /* VFIO_USER_CXL_MODEL_INT_H */
