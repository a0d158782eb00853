/*
 * The device model's parts as numbered VFIO regions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "hdm-mem.h"
#include "regions.h"

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

/* The capability chain while it is built */
typedef struct CapChain {
    GByteArray *out;
    uint32_t last;                  /* offset of the last header, 0: none */
    uint32_t sparse;                /* of the sparse mmap capability */
} CapChain;

bool regions_init(CxlRegions *r, CxlModel *model, const CxlFaults *faults,
                  int hdm_fd, uint64_t hdm_size, Error **errp)
{
    memset(r, 0, sizeof(*r));
    r->model = model;
    r->faults = faults;
    r->hdm_size = hdm_size;
    r->hdm_fd = hdm_fd;
    r->short_fd = -1;
    for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
        r->kind[i] = i <= VFIO_PCI_BAR5_REGION_INDEX ? STATS_BAR0 + i :
                     i == VFIO_PCI_CONFIG_REGION_INDEX ? STATS_CONFIG :
                     STATS_OTHER;
    }
    r->count = VFIO_PCI_NUM_REGIONS;
    if (!faults->no_hdm_region) {
        r->kind[r->count++] = STATS_HDM;
    }
    if (!faults->no_decoder_region) {
        r->kind[r->count++] = STATS_DECODER;
    }
    if (faults->swap_regions && r->count == REGIONS_MAX) {
        r->kind[VFIO_PCI_NUM_REGIONS] = STATS_DECODER;
        r->kind[VFIO_PCI_NUM_REGIONS + 1] = STATS_HDM;
    }
    if (faults->hdm_short_fd) {
        r->short_fd = hdm_mem_anon("cxl-hdm-short", hdm_size / 2, errp);
        return r->short_fd >= 0;
    }
    return true;
}

void regions_cleanup(CxlRegions *r)
{
    if (r->short_fd >= 0) {
        close(r->short_fd);
    }
}

StatsRegion regions_kind(const CxlRegions *r, uint32_t index)
{
    return index < r->count ? r->kind[index] : STATS_OTHER;
}

/* Start a capability of @size bytes; return where it stands */
static uint32_t cap_add(CapChain *c, uint16_t id, uint16_t version,
                        uint32_t size)
{
    uint32_t at = c->out->len;
    struct vfio_info_cap_header *h;

    g_byte_array_set_size(c->out, at + size);
    memset(c->out->data + at, 0, size);
    if (c->last) {
        h = (void *)(c->out->data + c->last);
        h->next = at;
    }
    h = (void *)(c->out->data + at);
    h->id = id;
    h->version = version;
    c->last = at;
    return at;
}

static void cap_type(CapChain *c, uint32_t subtype)
{
    struct vfio_region_info_cap_type *cap;
    uint32_t at = cap_add(c, VFIO_REGION_INFO_CAP_TYPE, 1, sizeof(*cap));

    cap = (void *)(c->out->data + at);
    cap->type = VFIO_REGION_TYPE_CXL;
    cap->subtype = subtype;
}

static void cap_geometry(CapChain *c, const CxlRegions *r)
{
    const CxlFaults *f = r->faults;
    struct vfio_region_info_cap_cxl_comp_regs *cap;
    uint32_t at = cap_add(c, VFIO_REGION_INFO_CAP_CXL_COMP_REGS,
                          VFIO_REGION_INFO_CAP_CXL_COMP_REGS_VERSION,
                          sizeof(*cap));

    cap = (void *)(c->out->data + at);
    if (f->geometry_version != FAULT_NONE) {
        cap->header.version = f->geometry_version;
    }
    cap->bar = f->geometry_bar != FAULT_NONE ? f->geometry_bar :
               cxl_model_identity(r->model)->comp_bar;
    cap->offset = f->geometry_offset != FAULT_NONE ? f->geometry_offset :
                  cxl_model_decoder_offset(r->model);
}

static void cap_sparse(CapChain *c, const CxlModelArea *areas, unsigned n)
{
    struct vfio_region_info_cap_sparse_mmap *cap;

    c->sparse = cap_add(c, VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1,
                        sizeof(*cap) + n * sizeof(cap->areas[0]));
    cap = (void *)(c->out->data + c->sparse);
    cap->nr_areas = n;
    for (unsigned i = 0; i < n; i++) {
        cap->areas[i].offset = areas[i].offset;
        cap->areas[i].size = areas[i].size;
    }
}

/* Break the finished chain of region @index as the faults say */
static void cap_faults(CapChain *c, const CxlFaults *f, uint32_t index,
                       uint64_t region_size)
{
    bool sparse = f->sparse_overrun == index || f->sparse_outside == index;

    if (!c->sparse && sparse) {
        cap_sparse(c, &(CxlModelArea) { 0, region_size }, 1);
    }
    if (sparse) {
        struct vfio_region_info_cap_sparse_mmap *cap =
            (void *)(c->out->data + c->sparse);

        if (f->sparse_outside == index && cap->nr_areas) {
            cap->areas[cap->nr_areas - 1].size += region_size;
        }
        if (f->sparse_overrun == index) {
            cap->nr_areas += 1000;
        }
    }
    if (f->cap_loop != index && f->cap_overrun != index &&
        f->cap_truncated != index) {
        return;
    }
    if (!c->last) {
        /* any capability serves to hold a broken chain */
        cap_add(c, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1,
                sizeof(struct vfio_info_cap_header));
    }
    if (f->cap_loop == index) {
        ((struct vfio_info_cap_header *)(c->out->data + c->last))->next =
            sizeof(struct vfio_region_info);
    }
    if (f->cap_overrun == index) {
        ((struct vfio_info_cap_header *)(c->out->data + c->last))->next =
            c->out->len + 0x1000;
    }
    if (f->cap_truncated == index) {
        uint32_t half = (c->out->len - c->last) / 2;

        g_byte_array_set_size(c->out, c->out->len - QEMU_ALIGN_UP(half, 4));
    }
}

static void info_bar(const CxlRegions *r, int bar,
                     struct vfio_region_info *info, CapChain *c, int *fd)
{
    CxlModelArea areas[CXL_MODEL_MAX_AREAS];
    unsigned n;

    info->size = cxl_model_bar_size(r->model, bar);
    if (r->faults->odd_bar == bar) {
        info->size += info->size / 2;
    }
    info->flags = info->size ? RW : 0;
    *fd = cxl_model_bar_fd(r->model, bar, areas, &n);
    if (*fd >= 0) {
        info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
        cap_sparse(c, areas, n);
    }
    if (info->size && bar == cxl_model_identity(r->model)->msix_bar) {
        cap_add(c, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1,
                sizeof(struct vfio_info_cap_header));
    }
}

static void info_hdm(const CxlRegions *r, struct vfio_region_info *info,
                     CapChain *c, int *fd)
{
    const CxlFaults *f = r->faults;

    info->size = f->hdm_size_zero ? 0 :
                 f->hdm_size_unaligned ? r->hdm_size - 4096 : r->hdm_size;
    info->flags = RW;
    if (!f->hdm_no_mmap) {
        info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
        *fd = f->hdm_no_fd ? -1 :
              f->hdm_short_fd ? r->short_fd : r->hdm_fd;
    }
    cap_type(c, VFIO_REGION_SUBTYPE_CXL_MEM);
}

static void info_decoder(const CxlRegions *r, struct vfio_region_info *info,
                         CapChain *c)
{
    info->size = r->faults->decoder_region_short ? 0x10 :
                 cxl_model_decoder_len(r->model);
    info->flags = RW;
    cap_type(c, r->faults->two_hdm_regions ? VFIO_REGION_SUBTYPE_CXL_MEM :
             VFIO_REGION_SUBTYPE_CXL_COMP_REGS);
    if (!r->faults->no_geometry) {
        cap_geometry(c, r);
    }
}

int regions_info(const CxlRegions *r, uint32_t index, GByteArray *out,
                 int *fd)
{
    struct vfio_region_info info = { .index = index };
    CapChain chain = { .out = out };

    *fd = -1;
    if (index >= r->count) {
        return -EINVAL;
    }
    g_byte_array_append(out, (void *)&info, sizeof(info));
    switch (r->kind[index]) {
    case STATS_CONFIG:
        info.size = CXL_MODEL_CFG_SIZE;
        info.flags = RW;
        break;
    case STATS_HDM:
        info_hdm(r, &info, &chain, fd);
        break;
    case STATS_DECODER:
        info_decoder(r, &info, &chain);
        break;
    case STATS_OTHER:
        break;
    default:
        info_bar(r, r->kind[index] - STATS_BAR0, &info, &chain, fd);
        break;
    }
    cap_faults(&chain, r->faults, index, info.size);
    if (chain.last) {
        info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
        info.cap_offset = sizeof(info);
    }
    info.argsz = out->len;
    memcpy(out->data, &info, sizeof(info));
    return 0;
}

int regions_read(CxlRegions *r, uint32_t index, uint64_t off, void *buf,
                 uint32_t len)
{
    StatsRegion kind = regions_kind(r, index);

    switch (kind) {
    case STATS_CONFIG:
        return cxl_model_cfg_read(r->model, off, buf, len);
    case STATS_HDM:
        return cxl_model_hdm_read(r->model, off, buf, len);
    case STATS_DECODER:
        return cxl_model_decoder_read(r->model, off, buf, len);
    case STATS_OTHER:
        return -EINVAL;
    default:
        return cxl_model_bar_read(r->model, kind - STATS_BAR0, off, buf, len);
    }
}

int regions_write(CxlRegions *r, uint32_t index, uint64_t off,
                  const void *buf, uint32_t len)
{
    StatsRegion kind = regions_kind(r, index);

    switch (kind) {
    case STATS_CONFIG:
        return cxl_model_cfg_write(r->model, off, buf, len);
    case STATS_HDM:
        return cxl_model_hdm_write(r->model, off, buf, len);
    case STATS_DECODER:
        return cxl_model_decoder_write(r->model, off, buf, len);
    case STATS_OTHER:
        return -EINVAL;
    default:
        return cxl_model_bar_write(r->model, kind - STATS_BAR0, off, buf,
                                   len);
    }
}
