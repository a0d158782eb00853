// SPDX-License-Identifier: GPL-2.0
/*
 * The decoder-register region: the hardware's registers to read, nothing to
 * write.
 */
#include <linux/io.h>
#include <linux/uaccess.h>

#include "vfio-cxl-test.h"

static ssize_t decoder_rw(struct vfio_pci_core_device *core, char __user *buf,
			  size_t count, loff_t *ppos, bool iswrite)
{
	struct cxlt_device *dev = cxlt_from_core(core);
	u64 at = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done;

	if (at >= dev->host.block_len || at % 4 || count % 4)
		return -EINVAL;
	count = min_t(u64, count, dev->host.block_len - at);
	for (done = 0; done < count && !iswrite; done += 4) {
		__le32 value;

		if (cxlt_decoder_eio && !__vfio_pci_memory_enabled(core))
			return -EIO;
		value = cpu_to_le32(readl(dev->host.regs + at + done));
		if (copy_to_user(buf + done, &value, sizeof(value)))
			return -EFAULT;
	}
	*ppos += count;
	return count;
}

static int decoder_caps(struct vfio_pci_core_device *core,
			struct vfio_pci_region *region,
			struct vfio_info_cap *caps)
{
	struct cxlt_device *dev = cxlt_from_core(core);
	struct vfio_region_info_cap_cxl_comp_regs geometry = {
		.header.id = VFIO_REGION_INFO_CAP_CXL_COMP_REGS,
		.header.version = VFIO_REGION_INFO_CAP_CXL_COMP_REGS_VERSION,
		.bar = dev->host.bar,
		.offset = dev->host.block,
	};

	return vfio_info_add_capability(caps, &geometry.header,
					sizeof(geometry));
}

static void decoder_release(struct vfio_pci_core_device *core,
			    struct vfio_pci_region *region)
{
}

static const struct vfio_pci_regops decoder_ops = {
	.rw = decoder_rw,
	.add_capability = decoder_caps,
	.release = decoder_release,
};

int cxlt_decoder_open(struct cxlt_device *dev)
{
	return vfio_pci_core_register_dev_region(&dev->core,
			VFIO_REGION_TYPE_CXL,
			VFIO_REGION_SUBTYPE_CXL_COMP_REGS, &decoder_ops,
			dev->host.block_len, VFIO_REGION_INFO_FLAG_READ |
			VFIO_REGION_INFO_FLAG_WRITE, dev);
}
