// SPDX-License-Identifier: GPL-2.0
/* Interrupts: count them, and wait for them. */
#include <linux/interrupt.h>
#include <linux/module.h>

#include "accel.h"

static unsigned int vectors;
module_param(vectors, uint, 0444);
MODULE_PARM_DESC(vectors, "MSI-X vectors to handle, 0 for all (to test vectors without a handler)");

static irqreturn_t accel_interrupt(int irq, void *data)
{
	struct accel_irq *vector = data;

	atomic64_inc(&vector->count);
	wake_up_all(&vector->wait);
	return IRQ_HANDLED;
}

/**
 * accel_irq_setup() - have a handler for each vector
 * @hw: the device
 *
 * Return: 0 with @hw->handled set, or an error; then nothing is left.
 */
int accel_irq_setup(struct accel_hw *hw)
{
	struct pci_dev *pdev = hw->pdev;
	int wanted = min_t(u32, hw->vectors, ACCEL_VECTORS_MAX);
	int got, i, err;

	for (i = 0; i < ACCEL_VECTORS_MAX; i++)
		init_waitqueue_head(&hw->irqs[i].wait);
	if (vectors)
		wanted = min_t(u32, wanted, vectors);
	got = pci_alloc_irq_vectors(pdev, 1, max(wanted, 1), PCI_IRQ_MSIX);
	if (got < 0)
		return got;
	for (i = 0; i < got; i++) {
		err = request_irq(pci_irq_vector(pdev, i), accel_interrupt, 0,
				  ACCEL_NAME, &hw->irqs[i]);
		if (err) {
			hw->handled = i;
			accel_irq_teardown(hw);
			return err;
		}
	}
	hw->handled = got;
	return 0;
}

void accel_irq_teardown(struct accel_hw *hw)
{
	while (hw->handled) {
		hw->handled--;
		free_irq(pci_irq_vector(hw->pdev, hw->handled),
			 &hw->irqs[hw->handled]);
	}
	pci_free_irq_vectors(hw->pdev);
}

/* The driver leaves: whoever waits must look up. */
void accel_irq_wake_all(struct accel_hw *hw)
{
	int i;

	for (i = 0; i < ACCEL_VECTORS_MAX; i++)
		wake_up_all(&hw->irqs[i].wait);
}

/**
 * accel_irq_wait() - wait until a vector's count is not the given one
 * @hw: the device
 * @wait: vector, count, time; the new count is set
 *
 * Return: 0, -EINVAL for a vector without a handler, -ETIMEDOUT, -ENODEV when
 * the driver leaves meanwhile, or -ERESTARTSYS.
 */
int accel_irq_wait(struct accel_hw *hw, struct cxl_accel_irq *wait)
{
	struct accel_irq *irq;
	long left;

	if (wait->vector >= hw->handled)
		return -EINVAL;
	irq = &hw->irqs[wait->vector];
	left = wait_event_interruptible_timeout(
		irq->wait,
		READ_ONCE(hw->leaving) ||
		atomic64_read(&irq->count) != wait->count,
		msecs_to_jiffies(wait->timeout_ms));
	if (left < 0)
		return left;
	if (READ_ONCE(hw->leaving))
		return -ENODEV;
	if (!left && wait->timeout_ms)
		return -ETIMEDOUT;
	wait->count = atomic64_read(&irq->count);
	return 0;
}
