/*
 * Copy engine of a generic CXL accelerator
 *
 * A state machine on plain data: registers in, bounded steps of work out.
 * What moves the bytes is behind struct CxlCopyOps, so that the engine knows
 * neither sockets nor descriptors.  The reference device and the emulated
 * one share it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_ACCEL_COPY_H
#define HW_CXL_ACCEL_COPY_H

/* Registers, as offsets into the block; see contrib/vfio-user-cxl/README.md */
#define CXL_COPY_SRC 0x00
#define CXL_COPY_DST 0x08
#define CXL_COPY_LEN 0x10
#define CXL_COPY_PATTERN 0x18
#define CXL_COPY_CONTROL 0x20
#define CXL_COPY_COMMAND 0x24
#define CXL_COPY_STATUS 0x28
#define CXL_COPY_ERROR 0x2c
#define CXL_COPY_DONE 0x30
#define CXL_COPY_COUNT 0x38
#define CXL_COPY_REGS 0x3c

/* CONTROL: operation, vector, interrupt on completion */
#define CXL_COPY_OP_MASK 0xf
#define CXL_COPY_OP_TO_HDM 1
#define CXL_COPY_OP_FROM_HDM 2
#define CXL_COPY_OP_FILL 3
#define CXL_COPY_OP_HDM 4
#define CXL_COPY_VECTOR_SHIFT 8
#define CXL_COPY_IRQ (1 << 16)

#define CXL_COPY_START 1
#define CXL_COPY_ABORT 2

typedef enum CxlCopyState {
    CXL_COPY_IDLE,
    CXL_COPY_BUSY,
    CXL_COPY_OK,
    CXL_COPY_FAILED,
} CxlCopyState;

/* STATUS: a start came while busy */
#define CXL_COPY_REFUSED (1U << 31)

typedef enum CxlCopyError {
    CXL_COPY_NO_ERROR,
    CXL_COPY_E_LENGTH,              /* nothing to do */
    CXL_COPY_E_HDM_START,           /* HDM range starts outside */
    CXL_COPY_E_HDM_END,             /* HDM range crosses the end */
    CXL_COPY_E_DMA,                 /* not mapped, or refused */
    CXL_COPY_E_OVERLAP,
    CXL_COPY_E_OP,
    CXL_COPY_E_VECTOR,
    CXL_COPY_E_ABORTED,
    CXL_COPY_E_GATED,               /* device memory is not accessible */
} CxlCopyError;

/* How guest memory at some address is reached */
typedef enum CxlDmaWay {
    CXL_DMA_NONE,                   /* not at all */
    CXL_DMA_DIRECT,                 /* it is mapped here */
    CXL_DMA_MESSAGE,                /* by asking its owner, who answers later */
} CxlDmaWay;

/* Guest memory; @write is the direction as that memory sees it */
typedef struct CxlDmaOps {
    /*
     * May the device use guest memory [addr, addr + len)?  @hdm is the HDM
     * offset of the other side, of the same length.  CXL_COPY_NO_ERROR,
     * _E_DMA, or _E_OVERLAP if part of the range is that very memory.
     */
    CxlCopyError (*check)(void *opaque, bool write, uint64_t addr,
                          uint64_t len, uint64_t hdm);
    /*
     * How to reach @addr.  Lower @len to what is reached in one go; set
     * @ptr for CXL_DMA_DIRECT.
     */
    CxlDmaWay (*way)(void *opaque, bool write, uint64_t addr, uint32_t *len,
                     void **ptr);
    /*
     * Start to move @len bytes to or from @buf, which stays valid until
     * cxl_copy_dma_done() or cancel().  False: it cannot be done.
     */
    bool (*start)(void *opaque, bool write, uint64_t addr, uint8_t *buf,
                  uint32_t len);
    /* Never touch the buffer of the last start() again. */
    void (*cancel)(void *opaque);
} CxlDmaOps;

/* The device around the engine */
typedef struct CxlCopyOps {
    CxlDmaOps dma;
    /*
     * Read (@write false) or write HDM.  0 or a negative errno; -EFAULT if
     * it is @buf that cannot be used.
     */
    int (*hdm)(void *opaque, bool write, uint64_t off, void *buf,
               uint32_t len);
    bool (*hdm_enabled)(void *opaque);
    void (*irq)(void *opaque, unsigned vector);
} CxlCopyOps;

typedef struct CxlCopyConfig {
    uint64_t hdm_size;              /* bytes */
    unsigned vectors;
    uint32_t chunk;                 /* bytes in one step, a multiple of 8 */
    uint64_t die_in;                /* be dead in the middle of this request */
    bool no_irq;                    /* completion interrupts get lost */
} CxlCopyConfig;

typedef struct CxlCopyStats {
    uint64_t started;               /* requests, of all users together */
    uint64_t failed;
    uint64_t bytes;
} CxlCopyStats;

typedef struct CxlCopy {
    CxlCopyConfig config;
    const CxlCopyOps *ops;
    void *opaque;
    CxlCopyStats stats;             /* survives a reset */

    uint8_t regs[CXL_COPY_COMMAND]; /* what can be read back */
    CxlCopyState state;
    CxlCopyError error;
    bool refused;
    uint64_t done;
    uint32_t count;

    /* of the request under way */
    uint64_t src;
    uint64_t dst;
    uint64_t len;
    uint32_t control;
    uint32_t step;                  /* bytes a message was sent for, or 0 */
    bool aborting;                  /* ends when its answer comes */
    bool dead;
    uint8_t *buf;                   /* config.chunk bytes */
} CxlCopy;

/* Prepare @c; @ops gets @opaque.  Undo with cxl_copy_cleanup(). */
void cxl_copy_init(CxlCopy *c, const CxlCopyConfig *config,
                   const CxlCopyOps *ops, void *opaque);
void cxl_copy_cleanup(CxlCopy *c);

/* Forget the request under way, without an interrupt, and all registers. */
void cxl_copy_reset(CxlCopy *c);

/*
 * Access registers: @off in bytes from the start of the block, which has
 * CXL_COPY_REGS bytes; what is beyond it reads as 0.  COMMAND wants its
 * whole dword in one access.
 */
void cxl_copy_read(const CxlCopy *c, uint32_t off, uint8_t *buf,
                   uint32_t len);
void cxl_copy_write(CxlCopy *c, uint32_t off, const uint8_t *buf,
                    uint32_t len);

/* There is a step to do now: the engine is busy and waits for nobody. */
bool cxl_copy_runnable(const CxlCopy *c);

/* Do one step, of at most config.chunk bytes. */
void cxl_copy_run(CxlCopy *c);

/* The answer to start() is here; @ok: all its bytes have moved. */
void cxl_copy_dma_done(CxlCopy *c, bool ok);

#endif /* HW_CXL_ACCEL_COPY_H */
