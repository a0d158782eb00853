/*
 * CXL Type-2 device passthrough: resets of the device
 *
 * After each, QEMU as firmware commits the decoder again, or the guest has
 * to.  A reset that fails leaves the host's memory gated, and the guest's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-cxl.h"
#include "qemu/error-report.h"
#include "cxl.h"
#include "cxl-int.h"
#include "trace.h"

void vfio_cxl_report_failure(VFIOCXL *cxl, CxlHdmFailure reason)
{
    DeviceState *dev = DEVICE(cxl->vdev);
    g_autofree char *path = object_get_canonical_path(OBJECT(dev));

    qapi_event_send_cxl_hdm_failure(dev->id, path, reason);
}

/*
 * A reset turns Memory Space off at the device, unless the host restores it.
 * The guest's own view has it as the guest left it.
 */
static void restore_command(VFIOCXL *cxl)
{
    VFIODevice *vbasedev = &cxl->vdev->vbasedev;
    uint16_t cmd = cpu_to_le16(pci_get_word(PCI_DEVICE(cxl->vdev)->config +
                                            PCI_COMMAND));

    vbasedev->io_ops->region_write(vbasedev, VFIO_PCI_CONFIG_REGION_INDEX,
                                   PCI_COMMAND, sizeof(cmd), &cmd, false);
}

/* What the reset left: is the host's decoder there, and its memory? */
static void reset_finish(VFIOCXL *cxl, bool failed)
{
    const char *name = cxl->vdev->vbasedev.name;
    Error *err = NULL;
    uint32_t capability;

    if (cxl->gate.reasons & CXL_HDM_GATE_DEVICE_LOST) {
        return; /* told already, and for good */
    }
    if (!failed && !vfio_cxl_check_host(cxl, cxl->regs.block.hdm_size,
                                        &capability, &err)) {
        error_reportf_err(err, VFIO_MSG_PREFIX "after reset: ", name);
        failed = true;
    }
    if (!failed && vfio_cxl_sigbus_repair(cxl)) {
        cxl_hdm_gate_set(&cxl->gate, CXL_HDM_GATE_MEMORY_ERROR, false);
    }
    trace_vfio_cxl_reset(name, failed);
    cxl_hdm_gate_set(&cxl->gate, CXL_HDM_GATE_RESET_FAILED, failed);
    cxl_hdm_gate_set(&cxl->gate, CXL_HDM_GATE_RESET, false);
    if (failed) {
        error_report("vfio %s: the reset failed: its HDM is taken from the "
                     "guest until a reset succeeds", name);
        vfio_cxl_report_failure(cxl, CXL_HDM_FAILURE_RESET_FAILED);
    }
}

void vfio_cxl_reset_failed(VFIOPCIDevice *vdev)
{
    if (vdev->cxl) {
        vdev->cxl->reset_failing = true;
    }
}

void vfio_cxl_reset(VFIOPCIDevice *vdev)
{
    VFIOCXL *cxl = vdev->cxl;

    if (!cxl) {
        return;
    }
    cxl_hdm_gate_set(&cxl->gate, CXL_HDM_GATE_RESET, true);
    cxl_hdm_gate_update(&cxl->gate, PCI_DEVICE(vdev));
    vfio_cxl_dvsec_set_reset_error(cxl, false);
    cxl_hdm_regs_reset(&cxl->regs);
    reset_finish(cxl, cxl->reset_failing);
    cxl->reset_failing = false;
}

/*
 * CXL r3.1 section 9.7.  The host absorbs the doorbell and claims completion
 * at once; a reset for real is this one.  It takes the decoder of a guest
 * that commits by itself; QEMU as firmware puts its own back.
 */
void vfio_cxl_initiate_reset(VFIOCXL *cxl)
{
    VFIODevice *vbasedev = &cxl->vdev->vbasedev;
    int ret;

    cxl_hdm_gate_set(&cxl->gate, CXL_HDM_GATE_RESET, true);
    ret = vbasedev->io_ops->device_reset(vbasedev);
    restore_command(cxl);
    cxl_hdm_regs_reset(&cxl->regs);
    reset_finish(cxl, ret < 0);
    vfio_cxl_dvsec_set_reset_error(cxl, ret < 0);
}

/*
 * An FLR leaves CXL.mem alone (CXL r3.1 section 9.8), and so the decoder.
 * The host clears the memory all the same, but does not tell whether it did;
 * so what only a reset can bring back takes one whose end is known.
 */
void vfio_cxl_flr_done(VFIOCXL *cxl)
{
    VFIODevice *vbasedev = &cxl->vdev->vbasedev;
    int ret = 0;

    if (cxl->gate.reasons &
        (CXL_HDM_GATE_RESET_FAILED | CXL_HDM_GATE_MEMORY_ERROR)) {
        ret = vbasedev->io_ops->device_reset(vbasedev);
    }
    restore_command(cxl);
    reset_finish(cxl, ret < 0);
}

void vfio_cxl_lost(VFIOPCIDevice *vdev)
{
    if (vdev->cxl) {
        cxl_hdm_gate_set(&vdev->cxl->gate, CXL_HDM_GATE_DEVICE_LOST, true);
        vfio_cxl_report_failure(vdev->cxl, CXL_HDM_FAILURE_DEVICE_LOST);
    }
}
