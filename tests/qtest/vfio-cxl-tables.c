/*
 * Reading the ACPI tables that a virt machine has built
 *
 * This knows as much of AML as QEMU writes for host bridges: devices whose
 * names are objects with a constant value.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/qemu_fw_cfg.h"
#include "vfio-cxl-tables.h"
#include "vfio-cxl-util.h"

#define TABLES_FILE "etc/acpi/tables"
#define TABLE_HEADER 36

/* ACPI 6.5 section 20.3 */
enum {
    AML_ZERO = 0x00, AML_ONE = 0x01, AML_NAME = 0x08, AML_BYTE = 0x0a,
    AML_WORD = 0x0b, AML_DWORD = 0x0c, AML_STRING = 0x0d, AML_QWORD = 0x0e,
    AML_BUFFER = 0x11, AML_EXT = 0x5b, AML_EXT_DEVICE = 0x82,
};

/* ACPI 6.5 section 6.4 */
enum {
    RES_FIXED_MEMORY32 = 0x86, RES_DWORD = 0x87, RES_WORD = 0x88,
    RES_EXTENDED = 0x8b, RES_QWORD = 0x8a, RES_END = 0x79,
};

/* Let fw_cfg copy an item to guest memory, and fetch it from there */
static void fw_cfg_dma(QTestState *qts, uint16_t key, void *to, uint32_t size)
{
    const uint64_t access = VIRT_RAM, buffer = VIRT_RAM + 64;
    uint32_t control = key << 16 | FW_CFG_DMA_CTL_SELECT |
                       FW_CFG_DMA_CTL_READ;

    qtest_writel(qts, access, cpu_to_be32(control));
    qtest_writel(qts, access + 4, cpu_to_be32(size));
    qtest_writeq(qts, access + 8, cpu_to_be64(buffer));
    qtest_writeq(qts, VIRT_FW_CFG + 16, cpu_to_be64(access));
    g_assert_cmphex(qtest_readl(qts, access), ==, 0);
    qtest_memread(qts, buffer, to, size);
}

ACPITables acpi_tables_read(QTestState *qts)
{
    struct fw_cfg_file files[64];
    g_autofree uint8_t *dir = g_malloc(4 + sizeof(files));
    ACPITables t = { NULL, 0 };
    uint32_t count;
    int i;

    fw_cfg_dma(qts, FW_CFG_FILE_DIR, &count, sizeof(count));
    count = be32_to_cpu(count);
    g_assert_cmpuint(count, <=, ARRAY_SIZE(files));
    fw_cfg_dma(qts, FW_CFG_FILE_DIR, dir,
               sizeof(count) + count * sizeof(files[0]));
    memcpy(files, dir + sizeof(count), count * sizeof(files[0]));
    for (i = 0; i < count; i++) {
        if (!strcmp(files[i].name, TABLES_FILE)) {
            t.size = be32_to_cpu(files[i].size);
            t.data = g_malloc(t.size);
            fw_cfg_dma(qts, be16_to_cpu(files[i].select), t.data, t.size);
        }
    }
    g_assert_nonnull(t.data);
    return t;
}

void acpi_tables_free(ACPITables *t)
{
    g_free(t->data);
    t->data = NULL;
    t->size = 0;
}

const uint8_t *acpi_tables_find(const ACPITables *t, const char *signature,
                                uint32_t *length)
{
    size_t pos = 0;

    while (pos + TABLE_HEADER <= t->size) {
        uint32_t len = ldl_le_p(t->data + pos + 4);

        if (len < TABLE_HEADER || len > t->size - pos ||
            memcmp(t->data + pos, signature, 4)) {
            pos++; /* FACS and padding have no such header */
            continue;
        }
        *length = len;
        return t->data + pos;
    }
    return NULL;
}

/* A package length: ACPI 6.5 section 20.2.4. Counts its own bytes. */
static size_t package_length(const uint8_t *p, const uint8_t *end,
                             unsigned int *bytes)
{
    unsigned int more, i;
    size_t length;

    *bytes = 0;
    if (p >= end) {
        return 0;
    }
    more = *p >> 6;
    if (more >= end - p) {
        return 0;
    }
    length = more ? *p & 0xf : *p & 0x3f;
    for (i = 0; i < more; i++) {
        length |= (size_t)p[1 + i] << (4 + 8 * i);
    }
    *bytes = 1 + more;
    return length >= *bytes && length <= end - p ? length : 0;
}

static bool integer(const uint8_t *p, const uint8_t *end, uint64_t *value,
                    unsigned int *bytes)
{
    static const uint8_t sizes[] = {
        [AML_BYTE] = 1, [AML_WORD] = 2, [AML_DWORD] = 4, [AML_QWORD] = 8,
    };

    if (p >= end) {
        return false;
    }
    if (*p == AML_ZERO || *p == AML_ONE) {
        *value = *p;
        *bytes = 1;
        return true;
    }
    if (*p >= ARRAY_SIZE(sizes) || !sizes[*p] || sizes[*p] >= end - p) {
        return false;
    }
    *value = ldn_le_p(p + 1, sizes[*p]);
    *bytes = 1 + sizes[*p];
    return true;
}

/* The value that Name (@name, ...) has between @p and @end */
static const uint8_t *named(const uint8_t *p, const uint8_t *end,
                            const char *name)
{
    for (; end - p > 5; p++) {
        if (*p == AML_NAME && !memcmp(p + 1, name, 4)) {
            return p + 5;
        }
    }
    return NULL;
}

static uint64_t named_integer(const uint8_t *p, const uint8_t *end,
                              const char *name)
{
    uint64_t value;
    unsigned int bytes;

    p = named(p, end, name);
    return p && integer(p, end, &value, &bytes) ? value : UINT64_MAX;
}

/* The bytes of Buffer (...), with a constant size */
static const uint8_t *buffer(const uint8_t *p, const uint8_t *end,
                             size_t *size)
{
    unsigned int bytes, size_bytes;
    uint64_t value;
    size_t length;

    if (p >= end || *p != AML_BUFFER) {
        return NULL;
    }
    p++;
    length = package_length(p, end, &bytes);
    if (!length || !integer(p + bytes, p + length, &value, &size_bytes) ||
        value > length - bytes - size_bytes) {
        return NULL;
    }
    *size = value;
    return p + bytes + size_bytes;
}

/* A device's own names stand before those of its children */
static bool read_device(const uint8_t *name, const uint8_t *end,
                        ACPIDevice *d)
{
    const uint8_t *body = name + 4, *hid = named(body, end, "_HID");
    const uint8_t *crs = named(body, end, "_CRS");

    memset(d, 0, sizeof(*d));
    if (!hid || end - hid < 10 || *hid != AML_STRING) {
        return false;
    }
    memcpy(d->name, name, 4);
    g_strlcpy(d->hid, (const char *)hid + 1, sizeof(d->hid));
    d->uid = named_integer(body, end, "_UID");
    d->bbn = named_integer(body, end, "_BBN");
    if (crs) {
        d->crs = buffer(crs, end, &d->crs_size);
    }
    return true;
}

unsigned int acpi_devices(const ACPITables *t, ACPIDevice *devices,
                          unsigned int max)
{
    uint32_t size;
    const uint8_t *p = acpi_tables_find(t, "DSDT", &size), *end;
    unsigned int n = 0, bytes;
    ACPIDevice d;

    g_assert_nonnull(p);
    for (end = p + size; end - p > 8; p++) {
        size_t length;

        if (p[0] != AML_EXT || p[1] != AML_EXT_DEVICE) {
            continue;
        }
        length = package_length(p + 2, end, &bytes);
        if (length > bytes + 4 &&
            read_device(p + 2 + bytes, p + 2 + length, &d)) {
            g_assert_cmpuint(n, <, max);
            devices[n++] = d;
        }
    }
    return n;
}

/* Bytes of one descriptor: ACPI 6.5 sections 6.4.2 and 6.4.3 */
static size_t descriptor_size(const uint8_t *p, size_t left)
{
    if (!(*p & 0x80)) {
        return 1 + (*p & 7);
    }
    return left < 3 ? SIZE_MAX : 3 + (size_t)lduw_le_p(p + 1);
}

static bool read_range(const uint8_t *p, ACPIRange *r)
{
    switch (*p) {
    case RES_FIXED_MEMORY32:
        r->type = ACPI_RANGE_MEMORY;
        r->min = ldl_le_p(p + 4);
        r->max = r->min + ldl_le_p(p + 8) - 1;
        return true;
    case RES_WORD:
        r->type = p[3];
        r->min = lduw_le_p(p + 8);
        r->max = lduw_le_p(p + 10);
        return true;
    case RES_DWORD:
        r->type = p[3];
        r->min = ldl_le_p(p + 10);
        r->max = ldl_le_p(p + 14);
        return true;
    case RES_QWORD:
        r->type = p[3];
        r->min = ldq_le_p(p + 14);
        r->max = ldq_le_p(p + 22);
        return true;
    }
    /* Not written by QEMU, and would go by unseen */
    g_assert_cmphex(*p, !=, RES_EXTENDED);
    return false;
}

unsigned int acpi_ranges(const uint8_t *crs, size_t size, ACPIRange *ranges,
                         unsigned int max)
{
    unsigned int n = 0;
    size_t pos = 0;

    while (pos < size && crs[pos] != RES_END) {
        ACPIRange r;

        g_assert_cmpuint(descriptor_size(crs + pos, size - pos), <=,
                         size - pos);
        if (read_range(crs + pos, &r)) {
            g_assert_cmpuint(n, <, max);
            ranges[n++] = r;
        }
        pos += descriptor_size(crs + pos, size - pos);
    }
    g_assert_cmpuint(pos, <, size); /* the end tag was there */
    return n;
}

unsigned int acpi_all_ranges(const ACPITables *t, ACPIRange *ranges,
                             unsigned int max)
{
    uint32_t length;
    const uint8_t *p = acpi_tables_find(t, "DSDT", &length), *end, *crs;
    unsigned int n = 0;
    size_t size;

    g_assert_nonnull(p);
    for (end = p + length; (p = named(p, end, "_CRS")); ) {
        crs = buffer(p, end, &size);
        g_assert_nonnull(crs);
        n += acpi_ranges(crs, size, ranges + n, max - n);
    }
    return n;
}
