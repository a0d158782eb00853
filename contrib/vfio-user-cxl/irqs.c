/*
 * Interrupts: which eventfd stands for which vector
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "irqs.h"

void irqs_init(CxlIrqs *irqs, unsigned msix_vectors)
{
    memset(irqs, 0, sizeof(*irqs));
    assert(msix_vectors <= IRQS_MAX_VECTORS);
    irqs->count[VFIO_PCI_MSIX_IRQ_INDEX] = msix_vectors;
    irqs->count[VFIO_PCI_ERR_IRQ_INDEX] = 1;
    irqs->count[VFIO_PCI_REQ_IRQ_INDEX] = 1;
    memset(irqs->fd, -1, sizeof(irqs->fd));
}

static void drop_fd(CxlIrqs *irqs, unsigned index, unsigned vector)
{
    int *fd = &irqs->fd[index][vector];

    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void drop_index(CxlIrqs *irqs, unsigned index)
{
    for (unsigned v = 0; v < IRQS_MAX_VECTORS; v++) {
        drop_fd(irqs, index, v);
    }
}

void irqs_clear(CxlIrqs *irqs)
{
    for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
        drop_index(irqs, i);
    }
}

int irqs_info(const CxlIrqs *irqs, struct vfio_irq_info *info)
{
    if (info->index >= VFIO_PCI_NUM_IRQS) {
        return -EINVAL;
    }
    info->argsz = sizeof(*info);
    info->count = irqs->count[info->index];
    info->flags = info->count ? VFIO_IRQ_INFO_EVENTFD : 0;
    return 0;
}

bool irqs_signal(CxlIrqs *irqs, unsigned index, unsigned vector)
{
    uint64_t one = 1;
    int fd = irqs->fd[index][vector];

    if (fd < 0) {
        return false;
    }
    /* a full counter is as good as a signal; the client chose the file */
    return write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;
}

static int set_eventfds(CxlIrqs *irqs, const struct vfio_irq_set *set,
                        int *fds, unsigned n_fds)
{
    if (n_fds && n_fds != set->count) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < n_fds; i++) {
        /* a signal must never stop the server, whatever file it is */
        if (fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0) {
            return -EINVAL;
        }
    }
    for (unsigned i = 0; i < set->count; i++) {
        drop_fd(irqs, set->index, set->start + i);
        if (n_fds) {
            irqs->fd[set->index][set->start + i] = fds[i];
            fds[i] = -1;
        }
    }
    return 0;
}

int irqs_set(CxlIrqs *irqs, const struct vfio_irq_set *set,
             const uint8_t *data, uint32_t data_len, int *fds,
             unsigned n_fds)
{
    uint32_t type = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;
    uint32_t action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
    unsigned count;

    if (set->index >= VFIO_PCI_NUM_IRQS ||
        set->flags & ~(VFIO_IRQ_SET_DATA_TYPE_MASK |
                       VFIO_IRQ_SET_ACTION_TYPE_MASK)) {
        return -EINVAL;
    }
    count = irqs->count[set->index];
    if (set->start > count || set->count > count - set->start) {
        return -EINVAL;
    }
    /* only INTx can be masked, and there is none */
    if (action != VFIO_IRQ_SET_ACTION_TRIGGER) {
        return -EINVAL;
    }
    switch (type) {
    case VFIO_IRQ_SET_DATA_EVENTFD:
        return set_eventfds(irqs, set, fds, n_fds);
    case VFIO_IRQ_SET_DATA_NONE:
        if (!set->count) {
            if (set->start) {
                return -EINVAL;
            }
            drop_index(irqs, set->index);
        }
        break;
    case VFIO_IRQ_SET_DATA_BOOL:
        if (data_len < set->count) {
            return -EINVAL;
        }
        break;
    default:
        return -EINVAL;
    }
    for (unsigned i = 0; i < set->count; i++) {
        if (type == VFIO_IRQ_SET_DATA_NONE || data[i]) {
            irqs_signal(irqs, set->index, set->start + i);
        }
    }
    return 0;
}
