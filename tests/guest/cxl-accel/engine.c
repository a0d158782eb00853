// SPDX-License-Identifier: GPL-2.0
/* The copy engine: one request at a time, and memory that it can reach. */
#include <linux/delay.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/ktime.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "accel.h"

#define CONTROL_OPERATION	GENMASK(3, 0)
#define CONTROL_VECTOR_SHIFT	8
#define CONTROL_INTERRUPT	BIT(16)
#define COMMAND_START		1
#define COMMAND_ABORT		2
#define STATUS_STATE		GENMASK(7, 0)

#define DEFAULT_TIMEOUT_MS	10000
/* How long an abort may take before the device counts as stuck. */
#define ABORT_MS		2000
#define POLL_US			50

struct accel_buffer {
	struct list_head entry;
	u64 offset;
	u64 size;
	void *mem;
	dma_addr_t bus;
};

bool accel_has_engine(const struct accel_hw *hw)
{
	return hw->version >= ACCEL_VERSION_ENGINE;
}

/* --- requests ------------------------------------------------------------ */

static u32 engine_state(struct accel_hw *hw)
{
	return readl(hw->regs + ACCEL_REG_STATUS) & STATUS_STATE;
}

/* A device that no longer answers reads as all ones. */
static bool engine_lost(struct accel_hw *hw)
{
	return readl(hw->regs + ACCEL_REG_ID) != ACCEL_ID;
}

/**
 * accel_engine_stop() - end what runs
 * @hw: the device
 *
 * On return the device moves nothing: a request that does not end loses the
 * right to reach guest memory.
 */
void accel_engine_stop(struct accel_hw *hw)
{
	unsigned int waited;

	if (!accel_has_engine(hw) || engine_state(hw) != CXL_ACCEL_BUSY)
		return;
	writel(COMMAND_ABORT, hw->regs + ACCEL_REG_COMMAND);
	for (waited = 0; waited < ABORT_MS; waited++) {
		if (engine_state(hw) != CXL_ACCEL_BUSY)
			return;
		usleep_range(1000, 1500);
	}
	pci_clear_master(hw->pdev);
	dev_err(&hw->pdev->dev, "copy engine still busy %u ms after an abort; its bus mastering is off now\n",
		ABORT_MS);
}

static void engine_start(struct accel_hw *hw, const struct cxl_accel_copy *copy)
{
	u32 control = (copy->op & CONTROL_OPERATION) |
		      (copy->vector & 0xff) << CONTROL_VECTOR_SHIFT;

	if (!(copy->flags & CXL_ACCEL_POLL))
		control |= CONTROL_INTERRUPT;
	writeq(copy->src, hw->regs + ACCEL_REG_SRC);
	writeq(copy->dst, hw->regs + ACCEL_REG_DST);
	writeq(copy->len, hw->regs + ACCEL_REG_LEN);
	writeq(copy->pattern, hw->regs + ACCEL_REG_PATTERN);
	writel(control, hw->regs + ACCEL_REG_CONTROL);
	writel(COMMAND_START, hw->regs + ACCEL_REG_COMMAND);
}

static int wait_polling(struct accel_hw *hw, unsigned long limit)
{
	while (engine_state(hw) == CXL_ACCEL_BUSY) {
		if (READ_ONCE(hw->leaving))
			return -ENODEV;
		if (signal_pending(current))
			return -EINTR;
		if (time_after(jiffies, limit))
			return -ETIMEDOUT;
		usleep_range(POLL_US, 2 * POLL_US);
	}
	return 0;
}

/*
 * The vector may be rung for other reasons, so the state is looked at too.
 * A raw request may name a vector without a handler: nothing ever comes.
 */
static int wait_interrupt(struct accel_hw *hw, u32 vector, s64 before,
			  unsigned long timeout)
{
	static DECLARE_WAIT_QUEUE_HEAD(never);
	bool handled = vector < hw->handled;
	struct accel_irq *irq = &hw->irqs[handled ? vector : 0];
	wait_queue_head_t *queue = &irq->wait;
	long left;

	if (!handled)
		before = S64_MAX;
	left = wait_event_interruptible_timeout(
		*queue,
		READ_ONCE(hw->leaving) ||
		(handled && atomic64_read(&irq->count) != before &&
		 engine_state(hw) != CXL_ACCEL_BUSY), timeout);
	if (READ_ONCE(hw->leaving))
		return -ENODEV;
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

static int run_locked(struct accel_hw *hw, struct cxl_accel_copy *copy)
{
	unsigned long timeout = msecs_to_jiffies(copy->timeout_ms ?:
						 DEFAULT_TIMEOUT_MS);
	u32 vector = min_t(u32, copy->vector, ACCEL_VECTORS_MAX - 1);
	s64 before = atomic64_read(&hw->irqs[vector].count);
	ktime_t start = ktime_get();
	int err;

	engine_start(hw, copy);
	if (copy->flags & CXL_ACCEL_POLL)
		err = wait_polling(hw, jiffies + timeout);
	else
		err = wait_interrupt(hw, copy->vector, before, timeout);
	copy->nanoseconds = ktime_to_ns(ktime_sub(ktime_get(), start));
	if (engine_lost(hw)) {
		dev_err_ratelimited(&hw->pdev->dev,
				    "device lost during a copy request\n");
		return -EIO;
	}
	if (err)
		accel_engine_stop(hw);
	copy->status = engine_state(hw);
	copy->error = readl(hw->regs + ACCEL_REG_ERROR);
	copy->done = readq(hw->regs + ACCEL_REG_DONE);
	return err;
}

/* Turn a file offset, of a whole range of guest memory, into a bus address. */
static int to_bus(struct accel_file *af, u64 *addr, u64 len)
{
	struct accel_buffer *buffer;
	int err = -EFAULT;

	mutex_lock(&af->lock);
	list_for_each_entry(buffer, &af->buffers, entry) {
		u64 into = *addr - buffer->offset;

		if (*addr < buffer->offset || into >= buffer->size ||
		    len > buffer->size - into)
			continue;
		*addr = buffer->bus + into;
		err = 0;
		break;
	}
	mutex_unlock(&af->lock);
	return err;
}

static int check_request(struct accel_hw *hw, struct accel_file *af,
			 struct cxl_accel_copy *copy)
{
	if (!(copy->flags & CXL_ACCEL_POLL) && copy->vector >= hw->handled)
		return -EINVAL;
	switch (copy->op) {
	case CXL_ACCEL_OP_TO_HDM:
		return to_bus(af, &copy->src, copy->len);
	case CXL_ACCEL_OP_FROM_HDM:
		return to_bus(af, &copy->dst, copy->len);
	case CXL_ACCEL_OP_FILL:
	case CXL_ACCEL_OP_HDM_TO_HDM:
		return 0;
	}
	return -EINVAL;
}

/**
 * accel_engine_run() - one request from start to end
 * @hw: the device
 * @af: the file whose buffers the request may name
 * @copy: the request; its results are set, its addresses stay
 * @raw: hand operation, vector and addresses to the device as they are
 *
 * Return: 0 when the request ended, well or not; -EOPNOTSUPP without an
 * engine; -EINVAL, or -EFAULT for memory that is in no buffer, when it was
 * refused here; -ETIMEDOUT, -EINTR or -ENODEV (the driver leaves) when it was
 * aborted; -EIO when the device no longer answers.
 */
int accel_engine_run(struct accel_hw *hw, struct accel_file *af,
		     struct cxl_accel_copy *copy, bool raw)
{
	struct cxl_accel_copy request = *copy;
	int err;

	if (!accel_has_engine(hw))
		return -EOPNOTSUPP;
	if (copy->flags & ~CXL_ACCEL_POLL)
		return -EINVAL;
	err = mutex_lock_interruptible(&af->accel->engine_lock);
	if (err)
		return -EINTR;
	if (READ_ONCE(hw->leaving))
		err = -ENODEV;
	else if (!raw)
		err = check_request(hw, af, &request);
	if (!err) {
		err = run_locked(hw, &request);
		copy->status = request.status;
		copy->error = request.error;
		copy->done = request.done;
		copy->nanoseconds = request.nanoseconds;
	}
	mutex_unlock(&af->accel->engine_lock);
	return err;
}

/* --- buffers ------------------------------------------------------------- */

static struct device *dma_device(struct accel_file *af)
{
	return af->accel->dev.parent;
}

int accel_buffer_alloc(struct accel_hw *hw, struct accel_file *af,
		       struct cxl_accel_buffer *user)
{
	struct accel_buffer *buffer;

	if (!accel_has_engine(hw))
		return -EOPNOTSUPP;
	/* Programs get the memory write-back, as the device must see it. */
	if (!dev_is_dma_coherent(&hw->pdev->dev))
		return -EOPNOTSUPP;
	if (!user->size || user->size > SZ_1G)
		return -EINVAL;
	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	buffer->size = PAGE_ALIGN(user->size);
	buffer->mem = dma_alloc_coherent(&hw->pdev->dev, buffer->size,
					 &buffer->bus,
					 GFP_KERNEL | __GFP_NOWARN);
	if (!buffer->mem) {
		kfree(buffer);
		return -ENOMEM;
	}
	buffer->offset = atomic64_fetch_add(buffer->size,
					    &af->accel->next_buffer);
	mutex_lock(&af->lock);
	list_add(&buffer->entry, &af->buffers);
	mutex_unlock(&af->lock);
	user->size = buffer->size;
	user->offset = buffer->offset;
	user->bus = buffer->bus;
	return 0;
}

/* The buffer is in no list any more, and no request runs. */
static void free_buffer(struct accel_file *af, struct accel_buffer *buffer)
{
	unmap_mapping_range(af->file->f_mapping, buffer->offset, buffer->size,
			    1);
	dma_free_coherent(dma_device(af), buffer->size, buffer->mem,
			  buffer->bus);
	kfree(buffer);
}

int accel_buffer_free(struct accel_file *af, u64 offset)
{
	struct accel_buffer *buffer, *found = NULL;

	mutex_lock(&af->accel->engine_lock);
	mutex_lock(&af->lock);
	list_for_each_entry(buffer, &af->buffers, entry) {
		if (buffer->offset == offset) {
			found = buffer;
			list_del(&found->entry);
			break;
		}
	}
	mutex_unlock(&af->lock);
	if (found)
		free_buffer(af, found);
	mutex_unlock(&af->accel->engine_lock);
	return found ? 0 : -EINVAL;
}

void accel_buffers_free_all(struct accel_file *af)
{
	struct accel_buffer *buffer, *next;
	LIST_HEAD(gone);

	mutex_lock(&af->accel->engine_lock);
	mutex_lock(&af->lock);
	list_splice_init(&af->buffers, &gone);
	mutex_unlock(&af->lock);
	list_for_each_entry_safe(buffer, next, &gone, entry)
		free_buffer(af, buffer);
	mutex_unlock(&af->accel->engine_lock);
}

bool accel_buffer_has(struct accel_file *af, u64 offset, u64 size)
{
	/* The same search; the address itself is not wanted. */
	return !to_bus(af, &offset, size);
}

vm_fault_t accel_buffer_fault(struct accel_file *af, struct vm_fault *vmf)
{
	u64 offset = (u64)vmf->pgoff << PAGE_SHIFT;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	struct accel_buffer *buffer;

	mutex_lock(&af->lock);
	list_for_each_entry(buffer, &af->buffers, entry) {
		u64 into = offset - buffer->offset;
		void *mem = buffer->mem + into;
		struct page *page;

		if (offset < buffer->offset || into >= buffer->size)
			continue;
		page = is_vmalloc_addr(mem) ? vmalloc_to_page(mem)
					    : virt_to_page(mem);
		ret = vmf_insert_pfn(vmf->vma, vmf->address & PAGE_MASK,
				     page_to_pfn(page));
		break;
	}
	mutex_unlock(&af->lock);
	return ret;
}
