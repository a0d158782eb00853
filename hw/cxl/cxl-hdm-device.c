/*
 * CXL devices that tell of their HDM: the interface's type, and a property
 * that they have in common
 *
 * Here also without CONFIG_CXL, for device types that have it all the same.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_device.h"
#include "qapi/visitor.h"

/* Unset, it would be shown as a size of 16 EiB */
static void get_offset(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    uint64_t *offset = object_field_prop_ptr(obj, opaque);
    g_autofree char *unset = g_strdup("auto");

    if (*offset == CXL_HDM_OFFSET_AUTO) {
        visit_type_str(v, name, &unset, errp);
    } else {
        visit_type_size(v, name, offset, errp);
    }
}

static void set_offset(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    qdev_prop_size.set(obj, v, name, opaque, errp);
}

static void init_offset(Object *obj, ObjectProperty *op)
{
    uint64_t *offset = object_field_prop_ptr(obj, op->opaque);

    *offset = CXL_HDM_OFFSET_AUTO;
}

/* No default is set, as "help" would show it as a number */
static void set_default_offset(ObjectProperty *op, const Property *prop)
{
    op->init = init_offset;
}

const PropertyInfo cxl_hdm_prop_offset = {
    .type = "size",
    .description = "Where in the CXL fixed memory window the HDM goes, a "
                   "multiple of 256 MiB; by default the first free range",
    .get = get_offset,
    .set = set_offset,
    .set_default_value = set_default_offset,
};

static const TypeInfo cxl_hdm_device_info = {
    .name = TYPE_CXL_HDM_DEVICE,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(CXLHDMDeviceClass),
};

static void cxl_hdm_device_register_types(void)
{
    type_register_static(&cxl_hdm_device_info);
}

type_init(cxl_hdm_device_register_types)
