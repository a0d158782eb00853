// SPDX-License-Identifier: GPL-2.0
/*
 * The HDM region: mapped write-back, page by page as it is touched, and only
 * while the device can answer.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vfio-cxl-test.h"

/* Bytes that read() and write() move at a time */
#define CHUNK	(64UL << 10)

static u64 region_offset(const struct vm_area_struct *vma)
{
	return ((u64)vma->vm_pgoff << PAGE_SHIFT) & VFIO_PCI_OFFSET_MASK;
}

static bool is_poisoned(struct cxlt_device *dev, u64 offset, u64 size)
{
	unsigned long first = offset >> PAGE_SHIFT;

	return xa_find(&dev->poisoned, &first,
		       (offset + size - 1) >> PAGE_SHIFT, XA_PRESENT);
}

static vm_fault_t fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct cxlt_device *dev = vma->vm_private_data;
	u64 size = PAGE_SIZE << order;
	unsigned long addr = ALIGN_DOWN(vmf->address, size);
	u64 offset = region_offset(vma) + addr - vma->vm_start;
	unsigned long pfn = PHYS_PFN(dev->host.base + offset);
	vm_fault_t ret = VM_FAULT_SIGBUS;

	/* Addresses below the mapping's start make nonsense of the offset */
	if (!is_aligned_for_order(vma, addr, pfn, order))
		return VM_FAULT_FALLBACK;
	if (is_poisoned(dev, offset, size))
		return order ? VM_FAULT_FALLBACK : VM_FAULT_HWPOISON;

	/* The core's helper checks Memory Space and power */
	down_read(&dev->core.memory_lock);
	down_read(&dev->gate);
	if (dev->good && !dev->closing)
		ret = vfio_pci_vmf_insert_pfn(&dev->core, vmf, pfn, order);
	up_read(&dev->gate);
	up_read(&dev->core.memory_lock);
	return ret;
}

static vm_fault_t fault_page(struct vm_fault *vmf)
{
	return fault(vmf, 0);
}

static const struct vm_operations_struct hdm_vm_ops = {
	.fault = fault_page,
	.huge_fault = fault,
};

static int hdm_mmap(struct vfio_pci_core_device *core,
		    struct vfio_pci_region *region, struct vm_area_struct *vma)
{
	struct cxlt_device *dev = cxlt_from_core(core);
	u64 offset = region_offset(vma);
	u64 size = vma->vm_end - vma->vm_start;

	if (cxlt_refuse_mmap)
		return -EPERM;
	if (!(vma->vm_flags & VM_SHARED) || offset >= dev->host.size ||
	    size > dev->host.size - offset)
		return -EINVAL;
	/* The memory's own attributes, so write-back, which is the default */
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = dev;
	vma->vm_ops = &hdm_vm_ops;
	return 0;
}

/* One chunk; the user's memory may be this region, so it is not touched here */
static int move_chunk(struct cxlt_device *dev, void *chunk, u64 offset,
		      size_t len, bool iswrite)
{
	int err = -EIO;
	void *mem;

	down_read(&dev->core.memory_lock);
	if (cxlt_gate_open(dev) && !is_poisoned(dev, offset, len)) {
		mem = memremap(dev->host.base + offset, len, MEMREMAP_WB);
		err = mem ? 0 : -ENOMEM;
		if (mem && iswrite)
			memcpy(mem, chunk, len);
		else if (mem)
			memcpy(chunk, mem, len);
		if (mem)
			memunmap(mem);
	}
	up_read(&dev->core.memory_lock);
	return err;
}

static ssize_t hdm_rw(struct vfio_pci_core_device *core, char __user *buf,
		      size_t count, loff_t *ppos, bool iswrite)
{
	struct cxlt_device *dev = cxlt_from_core(core);
	u64 offset = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done = 0;
	void *chunk;
	int err = 0;

	if (offset >= dev->host.size)
		return -EINVAL;
	count = min_t(u64, count, dev->host.size - offset);
	chunk = kvmalloc(CHUNK, GFP_KERNEL);
	if (!chunk)
		return -ENOMEM;
	while (done < count && !err) {
		size_t len = min(count - done, CHUNK);

		if (iswrite && copy_from_user(chunk, buf + done, len))
			err = -EFAULT;
		if (!err)
			err = move_chunk(dev, chunk, offset + done, len, iswrite);
		if (!err && !iswrite && copy_to_user(buf + done, chunk, len))
			err = -EFAULT;
		if (!err)
			done += len;
	}
	kvfree(chunk);
	*ppos += done;
	return done ? done : err;
}

static void hdm_release(struct vfio_pci_core_device *core,
			struct vfio_pci_region *region)
{
}

static const struct vfio_pci_regops hdm_ops = {
	.rw = hdm_rw,
	.mmap = hdm_mmap,
	.release = hdm_release,
};

/* -- memory failure -- */

static int pfn_to_pgoff(struct vm_area_struct *vma, unsigned long pfn,
			pgoff_t *pgoff)
{
	struct cxlt_device *dev = vma->vm_private_data;
	unsigned long first;

	if (vma->vm_ops != &hdm_vm_ops)
		return -EFAULT;
	first = PHYS_PFN(dev->host.base + region_offset(vma));
	if (pfn < first || pfn - first >= vma_pages(vma))
		return -EFAULT;
	*pgoff = vma->vm_pgoff + (pfn - first);
	return 0;
}

/**
 * cxlt_hdm_poison() - an uncorrectable error in one page of the memory
 * @dev: an open device
 * @offset: a byte of the page
 *
 * Who has the page mapped gets SIGBUS, and so does who touches it later,
 * until a reset clears the memory.
 *
 * Return: 0 or an error.
 */
int cxlt_hdm_poison(struct cxlt_device *dev, u64 offset)
{
	unsigned long page = offset >> PAGE_SHIFT;
	int err;

	if (offset >= dev->host.size)
		return -EINVAL;
	err = xa_err(xa_store(&dev->poisoned, page, xa_mk_value(1),
			      GFP_KERNEL));
	if (err)
		return err;
	/* First the signal, which goes to whoever has the page mapped */
	err = memory_failure(PHYS_PFN(dev->host.base) + page, 0);
	pci_info(dev->core.pdev, "HDM page at offset 0x%lx fails: memory_failure() %d\n",
		 page << PAGE_SHIFT, err);
	cxlt_hdm_zap(dev);
	return 0;
}

/* -- the region -- */

/** cxlt_hdm_zap() - take all mappings away; the next touch is a fault */
void cxlt_hdm_zap(struct cxlt_device *dev)
{
	if (dev->hdm_index)
		unmap_mapping_range(dev->core.vdev.inode->i_mapping,
				    VFIO_PCI_INDEX_TO_OFFSET(dev->hdm_index),
				    dev->host.size, true);
}

int cxlt_hdm_open(struct cxlt_device *dev)
{
	struct vfio_pci_core_device *core = &dev->core;
	unsigned long first = PHYS_PFN(dev->host.base);
	int err;

	dev->hdm_index = VFIO_PCI_NUM_REGIONS + core->num_regions;
	err = vfio_pci_core_register_dev_region(core, VFIO_REGION_TYPE_CXL,
			VFIO_REGION_SUBTYPE_CXL_MEM, &hdm_ops, dev->host.size,
			VFIO_REGION_INFO_FLAG_READ |
			VFIO_REGION_INFO_FLAG_WRITE |
			VFIO_REGION_INFO_FLAG_MMAP, dev);
	if (err)
		return err;
	dev->pfns.node.start = first;
	dev->pfns.node.last = first + PHYS_PFN(dev->host.size) - 1;
	dev->pfns.mapping = core->vdev.inode->i_mapping;
	dev->pfns.pfn_to_vma_pgoff = pfn_to_pgoff;
	return register_pfn_address_space(&dev->pfns);
}

void cxlt_hdm_close(struct cxlt_device *dev)
{
	unregister_pfn_address_space(&dev->pfns);
	dev->hdm_index = 0;
}
