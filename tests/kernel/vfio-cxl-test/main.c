// SPDX-License-Identifier: GPL-2.0
/*
 * A vfio-pci variant driver that presents a CXL Type-2 device in the way of
 * the vfio-cxl kernel interface, which no released kernel has yet.
 *
 * Test code: it lets this project's QEMU be tested against a real kernel's
 * VFIO, and takes shortcuts that a real driver must not. See README.md.
 */
#include <linux/module.h>
#include <linux/uaccess.h>

#include "vfio-cxl-test.h"

/* Is the device open as CXL device? */
static bool is_cxl(const struct cxlt_device *dev)
{
	return dev->hdm_index;
}

static int open_cxl(struct cxlt_device *dev)
{
	int err;

	cxlt_dvsec_open(dev);
	err = cxlt_hdm_open(dev);
	if (!err)
		err = cxlt_decoder_open(dev);
	if (err)
		cxlt_hdm_close(dev);
	return err;
}

static int cxlt_open(struct vfio_device *vdev)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);
	int err;

	err = vfio_pci_core_enable(&dev->core);
	if (err)
		return err;
	if (dev->host.usable && !cxlt_hide_cxl)
		err = open_cxl(dev);
	if (err) {
		vfio_pci_core_disable(&dev->core);
		return err;
	}
	vfio_pci_core_finish_enable(&dev->core);
	return 0;
}

static void cxlt_close(struct vfio_device *vdev)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);

	if (is_cxl(dev))
		cxlt_hdm_close(dev);
	vfio_pci_core_close_device(vdev);
}

/* -- ioctls -- */

static long get_info(struct vfio_device *vdev, unsigned int cmd,
		     unsigned long arg)
{
	struct vfio_device_info __user *info = (void __user *)arg;
	long ret = vfio_pci_core_ioctl(vdev, cmd, arg);
	u32 flags;

	if (ret)
		return ret;
	if (get_user(flags, &info->flags) ||
	    put_user(flags | VFIO_DEVICE_FLAGS_CXL, &info->flags))
		return -EFAULT;
	return 0;
}

static long cxlt_ioctl(struct vfio_device *vdev, unsigned int cmd,
		       unsigned long arg)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);
	long ret;

	if (!is_cxl(dev))
		return vfio_pci_core_ioctl(vdev, cmd, arg);
	if (cmd == VFIO_DEVICE_GET_INFO)
		return get_info(vdev, cmd, arg);
	ret = vfio_pci_core_ioctl(vdev, cmd, arg);
	/* The core knows of its own reset only */
	if (cmd == VFIO_DEVICE_RESET && !ret && !READ_ONCE(dev->good))
		ret = -EIO;
	return ret;
}

static int cxlt_region_info(struct vfio_device *vdev,
			    struct vfio_region_info *info,
			    struct vfio_info_cap *caps)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);
	int ret = vfio_pci_ioctl_get_region_info(vdev, info, caps);

	if (!ret && is_cxl(dev) && info->index == dev->host.bar &&
	    info->flags & VFIO_REGION_INFO_FLAG_MMAP)
		ret = cxlt_bar_caps(dev, caps);
	return ret;
}

static int cxlt_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
			size_t argsz)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);
	int ret;

	if (!is_cxl(dev))
		return vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz);
	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_DMA_BUF:
		return cxlt_dmabuf_feature(dev, flags, arg, argsz);
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP:
		cxlt_gate_begin(dev);
		ret = vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz);
		cxlt_gate_end(dev);
		return ret;
	default:
		return vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz);
	}
}

/* -- read, write, mmap -- */

static ssize_t core_rw(struct cxlt_device *dev, char __user *buf, size_t count,
		       loff_t *ppos, bool iswrite)
{
	struct vfio_device *vdev = &dev->core.vdev;

	return iswrite ? vfio_pci_core_write(vdev, buf, count, ppos) :
			 vfio_pci_core_read(vdev, buf, count, ppos);
}

/* The core serves what is not in the hole, @part what is */
static ssize_t split_rw(struct cxlt_device *dev, char __user *buf,
			size_t count, loff_t *ppos, bool iswrite, u64 hole,
			u64 hole_len, cxlt_part_t *part)
{
	size_t done = 0;

	while (done < count) {
		u64 at = *ppos & VFIO_PCI_OFFSET_MASK;
		size_t len = count - done;
		ssize_t ret;

		if (at >= hole && at - hole < hole_len) {
			len = min_t(u64, len, hole + hole_len - at);
			ret = part(dev, buf + done, len, at - hole, iswrite);
			if (!ret) {
				*ppos += len;
				ret = len;
			}
		} else {
			if (at < hole)
				len = min_t(u64, len, hole - at);
			ret = core_rw(dev, buf + done, len, ppos, iswrite);
		}
		if (ret <= 0)
			return done ? done : ret;
		done += ret;
	}
	return done;
}

static ssize_t config_rw(struct cxlt_device *dev, char __user *buf,
			 size_t count, loff_t *ppos, bool iswrite)
{
	bool closes = iswrite &&
		      cxlt_gate_closes(dev, buf, count,
				       *ppos & VFIO_PCI_OFFSET_MASK);
	ssize_t ret;

	if (closes)
		cxlt_gate_begin(dev);
	ret = split_rw(dev, buf, count, ppos, iswrite,
		       dev->host.dvsec + PCI_DVSEC_HEADER1,
		       dev->host.dvsec_len - PCI_DVSEC_HEADER1, cxlt_dvsec_rw);
	if (closes)
		cxlt_gate_end(dev);
	return ret;
}

static ssize_t cxlt_rw(struct vfio_device *vdev, char __user *buf,
		       size_t count, loff_t *ppos, bool iswrite)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);
	unsigned int index = VFIO_PCI_OFFSET_TO_INDEX(*ppos);

	if (is_cxl(dev) && index == VFIO_PCI_CONFIG_REGION_INDEX)
		return config_rw(dev, buf, count, ppos, iswrite);
	if (is_cxl(dev) && index == dev->host.bar)
		return split_rw(dev, buf, count, ppos, iswrite,
				dev->host.block, dev->host.block_len,
				cxlt_bar_hole);
	return core_rw(dev, buf, count, ppos, iswrite);
}

static ssize_t cxlt_read(struct vfio_device *vdev, char __user *buf,
			 size_t count, loff_t *ppos)
{
	return cxlt_rw(vdev, buf, count, ppos, false);
}

static ssize_t cxlt_write(struct vfio_device *vdev, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	return cxlt_rw(vdev, (char __user *)buf, count, ppos, true);
}

static int cxlt_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);
	u64 pos = (u64)vma->vm_pgoff << PAGE_SHIFT;

	if (is_cxl(dev) && VFIO_PCI_OFFSET_TO_INDEX(pos) == dev->host.bar &&
	    !cxlt_bar_may_map(dev, vma))
		return -EINVAL;
	return vfio_pci_core_mmap(vdev, vma);
}

static int cxlt_init(struct vfio_device *vdev)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);

	init_rwsem(&dev->gate);
	mutex_init(&dev->dmabuf_lock);
	xa_init(&dev->poisoned);
	return vfio_pci_core_init_dev(vdev);
}

static void cxlt_release(struct vfio_device *vdev)
{
	struct cxlt_device *dev = cxlt_from_vfio(vdev);

	xa_destroy(&dev->poisoned);
	mutex_destroy(&dev->dmabuf_lock);
	vfio_pci_core_release_dev(vdev);
}

static const struct vfio_device_ops cxlt_ops = {
	.name = CXLT_NAME,
	.init = cxlt_init,
	.release = cxlt_release,
	.open_device = cxlt_open,
	.close_device = cxlt_close,
	.ioctl = cxlt_ioctl,
	.get_region_info_caps = cxlt_region_info,
	.device_feature = cxlt_feature,
	.read = cxlt_read,
	.write = cxlt_write,
	.mmap = cxlt_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

/* -- binding -- */

static int cxlt_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct cxlt_device *dev;
	int err;

	dev = vfio_alloc_device(cxlt_device, core.vdev, &pdev->dev, &cxlt_ops);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	dev_set_drvdata(&pdev->dev, &dev->core);
	cxlt_host_find(dev);
	/* D3 could lose the memory */
	dev->core.disable_idle_d3 = true;
	dev->core.pci_ops = &cxlt_pci_ops;
	err = vfio_pci_core_register_device(&dev->core);
	if (err) {
		cxlt_host_put(dev);
		vfio_put_device(&dev->core.vdev);
		return err;
	}
	cxlt_debug_add(dev);
	return 0;
}

static void cxlt_remove(struct pci_dev *pdev)
{
	struct cxlt_device *dev = cxlt_from_core(dev_get_drvdata(&pdev->dev));

	cxlt_debug_remove(dev);
	vfio_pci_core_unregister_device(&dev->core);
	cxlt_host_put(dev);
	vfio_put_device(&dev->core.vdev);
}

/* Any device, but only where driver_override says so */
static const struct pci_device_id cxlt_ids[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, cxlt_ids);

static struct pci_driver cxlt_driver = {
	.name = CXLT_NAME,
	.id_table = cxlt_ids,
	.probe = cxlt_probe,
	.remove = cxlt_remove,
	.err_handler = &cxlt_err_handlers,
	.driver_managed_dma = true,
};

static int __init cxlt_module_init(void)
{
	int err;

	cxlt_debug_init();
	err = pci_register_driver(&cxlt_driver);
	if (err)
		cxlt_debug_exit();
	return err;
}

static void __exit cxlt_module_exit(void)
{
	pci_unregister_driver(&cxlt_driver);
	cxlt_debug_exit();
}

module_init(cxlt_module_init);
module_exit(cxlt_module_exit);
MODULE_DESCRIPTION("Test driver: CXL Type-2 devices for VFIO");
MODULE_LICENSE("GPL");
