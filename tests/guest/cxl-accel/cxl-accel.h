/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/cxl_accelN: what programs and the driver agree on.
 *
 * Test code for the guest of this project; no stable interface.  README.md
 * beside this file explains it.
 */
#ifndef CXL_ACCEL_H
#define CXL_ACCEL_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * The file's offsets: device memory lies from 0 to its size, for mmap, read
 * and write; DMA buffers lie above CXL_ACCEL_BUFFERS, for mmap only.
 */
#define CXL_ACCEL_BUFFERS	(1ULL << 44)

#define CXL_ACCEL_HAS_ENGINE	(1U << 0)

/**
 * struct cxl_accel_info - what the device is
 * @base: guest physical address of the device memory
 * @size: its size in bytes
 * @version: the device's version register
 * @flags: CXL_ACCEL_HAS_ENGINE
 * @vectors: MSI-X vectors the device has
 * @handled: how many of them, from 0 on, have a handler
 * @doorbells: valid doorbells since reset, as the device counts them
 * @page_size: largest page that this file's mappings use, 4096 or 2 MiB
 */
struct cxl_accel_info {
	__u64 base;
	__u64 size;
	__u32 version;
	__u32 flags;
	__u32 vectors;
	__u32 handled;
	__u32 doorbells;
	__u32 page_size;
};

/**
 * struct cxl_accel_irq - wait for an interrupt
 * @vector: MSI-X vector
 * @timeout_ms: how long; 0 does not wait, and is how the count is read
 * @count: in: the count known so far; out: the vector's count now.  The call
 *	ends when the two differ.
 */
struct cxl_accel_irq {
	__u32 vector;
	__u32 timeout_ms;
	__u64 count;
};

/**
 * struct cxl_accel_buffer - memory that the device can reach
 * @size: in: bytes; out: rounded up to whole pages
 * @offset: out: what to mmap, and the buffer's name in CXL_ACCEL_COPY
 * @bus: out: the address the device uses, for CXL_ACCEL_SUBMIT
 */
struct cxl_accel_buffer {
	__u64 size;
	__u64 offset;
	__u64 bus;
};

/* The device's operations. */
#define CXL_ACCEL_OP_TO_HDM	1
#define CXL_ACCEL_OP_FROM_HDM	2
#define CXL_ACCEL_OP_FILL	3
#define CXL_ACCEL_OP_HDM_TO_HDM	4

/* Wait by looking at the status register; no interrupt is asked for. */
#define CXL_ACCEL_POLL		(1U << 0)

/* Values of cxl_accel_copy.status. */
#define CXL_ACCEL_IDLE		0
#define CXL_ACCEL_BUSY		1
#define CXL_ACCEL_DONE		2
#define CXL_ACCEL_FAILED	3

/* Values of cxl_accel_copy.error. */
#define CXL_ACCEL_E_NONE	0
#define CXL_ACCEL_E_LENGTH	1	/* length 0 */
#define CXL_ACCEL_E_OUTSIDE	2	/* starts outside of the HDM */
#define CXL_ACCEL_E_CROSSES	3	/* crosses the end of the HDM */
#define CXL_ACCEL_E_DMA		4	/* guest memory not reachable */
#define CXL_ACCEL_E_OVERLAP	5	/* source and destination overlap */
#define CXL_ACCEL_E_OPERATION	6	/* no such operation */
#define CXL_ACCEL_E_VECTOR	7	/* no such vector */
#define CXL_ACCEL_E_ABORTED	8	/* aborted */
#define CXL_ACCEL_E_MEMORY	9	/* device memory not accessible */

/**
 * struct cxl_accel_copy - one request to the copy engine
 * @op: CXL_ACCEL_OP_*
 * @flags: CXL_ACCEL_POLL
 * @vector: MSI-X vector that tells the end
 * @timeout_ms: how long to wait, 0 for 10 s
 * @src: source; HDM is addressed from 0 on.  Guest memory is addressed by the
 *	offset of a buffer plus an offset in it for CXL_ACCEL_COPY, and by the
 *	bus address for CXL_ACCEL_SUBMIT.
 * @dst: destination
 * @len: bytes
 * @pattern: for CXL_ACCEL_OP_FILL, repeated every 8 bytes
 * @status: out: CXL_ACCEL_DONE, or CXL_ACCEL_FAILED with @error
 * @error: out: CXL_ACCEL_E_*
 * @done: out: bytes moved
 * @nanoseconds: out: from the start command to the end
 */
struct cxl_accel_copy {
	__u32 op;
	__u32 flags;
	__u32 vector;
	__u32 timeout_ms;
	__u64 src;
	__u64 dst;
	__u64 len;
	__u64 pattern;
	__u32 status;
	__u32 error;
	__u64 done;
	__u64 nanoseconds;
};

#define CXL_ACCEL_INFO		_IOR(0xcd, 0, struct cxl_accel_info)
#define CXL_ACCEL_PAGE_SIZE	_IOW(0xcd, 1, __u32)
#define CXL_ACCEL_RING		_IOW(0xcd, 2, __u32)
#define CXL_ACCEL_WAIT		_IOWR(0xcd, 3, struct cxl_accel_irq)
#define CXL_ACCEL_ALLOC		_IOWR(0xcd, 4, struct cxl_accel_buffer)
#define CXL_ACCEL_FREE		_IOW(0xcd, 5, __u64)
#define CXL_ACCEL_COPY		_IOWR(0xcd, 6, struct cxl_accel_copy)
#define CXL_ACCEL_SUBMIT	_IOWR(0xcd, 7, struct cxl_accel_copy)

#endif
