// SPDX-License-Identifier: GPL-2.0
/*
 * The BAR with the component registers: the HDM decoder is cut out, by the
 * byte for read() and write(), by the page for mmap().
 */
#include <linux/uaccess.h>

#include "vfio-cxl-test.h"

static u64 hole_start(const struct cxlt_host *host)
{
	return ALIGN_DOWN(host->block, PAGE_SIZE);
}

static u64 hole_end(const struct cxlt_host *host)
{
	return ALIGN(host->block + host->block_len, PAGE_SIZE);
}

/** cxlt_bar_caps() - what of the BAR can be mapped */
int cxlt_bar_caps(struct cxlt_device *dev, struct vfio_info_cap *caps)
{
	const struct cxlt_host *host = &dev->host;
	u64 len = pci_resource_len(dev->core.pdev, host->bar);
	struct {
		struct vfio_region_info_cap_sparse_mmap cap;
		struct vfio_region_sparse_mmap_area areas[2];
	} sparse = {
		.cap.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP,
		.cap.header.version = 1,
	};
	struct vfio_region_sparse_mmap_area *area = sparse.areas;

	if (hole_start(host)) {
		area->size = hole_start(host);
		area++;
	}
	if (hole_end(host) < len) {
		area->offset = hole_end(host);
		area->size = len - area->offset;
		area++;
	}
	sparse.cap.nr_areas = area - sparse.areas;
	return vfio_info_add_capability(caps, &sparse.cap.header,
			struct_size(&sparse.cap, areas, sparse.cap.nr_areas));
}

/** cxlt_bar_may_map() - does a mapping of the BAR stay off the decoder? */
bool cxlt_bar_may_map(struct cxlt_device *dev, struct vm_area_struct *vma)
{
	u64 start = ((u64)vma->vm_pgoff << PAGE_SHIFT) & VFIO_PCI_OFFSET_MASK;
	u64 end = start + (vma->vm_end - vma->vm_start);

	return end <= hole_start(&dev->host) || start >= hole_end(&dev->host);
}

/** cxlt_bar_hole() - the decoder's bytes in the BAR: all ones, and deaf */
int cxlt_bar_hole(struct cxlt_device *dev, char __user *buf, size_t len,
		  u64 at, bool iswrite)
{
	for (; len && !iswrite; len--) {
		if (put_user((char)0xff, buf++))
			return -EFAULT;
	}
	return 0;
}
