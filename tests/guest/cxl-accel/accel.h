/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the driver share.
 *
 * There are two objects for each device.  struct accel_hw belongs to the
 * binding: it dies with it.  struct accel belongs to the character device:
 * it lives until the last open file is closed, which may be long after the
 * driver was unbound.  Whoever comes from a file enters with accel_enter(),
 * which gives the hardware or says that it is gone.
 */
#ifndef ACCEL_H
#define ACCEL_H

#include <linux/atomic.h>
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/range.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <cxl/cxl.h>

#include "cxl-accel.h"

#define ACCEL_NAME		"cxl_accel"
#define ACCEL_VECTORS_MAX	32

/* Registers in BAR 0. */
#define ACCEL_REG_ID		0x00
#define ACCEL_REG_VERSION	0x04
#define ACCEL_REG_CAPACITY	0x08
#define ACCEL_REG_DOORBELL	0x10
#define ACCEL_REG_DOORBELLS	0x14
#define ACCEL_REG_VECTORS	0x20
#define ACCEL_REG_SRC		0x40
#define ACCEL_REG_DST		0x48
#define ACCEL_REG_LEN		0x50
#define ACCEL_REG_PATTERN	0x58
#define ACCEL_REG_CONTROL	0x60
#define ACCEL_REG_COMMAND	0x64
#define ACCEL_REG_STATUS	0x68
#define ACCEL_REG_ERROR		0x6c
#define ACCEL_REG_DONE		0x70

/* The bytes "CXT2". */
#define ACCEL_ID		0x32545843
/* The first version with a copy engine. */
#define ACCEL_VERSION_ENGINE	0x00020000

struct accel;

/* One MSI-X vector. */
struct accel_irq {
	atomic64_t count;
	wait_queue_head_t wait;
};

/* The bound device.  @cxlds must be first: the CXL core allocates it. */
struct accel_hw {
	struct cxl_dev_state cxlds;
	struct pci_dev *pdev;
	struct accel *accel;
	void __iomem *regs;
	u32 version;
	u64 capacity;
	struct range range;
	/* The device memory, write-back. */
	void *mem;
	u32 vectors;
	u32 handled;
	struct accel_irq irqs[ACCEL_VECTORS_MAX];
	/* Set when the driver leaves: nobody waits any longer. */
	bool leaving;
};

/* The character device. */
struct accel {
	struct device dev;
	struct cdev cdev;
	struct accel_hw __rcu *hw;
	struct srcu_struct srcu;
	/* Kept while a request runs, and to free what one might use. */
	struct mutex engine_lock;
	/* Guards @files and, with it, the end of their buffers. */
	struct mutex files_lock;
	struct list_head files;
	atomic64_t next_buffer;
	atomic64_t small_faults;
	atomic64_t huge_faults;
};

/* An open file. */
struct accel_file {
	struct accel *accel;
	struct file *file;
	struct list_head entry;
	/* Guards @buffers; taken under mmap_lock, so no user access below. */
	struct mutex lock;
	struct list_head buffers;
	u32 page_size;
};

/* Enter from a file: the hardware, or NULL when it is gone. */
static inline struct accel_hw *accel_enter(struct accel *accel, int *idx)
{
	struct accel_hw *hw;

	*idx = srcu_read_lock(&accel->srcu);
	hw = srcu_dereference(accel->hw, &accel->srcu);
	if (!hw)
		srcu_read_unlock(&accel->srcu, *idx);
	return hw;
}

static inline void accel_leave(struct accel *accel, int idx)
{
	srcu_read_unlock(&accel->srcu, idx);
}

/* Whatever fails in probe says at which step; returns @err. */
static inline int accel_failed(struct accel_hw *hw, const char *step, int err)
{
	return dev_err_probe(&hw->pdev->dev, err, "step '%s' failed\n", step);
}

/* hdm.c: the device memory */
int accel_hdm_probe(struct accel_hw *hw);
int accel_hdm_map(struct accel_hw *hw);
void accel_hdm_unmap(struct accel_hw *hw);
ssize_t accel_hdm_read(struct file *file, char __user *to, size_t len,
		       loff_t *pos);
ssize_t accel_hdm_write(struct file *file, const char __user *from,
			size_t len, loff_t *pos);
vm_fault_t accel_hdm_fault(struct accel *accel, struct accel_hw *hw,
			   struct vm_fault *vmf, unsigned int order);

/* irq.c: interrupts and doorbells */
int accel_irq_setup(struct accel_hw *hw);
void accel_irq_teardown(struct accel_hw *hw);
void accel_irq_wake_all(struct accel_hw *hw);
int accel_irq_wait(struct accel_hw *hw, struct cxl_accel_irq *wait);

/* engine.c: the copy engine and memory for it */
bool accel_has_engine(const struct accel_hw *hw);
void accel_engine_stop(struct accel_hw *hw);
int accel_engine_run(struct accel_hw *hw, struct accel_file *af,
		     struct cxl_accel_copy *copy, bool raw);
int accel_buffer_alloc(struct accel_hw *hw, struct accel_file *af,
		       struct cxl_accel_buffer *buffer);
int accel_buffer_free(struct accel_file *af, u64 offset);
void accel_buffers_free_all(struct accel_file *af);
bool accel_buffer_has(struct accel_file *af, u64 offset, u64 size);
vm_fault_t accel_buffer_fault(struct accel_file *af, struct vm_fault *vmf);

/* chardev.c: /dev/cxl_accelN */
int accel_chardev_init(void);
void accel_chardev_exit(void);
struct accel *accel_chardev_add(struct accel_hw *hw);
void accel_chardev_remove(struct accel *accel);

/* attrs.c: sysfs */
extern const struct attribute_group *accel_groups[];

#endif
