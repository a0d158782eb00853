/*
 * Emulated CXL Type-2 device
 *
 * An accelerator with host-managed device memory (HDM) for those who write
 * drivers and have no such hardware.  The guest reaches the HDM, a memory
 * backend, by a direct mapping inside a CXL Fixed Memory Window.
 *
 * CXL r3.1 section 2.2: Type 2 CXL Device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "hw/cxl/cxl_hdm_device.h"
#include "hw/cxl/cxl_hdm_port.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "cxl-type2-int.h"
#include "trace.h"

#define CAP_MSIX 0x50

typedef enum CXLType2Identity {
    CXL_TYPE2_ACCEL,
    CXL_TYPE2_SFC,
    CXL_TYPE2_IDENTITY_MAX,
} CXLType2Identity;

static const QEnumLookup identity_lookup = {
    .array = (const char *const[]) {
        [CXL_TYPE2_ACCEL] = "accel",
        [CXL_TYPE2_SFC] = "sfc",
    },
    .size = CXL_TYPE2_IDENTITY_MAX,
};

const char *cxl_type2_name(const CXLType2Dev *ct2)
{
    const char *id = DEVICE(ct2)->id;

    return id ? id : TYPE_CXL_TYPE2;
}

/* -- HDM -- */

static bool type2_check_memory(CXLType2Dev *ct2, Error **errp)
{
    const char *backend;
    g_autofree char *size = NULL;

    if (!ct2->memdev) {
        error_setg(errp, "no memory for the HDM: set memdev=ID of a memory "
                   "backend, such as -object "
                   "memory-backend-ram,id=hdm0,size=256M");
        return false;
    }
    backend = object_get_canonical_path_component(OBJECT(ct2->memdev));
    if (host_memory_backend_is_mapped(ct2->memdev)) {
        error_setg(errp, "memory backend '%s' is in use: give each device "
                   "one of its own", backend);
        return false;
    }
    ct2->hdm = host_memory_backend_get_memory(ct2->memdev);
    if (memory_region_is_rom(ct2->hdm)) {
        error_setg(errp, "memory backend '%s' is read-only, but guest and "
                   "device write to the HDM: set readonly=off, or rom=off for "
                   "a private copy of the file", backend);
        return false;
    }
    ct2->hdm_size = memory_region_size(ct2->hdm);
    size = size_to_str(ct2->hdm_size);
    if (!ct2->hdm_size || ct2->hdm_size % CXL_HDM_DECODER_ALIGN) {
        error_setg(errp, "memory backend '%s' has size 0x%" PRIx64 " (%s): "
                   "an HDM decoder decodes multiples of 256 MiB, set size= "
                   "to one", backend, ct2->hdm_size, size);
        return false;
    }
    if (ct2->id->hdm_capacity && ct2->hdm_size != ct2->id->hdm_capacity) {
        error_setg(errp, "memory backend '%s' has size 0x%" PRIx64 " (%s), "
                   "but identity=%s is for a driver that takes %" PRIu64
                   " MiB only: set identity=accel for another size", backend,
                   ct2->hdm_size, size, ct2->id->name,
                   ct2->id->hdm_capacity / MiB);
        return false;
    }
    return true;
}

static bool type2_place(CXLType2Dev *ct2, Error **errp)
{
    CXLHDMWish wish = {
        .size = ct2->hdm_size,
        .guest = ct2->hdm_commit == CXL_HDM_COMMIT_GUEST,
        .offset = ct2->hdm_offset,
    };

    ct2->path = cxl_hdm_path_new(PCI_DEVICE(ct2), &wish, errp);
    return ct2->path != NULL;
}

static void type2_hdm_init(CXLType2Dev *ct2)
{
    g_autofree char *name = g_strdup_printf("%s %s", TYPE_CXL_TYPE2,
                                            cxl_type2_name(ct2));

    host_memory_backend_set_mapped(ct2->memdev, true);
    address_space_init(&ct2->hdm_as, ct2->hdm, name);
    /* The alias comes and goes, and the engine's way to the memory stays */
    memory_region_init_alias(&ct2->hdm_alias, OBJECT(ct2), "cxl-type2-hdm",
                             ct2->hdm, 0, ct2->hdm_size);
    cxl_hdm_gate_init(&ct2->gate, OBJECT(ct2), name, &ct2->hdm_alias,
                      ct2->hdm_size, ct2->path);
}

static void type2_hdm_exit(CXLType2Dev *ct2)
{
    cxl_hdm_gate_exit(&ct2->gate);
    cxl_hdm_regs_exit(&ct2->regs);
    cxl_hdm_path_unmap(ct2->path);
    cxl_hdm_path_free(ct2->path);
    ct2->path = NULL;
    address_space_destroy(&ct2->hdm_as);
    host_memory_backend_set_mapped(ct2->memdev, false);
}

/* -- component registers -- */

static bool in_cm(const CXLType2Dev *ct2, hwaddr addr)
{
    hwaddr start = ct2->id->comp_offset + CXL_TYPE2_CM_OFFSET;

    return addr >= start && addr - start < CXL_TYPE2_CM_SIZE;
}

/* What is in no register reads 0 */
static uint64_t comp_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLType2Dev *ct2 = opaque;
    hwaddr cm = ct2->id->comp_offset + CXL_TYPE2_CM_OFFSET;
    uint8_t buf[8] = { 0 };

    for (unsigned i = 0; i < size; i++) {
        if (in_cm(ct2, addr + i)) {
            buf[i] = ct2->cm.val[addr + i - cm];
        }
    }
    return ldn_le_p(buf, size);
}

static void comp_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    CXLType2Dev *ct2 = opaque;
    hwaddr cm = ct2->id->comp_offset + CXL_TYPE2_CM_OFFSET;

    for (unsigned i = 0; i < size; i++) {
        if (in_cm(ct2, addr + i)) {
            cxl_regs_write_byte(&ct2->cm, addr + i - cm, value >> (8 * i));
        }
    }
}

static const MemoryRegionOps comp_ops = {
    .read = comp_read,
    .write = comp_write,
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

/* The decoder's features: interleave address bits 8 to 11 and 12 to 14 */
#define DECODER_CAPABILITY 0x300

static void type2_comp_init(CXLType2Dev *ct2)
{
    const CxlIdentity *id = ct2->id;

    cxl_regs_init(&ct2->cm, CXL_TYPE2_CM_SIZE);
    memory_region_init_io(&ct2->comp_mr, OBJECT(ct2), &comp_ops, ct2,
                          "cxl-type2-component", id->bar[id->comp_bar].size);
    ct2->regs.path = ct2->path;
    ct2->regs.gate = &ct2->gate;
    ct2->regs.guest = ct2->hdm_commit == CXL_HDM_COMMIT_GUEST;
    cxl_hdm_regs_init(&ct2->regs, OBJECT(ct2), CXL_HDM_BLOCK_SIZE(1),
                      ct2->hdm_size, DECODER_CAPABILITY);
    memory_region_add_subregion_overlap(&ct2->comp_mr, id->comp_offset +
                                        CXL_TYPE2_CM_OFFSET + id->hdm_offset,
                                        &ct2->regs.mr, 1);
    pci_register_bar(PCI_DEVICE(ct2), id->comp_bar,
                     id->bar[id->comp_bar].type, &ct2->comp_mr);
}

/* -- life -- */

static bool type2_msix_init(CXLType2Dev *ct2, Error **errp)
{
    const CxlIdentity *id = ct2->id;
    PCIDevice *pdev = PCI_DEVICE(ct2);

    memory_region_init(&ct2->msix_mr, OBJECT(ct2), "cxl-type2-msix",
                       id->bar[id->msix_bar].size);
    pci_register_bar(pdev, id->msix_bar, id->bar[id->msix_bar].type,
                     &ct2->msix_mr);
    if (msix_init(pdev, id->msix_vectors, &ct2->msix_mr, id->msix_bar,
                  id->msix_table, &ct2->msix_mr, id->msix_bar, id->msix_pba,
                  CAP_MSIX, errp) < 0) {
        return false;
    }
    for (unsigned i = 0; i < id->msix_vectors; i++) {
        msix_vector_use(pdev, i);
    }
    return true;
}

static void type2_exit(PCIDevice *pdev)
{
    CXLType2Dev *ct2 = CXL_TYPE2(pdev);

    cxl_hdm_port_set_cache(pdev, false);
    cxl_type2_reset_exit(ct2);
    cxl_type2_engine_exit(ct2);
    msix_uninit(pdev, &ct2->msix_mr, &ct2->msix_mr);
    cxl_type2_config_exit(ct2);
    type2_hdm_exit(ct2);
}

static void type2_realize(PCIDevice *pdev, Error **errp)
{
    CXLType2Dev *ct2 = CXL_TYPE2(pdev);

    ct2->id = cxl_identity_find(qapi_enum_lookup(&identity_lookup,
                                                 ct2->identity));
    if (!type2_check_memory(ct2, errp) || !type2_place(ct2, errp)) {
        return;
    }
    type2_hdm_init(ct2);
    if (!cxl_type2_config_init(ct2, errp) ||
        !type2_msix_init(ct2, errp) ||
        !cxl_type2_engine_init(ct2, errp)) {
        type2_exit(pdev);
        return;
    }
    type2_comp_init(ct2);
    cxl_hdm_port_set_cache(pdev, true);
    cxl_type2_reset_init(ct2);
    trace_cxl_type2_realize(cxl_type2_name(ct2), ct2->id->name, ct2->hdm_size,
                            cxl_hdm_path_base(ct2->path));
}

static void type2_finalize(Object *obj)
{
    CXLType2Dev *ct2 = CXL_TYPE2(obj);

    /* Until now somebody may still have had the regions at hand */
    cxl_hdm_gate_finalize(&ct2->gate);
    cxl_regs_free(&ct2->cm);
}

/* What the monitor shows */
static bool type2_describe(CXLHDMDevice *dev, CXLHDMDeviceInfo *info)
{
    CXLType2Dev *ct2 = CXL_TYPE2(dev);

    info->block = &ct2->regs.block;
    info->path = ct2->path;
    info->backing = CXL_DEVICE_BACKING_EMULATED;
    info->gates = ct2->gate.reasons;
    return true;
}

/* -- properties -- */

static bool type2_may_set(Object *obj, const char *name, Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "%s cannot be set after the device is realized: set "
                   "it on the command line or in device_add", name);
        return false;
    }
    return true;
}

static int type2_get_identity(Object *obj, Error **errp)
{
    return CXL_TYPE2(obj)->identity;
}

static void type2_set_identity(Object *obj, int value, Error **errp)
{
    if (type2_may_set(obj, "identity", errp)) {
        CXL_TYPE2(obj)->identity = value;
    }
}

static int type2_get_commit(Object *obj, Error **errp)
{
    return CXL_TYPE2(obj)->hdm_commit;
}

static void type2_set_commit(Object *obj, int value, Error **errp)
{
    if (type2_may_set(obj, "cxl-hdm-commit", errp)) {
        CXL_TYPE2(obj)->hdm_commit = value;
    }
}

static const Property type2_properties[] = {
    DEFINE_PROP_LINK("memdev", CXLType2Dev, memdev, TYPE_MEMORY_BACKEND,
                     HostMemoryBackend *),
    DEFINE_PROP_UINT64("sn", CXLType2Dev, serial, 0),
    DEFINE_PROP_CXL_HDM_OFFSET("cxl-hdm-offset", CXLType2Dev, hdm_offset),
};

/* The memory, the engine's work and the decoder are not saved */
static const VMStateDescription type2_vmstate = {
    .name = TYPE_CXL_TYPE2,
    .unmigratable = true,
};

static void type2_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    pc->realize = type2_realize;
    pc->exit = type2_exit;
    pc->config_write = cxl_type2_config_write;
    /* The IDs are those of the identity */
    pc->class_id = PCI_CLASS_OTHERS;
    rc->phases.hold = cxl_type2_reset_hold;
    CXL_HDM_DEVICE_CLASS(klass)->describe = type2_describe;
    dc->vmsd = &type2_vmstate;
    dc->desc = "CXL Type-2 device: an accelerator with memory";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);

    device_class_set_props(dc, type2_properties);
    object_class_property_set_description(klass, "memdev",
        "Memory backend of the HDM, a multiple of 256 MiB");
    object_class_property_set_description(klass, "sn",
        "Serial number; 0, the default, for one that is made of chassis and "
        "slot of the root port");
    object_class_property_add_enum(klass, "cxl-hdm-commit", "CxlHdmCommit",
                                   &CxlHdmCommit_lookup, type2_get_commit,
                                   type2_set_commit);
    object_class_property_set_description(klass, "cxl-hdm-commit",
        "Who programs the HDM decoders: firmware (QEMU commits and locks "
        "them, which stock arm64 kernels need) or guest");
    object_class_property_add_enum(klass, "identity", "CXLType2Identity",
                                   &identity_lookup, type2_get_identity,
                                   type2_set_identity);
    object_class_property_set_description(klass, "identity",
        "Which device to pose as: accel (an accelerator with a copy engine) "
        "or sfc (a network adapter, for Linux's driver of this name; 256 MiB "
        "only)");
}

static const TypeInfo type2_info = {
    .name = TYPE_CXL_TYPE2,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(CXLType2Dev),
    .instance_finalize = type2_finalize,
    .class_init = type2_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { INTERFACE_CXL_DEVICE },
        { INTERFACE_PCIE_DEVICE },
        { TYPE_CXL_HDM_DEVICE },
        { }
    },
};

static void type2_register_types(void)
{
    type_register_static(&type2_info);
}

type_init(type2_register_types)
