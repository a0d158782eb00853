/*
 * What a CXL Type-2 device is made of, as plain data
 *
 * The reference device (contrib/vfio-user-cxl) and the emulated device
 * (cxl-type2) pose as the same devices with the same registers.  Here is what
 * they share; it knows neither QEMU's devices nor VFIO.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_TYPE2_MODEL_H
#define HW_CXL_TYPE2_MODEL_H

#define CXL_TYPE2_BARS 6

/* CXL.cache and CXL.mem registers in the component block, CXL r3.1 8.2.3 */
#define CXL_TYPE2_CM_OFFSET 0x1000
#define CXL_TYPE2_CM_SIZE 0x1000

/* Fixed properties of a device to pose as */
typedef struct CxlIdentity {
    const char *name;
    const char *about;
    uint16_t vendor;
    uint16_t device;
    uint16_t sub_vendor;
    uint16_t sub_device;
    uint32_t class_code;            /* 24 bits */
    uint8_t revision;
    uint64_t hdm_capacity;          /* size its driver expects, 0: any */
    struct {
        uint64_t size;              /* bytes, 0: no such BAR */
        uint32_t type;              /* low bits of the BAR register */
    } bar[CXL_TYPE2_BARS];
    int comp_bar;
    uint32_t comp_offset;           /* component block in comp_bar */
    uint16_t ras_offset;            /* RAS capability in the CM part */
    uint16_t hdm_offset;            /* HDM capability in the CM part */
    bool hdm_first;                 /* order in the capability array */
    int msix_bar;
    uint32_t msix_table;
    uint32_t msix_pba;
    unsigned msix_vectors;
    uint32_t sram_offset;           /* plain memory in BAR 0 from there */
    bool sfc_regs;                  /* BAR 0: sfc registers, not accel */
} CxlIdentity;

/* Return identity @name or NULL. */
const CxlIdentity *cxl_identity_find(const char *name);

/* Return identity number @i (from 0) or NULL past the end. */
const CxlIdentity *cxl_identity_nth(unsigned i);

/* Width of the link */
#define CXL_TYPE2_LANES 8

/* Link Status 2: equalization at 8 GT/s and its three phases are through */
#define CXL_TYPE2_LNKSTA2 0x1e

/* An extended capability of the link; all its registers are read-only */
#define CXL_LINK_CAP_REGS 9
typedef struct CxlLinkCap {
    uint16_t id;
    uint16_t offset;                /* in config space */
    uint16_t size;                  /* bytes, with the header */
    struct {
        uint16_t offset;            /* from the header; 0: none */
        uint32_t value;
    } reg[CXL_LINK_CAP_REGS];       /* those that are not 0 */
} CxlLinkCap;

/*
 * Return capability number @i (from 0) of a link at 32 GT/s, in the order of
 * their offsets, or NULL past the end.
 */
const CxlLinkCap *cxl_link_cap_nth(unsigned i);

/*
 * Serial number, CXL r3.1 section 8.1.1: a locally administered EUI-64.
 * @kind keeps those of emulated and of served devices apart.
 */
#define CXL_TYPE2_SERIAL(kind, number) \
    (0x0200c5ULL << 40 | (uint64_t)(kind) << 32 | (uint32_t)(number))

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

/* Registers: set @size bytes (1, 2, 4 or 8) at @off, little endian. */
void cxl_regs_init(CxlRegs *r, uint32_t size);
void cxl_regs_free(CxlRegs *r);
void cxl_regs_clear(CxlRegs *r);
void cxl_regs_set(CxlRegs *r, uint32_t off, unsigned size, uint64_t val);
void cxl_regs_wmask(CxlRegs *r, uint32_t off, unsigned size, uint64_t mask);
void cxl_regs_w1c(CxlRegs *r, uint32_t off, unsigned size, uint64_t mask);

/* Apply a write of one byte under the masks. */
void cxl_regs_write_byte(CxlRegs *r, uint32_t off, uint8_t val);

/*
 * Put the CM part of @id's component block into its state after a reset:
 * capability array and RAS (CXL r3.1 8.2.4).  The HDM decoders are in the
 * array, but their registers are the caller's.  @cm has CXL_TYPE2_CM_SIZE
 * bytes.
 */
void cxl_cm_init(CxlRegs *cm, const CxlIdentity *id);

/* BAR 0 of sfc: how often its boot status was read since the last write */
typedef struct CxlSfc {
    unsigned polls;
} CxlSfc;

void cxl_sfc_reset(CxlSfc *s);
void cxl_sfc_read(CxlSfc *s, uint64_t off, uint8_t *buf, uint32_t len);
void cxl_sfc_write(CxlSfc *s);

#endif /* HW_CXL_TYPE2_MODEL_H */
