// SPDX-License-Identifier: GPL-2.0
/*
 * What the host's firmware left: where the decoder is, and what it decodes.
 */
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/ioport.h>

#include "vfio-cxl-test.h"

#define BLOCK_TYPE_COMPONENT	1
#define CACHE_MEM_OFFSET	0x1000
#define CACHE_MEM_LEN		0x1000
#define CACHE_MEM_ID		1
#define CAP_ID_HDM		5

/* The first component block of the Register Locator DVSEC */
static int find_component(struct pci_dev *pdev, u8 *bar, u64 *offset)
{
	u16 pos = pci_find_dvsec_capability(pdev, PCI_VENDOR_ID_CXL,
					    PCI_DVSEC_CXL_REG_LOCATOR);
	u32 header, lo, hi;
	u16 at;

	if (!pos)
		return -ENODEV;
	pci_read_config_dword(pdev, pos + PCI_DVSEC_HEADER1, &header);
	for (at = PCI_DVSEC_CXL_REG_LOCATOR_BLOCK1;
	     at + 8 <= PCI_DVSEC_HEADER1_LEN(header); at += 8) {
		pci_read_config_dword(pdev, pos + at, &lo);
		pci_read_config_dword(pdev, pos + at + 4, &hi);
		if (FIELD_GET(PCI_DVSEC_CXL_REG_LOCATOR_BLOCK_ID, lo) !=
		    BLOCK_TYPE_COMPONENT)
			continue;
		*bar = FIELD_GET(PCI_DVSEC_CXL_REG_LOCATOR_BIR, lo);
		*offset = (u64)hi << 32 |
			  (lo & PCI_DVSEC_CXL_REG_LOCATOR_BLOCK_OFF_LOW);
		return *bar < PCI_STD_NUM_BARS ? 0 : -ENODEV;
	}
	return -ENODEV;
}

/* The HDM capability in the array at the start of the cache/mem registers */
static int find_hdm(struct cxlt_device *dev, u64 component)
{
	struct cxlt_host *host = &dev->host;
	struct pci_dev *pdev = dev->core.pdev;
	u64 start = component + CACHE_MEM_OFFSET;
	resource_size_t bar_len = pci_resource_len(pdev, host->bar);
	void __iomem *array;
	u32 entry, hdm = 0;
	int i;

	if (component > bar_len || bar_len - component <
	    CACHE_MEM_OFFSET + CACHE_MEM_LEN)
		return -ENODEV;
	array = ioremap(pci_resource_start(pdev, host->bar) + start,
			CACHE_MEM_LEN);
	if (!array)
		return -ENOMEM;
	entry = readl(array);
	if ((entry & 0xffff) == CACHE_MEM_ID) {
		for (i = entry >> 24; i > 0 && !hdm; i--) {
			entry = readl(array + 4 * i);
			if ((entry & 0xffff) == CAP_ID_HDM)
				hdm = entry >> 20;
		}
	}
	iounmap(array);
	if (!hdm || hdm + HDM_ONE_DECODER_LEN > CACHE_MEM_LEN)
		return -ENODEV;
	host->block = start + hdm;
	host->block_len = HDM_ONE_DECODER_LEN;
	host->regs = ioremap(pci_resource_start(pdev, host->bar) + host->block,
			     host->block_len);
	return host->regs ? 0 : -ENOMEM;
}

static int read_decoder(struct cxlt_host *host, phys_addr_t *base, u64 *size,
			u32 *control)
{
	void __iomem *regs = host->regs;

	*control = readl(regs + HDM_CONTROL);
	*base = (u64)readl(regs + HDM_BASE_HIGH) << 32 |
		(readl(regs + HDM_BASE_LOW) & GENMASK(31, 28));
	*size = (u64)readl(regs + HDM_SIZE_HIGH) << 32 |
		(readl(regs + HDM_SIZE_LOW) & GENMASK(31, 28));
	if (*control == U32_MAX || !(*control & HDM_CONTROL_COMMITTED) || !*size)
		return -ENXIO;
	if (readl(regs + HDM_CAP) & HDM_CAP_COUNT ||
	    *control & HDM_CONTROL_IW)
		return -EOPNOTSUPP;
	return 0;
}

/* One function alone, one decoder, one way: more is not in the contract yet */
static int find(struct cxlt_device *dev, const char **step)
{
	struct cxlt_host *host = &dev->host;
	struct pci_dev *pdev = dev->core.pdev;
	u64 component;
	u32 header;
	u16 cap;
	int err;

	*step = "find the CXL Device DVSEC";
	host->dvsec = pci_find_dvsec_capability(pdev, PCI_VENDOR_ID_CXL,
						PCI_DVSEC_CXL_DEVICE);
	if (!host->dvsec)
		return -ENODEV;
	pci_read_config_dword(pdev, host->dvsec + PCI_DVSEC_HEADER1, &header);
	host->dvsec_len = min(PCI_DVSEC_HEADER1_LEN(header), CXL_DVSEC_MAX_LEN);
	pci_read_config_word(pdev, host->dvsec + PCI_DVSEC_CXL_CAP, &cap);
	if (host->dvsec_len < CXL_DVSEC_MIN_LEN)
		return -ENODEV;
	*step = "find both CXL.cache and CXL.mem";
	if (!(cap & PCI_DVSEC_CXL_CACHE_CAPABLE) ||
	    !(cap & PCI_DVSEC_CXL_MEM_CAPABLE))
		return -ENODEV;
	*step = "find a CXL reset";
	if (!(cap & CXL_DVSEC_CAP_RESET) || pdev->multifunction)
		return -EOPNOTSUPP;
	*step = "find the component registers";
	err = find_component(pdev, &host->bar, &component);
	if (err)
		return err;
	*step = "find the HDM decoder";
	err = find_hdm(dev, component);
	if (err)
		return err;
	*step = "find decoder 0 committed, alone, with one way";
	err = read_decoder(host, &host->base, &host->size, &host->control);
	if (err)
		return err;
	*step = "claim the decoder's range";
	if (!request_mem_region_exclusive(host->base, host->size, CXLT_NAME))
		return -EBUSY;
	return 0;
}

/**
 * cxlt_host_find() - look for what the CXL side needs
 * @dev: the device, not registered yet
 *
 * A device that lacks something is bound all the same, as plain PCI device.
 */
void cxlt_host_find(struct cxlt_device *dev)
{
	struct cxlt_host *host = &dev->host;
	struct pci_dev *pdev = dev->core.pdev;
	const char *step = "enable the device";
	int err;

	err = pci_enable_device_mem(pdev);
	if (!err) {
		err = find(dev, &step);
		pci_disable_device(pdev);
	}
	if (err) {
		pci_info(pdev, "no CXL: cannot %s (%d)\n", step, err);
		if (host->regs)
			iounmap(host->regs);
		host->regs = NULL;
		return;
	}
	host->usable = true;
	dev->good = true;
	pci_info(pdev, "CXL: %llu MiB of HDM, decoder in BAR %u + 0x%llx; test code, not for use\n",
		 host->size >> 20, host->bar, host->block);
}

void cxlt_host_put(struct cxlt_device *dev)
{
	struct cxlt_host *host = &dev->host;

	if (!host->usable)
		return;
	host->usable = false;
	release_mem_region(host->base, host->size);
	iounmap(host->regs);
}

/**
 * cxlt_host_check() - is decoder 0 as it was at bind?
 * @dev: the device, with Memory Space on
 *
 * A reset may have taken the decoder; then it is programmed again.
 *
 * Return: 0, or why the memory cannot be reached.
 */
int cxlt_host_check(struct cxlt_device *dev)
{
	struct cxlt_host *host = &dev->host;
	void __iomem *regs = host->regs;
	phys_addr_t base;
	u32 control;
	u64 size;
	int err;

	err = read_decoder(host, &base, &size, &control);
	if (err == -ENXIO && control != U32_MAX) {
		writel(upper_32_bits(host->base), regs + HDM_BASE_HIGH);
		writel(lower_32_bits(host->base), regs + HDM_BASE_LOW);
		writel(upper_32_bits(host->size), regs + HDM_SIZE_HIGH);
		writel(lower_32_bits(host->size), regs + HDM_SIZE_LOW);
		writel((host->control & ~HDM_CONTROL_COMMITTED) |
		       HDM_CONTROL_COMMIT, regs + HDM_CONTROL);
		err = read_decoder(host, &base, &size, &control);
	}
	if (!err && (base != host->base || size != host->size))
		err = -ENXIO;
	return err;
}
