/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vfio_cxl_test: what its parts share
 */
#ifndef VFIO_CXL_TEST_H
#define VFIO_CXL_TEST_H

#include <linux/memory-failure.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/vfio_pci_core.h>
#include <linux/xarray.h>

#include "vfio-cxl-abi.h"

#define CXLT_NAME		"vfio_cxl_test"

/* HDM Decoder Capability, CXL r4.0 section 8.2.4.20 */
#define HDM_CAP			0x00
#define  HDM_CAP_COUNT		GENMASK(3, 0)
#define HDM_BASE_LOW		0x10
#define HDM_BASE_HIGH		0x14
#define HDM_SIZE_LOW		0x18
#define HDM_SIZE_HIGH		0x1c
#define HDM_CONTROL		0x20
#define  HDM_CONTROL_IW		GENMASK(7, 4)
#define  HDM_CONTROL_COMMIT	BIT(9)
#define  HDM_CONTROL_COMMITTED	BIT(10)
#define HDM_ONE_DECODER_LEN	0x30

/* CXL Device DVSEC, CXL r4.0 section 8.1.3: what pci_regs.h does not have */
#define CXL_DVSEC_CAP_RESET		BIT(7)
#define CXL_DVSEC_CAP_RESET_TIMEOUT	GENMASK(10, 8)
#define CXL_DVSEC_CAP_MEM_CLEAR		BIT(11)
#define CXL_DVSEC_STATUS		0x0e
#define CXL_DVSEC_CTRL2			0x10
#define  CXL_DVSEC_CTRL2_NO_CACHING	BIT(0)
#define  CXL_DVSEC_CTRL2_WRITE_BACK	BIT(1)
#define  CXL_DVSEC_CTRL2_RESET		BIT(2)
#define  CXL_DVSEC_CTRL2_MEM_CLEAR	BIT(3)
#define CXL_DVSEC_STATUS2		0x12
#define  CXL_DVSEC_STATUS2_CACHE_INVALID BIT(0)
#define  CXL_DVSEC_STATUS2_RESET_DONE	BIT(1)
#define  CXL_DVSEC_STATUS2_RESET_ERROR	BIT(2)
#define CXL_DVSEC_MIN_LEN		0x38
#define CXL_DVSEC_MAX_LEN		0x40

/**
 * struct cxlt_host - what was found at bind, and stays as it was
 * @usable: everything below is set; else the device is plain vfio-pci
 * @dvsec: CXL Device DVSEC in config space
 * @dvsec_len: bytes of it, header included
 * @bar: where the component registers are
 * @block: of the HDM Decoder Capability, from the start of that BAR
 * @block_len: bytes of it
 * @regs: the block, mapped
 * @base: host physical address that decoder 0 was committed to
 * @size: bytes
 * @control: decoder 0's control register
 */
struct cxlt_host {
	bool usable;
	u16 dvsec;
	u16 dvsec_len;
	u8 bar;
	u64 block;
	u32 block_len;
	void __iomem *regs;
	phys_addr_t base;
	u64 size;
	u32 control;
};

/**
 * struct cxlt_device - one device
 * @core: must come first
 * @host: found at bind
 * @gate: of @good and @closing; taken after @core.memory_lock
 * @good: the decoder works, as far as the last reset tells
 * @closing: writes to config space under way that end in a gated device
 * @hdm_index: of the HDM's region while the device is open
 * @pfns: tells memory_failure() whose memory it is, while open
 * @poisoned: HDM pages with an error, by page number
 * @shadow: the DVSEC as the user sees it
 * @dmabuf_lock: one export at a time
 * @dmabuf_hdm: the export that is under way is the HDM's
 * @debug: directory in debugfs
 */
struct cxlt_device {
	struct vfio_pci_core_device core;
	struct cxlt_host host;
	struct rw_semaphore gate;
	bool good;
	unsigned int closing;
	unsigned int hdm_index;
	struct pfn_address_space pfns;
	struct xarray poisoned;
	u8 shadow[CXL_DVSEC_MAX_LEN];
	struct mutex dmabuf_lock;
	bool dmabuf_hdm;
	struct dentry *debug;
};

static inline struct cxlt_device *cxlt_from_vfio(struct vfio_device *vdev)
{
	return container_of(vdev, struct cxlt_device, core.vdev);
}

static inline struct cxlt_device *cxlt_from_core(struct vfio_pci_core_device *core)
{
	return container_of(core, struct cxlt_device, core);
}

/**
 * cxlt_split_t - serve a part of a read or write that the core must not see
 * @dev: the device
 * @buf: the user's, of @len bytes
 * @at: where in the part
 * @iswrite: direction
 *
 * Return: 0 or an error.
 */
typedef int cxlt_part_t(struct cxlt_device *dev, char __user *buf, size_t len,
			u64 at, bool iswrite);

/* host.c: the device as the host's firmware left it */
void cxlt_host_find(struct cxlt_device *dev);
void cxlt_host_put(struct cxlt_device *dev);
int cxlt_host_check(struct cxlt_device *dev);

/* hdm.c: the HDM region */
int cxlt_hdm_open(struct cxlt_device *dev);
void cxlt_hdm_close(struct cxlt_device *dev);
void cxlt_hdm_zap(struct cxlt_device *dev);
int cxlt_hdm_poison(struct cxlt_device *dev, u64 offset);

/* decoder.c: the decoder-register region */
int cxlt_decoder_open(struct cxlt_device *dev);

/* bar.c: the component BAR, with a hole where the decoder is */
int cxlt_bar_caps(struct cxlt_device *dev, struct vfio_info_cap *caps);
bool cxlt_bar_may_map(struct cxlt_device *dev, struct vm_area_struct *vma);
cxlt_part_t cxlt_bar_hole;

/* dvsec.c: the CXL Device DVSEC */
void cxlt_dvsec_open(struct cxlt_device *dev);
cxlt_part_t cxlt_dvsec_rw;

/* reset.c: when the HDM may be touched */
bool cxlt_gate_closes(struct cxlt_device *dev, const char __user *buf,
		      size_t count, u64 at);
void cxlt_gate_begin(struct cxlt_device *dev);
void cxlt_gate_end(struct cxlt_device *dev);
bool cxlt_gate_open(struct cxlt_device *dev);
extern const struct pci_error_handlers cxlt_err_handlers;

/* dmabuf.c: export of the HDM */
extern const struct vfio_pci_device_ops cxlt_pci_ops;
int cxlt_dmabuf_feature(struct cxlt_device *dev, u32 flags, void __user *arg,
			size_t argsz);

/* debug.c: switches that make it misbehave */
extern bool cxlt_fail_reset;
extern bool cxlt_refuse_mmap;
extern bool cxlt_decoder_eio;
extern bool cxlt_hide_cxl;
void cxlt_debug_init(void);
void cxlt_debug_exit(void);
void cxlt_debug_add(struct cxlt_device *dev);
void cxlt_debug_remove(struct cxlt_device *dev);

#endif /* VFIO_CXL_TEST_H */
