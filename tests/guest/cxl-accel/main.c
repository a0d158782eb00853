// SPDX-License-Identifier: GPL-2.0
/*
 * A driver for the reference device's generic identity, 1b36:00f2: a CXL
 * Type-2 accelerator with a doorbell and a copy engine.
 *
 * Test code: it runs in the guest of this project's tests, to show that a
 * driver on the kernel's public accelerator interface gets memory of any
 * size, and nothing that ships may use its PCI identity.
 */
#include <linux/dma-mapping.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/module.h>

#include "accel.h"

#define ACCEL_VENDOR	0x1b36
#define ACCEL_DEVICE	0x00f2
#define ACCEL_BAR	0
#define MIB256		(256ULL << 20)

static int read_identity(struct accel_hw *hw)
{
	struct device *dev = &hw->pdev->dev;
	u32 id = readl(hw->regs + ACCEL_REG_ID);

	if (id != ACCEL_ID) {
		dev_err(dev, "BAR 0 begins with 0x%08x, must be 0x%08x\n", id,
			ACCEL_ID);
		return -ENODEV;
	}
	hw->version = readl(hw->regs + ACCEL_REG_VERSION);
	hw->vectors = readl(hw->regs + ACCEL_REG_VECTORS);
	hw->capacity = readq(hw->regs + ACCEL_REG_CAPACITY);
	if (!hw->capacity || hw->capacity % MIB256) {
		dev_err(dev, "capacity register says %llu bytes, must be a multiple of 256 MiB and not 0\n",
			hw->capacity);
		return -EINVAL;
	}
	return 0;
}

static int setup_pci(struct accel_hw *hw)
{
	struct pci_dev *pdev = hw->pdev;
	int err;

	err = pcim_enable_device(pdev);
	if (err)
		return accel_failed(hw, "enable the PCI device", err);
	hw->regs = pcim_iomap_region(pdev, ACCEL_BAR, ACCEL_NAME);
	if (IS_ERR(hw->regs))
		return accel_failed(hw, "map BAR 0", PTR_ERR(hw->regs));
	err = read_identity(hw);
	if (err)
		return accel_failed(hw, "read the device's registers", err);
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		return accel_failed(hw, "set a 64-bit DMA mask", err);
	pci_set_master(pdev);
	return 0;
}

static struct accel_hw *create(struct pci_dev *pdev)
{
	struct accel_hw *hw;
	u16 dvsec;

	if (!pcie_is_cxl(pdev)) {
		dev_err(&pdev->dev, "not a CXL link: its Flex Bus Port DVSEC shows neither cache nor memory\n");
		return ERR_PTR(-ENODEV);
	}
	dvsec = pci_find_dvsec_capability(pdev, PCI_VENDOR_ID_CXL,
					  PCI_DVSEC_CXL_DEVICE);
	if (!dvsec) {
		dev_err(&pdev->dev, "no CXL Device DVSEC\n");
		return ERR_PTR(-ENODEV);
	}
	hw = devm_cxl_dev_state_create(&pdev->dev, CXL_DEVTYPE_DEVMEM,
				       pci_get_dsn(pdev), dvsec,
				       struct accel_hw, cxlds, false);
	if (!hw) {
		dev_err(&pdev->dev, "step 'create the CXL device state' failed\n");
		return ERR_PTR(-ENOMEM);
	}
	hw->pdev = pdev;
	return hw;
}

static int accel_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct accel_hw *hw = create(pdev);
	int err;

	if (IS_ERR(hw))
		return PTR_ERR(hw);
	err = setup_pci(hw);
	if (err)
		return err;
	err = accel_hdm_probe(hw);
	if (err)
		return err;
	err = accel_hdm_map(hw);
	if (err)
		return accel_failed(hw, "map the device memory write-back", err);
	err = accel_irq_setup(hw);
	if (err) {
		accel_failed(hw, "set up interrupts", err);
		goto unmap;
	}
	hw->accel = accel_chardev_add(hw);
	if (IS_ERR(hw->accel)) {
		err = accel_failed(hw, "make the character device",
			     PTR_ERR(hw->accel));
		goto irqs;
	}
	pci_set_drvdata(pdev, hw);
	dev_info(&pdev->dev, "%s: %llu MiB at 0x%llx, write-back; %u of %u vectors; %s copy engine\n",
		 dev_name(&hw->accel->dev), hw->capacity >> 20,
		 hw->range.start, hw->handled, hw->vectors,
		 accel_has_engine(hw) ? "with" : "without");
	return 0;

irqs:
	accel_irq_teardown(hw);
unmap:
	accel_hdm_unmap(hw);
	return err;
}

static void accel_remove(struct pci_dev *pdev)
{
	struct accel_hw *hw = pci_get_drvdata(pdev);

	/* Waits for all who are inside and takes every mapping away. */
	accel_chardev_remove(hw->accel);
	accel_irq_teardown(hw);
	pci_clear_master(pdev);
	accel_hdm_unmap(hw);
}

static const struct pci_device_id accel_ids[] = {
	{ PCI_DEVICE(ACCEL_VENDOR, ACCEL_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, accel_ids);

static struct pci_driver accel_driver = {
	.name = ACCEL_NAME,
	.id_table = accel_ids,
	.probe = accel_probe,
	.remove = accel_remove,
};

static int __init accel_init(void)
{
	int err;

	err = accel_chardev_init();
	if (err)
		return err;
	err = pci_register_driver(&accel_driver);
	if (err)
		accel_chardev_exit();
	return err;
}

static void __exit accel_exit(void)
{
	pci_unregister_driver(&accel_driver);
	accel_chardev_exit();
}

module_init(accel_init);
module_exit(accel_exit);
MODULE_DESCRIPTION("Test driver for the reference CXL Type-2 accelerator");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("CXL");
MODULE_SOFTDEP("pre: cxl_acpi");
