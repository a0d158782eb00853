// SPDX-License-Identifier: GPL-2.0
/*
 * When the HDM may be touched, and the reset that decides about it.
 *
 * The core resets the function in its own way, for the ioctl, for a function
 * level reset in config space, and when the device is opened. It tells the
 * driver before and after; the CXL reset comes after, when the core is done.
 */
#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/uaccess.h>

#include "vfio-cxl-test.h"

/* CXL r4.0 section 9.7.3: no access to config space for so long */
#define RESET_QUIET_MS	100
#define POLL_MS		10

/* -- the gate -- */

/** cxlt_gate_open() - may the HDM be touched? Needs @core.memory_lock. */
bool cxlt_gate_open(struct cxlt_device *dev)
{
	bool open;

	down_read(&dev->gate);
	open = dev->good && !dev->closing;
	up_read(&dev->gate);
	return open && !dev->core.pm_runtime_engaged &&
	       __vfio_pci_memory_enabled(&dev->core);
}

/**
 * cxlt_gate_closes() - does a write to config space gate the device?
 * @dev: the device
 * @buf: @count bytes of the user's
 * @at: where in config space they go
 */
bool cxlt_gate_closes(struct cxlt_device *dev, const char __user *buf,
		      size_t count, u64 at)
{
	u16 pm = dev->core.pdev->pm_cap + PCI_PM_CTRL;
	u8 value;

	if (PCI_COMMAND >= at && PCI_COMMAND - at < count &&
	    !get_user(value, buf + (PCI_COMMAND - at)) &&
	    !(value & PCI_COMMAND_MEMORY))
		return true;
	return dev->core.pdev->pm_cap && pm >= at && pm - at < count &&
	       !get_user(value, buf + (pm - at)) &&
	       (value & PCI_PM_CTRL_STATE_MASK);
}

/** cxlt_gate_begin() - nobody touches the HDM until cxlt_gate_end() */
void cxlt_gate_begin(struct cxlt_device *dev)
{
	down_write(&dev->gate);
	dev->closing++;
	up_write(&dev->gate);
	cxlt_hdm_zap(dev);
}

/** cxlt_gate_end() - what the device's state says, holds again */
void cxlt_gate_end(struct cxlt_device *dev)
{
	down_write(&dev->gate);
	dev->closing--;
	up_write(&dev->gate);
}

static void set_good(struct cxlt_device *dev, bool good)
{
	down_write(&dev->gate);
	dev->good = good;
	up_write(&dev->gate);
}

/* -- the reset -- */

/* CXL r4.0 section 9.7.2 */
static int cxl_reset(struct cxlt_device *dev)
{
	static const unsigned int limit_ms[] = { 10, 100, 1000, 10000, 100000 };
	struct pci_dev *pdev = dev->core.pdev;
	u16 dvsec = dev->host.dvsec;
	u16 cap, ctrl2, status2;
	unsigned int code, waited = 0;

	pci_read_config_word(pdev, dvsec + PCI_DVSEC_CXL_CAP, &cap);
	pci_read_config_word(pdev, dvsec + CXL_DVSEC_CTRL2, &ctrl2);
	ctrl2 |= CXL_DVSEC_CTRL2_NO_CACHING | CXL_DVSEC_CTRL2_RESET;
	if (cap & CXL_DVSEC_CAP_MEM_CLEAR)
		ctrl2 |= CXL_DVSEC_CTRL2_MEM_CLEAR;
	pci_write_config_word(pdev, dvsec + CXL_DVSEC_CTRL2, ctrl2);

	msleep(RESET_QUIET_MS);
	code = FIELD_GET(CXL_DVSEC_CAP_RESET_TIMEOUT, cap);
	code = min(code, ARRAY_SIZE(limit_ms) - 1);
	for (;;) {
		pci_read_config_word(pdev, dvsec + CXL_DVSEC_STATUS2, &status2);
		if (status2 != U16_MAX &&
		    status2 & CXL_DVSEC_STATUS2_RESET_ERROR)
			return -EIO;
		if (status2 != U16_MAX &&
		    status2 & CXL_DVSEC_STATUS2_RESET_DONE)
			break;
		if (waited >= limit_ms[code])
			return -ETIMEDOUT;
		msleep(POLL_MS);
		waited += POLL_MS;
	}
	pci_read_config_word(pdev, dvsec + CXL_DVSEC_CTRL2, &ctrl2);
	pci_write_config_word(pdev, dvsec + CXL_DVSEC_CTRL2,
			      ctrl2 & ~CXL_DVSEC_CTRL2_NO_CACHING);
	return 0;
}

static int reset_and_check(struct cxlt_device *dev)
{
	struct pci_dev *pdev = dev->core.pdev;
	u16 cmd;
	int err;

	if (cxlt_fail_reset)
		return -EIO;
	pci_save_state(pdev);
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	err = cxl_reset(dev);
	pci_restore_state(pdev);
	if (err)
		return err;
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	pci_write_config_word(pdev, PCI_COMMAND, cmd | PCI_COMMAND_MEMORY);
	err = cxlt_host_check(dev);
	pci_write_config_word(pdev, PCI_COMMAND, cmd);
	return err;
}

static void reset_prepare(struct pci_dev *pdev)
{
	struct cxlt_device *dev = cxlt_from_core(dev_get_drvdata(&pdev->dev));

	if (!dev->host.usable)
		return;
	set_good(dev, false);
	cxlt_hdm_zap(dev);
}

static void reset_done(struct pci_dev *pdev)
{
	struct cxlt_device *dev = cxlt_from_core(dev_get_drvdata(&pdev->dev));
	int err;

	if (!dev->host.usable)
		return;
	err = reset_and_check(dev);
	if (err) {
		pci_err(pdev, "CXL reset failed (%d): the HDM stays out of reach until one succeeds\n",
			err);
		return;
	}
	xa_destroy(&dev->poisoned);
	set_good(dev, true);
}

const struct pci_error_handlers cxlt_err_handlers = {
	.error_detected = vfio_pci_core_aer_err_detected,
	.reset_prepare = reset_prepare,
	.reset_done = reset_done,
};
