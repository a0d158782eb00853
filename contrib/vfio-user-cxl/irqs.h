/*
 * Interrupts: which eventfd stands for which vector
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_IRQS_H
#define VFIO_USER_CXL_IRQS_H

#include <linux/vfio.h>

#define IRQS_MAX_VECTORS 64

typedef struct CxlIrqs {
    unsigned count[VFIO_PCI_NUM_IRQS];
    int fd[VFIO_PCI_NUM_IRQS][IRQS_MAX_VECTORS];
} CxlIrqs;

/* A device with @msix_vectors MSI-X vectors, an error and a request IRQ. */
void irqs_init(CxlIrqs *irqs, unsigned msix_vectors);

/* Close every eventfd. */
void irqs_clear(CxlIrqs *irqs);

/* Fill the info of IRQ type info->index.  0 or -EINVAL. */
int irqs_info(const CxlIrqs *irqs, struct vfio_irq_info *info);

/*
 * DEVICE_SET_IRQS with its @data_len bytes of payload after @set and @n_fds
 * descriptors.  A descriptor that is kept becomes -1 in @fds.  0 or -EINVAL.
 */
int irqs_set(CxlIrqs *irqs, const struct vfio_irq_set *set,
             const uint8_t *data, uint32_t data_len, int *fds,
             unsigned n_fds);

/* Signal vector @vector of IRQ type @index; true if somebody listens. */
bool irqs_signal(CxlIrqs *irqs, unsigned index, unsigned vector);

#endif /* VFIO_USER_CXL_IRQS_H */
