// SPDX-License-Identifier: GPL-2.0
/*
 * Switches that make the driver misbehave, for tests of what its user does.
 */
#include <linux/debugfs.h>
#include <linux/module.h>

#include "vfio-cxl-test.h"

bool cxlt_fail_reset;
module_param_named(fail_reset, cxlt_fail_reset, bool, 0644);
MODULE_PARM_DESC(fail_reset, "every reset fails, and the HDM stays gated");

bool cxlt_refuse_mmap;
module_param_named(refuse_mmap, cxlt_refuse_mmap, bool, 0644);
MODULE_PARM_DESC(refuse_mmap, "mmap() of the HDM gives EPERM");

bool cxlt_decoder_eio;
module_param_named(decoder_eio, cxlt_decoder_eio, bool, 0644);
MODULE_PARM_DESC(decoder_eio,
		 "reading the decoder gives EIO while Memory Space is off");

bool cxlt_hide_cxl;
module_param_named(hide_cxl, cxlt_hide_cxl, bool, 0644);
MODULE_PARM_DESC(hide_cxl,
		 "a device opened now is plain PCI: no flag, no regions");

static struct dentry *root;

static int poison_set(void *data, u64 offset)
{
	return cxlt_hdm_poison(data, offset);
}

DEFINE_DEBUGFS_ATTRIBUTE(poison_fops, NULL, poison_set, "%llu\n");

void cxlt_debug_init(void)
{
	root = debugfs_create_dir(CXLT_NAME, NULL);
}

void cxlt_debug_exit(void)
{
	debugfs_remove(root);
}

void cxlt_debug_add(struct cxlt_device *dev)
{
	dev->debug = debugfs_create_dir(pci_name(dev->core.pdev), root);
	debugfs_create_file("poison", 0200, dev->debug, dev, &poison_fops);
}

void cxlt_debug_remove(struct cxlt_device *dev)
{
	debugfs_remove(dev->debug);
}
