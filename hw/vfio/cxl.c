/*
 * CXL device passthrough
 *
 * The host's HDM decoder stays the host's.  The guest sees a decoder that
 * QEMU owns, committed and locked to a range inside a CXL Fixed Memory
 * Window, and reaches the HDM there through a direct mapping.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/stat.h>
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_hdm_port.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "cxl.h"
#include "cxl-int.h"
#include "region-caps.h"
#include "region-info.h"
#include "trace.h"

/* The one region of a subtype.  The result is borrowed from the device. */
static bool vfio_cxl_find_region(VFIODevice *vbasedev, uint32_t subtype,
                                 const char *what,
                                 struct vfio_region_info **found,
                                 Error **errp)
{
    int i;

    *found = NULL;
    for (i = VFIO_PCI_NUM_REGIONS; i < vbasedev->num_initial_regions; i++) {
        const struct vfio_region_info_cap_type *type;
        struct vfio_region_info *info;
        int ret = vfio_device_get_region_info(vbasedev, i, &info);

        if (ret) {
            vfio_region_info_error(vbasedev, i, ret, errp);
            return false;
        }
        type = vfio_region_info_cap(info, VFIO_REGION_INFO_CAP_TYPE);
        if (!type || type->type != VFIO_REGION_TYPE_CXL ||
            type->subtype != subtype) {
            continue;
        }
        if (*found) {
            error_setg(errp, "regions %u and %d are both a CXL %s region "
                       "(subtype %u); exactly 1 is supported",
                       (*found)->index, i, what, subtype);
            return false;
        }
        *found = info;
    }

    if (!*found) {
        error_setg(errp, "device has the CXL flag, but none of its %u regions "
                   "is the CXL %s region (type 0x%x subtype %u): set cxl=off "
                   "to use it as plain PCIe device",
                   vbasedev->num_initial_regions, what, VFIO_REGION_TYPE_CXL,
                   subtype);
        return false;
    }
    return true;
}

/*
 * The host's decoder may be read only while its Memory Space is on: on real
 * hardware the access is a fatal error otherwise.
 */
static bool vfio_cxl_read_decoder(VFIOCXL *cxl, uint32_t *regs, Error **errp)
{
    VFIODevice *vbasedev = &cxl->vdev->vbasedev;
    VFIODeviceIOOps *io = vbasedev->io_ops;
    const size_t len = VFIO_CXL_DECODER_DWORDS * sizeof(*regs);
    uint8_t config = VFIO_PCI_CONFIG_REGION_INDEX;
    uint16_t cmd, cmd_on;
    int i, ret;

    ret = io->region_read(vbasedev, config, PCI_COMMAND, sizeof(cmd), &cmd);
    if (ret == sizeof(cmd)) {
        cmd_on = cmd | cpu_to_le16(PCI_COMMAND_MEMORY);
        ret = io->region_write(vbasedev, config, PCI_COMMAND, sizeof(cmd_on),
                               &cmd_on, false);
    }
    if (ret != sizeof(cmd)) {
        error_setg(errp, "cannot turn Memory Space on to read the host's HDM "
                   "decoder: %s", strwriteerror(ret));
        return false;
    }

    ret = io->region_read(vbasedev, cxl->decoder_info->index, 0, len, regs);
    io->region_write(vbasedev, config, PCI_COMMAND, sizeof(cmd), &cmd, false);
    if (ret != len) {
        error_setg(errp, "cannot read the host's HDM decoder, %zu bytes at "
                   "offset 0x0 of region %u: %s", len,
                   cxl->decoder_info->index, strreaderror(ret));
        return false;
    }
    for (i = 0; i < VFIO_CXL_DECODER_DWORDS; i++) {
        regs[i] = le32_to_cpu(regs[i]);
    }
    return true;
}

bool vfio_cxl_check_host(VFIOCXL *cxl, uint64_t hdm_size,
                         uint32_t *capability, Error **errp)
{
    uint32_t regs[VFIO_CXL_DECODER_DWORDS];

    if (!vfio_cxl_read_decoder(cxl, regs, errp) ||
        !vfio_cxl_check_decoder(regs, hdm_size, errp) ||
        !vfio_cxl_check_coherency(regs,
                                  vfio_cxl_has_cache(cxl->vdev, cxl->dvsec),
                                  &cxl->host_only, errp)) {
        return false;
    }
    *capability = regs[0];
    return true;
}

/*
 * With vfio-user the HDM is a file of the server's.  One that is shorter
 * than it says would end QEMU by SIGBUS when the guest gets there.
 */
bool vfio_cxl_check_file(VFIOCXL *cxl, Error **errp)
{
    const struct vfio_region_info *info = cxl->hdm_info;
    int fd = vfio_device_get_region_fd(&cxl->vdev->vbasedev, info->index);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        error_setg(errp, "HDM region %u comes without a file descriptor to "
                   "map: HDM is never emulated", info->index);
        return false;
    }
    if (S_ISREG(st.st_mode) &&
        (info->offset > st.st_size ||
         info->size > st.st_size - info->offset)) {
        error_setg(errp, "HDM region %u needs 0x%" PRIx64 " bytes at offset "
                   "0x%" PRIx64 " of its file, which has 0x%" PRIx64,
                   info->index, (uint64_t)info->size, (uint64_t)info->offset,
                   (uint64_t)st.st_size);
        return false;
    }
    return true;
}

static bool vfio_cxl_map_hdm(VFIOCXL *cxl, Error **errp)
{
    const struct vfio_region_info *info = cxl->hdm_info;
    VFIODevice *vbasedev = &cxl->vdev->vbasedev;
    g_autofree char *name = g_strdup_printf("%s HDM", vbasedev->name);
    g_autofree char *log_name = g_strdup_printf("vfio %s", vbasedev->name);
    g_autofree char *size = size_to_str(info->size);
    int ret;

    if (!vfio_cxl_check_file(cxl, errp)) {
        return false;
    }
    ret = vfio_region_setup(OBJECT(cxl->vdev), vbasedev, &cxl->hdm,
                            info->index, name);
    if (!ret && !cxl->hdm.nr_mmaps) {
        error_setg(errp, "HDM region %u cannot be mapped with x-no-mmap=on: "
                   "HDM is never emulated", info->index);
        return false;
    }
    if (!ret) {
        ret = vfio_region_mmap(&cxl->hdm);
    }
    if (ret) {
        error_setg_errno(errp, -ret, "cannot map HDM region %u of %s",
                         info->index, size);
        return false;
    }
    cxl_hdm_gate_init(&cxl->gate, OBJECT(cxl->vdev), log_name, cxl->hdm.mem,
                      info->size, cxl->path);
    vfio_cxl_sigbus_add(cxl);
    return true;
}

/* The decoder moves with the BAR and leaves the rest of it alone */
static void vfio_cxl_setup_decoder(VFIOCXL *cxl, uint64_t hdm_size,
                                   uint32_t capability)
{
    VFIOPCIDevice *vdev = cxl->vdev;

    cxl->regs.path = cxl->path;
    cxl->regs.gate = &cxl->gate;
    cxl->regs.guest = vdev->cxl_hdm_commit == CXL_HDM_COMMIT_GUEST;
    cxl_hdm_regs_init(&cxl->regs, OBJECT(vdev), cxl->geometry.size, hdm_size,
                      capability);
    cxl->regs.block.host_only = cxl->host_only;
    memory_region_add_subregion_overlap(vdev->bars[cxl->geometry.bar].mr,
                                        cxl->geometry.offset, &cxl->regs.mr,
                                        1);
}

static bool vfio_cxl_setup(VFIOCXL *cxl, Error **errp)
{
    VFIOPCIDevice *vdev = cxl->vdev;
    VFIODevice *vbasedev = &vdev->vbasedev;
    CXLHDMWish wish = {
        .guest = vdev->cxl_hdm_commit == CXL_HDM_COMMIT_GUEST,
        .offset = vdev->cxl_hdm_offset,
        .instead = "cxl=off",
    };
    struct vfio_region_info *hdm, *regs_info;
    uint64_t bar_size[PCI_ROM_SLOT];
    uint32_t capability;
    int i;

    for (i = 0; i < PCI_ROM_SLOT; i++) {
        bar_size[i] = vdev->bars[i].ioport ? 0 : vdev->bars[i].size;
    }

    if (!vfio_cxl_find_region(vbasedev, VFIO_REGION_SUBTYPE_CXL_MEM,
                              "HDM memory", &hdm, errp) ||
        !vfio_cxl_find_region(vbasedev, VFIO_REGION_SUBTYPE_CXL_COMP_REGS,
                              "decoder register", &regs_info, errp) ||
        !vfio_cxl_check_hdm_region(hdm, errp) ||
        !vfio_cxl_check_geometry(regs_info, bar_size, &cxl->geometry, errp)) {
        return false;
    }
    cxl->hdm_info = hdm;
    cxl->decoder_info = regs_info;
    if (!vfio_cxl_check_host(cxl, hdm->size, &capability, errp)) {
        return false;
    }

    wish.size = hdm->size;
    cxl->path = cxl_hdm_path_new(PCI_DEVICE(vdev), &wish, errp);
    if (!cxl->path || !vfio_cxl_map_hdm(cxl, errp)) {
        return false;
    }

    error_setg(&cxl->migration_blocker, "vfio %s: a CXL device's HDM cannot "
               "be migrated", vbasedev->name);
    if (migrate_add_blocker(&cxl->migration_blocker, errp) < 0) {
        return false;
    }

    vfio_cxl_setup_decoder(cxl, hdm->size, capability);
    vfio_cxl_dvsec_setup(cxl);
    if (vfio_cxl_has_cache(vdev, cxl->dvsec)) {
        cxl_hdm_port_set_cache(PCI_DEVICE(vdev), true);
    }
    trace_vfio_cxl_realize(vbasedev->name, hdm->size, cxl->geometry.bar,
                           cxl->geometry.offset,
                           cxl_hdm_path_base(cxl->path));
    return true;
}

bool vfio_cxl_realize(VFIOPCIDevice *vdev, Error **errp)
{
    uint16_t dvsec;

    if (!vfio_cxl_admit(vdev, &dvsec, errp)) {
        return false;
    }
    if (!dvsec) {
        return true;
    }
    vdev->cxl = g_new0(VFIOCXL, 1);
    vdev->cxl->vdev = vdev;
    vdev->cxl->dvsec = dvsec;
    return vfio_cxl_setup(vdev->cxl, errp);
}

void vfio_cxl_exit(VFIOPCIDevice *vdev)
{
    VFIOCXL *cxl = vdev->cxl;

    if (!cxl) {
        return;
    }
    cxl_hdm_gate_exit(&cxl->gate);
    cxl_hdm_regs_exit(&cxl->regs);
    if (cxl->path) {
        cxl_hdm_port_set_cache(PCI_DEVICE(vdev), false);
        cxl_hdm_path_unmap(cxl->path);
        cxl_hdm_path_free(cxl->path);
        cxl->path = NULL;
    }
    if (cxl->regs.mr.container) {
        memory_region_del_subregion(cxl->regs.mr.container, &cxl->regs.mr);
    }
    vfio_region_exit(&cxl->hdm);
    migrate_del_blocker(&cxl->migration_blocker);
}

void vfio_cxl_finalize(VFIOPCIDevice *vdev)
{
    if (vdev->cxl) {
        /* Until now somebody may still have had the mapping at hand */
        vfio_cxl_sigbus_remove(vdev->cxl);
        vfio_region_finalize(&vdev->cxl->hdm);
        cxl_hdm_gate_finalize(&vdev->cxl->gate);
        g_free(vdev->cxl);
        vdev->cxl = NULL;
    }
}

static int vfio_cxl_get_commit(Object *obj, Error **errp)
{
    return VFIO_PCI_DEVICE(obj)->cxl_hdm_commit;
}

static void vfio_cxl_set_commit(Object *obj, int value, Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "cxl-hdm-commit cannot be set after the device is "
                   "realized: set it on the command line or in device_add");
        return;
    }
    VFIO_PCI_DEVICE(obj)->cxl_hdm_commit = value;
}

static const Property vfio_cxl_properties[] = {
    DEFINE_PROP_ON_OFF_AUTO("cxl", VFIOPCIDevice, cxl_mode, ON_OFF_AUTO_AUTO),
    DEFINE_PROP_CXL_HDM_OFFSET("cxl-hdm-offset", VFIOPCIDevice, cxl_hdm_offset),
};

void vfio_cxl_class_init(ObjectClass *klass)
{
    device_class_set_props(DEVICE_CLASS(klass), vfio_cxl_properties);
    vfio_cxl_describe_class_init(klass);
    object_class_property_set_description(klass, "cxl",
        "Use the device's CXL memory: auto (if it has one), on (fail if it "
        "has none), off (plain PCIe)");
    object_class_property_add_enum(klass, "cxl-hdm-commit",
                                   "CxlHdmCommit",
                                   &CxlHdmCommit_lookup,
                                   vfio_cxl_get_commit, vfio_cxl_set_commit);
    object_class_property_set_description(klass, "cxl-hdm-commit",
        "Who programs the HDM decoders: firmware (QEMU commits and locks "
        "them, which stock arm64 kernels need) or guest");
}
