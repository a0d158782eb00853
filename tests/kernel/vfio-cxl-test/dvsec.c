// SPDX-License-Identifier: GPL-2.0
/*
 * The CXL Device DVSEC: the user has a copy, made when the device is opened,
 * and nothing that is written there reaches the device.
 */
#include <linux/uaccess.h>
#include <linux/unaligned.h>

#include "vfio-cxl-test.h"

void cxlt_dvsec_open(struct cxlt_device *dev)
{
	int i;

	for (i = 0; i < dev->host.dvsec_len; i++)
		pci_read_config_byte(dev->core.pdev, dev->host.dvsec + i,
				     &dev->shadow[i]);
}

/* What a doorbell would have done is made up */
static u8 ring(struct cxlt_device *dev, u8 value)
{
	u8 *status2 = &dev->shadow[CXL_DVSEC_STATUS2];

	if (value & CXL_DVSEC_CTRL2_WRITE_BACK)
		*status2 |= CXL_DVSEC_STATUS2_CACHE_INVALID;
	if (value & CXL_DVSEC_CTRL2_RESET) {
		*status2 |= CXL_DVSEC_STATUS2_RESET_DONE;
		*status2 &= ~CXL_DVSEC_STATUS2_RESET_ERROR;
	}
	return value & ~(CXL_DVSEC_CTRL2_WRITE_BACK | CXL_DVSEC_CTRL2_RESET);
}

static void write_byte(struct cxlt_device *dev, unsigned int reg, u8 value)
{
	u8 *byte = &dev->shadow[reg];

	switch (reg) {
	case PCI_DVSEC_CXL_CTRL:
		/* The memory is in use, whatever the user says */
		*byte = value | PCI_DVSEC_CXL_MEM_ENABLE;
		break;
	case PCI_DVSEC_CXL_CTRL + 1:
	case CXL_DVSEC_CTRL2 + 1:
		*byte = value;
		break;
	case CXL_DVSEC_CTRL2:
		*byte = ring(dev, value);
		break;
	case CXL_DVSEC_STATUS:
	case CXL_DVSEC_STATUS + 1:
	case CXL_DVSEC_STATUS2:
	case CXL_DVSEC_STATUS2 + 1:
		*byte &= ~value;
		break;
	}
}

/** cxlt_dvsec_rw() - the user's view of the DVSEC, from its header 1 on */
int cxlt_dvsec_rw(struct cxlt_device *dev, char __user *buf, size_t len,
		  u64 at, bool iswrite)
{
	unsigned int reg = PCI_DVSEC_HEADER1 + at;
	u8 value;

	for (; len; len--, buf++, reg++) {
		if (!iswrite && put_user(dev->shadow[reg], buf))
			return -EFAULT;
		if (iswrite && get_user(value, buf))
			return -EFAULT;
		if (iswrite)
			write_byte(dev, reg, value);
	}
	return 0;
}
