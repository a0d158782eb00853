/*
 * Show what a guest can see of CXL without a driver, as REPORT lines.
 *
 * Usage: cxl-regs find            print the PCI address of the CXL device
 *        cxl-regs windows         windows and host bridges of the CEDT, and
 *                                 the bridges' HDM decoders
 *        cxl-regs endpoint ADDR   DVSEC range registers and HDM decoders
 *        cxl-regs dump ADDR       config space and component registers
 *        cxl-regs commit ADDR WINDOW SIZE
 *                                 commit the decoders of the bridge and of
 *                                 the device to the window's first SIZE bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest-mem.h"

#define CEDT_PATH               "/sys/firmware/acpi/tables/CEDT"
#define PCI_PATH                "/sys/bus/pci/devices"

/* CXL r3.1 9.18.1: CEDT structures. */
#define CEDT_RECORDS            36
#define CEDT_CHBS               0
#define CEDT_CFMWS              1
#define CEDT_MAX                65536

/* PCIe r6.0 7.9.6: Designated Vendor-Specific Extended Capability. */
#define CONFIG_SIZE             4096
#define EXT_CAPS                0x100
#define EXT_CAP_DVSEC           0x23
#define CXL_VENDOR              0x1e98

/* CXL r3.1 8.1.3: DVSEC for CXL devices; 8.1.9: Register Locator. */
#define DVSEC_DEVICE            0
#define DVSEC_LOCATOR           8
#define LOCATOR_COMPONENT       1

/* CXL r3.1 8.2.3, 8.2.4: component registers. */
#define CACHE_MEM_OFFSET        0x1000
#define CACHE_MEM_SIZE          0x1000
#define CAP_HDM                 5
#define HDM_GLOBAL_ENABLE       0x2
#define HDM_DECODER0            0x10
#define HDM_COMMIT              0x200
#define HDM_COMMITTED           0x400
#define HDM_HOST_ONLY           0x1000

typedef struct Config {
    uint8_t bytes[CONFIG_SIZE];
    size_t len;
} Config;

static uint64_t get_le(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    int i;

    for (i = 0; i < bytes; i++) {
        value |= (uint64_t)p[i] << (8 * i);
    }
    return value;
}

static size_t read_file(const char *path, uint8_t *buf, size_t size)
{
    FILE *f = fopen(path, "rb");
    size_t len;

    if (!f) {
        die("cannot open %s: %s", path, strerror(errno));
    }
    len = fread(buf, 1, size, f);
    fclose(f);
    return len;
}

static void report(const char *prefix, const char *key, uint64_t value)
{
    printf("REPORT %s.%s=0x%" PRIx64 "\n", prefix, key, value);
}

/* Offset of the HDM block in the component registers at @regs; 0: none. */
static uint32_t find_hdm(volatile uint32_t *regs)
{
    uint32_t header = regs[CACHE_MEM_OFFSET / 4];
    uint32_t count = header >> 24;
    uint32_t i;

    if ((header & 0xffff) != 1) {
        return 0;
    }
    for (i = 1; i <= count; i++) {
        uint32_t entry = regs[CACHE_MEM_OFFSET / 4 + i];
        uint32_t offset = entry >> 20;

        if ((entry & 0xffff) == CAP_HDM && offset < CACHE_MEM_SIZE) {
            return CACHE_MEM_OFFSET + offset;
        }
    }
    return 0;
}

/* Report the HDM decoders of the component registers at @base. */
static void report_decoders(const char *prefix, uint64_t base)
{
    static const int counts[] = { 1, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28,
                                  32 };
    volatile uint32_t *regs = phys_map(base, 2 * CACHE_MEM_SIZE);
    uint32_t hdm = find_hdm(regs);
    uint32_t cap, code;
    int i, count;

    report(prefix, "hdm_offset", hdm);
    if (!hdm) {
        goto out;
    }
    cap = regs[hdm / 4];
    code = cap & 0xf;
    count = code < sizeof(counts) / sizeof(counts[0]) ? counts[code] : 0;
    report(prefix, "decoders", count);
    report(prefix, "global_enable", (regs[hdm / 4 + 1] >> 1) & 1);
    for (i = 0; i < count; i++) {
        volatile uint32_t *dec = &regs[(hdm + 0x10 + 0x20 * i) / 4];
        uint32_t ctrl = dec[4];
        char name[64];

        snprintf(name, sizeof(name), "%s.%d", prefix, i);
        report(name, "base", dec[0] | (uint64_t)dec[1] << 32);
        report(name, "size", dec[2] | (uint64_t)dec[3] << 32);
        report(name, "ctrl", ctrl);
        report(name, "committed", (ctrl >> 10) & 1);
        report(name, "locked", (ctrl >> 8) & 1);
    }
out:
    phys_unmap(regs, base, 2 * CACHE_MEM_SIZE);
}

static void report_window(const uint8_t *rec, size_t len, int index)
{
    char prefix[32];
    size_t pos;

    if (len < 40) {
        die("CEDT: window structure %d has %zu bytes", index, len);
    }
    snprintf(prefix, sizeof(prefix), "window.%d", index);
    report(prefix, "base", get_le(rec + 8, 8));
    report(prefix, "size", get_le(rec + 16, 8));
    report(prefix, "restrictions", get_le(rec + 32, 2));
    printf("REPORT %s.targets=", prefix);
    for (pos = 36; pos + 4 <= len; pos += 4) {
        printf("%s%" PRIu64, pos > 36 ? "," : "", get_le(rec + pos, 4));
    }
    putchar('\n');
}

static void report_bridge(const uint8_t *rec, size_t len, int index)
{
    char prefix[32];

    if (len < 32) {
        die("CEDT: host bridge structure %d has %zu bytes", index, len);
    }
    snprintf(prefix, sizeof(prefix), "bridge.%d", index);
    report(prefix, "uid", get_le(rec + 4, 4));
    report(prefix, "chbs", get_le(rec + 16, 8));
    report_decoders(prefix, get_le(rec + 16, 8));
}

static void cmd_windows(void)
{
    static uint8_t cedt[CEDT_MAX];
    size_t len = read_file(CEDT_PATH, cedt, sizeof(cedt));
    size_t pos = CEDT_RECORDS;
    int windows = 0, bridges = 0;

    while (pos + 4 <= len) {
        const uint8_t *rec = cedt + pos;
        size_t rec_len = get_le(rec + 2, 2);

        if (rec_len < 4 || rec_len > len - pos) {
            die("CEDT: structure at offset %zu has length %zu of %zu", pos,
                rec_len, len - pos);
        }
        if (rec[0] == CEDT_CHBS) {
            report_bridge(rec, rec_len, bridges++);
        } else if (rec[0] == CEDT_CFMWS) {
            report_window(rec, rec_len, windows++);
        }
        pos += rec_len;
    }
    printf("REPORT windows=%d\nREPORT bridges=%d\n", windows, bridges);
}

static void read_config(const char *addr, Config *config)
{
    char path[512];

    memset(config, 0, sizeof(*config));
    snprintf(path, sizeof(path), PCI_PATH "/%s/config", addr);
    config->len = read_file(path, config->bytes, CONFIG_SIZE);
}

/* Offset of the CXL DVSEC with number @id in config space; 0: none. */
static size_t find_dvsec(const Config *config, unsigned id)
{
    size_t pos = EXT_CAPS;
    int budget = (CONFIG_SIZE - EXT_CAPS) / 4;

    while (pos >= EXT_CAPS && pos + 12 <= config->len && budget--) {
        const uint8_t *cap = config->bytes + pos;
        uint32_t header = get_le(cap, 4);

        if ((header & 0xffff) == EXT_CAP_DVSEC &&
            get_le(cap + 4, 2) == CXL_VENDOR && get_le(cap + 8, 2) == id) {
            return pos;
        }
        pos = header >> 20;
    }
    return 0;
}

/* Address of BAR @bar of the device, as Linux has assigned it. */
static uint64_t bar_address(const char *addr, unsigned bar)
{
    char path[512], line[128];
    uint64_t start = 0;
    FILE *f;
    unsigned i;

    snprintf(path, sizeof(path), PCI_PATH "/%s/resource", addr);
    f = fopen(path, "r");
    if (!f) {
        die("cannot open %s: %s", path, strerror(errno));
    }
    for (i = 0; i <= bar && fgets(line, sizeof(line), f); i++) {
        if (i == bar && sscanf(line, "%" SCNx64, &start) != 1) {
            start = 0;
        }
    }
    fclose(f);
    return start;
}

/* Physical address of the device's component registers; 0: none. */
static uint64_t component_base(const char *addr, const Config *config,
                               unsigned *bar)
{
    size_t dvsec = find_dvsec(config, DVSEC_LOCATOR);
    size_t end, pos;

    if (!dvsec) {
        return 0;
    }
    end = dvsec + (get_le(config->bytes + dvsec + 4, 4) >> 20);
    for (pos = dvsec + 12; pos + 8 <= end && pos + 8 <= config->len; pos += 8) {
        uint32_t low = get_le(config->bytes + pos, 4);

        if (((low >> 8) & 0xff) == LOCATOR_COMPONENT) {
            uint64_t start = bar_address(addr, low & 7);

            *bar = low & 7;
            return start ? start + ((uint64_t)get_le(config->bytes + pos + 4, 4)
                                    << 32 | (low & 0xffff0000)) : 0;
        }
    }
    return 0;
}

static void report_range(const uint8_t *regs, const char *prefix)
{
    uint32_t low = get_le(regs + 4, 4);

    report(prefix, "size", get_le(regs, 4) << 32 | (low & 0xf0000000));
    report(prefix, "valid", low & 1);
    report(prefix, "active", (low >> 1) & 1);
    report(prefix, "base", get_le(regs + 8, 4) << 32 |
                           (get_le(regs + 12, 4) & 0xf0000000));
}

static void cmd_endpoint(const char *addr)
{
    Config config;
    uint64_t base;
    unsigned bar = 0;
    size_t dvsec;

    read_config(addr, &config);
    dvsec = find_dvsec(&config, DVSEC_DEVICE);
    if (dvsec && dvsec + 0x38 <= config.len) {
        report("dvsec", "capability", get_le(config.bytes + dvsec + 10, 2));
        report("dvsec", "control", get_le(config.bytes + dvsec + 12, 2));
        report("dvsec", "lock", get_le(config.bytes + dvsec + 20, 2));
        report_range(config.bytes + dvsec + 0x18, "dvsec.range1");
        report_range(config.bytes + dvsec + 0x28, "dvsec.range2");
    }
    base = component_base(addr, &config, &bar);
    if (!base) {
        die("%s: no component registers in the Register Locator", addr);
    }
    report("endpoint", "bar", bar);
    report("endpoint", "component", base);
    report_decoders("endpoint", base);
}

static void cmd_dump(const char *addr)
{
    Config config;
    uint64_t base;
    unsigned bar;
    size_t i;

    read_config(addr, &config);
    for (i = 0; i < config.len; i++) {
        if (i % 32 == 0) {
            printf("%sCONFIG %03zx ", i ? "\n" : "", i);
        }
        printf("%02x", config.bytes[i]);
    }
    putchar('\n');
    base = component_base(addr, &config, &bar);
    if (base) {
        volatile uint32_t *regs = phys_map(base, 2 * CACHE_MEM_SIZE);

        for (i = CACHE_MEM_OFFSET; i < 2 * CACHE_MEM_SIZE; i += 4) {
            uint32_t value = regs[i / 4];

            if (value) {
                printf("COMPONENT %04zx %08" PRIx32 "\n", i, value);
            }
        }
        phys_unmap(regs, base, 2 * CACHE_MEM_SIZE);
    }
}

/*
 * CXL r3.1 8.2.4.20: commit decoder 0 of the component registers at @base,
 * as firmware would.
 */
static void commit_decoder(uint64_t base, uint64_t start, uint64_t size)
{
    volatile uint32_t *regs = phys_map(base, 2 * CACHE_MEM_SIZE);
    uint32_t hdm = find_hdm(regs);
    volatile uint32_t *dec = &regs[(hdm + HDM_DECODER0) / 4];

    if (!hdm) {
        die("component registers at 0x%" PRIx64 " have no HDM decoder", base);
    }
    dec[0] = start;
    dec[1] = start >> 32;
    dec[2] = size;
    dec[3] = size >> 32;
    dec[5] = 0;
    dec[6] = 0;
    dec[4] = HDM_COMMIT | HDM_HOST_ONLY;
    regs[hdm / 4 + 1] = HDM_GLOBAL_ENABLE;
    if (!(dec[4] & HDM_COMMITTED)) {
        die("decoder at 0x%" PRIx64 " did not commit: control 0x%" PRIx32,
            base, dec[4]);
    }
    phys_unmap(regs, base, 2 * CACHE_MEM_SIZE);
}

/* The @index'th structure of a type in the CEDT. */
static const uint8_t *cedt_find(const uint8_t *cedt, size_t len, int type,
                                uint64_t index)
{
    size_t pos;

    for (pos = CEDT_RECORDS; pos + 4 <= len;
         pos += get_le(cedt + pos + 2, 2)) {
        if (get_le(cedt + pos + 2, 2) < 32 ||
            get_le(cedt + pos + 2, 2) > len - pos) {
            break;
        }
        if (cedt[pos] == type && !index--) {
            return cedt + pos;
        }
    }
    return NULL;
}

static void cmd_commit(const char *addr, uint64_t window, uint64_t size)
{
    static uint8_t cedt[CEDT_MAX];
    size_t len = read_file(CEDT_PATH, cedt, sizeof(cedt));
    const uint8_t *fw = cedt_find(cedt, len, CEDT_CFMWS, window);
    const uint8_t *bridge;
    uint64_t base, i = 0;
    Config config;
    unsigned bar;

    if (!fw || get_le(fw + 2, 2) < 40) {
        die("CEDT has no window %" PRIu64, window);
    }
    do {
        bridge = cedt_find(cedt, len, CEDT_CHBS, i++);
        if (!bridge) {
            die("CEDT has no host bridge %" PRIu64, get_le(fw + 36, 4));
        }
    } while (get_le(bridge + 4, 4) != get_le(fw + 36, 4));
    read_config(addr, &config);
    base = component_base(addr, &config, &bar);
    if (!base) {
        die("%s: no component registers in the Register Locator", addr);
    }
    commit_decoder(get_le(bridge + 16, 8), get_le(fw + 8, 8), size);
    commit_decoder(base, get_le(fw + 8, 8), size);
}

static void cmd_find(void)
{
    struct dirent **list;
    int count = scandir(PCI_PATH, &list, NULL, alphasort);
    int i;

    for (i = 0; i < count; i++) {
        Config config;

        if (list[i]->d_name[0] == '.') {
            continue;
        }
        read_config(list[i]->d_name, &config);
        /* Header type 0: an endpoint, not a port. */
        if (!(config.bytes[0xe] & 0x7f) && find_dvsec(&config, DVSEC_DEVICE)) {
            puts(list[i]->d_name);
            return;
        }
    }
    die("no PCI device has a CXL Device DVSEC");
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "find")) {
        cmd_find();
    } else if (argc == 2 && !strcmp(argv[1], "windows")) {
        cmd_windows();
    } else if (argc == 3 && !strcmp(argv[1], "endpoint")) {
        cmd_endpoint(argv[2]);
    } else if (argc == 3 && !strcmp(argv[1], "dump")) {
        cmd_dump(argv[2]);
    } else if (argc == 5 && !strcmp(argv[1], "commit")) {
        cmd_commit(argv[2], parse_u64(argv[3], "window"),
                   parse_u64(argv[4], "size"));
    } else {
        die("usage: cxl-regs find|windows|endpoint ADDR|dump ADDR|"
            "commit ADDR WINDOW SIZE");
    }
    return 0;
}
