// SPDX-License-Identifier: GPL-2.0
/* /sys/class/cxl_accel/cxl_accelN: what the device is and what it did. */
#include <linux/io.h>
#include <linux/sysfs.h>

#include "accel.h"

/*
 * The attributes are gone before the hardware is: device removal waits for
 * those that are being read.
 */
static struct accel *to_accel(struct device *dev)
{
	return container_of(dev, struct accel, dev);
}

static struct accel_hw *to_hw(struct device *dev)
{
	return rcu_dereference_protected(to_accel(dev)->hw, true);
}

static ssize_t range_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	struct accel_hw *hw = to_hw(dev);

	return sysfs_emit(buf, "0x%llx-0x%llx\n", hw->range.start,
			  hw->range.end);
}
static DEVICE_ATTR_RO(range);

static ssize_t size_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	return sysfs_emit(buf, "%llu\n", to_hw(dev)->capacity);
}
static DEVICE_ATTR_RO(size);

/* "ready", or "lost" when the device no longer answers. */
static ssize_t state_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	u32 id = readl(to_hw(dev)->regs + ACCEL_REG_ID);

	return sysfs_emit(buf, "%s\n", id == ACCEL_ID ? "ready" : "lost");
}
static DEVICE_ATTR_RO(state);

static ssize_t version_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	return sysfs_emit(buf, "0x%08x\n", to_hw(dev)->version);
}
static DEVICE_ATTR_RO(version);

static ssize_t engine_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	return sysfs_emit(buf, "%d\n", accel_has_engine(to_hw(dev)));
}
static DEVICE_ATTR_RO(engine);

/* One number for each vector with a handler. */
static ssize_t interrupts_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct accel_hw *hw = to_hw(dev);
	int len = 0;
	u32 i;

	for (i = 0; i < hw->handled; i++)
		len += sysfs_emit_at(buf, len, "%s%lld", i ? " " : "",
				     atomic64_read(&hw->irqs[i].count));
	return len + sysfs_emit_at(buf, len, "\n");
}
static DEVICE_ATTR_RO(interrupts);

/* Pages given to programs: of 4 KiB, of 2 MiB. */
static ssize_t faults_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct accel *accel = to_accel(dev);

	return sysfs_emit(buf, "%lld %lld\n",
			  atomic64_read(&accel->small_faults),
			  atomic64_read(&accel->huge_faults));
}
static DEVICE_ATTR_RO(faults);

static struct attribute *accel_attrs[] = {
	&dev_attr_range.attr,
	&dev_attr_size.attr,
	&dev_attr_state.attr,
	&dev_attr_version.attr,
	&dev_attr_engine.attr,
	&dev_attr_interrupts.attr,
	&dev_attr_faults.attr,
	NULL
};

static const struct attribute_group accel_group = {
	.attrs = accel_attrs,
};

const struct attribute_group *accel_groups[] = {
	&accel_group,
	NULL
};
