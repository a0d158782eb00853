// SPDX-License-Identifier: GPL-2.0
/*
 * Export of the HDM as dma-buf.
 *
 * iommufd takes only what vfio-pci-core exported, and the core exports only
 * BARs by index. So the request goes to the core under the index of the
 * component BAR, and when the core asks for that BAR's addresses it is told
 * those of the HDM. The p2pdma provider is borrowed from the BAR too.
 */
#include <linux/pci-p2pdma.h>
#include <linux/uaccess.h>

#include "vfio-cxl-test.h"

static int get_phys(struct vfio_pci_core_device *core,
		    struct p2pdma_provider **provider,
		    unsigned int region_index, struct phys_vec *phys_vec,
		    struct vfio_region_dma_range *ranges, size_t nr_ranges)
{
	struct cxlt_device *dev = cxlt_from_core(core);

	/* A plain PCI device exports its BARs */
	if (!dev->dmabuf_hdm)
		return vfio_pci_core_get_dmabuf_phys(core, provider,
						     region_index, phys_vec,
						     ranges, nr_ranges);
	*provider = pcim_p2pdma_provider(core->pdev, dev->host.bar);
	if (!*provider)
		return -EINVAL;
	return vfio_pci_core_fill_phys_vec(phys_vec, ranges, nr_ranges,
					   dev->host.base, dev->host.size);
}

const struct vfio_pci_device_ops cxlt_pci_ops = {
	.get_dmabuf_phys = get_phys,
};

/**
 * cxlt_dmabuf_feature() - VFIO_DEVICE_FEATURE_DMA_BUF
 * @dev: an open device
 * @flags: of the feature
 * @arg: struct vfio_device_feature_dma_buf
 * @argsz: bytes at @arg
 *
 * Only the HDM can be had, no BAR.
 *
 * Return: a file descriptor, or an error.
 */
int cxlt_dmabuf_feature(struct cxlt_device *dev, u32 flags, void __user *arg,
			size_t argsz)
{
	struct vfio_device_feature_dma_buf __user *request = arg;
	u32 index;
	int ret;

	if (!(flags & VFIO_DEVICE_FEATURE_GET) ||
	    flags & VFIO_DEVICE_FEATURE_PROBE)
		return vfio_pci_core_ioctl_feature(&dev->core.vdev, flags, arg,
						   argsz);
	if (argsz < sizeof(*request) ||
	    get_user(index, &request->region_index))
		return argsz < sizeof(*request) ? -EINVAL : -EFAULT;
	if (index != dev->hdm_index)
		return -EINVAL;

	mutex_lock(&dev->dmabuf_lock);
	dev->dmabuf_hdm = true;
	ret = put_user((u32)dev->host.bar, &request->region_index);
	if (!ret)
		ret = vfio_pci_core_ioctl_feature(&dev->core.vdev, flags, arg,
						  argsz);
	if (put_user(index, &request->region_index) && ret >= 0)
		pci_dbg(dev->core.pdev, "request for a dma-buf went away\n");
	dev->dmabuf_hdm = false;
	mutex_unlock(&dev->dmabuf_lock);
	return ret;
}
