/*
 * CXL Type-2 device passthrough
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
#include "qemu/log.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "hw/cxl/cxl_hdm_path.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"
#include "cxl.h"
#include "cxl-info.h"
#include "region-caps.h"
#include "region-info.h"
#include "trace.h"

struct VFIOCXL {
    VFIOPCIDevice *vdev;
    VFIOCXLGeometry geometry;
    CXLHDMDecoder decoder;
    MemoryRegion decoder_mr;    /* over the component BAR */
    VFIORegion hdm;
    CXLHDMPath *path;
    Error *migration_blocker;
};

static uint64_t vfio_cxl_decoder_read(void *opaque, hwaddr addr, unsigned size)
{
    VFIOCXL *cxl = opaque;
    uint64_t value = cxl_hdm_decoder_read(&cxl->decoder, addr, size);

    trace_vfio_cxl_decoder_read(cxl->vdev->vbasedev.name, addr, size, value);
    return value;
}

static void vfio_cxl_decoder_write(void *opaque, hwaddr addr, uint64_t value,
                                   unsigned size)
{
    VFIOCXL *cxl = opaque;
    const char *name = cxl->vdev->vbasedev.name;

    trace_vfio_cxl_decoder_write(name, addr, size, value);
    if (cxl_hdm_decoder_write(&cxl->decoder, addr, value, size) ==
        CXL_HDM_DECODER_IGNORED) {
        qemu_log_mask(LOG_GUEST_ERROR, "vfio %s: HDM decoder write of 0x%"
                      PRIx64 " (%u bytes) at offset 0x%" HWADDR_PRIx
                      " ignored: locked, read-only or not 4 bytes\n", name,
                      value, size, addr);
    }
}

/* All widths get here, so that a wrong one is logged and no bus error */
static const MemoryRegionOps vfio_cxl_decoder_ops = {
    .read = vfio_cxl_decoder_read,
    .write = vfio_cxl_decoder_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
        .unaligned = true,
    },
};

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
static bool vfio_cxl_read_decoder(VFIODevice *vbasedev,
                                  const struct vfio_region_info *info,
                                  uint32_t *regs, Error **errp)
{
    VFIODeviceIOOps *io = vbasedev->io_ops;
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

    for (i = 0; i < VFIO_CXL_DECODER_DWORDS; i++) {
        ret = io->region_read(vbasedev, info->index, i * 4, 4, &regs[i]);
        if (ret != 4) {
            error_setg(errp, "cannot read the host's HDM decoder at offset "
                       "0x%x of region %u: %s", i * 4, info->index,
                       strreaderror(ret));
            break;
        }
        regs[i] = le32_to_cpu(regs[i]);
    }

    io->region_write(vbasedev, config, PCI_COMMAND, sizeof(cmd), &cmd, false);
    return i == VFIO_CXL_DECODER_DWORDS;
}

/*
 * With vfio-user the HDM is a file of the server's.  One that is shorter
 * than it says would end QEMU by SIGBUS when the guest gets there.
 */
static bool vfio_cxl_check_file(VFIODevice *vbasedev,
                                const struct vfio_region_info *info,
                                Error **errp)
{
    int fd = vfio_device_get_region_fd(vbasedev, info->index);
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

static bool vfio_cxl_map_hdm(VFIOCXL *cxl, const struct vfio_region_info *info,
                             Error **errp)
{
    VFIODevice *vbasedev = &cxl->vdev->vbasedev;
    g_autofree char *name = g_strdup_printf("%s HDM", vbasedev->name);
    g_autofree char *size = size_to_str(info->size);
    int ret;

    if (!vfio_cxl_check_file(vbasedev, info, errp)) {
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
    return true;
}

/* A decoder over the BAR: it moves with the BAR and leaves the rest alone */
static void vfio_cxl_overlay_decoder(VFIOCXL *cxl)
{
    VFIOPCIDevice *vdev = cxl->vdev;
    g_autofree char *name = g_strdup_printf("%s HDM decoder",
                                            vdev->vbasedev.name);

    memory_region_init_io(&cxl->decoder_mr, OBJECT(vdev),
                          &vfio_cxl_decoder_ops, cxl, name,
                          cxl->geometry.size);
    memory_region_add_subregion_overlap(vdev->bars[cxl->geometry.bar].mr,
                                        cxl->geometry.offset,
                                        &cxl->decoder_mr, 1);
}

static void vfio_cxl_emulate_long(VFIOPCIDevice *vdev, int pos, uint32_t value)
{
    PCIDevice *pdev = PCI_DEVICE(vdev);

    pci_set_long(pdev->config + pos, value);
    pci_set_long(pdev->wmask + pos, 0);
    pci_set_long(vdev->emulated_config_bits + pos, ~0);
}

/* Range registers from @first to the last one read as 0 */
static void vfio_cxl_clear_ranges(VFIOPCIDevice *vdev, uint16_t dvsec,
                                  unsigned int first)
{
    unsigned int reg;

    for (reg = first; reg < offsetof(CXLDVSECDevice, cap3) &&
         dvsec + reg + 4 <= vdev->config_size; reg += 4) {
        vfio_cxl_emulate_long(vdev, dvsec + reg, 0);
    }
}

/*
 * The ranges of the CXL Device DVSEC are the decoder's older twin and hold
 * the host's base as well.  CXL r3.1 sections 8.1.3.8 and 8.1.3.9.
 */
static void vfio_cxl_emulate_dvsec(VFIOCXL *cxl, uint16_t dvsec)
{
    VFIOPCIDevice *vdev = cxl->vdev;
    uint64_t base = cxl_hdm_path_base(cxl->path);
    uint64_t size = cxl->decoder.hdm_size;
    const int size_lo = dvsec + offsetof(CXLDVSECDevice, range1_size_lo);
    uint32_t attributes = pci_get_long(PCI_DEVICE(vdev)->config + size_lo) &
                          ~0xf0000000;

    vfio_cxl_emulate_long(vdev,
                          dvsec + offsetof(CXLDVSECDevice, range1_size_hi),
                          size >> 32);
    vfio_cxl_emulate_long(vdev, size_lo, (uint32_t)size | attributes);
    vfio_cxl_emulate_long(vdev,
                          dvsec + offsetof(CXLDVSECDevice, range1_base_hi),
                          base >> 32);
    vfio_cxl_emulate_long(vdev,
                          dvsec + offsetof(CXLDVSECDevice, range1_base_lo),
                          (uint32_t)base);
    /* One decoder, one range */
    vfio_cxl_clear_ranges(vdev, dvsec,
                          offsetof(CXLDVSECDevice, range2_size_hi));
}

/*
 * Without the memory, a CXL driver in the guest would only fail.  Dropped
 * from the chain, the DVSEC can still be read by who knows its place.
 */
bool vfio_cxl_hides_dvsec(VFIOPCIDevice *vdev, uint16_t pos)
{
    const uint8_t *dvsec = PCI_DEVICE(vdev)->config + pos;

    if (vdev->cxl_mode != ON_OFF_AUTO_OFF ||
        pos + sizeof(DVSECHeader) > vdev->config_size ||
        pci_get_word(dvsec + PCIE_DVSEC_HEADER1_OFFSET) != CXL_VENDOR_ID) {
        return false;
    }
    if (pci_get_word(dvsec + PCIE_DVSEC_ID_OFFSET) == PCIE_CXL_DEVICE_DVSEC) {
        vfio_cxl_clear_ranges(vdev, pos,
                              offsetof(CXLDVSECDevice, range1_size_hi));
    }
    return true;
}

/* CXL.cache and CXL.mem (CXL r3.1 section 8.1.3.1) make a Type-2 device */
static bool vfio_cxl_is_type2(VFIOPCIDevice *vdev, uint16_t dvsec)
{
    uint16_t cap = pci_get_word(PCI_DEVICE(vdev)->config + dvsec +
                                offsetof(CXLDVSECDevice, cap));

    return (cap & 1) && (cap & 4);
}

static bool vfio_cxl_setup(VFIOCXL *cxl, uint16_t dvsec, Error **errp)
{
    VFIOPCIDevice *vdev = cxl->vdev;
    struct vfio_region_info *hdm, *regs_info;
    uint32_t regs[VFIO_CXL_DECODER_DWORDS];
    uint64_t bar_size[PCI_ROM_SLOT];
    int i;

    for (i = 0; i < PCI_ROM_SLOT; i++) {
        bar_size[i] = vdev->bars[i].ioport ? 0 : vdev->bars[i].size;
    }

    if (!vfio_cxl_find_region(&vdev->vbasedev, VFIO_REGION_SUBTYPE_CXL_MEM,
                              "HDM memory", &hdm, errp) ||
        !vfio_cxl_find_region(&vdev->vbasedev,
                              VFIO_REGION_SUBTYPE_CXL_COMP_REGS,
                              "decoder register", &regs_info, errp) ||
        !vfio_cxl_check_hdm_region(hdm, errp) ||
        !vfio_cxl_check_geometry(regs_info, bar_size, &cxl->geometry, errp) ||
        !vfio_cxl_read_decoder(&vdev->vbasedev, regs_info, regs, errp) ||
        !vfio_cxl_check_decoder(regs, hdm->size, errp)) {
        return false;
    }

    cxl->path = cxl_hdm_path_new(PCI_DEVICE(vdev), hdm->size, errp);
    if (!cxl->path || !vfio_cxl_map_hdm(cxl, hdm, errp)) {
        return false;
    }

    error_setg(&cxl->migration_blocker, "vfio %s: a CXL device's HDM cannot "
               "be migrated", vdev->vbasedev.name);
    if (migrate_add_blocker(&cxl->migration_blocker, errp) < 0) {
        return false;
    }

    cxl_hdm_decoder_init(&cxl->decoder, hdm->size, regs[0]);
    vfio_cxl_overlay_decoder(cxl);
    vfio_cxl_emulate_dvsec(cxl, dvsec);
    trace_vfio_cxl_realize(vdev->vbasedev.name, hdm->size, cxl->geometry.bar,
                           cxl->geometry.offset,
                           cxl_hdm_path_base(cxl->path));
    return true;
}

bool vfio_cxl_realize(VFIOPCIDevice *vdev, Error **errp)
{
    PCIDevice *pdev = PCI_DEVICE(vdev);
    bool wanted = vdev->cxl_mode == ON_OFF_AUTO_ON;
    uint16_t dvsec;

    if (vdev->cxl_mode == ON_OFF_AUTO_OFF) {
        return true;
    }
    if (!(vdev->vbasedev.flags & VFIO_DEVICE_FLAGS_CXL)) {
        if (wanted) {
            error_setg(errp, "cxl=on, but the device is not offered as CXL "
                       "device (device flags 0x%x lack 0x%x): check host "
                       "driver and device, or set cxl=auto",
                       vdev->vbasedev.flags, VFIO_DEVICE_FLAGS_CXL);
        }
        return !wanted;
    }

    dvsec = vfio_cxl_find_dvsec(pdev->config,
                                MIN(pci_config_size(pdev), vdev->config_size));
    if (!dvsec) {
        error_setg(errp, "device has the CXL flag, but not exactly 1 CXL "
                   "Device DVSEC (vendor 0x%x, id %d) of at least %zu bytes: "
                   "set cxl=off to use it as plain PCIe device",
                   CXL_VENDOR_ID, PCIE_CXL_DEVICE_DVSEC,
                   offsetof(CXLDVSECDevice, cap3));
        return false;
    }
    if (!vfio_cxl_is_type2(vdev, dvsec)) {
        trace_vfio_cxl_not_type2(vdev->vbasedev.name);
        vfio_cxl_clear_ranges(vdev, dvsec,
                              offsetof(CXLDVSECDevice, range1_size_hi));
        if (wanted) {
            error_setg(errp, "cxl=on, but the device's DVSEC does not claim "
                       "both CXL.cache and CXL.mem, so it is no Type-2 "
                       "device: set cxl=auto");
        }
        return !wanted;
    }

    vdev->cxl = g_new0(VFIOCXL, 1);
    vdev->cxl->vdev = vdev;
    return vfio_cxl_setup(vdev->cxl, dvsec, errp);
}

/* As platform firmware does: commit, lock, and only then there is memory */
void vfio_cxl_reset(VFIOPCIDevice *vdev)
{
    VFIOCXL *cxl = vdev->cxl;
    uint64_t base;

    if (!cxl) {
        return;
    }

    base = cxl_hdm_path_base(cxl->path);
    cxl_hdm_path_unmap(cxl->path);
    cxl_hdm_decoder_reset(&cxl->decoder);
    if (!cxl_hdm_decoder_program(&cxl->decoder, base)) {
        g_assert_not_reached(); /* placement aligned it and checked the end */
    }
    trace_vfio_cxl_commit(vdev->vbasedev.name, base, cxl->decoder.hdm_size);
    cxl_hdm_path_map(cxl->path, cxl->hdm.mem);
    trace_vfio_cxl_map(vdev->vbasedev.name, base, cxl->decoder.hdm_size);
}

void vfio_cxl_exit(VFIOPCIDevice *vdev)
{
    VFIOCXL *cxl = vdev->cxl;

    if (!cxl) {
        return;
    }
    if (cxl->path) {
        cxl_hdm_path_unmap(cxl->path);
        cxl_hdm_path_free(cxl->path);
        cxl->path = NULL;
    }
    if (cxl->decoder_mr.container) {
        memory_region_del_subregion(cxl->decoder_mr.container,
                                    &cxl->decoder_mr);
    }
    vfio_region_exit(&cxl->hdm);
    migrate_del_blocker(&cxl->migration_blocker);
}

void vfio_cxl_finalize(VFIOPCIDevice *vdev)
{
    if (vdev->cxl) {
        vfio_region_finalize(&vdev->cxl->hdm);
        g_free(vdev->cxl);
        vdev->cxl = NULL;
    }
}

static const Property vfio_cxl_properties[] = {
    DEFINE_PROP_ON_OFF_AUTO("cxl", VFIOPCIDevice, cxl_mode, ON_OFF_AUTO_AUTO),
};

void vfio_cxl_class_init(ObjectClass *klass)
{
    device_class_set_props(DEVICE_CLASS(klass), vfio_cxl_properties);
    object_class_property_set_description(klass, "cxl",
        "Use the device's CXL memory: auto (if it has one), on (fail if it "
        "has none), off (plain PCIe)");
}
