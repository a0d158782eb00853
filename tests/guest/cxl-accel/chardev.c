// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/cxl_accelN, and leaving it in good order while programs have it open,
 * mapped, or wait in it.
 */
#include <linux/idr.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "accel.h"

#define ACCEL_MINORS	16

static bool huge = true;
module_param(huge, bool, 0644);
MODULE_PARM_DESC(huge, "map 2 MiB pages where possible (the default of each open file)");

static dev_t first_devt;
static DEFINE_IDA(minors);

/* --- files --------------------------------------------------------------- */

static int accel_open(struct inode *inode, struct file *file)
{
	struct accel *accel = container_of(inode->i_cdev, struct accel, cdev);
	struct accel_file *af;
	struct accel_hw *hw;
	int idx;

	af = kzalloc(sizeof(*af), GFP_KERNEL);
	if (!af)
		return -ENOMEM;
	hw = accel_enter(accel, &idx);
	if (!hw) {
		kfree(af);
		return -ENODEV;
	}
	af->accel = accel;
	af->file = file;
	af->page_size = huge ? PMD_SIZE : PAGE_SIZE;
	mutex_init(&af->lock);
	INIT_LIST_HEAD(&af->buffers);
	file->private_data = af;
	mutex_lock(&accel->files_lock);
	list_add(&af->entry, &accel->files);
	mutex_unlock(&accel->files_lock);
	accel_leave(accel, idx);
	return 0;
}

static int accel_release(struct inode *inode, struct file *file)
{
	struct accel_file *af = file->private_data;
	struct accel *accel = af->accel;

	/*
	 * Removal takes every buffer away under files_lock before the device
	 * goes, so those that are still here can be given back.
	 */
	mutex_lock(&accel->files_lock);
	accel_buffers_free_all(af);
	list_del(&af->entry);
	mutex_unlock(&accel->files_lock);
	kfree(af);
	return 0;
}

static loff_t accel_llseek(struct file *file, loff_t offset, int whence)
{
	struct accel_file *af = file->private_data;
	struct accel_hw *hw;
	loff_t pos;
	int idx;

	hw = accel_enter(af->accel, &idx);
	if (!hw)
		return -ENODEV;
	pos = fixed_size_llseek(file, offset, whence, hw->capacity);
	accel_leave(af->accel, idx);
	return pos;
}

/* --- mappings ------------------------------------------------------------ */

static vm_fault_t accel_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct accel_file *af = vmf->vma->vm_file->private_data;
	struct accel_hw *hw;
	vm_fault_t ret;
	int idx;

	hw = accel_enter(af->accel, &idx);
	if (!hw)
		return VM_FAULT_SIGBUS;
	if (order && (PAGE_SIZE << order) > READ_ONCE(af->page_size))
		ret = VM_FAULT_FALLBACK;
	else if (vmf->vma->vm_pgoff < CXL_ACCEL_BUFFERS >> PAGE_SHIFT)
		ret = accel_hdm_fault(af->accel, hw, vmf, order);
	else
		ret = order ? VM_FAULT_FALLBACK : accel_buffer_fault(af, vmf);
	accel_leave(af->accel, idx);
	return ret;
}

static vm_fault_t accel_fault(struct vm_fault *vmf)
{
	return accel_huge_fault(vmf, 0);
}

static const struct vm_operations_struct accel_vm_ops = {
	.fault = accel_fault,
	.huge_fault = accel_huge_fault,
};

static int accel_mmap(struct file *file, struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 size = vma->vm_end - vma->vm_start;
	struct accel_file *af = file->private_data;
	struct accel_hw *hw;
	bool inside;
	int idx;

	/* A private copy would have no meaning to the device. */
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	hw = accel_enter(af->accel, &idx);
	if (!hw)
		return -ENODEV;
	if (offset < CXL_ACCEL_BUFFERS)
		inside = offset < hw->capacity &&
			 size <= hw->capacity - offset;
	else
		inside = accel_buffer_has(af, offset, size);
	accel_leave(af->accel, idx);
	if (!inside)
		return -ENXIO;
	/*
	 * The page protection stays as it is: that is write-back.  Pages come
	 * by faults only, so that removal can take them away for good.
	 */
	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &accel_vm_ops;
	return 0;
}

/* --- ioctls -------------------------------------------------------------- */

static int get_info(struct accel_hw *hw, struct accel_file *af,
		    struct cxl_accel_info *info)
{
	info->base = hw->range.start;
	info->size = hw->capacity;
	info->version = hw->version;
	info->flags = accel_has_engine(hw) ? CXL_ACCEL_HAS_ENGINE : 0;
	info->vectors = hw->vectors;
	info->handled = hw->handled;
	info->doorbells = readl(hw->regs + ACCEL_REG_DOORBELLS);
	info->page_size = af->page_size;
	return 0;
}

static int set_page_size(struct accel_file *af, u32 size)
{
	if (size != PAGE_SIZE && size != PMD_SIZE)
		return -EINVAL;
	WRITE_ONCE(af->page_size, size);
	return 0;
}

union argument {
	struct cxl_accel_info info;
	struct cxl_accel_irq irq;
	struct cxl_accel_buffer buffer;
	struct cxl_accel_copy copy;
	u64 offset;
	u32 number;
};

static long dispatch(struct accel_hw *hw, struct accel_file *af,
		     unsigned int cmd, union argument *arg)
{
	switch (cmd) {
	case CXL_ACCEL_INFO:
		return get_info(hw, af, &arg->info);
	case CXL_ACCEL_PAGE_SIZE:
		return set_page_size(af, arg->number);
	case CXL_ACCEL_RING:
		/* Any number: the device ignores vectors it does not have. */
		writel(arg->number, hw->regs + ACCEL_REG_DOORBELL);
		return 0;
	case CXL_ACCEL_WAIT:
		return accel_irq_wait(hw, &arg->irq);
	case CXL_ACCEL_ALLOC:
		return accel_buffer_alloc(hw, af, &arg->buffer);
	case CXL_ACCEL_FREE:
		return accel_buffer_free(af, arg->offset);
	case CXL_ACCEL_COPY:
	case CXL_ACCEL_SUBMIT:
		return accel_engine_run(hw, af, &arg->copy,
					cmd == CXL_ACCEL_SUBMIT);
	}
	return -ENOTTY;
}

static long accel_ioctl(struct file *file, unsigned int cmd,
			unsigned long user)
{
	struct accel_file *af = file->private_data;
	void __user *to = (void __user *)user;
	size_t size = _IOC_SIZE(cmd);
	union argument arg = { 0 };
	struct accel_hw *hw;
	long ret;
	int idx;

	if (_IOC_TYPE(cmd) != 0xcd || size > sizeof(arg))
		return -ENOTTY;
	if ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(&arg, to, size))
		return -EFAULT;
	hw = accel_enter(af->accel, &idx);
	if (!hw)
		return -ENODEV;
	ret = dispatch(hw, af, cmd, &arg);
	accel_leave(af->accel, idx);
	/* A request that failed says how far it came. */
	if ((!ret || cmd == CXL_ACCEL_COPY || cmd == CXL_ACCEL_SUBMIT) &&
	    (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(to, &arg, size))
		return -EFAULT;
	return ret;
}

static const struct file_operations accel_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = accel_release,
	.llseek = accel_llseek,
	.read = accel_hdm_read,
	.write = accel_hdm_write,
	.mmap = accel_mmap,
	/* Addresses at which huge pages are possible. */
	.get_unmapped_area = thp_get_unmapped_area,
	.unlocked_ioctl = accel_ioctl,
};

/* --- coming and going ---------------------------------------------------- */

static struct class accel_class = {
	.name = ACCEL_NAME,
	.dev_groups = accel_groups,
};

int accel_chardev_init(void)
{
	int err;

	err = alloc_chrdev_region(&first_devt, 0, ACCEL_MINORS, ACCEL_NAME);
	if (err)
		return err;
	err = class_register(&accel_class);
	if (err)
		unregister_chrdev_region(first_devt, ACCEL_MINORS);
	return err;
}

void accel_chardev_exit(void)
{
	class_unregister(&accel_class);
	unregister_chrdev_region(first_devt, ACCEL_MINORS);
	ida_destroy(&minors);
}

static void accel_free(struct device *dev)
{
	struct accel *accel = container_of(dev, struct accel, dev);

	cleanup_srcu_struct(&accel->srcu);
	kfree(accel);
}

static struct accel *alloc_accel(struct accel_hw *hw, int minor)
{
	struct accel *accel = kzalloc(sizeof(*accel), GFP_KERNEL);
	int err;

	if (!accel)
		return ERR_PTR(-ENOMEM);
	err = init_srcu_struct(&accel->srcu);
	if (err) {
		kfree(accel);
		return ERR_PTR(err);
	}
	mutex_init(&accel->engine_lock);
	mutex_init(&accel->files_lock);
	INIT_LIST_HEAD(&accel->files);
	atomic64_set(&accel->next_buffer, CXL_ACCEL_BUFFERS);
	device_initialize(&accel->dev);
	accel->dev.class = &accel_class;
	accel->dev.parent = &hw->pdev->dev;
	accel->dev.devt = MKDEV(MAJOR(first_devt), MINOR(first_devt) + minor);
	accel->dev.release = accel_free;
	cdev_init(&accel->cdev, &accel_fops);
	accel->cdev.owner = THIS_MODULE;
	rcu_assign_pointer(accel->hw, hw);
	return accel;
}

/**
 * accel_chardev_add() - let programs in
 * @hw: the device, ready for use
 *
 * Return: the character device, or an error pointer.
 */
struct accel *accel_chardev_add(struct accel_hw *hw)
{
	struct accel *accel;
	int minor, err;

	minor = ida_alloc_max(&minors, ACCEL_MINORS - 1, GFP_KERNEL);
	if (minor < 0)
		return ERR_PTR(minor);
	accel = alloc_accel(hw, minor);
	if (IS_ERR(accel)) {
		ida_free(&minors, minor);
		return accel;
	}
	/* Before the first program can look. */
	hw->accel = accel;
	err = dev_set_name(&accel->dev, ACCEL_NAME "%d", minor);
	if (!err)
		err = cdev_device_add(&accel->cdev, &accel->dev);
	if (err) {
		ida_free(&minors, minor);
		put_device(&accel->dev);
		return ERR_PTR(err);
	}
	return accel;
}

/**
 * accel_chardev_remove() - have all programs out
 * @accel: the character device
 *
 * On return no program is inside, none has a page of device memory or of a
 * buffer mapped, and the copy engine is at rest.  Files that are still open
 * answer everything with ENODEV, mappings with SIGBUS.
 */
void accel_chardev_remove(struct accel *accel)
{
	struct accel_hw *hw = rcu_dereference_protected(accel->hw, true);
	int minor = MINOR(accel->dev.devt) - MINOR(first_devt);
	struct accel_file *af;

	cdev_device_del(&accel->cdev, &accel->dev);
	ida_free(&minors, minor);
	WRITE_ONCE(hw->leaving, true);
	rcu_assign_pointer(accel->hw, NULL);
	accel_irq_wake_all(hw);
	synchronize_srcu(&accel->srcu);
	accel_engine_stop(hw);
	mutex_lock(&accel->files_lock);
	list_for_each_entry(af, &accel->files, entry) {
		unmap_mapping_range(af->file->f_mapping, 0, 0, 1);
		accel_buffers_free_all(af);
	}
	mutex_unlock(&accel->files_lock);
	put_device(&accel->dev);
}
