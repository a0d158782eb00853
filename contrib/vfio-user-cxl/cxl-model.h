/*
 * Model of a CXL Type-2 device, as a VFIO kernel driver presents it
 *
 * The model is a library: it holds config space, BARs, component registers,
 * the HDM decoder and the device memory, and knows nothing of sockets or of
 * VFIO's region numbers.  A front end maps its transport to these functions.
 *
 * Not thread safe: one caller at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_MODEL_H
#define VFIO_USER_CXL_MODEL_H

#include "hw/cxl/cxl_accel_copy.h"
#include "hw/cxl/cxl_type2_model.h"

#define CXL_MODEL_BARS CXL_TYPE2_BARS
#define CXL_MODEL_CFG_SIZE 4096
#define CXL_MODEL_MAX_AREAS 2

/* Host physical base of decoder and DVSEC range unless configured */
#define CXL_MODEL_HOST_BASE 0x4ac0000000ULL

#define CXL_MODEL_HDM_ALIGN (256ULL * 1024 * 1024)
#define CXL_MODEL_HDM_MAX (1024ULL * 1024 * 1024 * 1024)

typedef struct CxlModel CxlModel;

/* How host and device keep the memory coherent, CXL r3.1 section 2.2 */
typedef enum CxlModelCoherency {
    CXL_MODEL_HDM_D,                /* by CXL.cache: a Type-2 device */
    CXL_MODEL_HDM_H,                /* by the host alone, without CXL.cache */
    CXL_MODEL_HDM_DB,               /* by Back-Invalidate, without CXL.cache */
} CxlModelCoherency;

/* What the caller chooses; the fields below "deviations" are for tests */
typedef struct CxlModelConfig {
    const CxlIdentity *identity;
    uint64_t hdm_size;              /* bytes, checked by the caller */
    uint64_t host_base;             /* 256 MiB aligned */
    uint64_t serial;
    CxlModelCoherency coherency;
    int mem_fd;                     /* backing memory, stays the caller's */

    /* deviations from a sane device */
    bool decoder_size_set;
    uint64_t decoder_size;          /* bytes in decoder 0's size register */
    unsigned decoder_count_code;    /* HDM capability bits 3:0 */
    bool interleave;                /* decoder 0: two ways */
    bool not_committed;
    bool decoder_error;             /* decoder 0: error, not committed */
    bool decoder_eio;               /* decoder region reads fail */
    bool no_dvsec;                  /* DVSECs 0, 5, 7, 8 missing */
    bool no_cache;                  /* DVSEC 0: no CXL.cache, yet HDM-D */
    bool no_mem;                    /* DVSEC 0: no CXL.mem */
    bool second_range;              /* DVSEC 0: Range 2 as Range 1 */
    bool reset_fails;
    uint64_t fail_reset;    /* number of the reset that fails, 0: none */
    uint64_t reset_ms;      /* what a reset takes */
    bool capacity_set;
    uint64_t capacity;              /* in accel's register, not the size */
    uint64_t die_in_copy;           /* dead in the middle of this one */
    bool no_completion;             /* copies end without an interrupt */
} CxlModelConfig;

/* A directly mappable part of a BAR: bytes from the start of that BAR */
typedef struct CxlModelArea {
    uint64_t offset;
    uint64_t size;
} CxlModelArea;

/* Called when the device raises MSI-X vector @vector */
typedef void CxlModelIrqFn(void *opaque, unsigned vector);

/*
 * Check @config against the rules of the model (CXL r3.1 8.2.4.20: decoder
 * base and size are multiples of 256 MiB).  On failure set @errp to one line
 * with the figure and the remedy, return false.
 */
bool cxl_model_check(const CxlModelConfig *config, Error **errp);

/* Make a model from a checked @config.  NULL and @errp: no memory. */
CxlModel *cxl_model_new(const CxlModelConfig *config, Error **errp);
void cxl_model_free(CxlModel *m);

const CxlIdentity *cxl_model_identity(const CxlModel *m);

/* Set the function that delivers interrupts; NULL: interrupts are dropped. */
void cxl_model_set_irq(CxlModel *m, CxlModelIrqFn *fn, void *opaque);

/*
 * Give the copy engine its way to guest memory, NULL: none.  The engine uses
 * it only while bus mastering is enabled.
 */
void cxl_model_set_dma(CxlModel *m, const CxlDmaOps *ops, void *opaque);

/*
 * The copy engine: is there a step to do, do it, and the answer to @start of
 * struct CxlDmaOps is here.
 */
bool cxl_model_copy_runnable(const CxlModel *m);
void cxl_model_copy_run(CxlModel *m);
void cxl_model_copy_dma_done(CxlModel *m, bool ok);
const CxlCopyStats *cxl_model_copy_stats(const CxlModel *m);

/* The device died in the middle of a copy, as config.die_in_copy says. */
bool cxl_model_dead(const CxlModel *m);

/* The user is gone: forget what the copy engine does.  Memory stays. */
void cxl_model_close(CxlModel *m);

/*
 * A new user opens the device: everything back to power-on, memory cleared.
 * Return 0 or a negative errno (the memory could not be cleared).
 */
int cxl_model_open(CxlModel *m);

/*
 * Function reset as a kernel offers it: memory, component registers and the
 * accelerator's registers are cleared; config space is saved and restored by
 * the kernel around it and so keeps its values.  Return 0 or a negative
 * errno; after a failure the memory stays unreachable until a reset works.
 */
int cxl_model_reset(CxlModel *m);

/* Memory Space enabled, D0, and no failed reset: the memory may be used. */
bool cxl_model_mem_enabled(const CxlModel *m);

/*
 * Config space.  @off and @len in bytes, both inside 4 KiB or -EINVAL.
 * Return bytes done.
 */
int cxl_model_cfg_read(CxlModel *m, uint64_t off, void *buf, uint32_t len);
int cxl_model_cfg_write(CxlModel *m, uint64_t off, const void *buf,
                        uint32_t len);

/*
 * BAR @bar.  Clipped at the end of the BAR; -EINVAL at or past the end or
 * when the BAR is absent.  The HDM decoder block inside the component BAR
 * reads as all-ones and drops writes.
 */
int cxl_model_bar_read(CxlModel *m, int bar, uint64_t off, void *buf,
                       uint32_t len);
int cxl_model_bar_write(CxlModel *m, int bar, uint64_t off, const void *buf,
                        uint32_t len);
uint64_t cxl_model_bar_size(const CxlModel *m, int bar);

/*
 * Descriptor of the memory behind BAR @bar, or -1 if it cannot be mapped.
 * @areas gets the mappable parts, @n_areas their number (may be 0).
 */
int cxl_model_bar_fd(const CxlModel *m, int bar, CxlModelArea *areas,
                     unsigned *n_areas);

/* HDM: file access.  -EIO while gated, -EINVAL at or past the end. */
int cxl_model_hdm_read(CxlModel *m, uint64_t off, void *buf, uint32_t len);
int cxl_model_hdm_write(CxlModel *m, uint64_t off, const void *buf,
                        uint32_t len);

/*
 * Decoder registers: whole dwords only (-EINVAL), live read, writes are
 * absorbed.  -EIO on read while Memory Space is off.
 */
int cxl_model_decoder_read(CxlModel *m, uint64_t off, void *buf, uint32_t len);
int cxl_model_decoder_write(CxlModel *m, uint64_t off, const void *buf,
                            uint32_t len);

/* Bytes of the HDM decoder capability block: 0x10 + 0x20 * decoders. */
uint32_t cxl_model_decoder_len(const CxlModel *m);

/* Offset of that block inside the component BAR. */
uint64_t cxl_model_decoder_offset(const CxlModel *m);

#endif /* VFIO_USER_CXL_MODEL_H */
