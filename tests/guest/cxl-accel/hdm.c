// SPDX-License-Identifier: GPL-2.0
/*
 * The device memory: have the CXL core find its region, map it, and give
 * programs pages of it.
 */
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <cxl/pci.h>

#include "accel.h"

/* HDM Decoder Capability, CXL 3.1 section 8.2.4.20: decoder 0 */
#define HDM_BASE_LOW		0x10
#define HDM_BASE_HIGH		0x14
#define HDM_SIZE_LOW		0x18
#define HDM_SIZE_HIGH		0x1c
#define HDM_CONTROL		0x20
#define HDM_COMMITTED		BIT(10)
#define HDM_DECODER_0_END	0x30

/* Bytes to copy before looking for signals. */
#define COPY_CHUNK		(1UL << 20)

/*
 * The core's own complaint about a decoder that does not fit the capacity is
 * a general one, so look at the decoder before it does.
 */
static int check_decoder(struct accel_hw *hw)
{
	const struct cxl_register_map *map = &hw->cxlds.reg_map;
	const struct cxl_reg_map *hdm = &map->component_map.hdm_decoder;
	struct device *dev = &hw->pdev->dev;
	void __iomem *regs;
	u64 base, size;
	u32 control;

	if (!hdm->valid || hdm->size < HDM_DECODER_0_END) {
		dev_err(dev, "no HDM decoder among the component registers\n");
		return -ENODEV;
	}
	regs = ioremap(map->resource + hdm->offset, hdm->size);
	if (!regs)
		return -ENOMEM;
	base = readl(regs + HDM_BASE_LOW) & GENMASK(31, 28);
	base |= (u64)readl(regs + HDM_BASE_HIGH) << 32;
	size = readl(regs + HDM_SIZE_LOW) & GENMASK(31, 28);
	size |= (u64)readl(regs + HDM_SIZE_HIGH) << 32;
	control = readl(regs + HDM_CONTROL);
	iounmap(regs);
	if (!(control & HDM_COMMITTED)) {
		dev_err(dev, "HDM decoder 0 is not committed (control 0x%08x): the host must do that before this driver\n",
			control);
		return -ENXIO;
	}
	if (size != hw->capacity) {
		dev_err(dev, "capacity register says %llu MiB, HDM decoder 0 covers %llu MiB at 0x%llx: they must be the same\n",
			hw->capacity >> 20, size >> 20, base);
		return -EINVAL;
	}
	return 0;
}

/**
 * accel_hdm_probe() - attach the device memory to the CXL core
 * @hw: the device; its registers must be mapped
 *
 * Return: 0 with @hw->range set, or an error that was logged.
 */
int accel_hdm_probe(struct accel_hw *hw)
{
	struct cxl_dev_state *cxlds = &hw->cxlds;
	struct cxl_memdev *memdev;
	int err;

	err = cxl_pci_setup_regs(hw->pdev, CXL_REGLOC_RBI_COMPONENT,
				 &cxlds->reg_map);
	if (err)
		return accel_failed(hw, "find the component registers", err);
	err = check_decoder(hw);
	if (err)
		return accel_failed(hw, "check the HDM decoder", err);
	/* There is no media to wait for. */
	cxlds->media_ready = true;
	err = cxl_set_capacity(cxlds, hw->capacity);
	if (err)
		return accel_failed(hw, "set the capacity", err);
	memdev = devm_cxl_probe_mem(cxlds, &hw->range);
	if (IS_ERR(memdev))
		return accel_failed(hw, "attach to a committed region",
			      PTR_ERR(memdev));
	if (range_len(&hw->range) != hw->capacity) {
		dev_err(&hw->pdev->dev, "region covers %llu MiB, capacity register says %llu MiB\n",
			range_len(&hw->range) >> 20, hw->capacity >> 20);
		return accel_failed(hw, "compare region and capacity", -EINVAL);
	}
	return 0;
}

int accel_hdm_map(struct accel_hw *hw)
{
	hw->mem = memremap(hw->range.start, hw->capacity, MEMREMAP_WB);
	return hw->mem ? 0 : -ENOMEM;
}

void accel_hdm_unmap(struct accel_hw *hw)
{
	memunmap(hw->mem);
	hw->mem = NULL;
}

/* Copy in either direction; exactly one of @to and @from is set. */
static ssize_t transfer(struct file *file, char __user *to,
			const char __user *from, size_t len, loff_t *pos)
{
	struct accel_file *af = file->private_data;
	struct accel_hw *hw;
	size_t done = 0;
	int err = 0;
	int idx;

	hw = accel_enter(af->accel, &idx);
	if (!hw)
		return -ENODEV;
	if (*pos < 0 || *pos >= hw->capacity)
		len = 0;
	else
		len = min_t(u64, len, hw->capacity - *pos);
	while (done < len && !READ_ONCE(hw->leaving)) {
		size_t part = min_t(size_t, len - done, COPY_CHUNK);
		void *mem = hw->mem + *pos;
		size_t rest;

		rest = to ? copy_to_user(to + done, mem, part)
			  : copy_from_user(mem, from + done, part);
		done += part - rest;
		*pos += part - rest;
		if (rest || fatal_signal_pending(current))
			break;
		cond_resched();
	}
	if (!done && len)
		err = READ_ONCE(hw->leaving) ? -ENODEV : -EFAULT;
	accel_leave(af->accel, idx);
	return done ? done : err;
}

ssize_t accel_hdm_read(struct file *file, char __user *to, size_t len,
		       loff_t *pos)
{
	return transfer(file, to, NULL, len, pos);
}

ssize_t accel_hdm_write(struct file *file, const char __user *from,
			size_t len, loff_t *pos)
{
	ssize_t done = transfer(file, NULL, from, len, pos);

	/* Beyond the end there is no room; 0 would mean "try again". */
	return !done && len ? -ENOSPC : done;
}

/**
 * accel_hdm_fault() - give a program a page of device memory
 * @accel: counts the faults
 * @hw: the device
 * @vmf: the fault; its page offset is that of the device memory
 * @order: 0, or that of a huge page
 *
 * Return: as a fault handler; VM_FAULT_FALLBACK asks for smaller pages.
 */
vm_fault_t accel_hdm_fault(struct accel *accel, struct accel_hw *hw,
			   struct vm_fault *vmf, unsigned int order)
{
	u64 size = PAGE_SIZE << order;
	unsigned long addr = ALIGN_DOWN(vmf->address, size);
	u64 offset, pfn;

	/* A huge page that begins before the mapping cannot be its own. */
	if (addr < vmf->vma->vm_start || addr + size > vmf->vma->vm_end)
		return VM_FAULT_FALLBACK;
	offset = ((u64)vmf->vma->vm_pgoff << PAGE_SHIFT) +
		 (addr - vmf->vma->vm_start);
	if (offset >= hw->capacity || size > hw->capacity - offset)
		return order ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;
	if (!IS_ALIGNED(hw->range.start + offset, size))
		return VM_FAULT_FALLBACK;
	pfn = PHYS_PFN(hw->range.start + offset);
	if (!order) {
		atomic64_inc(&accel->small_faults);
		return vmf_insert_pfn(vmf->vma, addr, pfn);
	}
	if (order != PMD_ORDER)
		return VM_FAULT_FALLBACK;
	atomic64_inc(&accel->huge_faults);
	return vmf_insert_pfn_pmd(vmf, pfn, vmf->flags & FAULT_FLAG_WRITE);
}
