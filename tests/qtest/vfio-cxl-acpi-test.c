/*
 * What DSDT and CEDT say of CXL when a device is passed through
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "vfio-cxl-tables.h"
#include "vfio-cxl-util.h"

/* CXL r3.1 section 9.18.1 */
#define CEDT_HEADER 36
#define CEDT_CHBS 0
#define CEDT_CFMWS 1
#define CHBS_LENGTH 32
#define CHBS_CXL20 1
#define CFMWS_LENGTH 36
#define RESTRICT_TYPES 0xf      /* Type 2 and 3, volatile and persistent */

#define CAP_HDM 5               /* CXL r3.1 section 8.2.4 */
#define HDM_COMMITTED (1u << 10)

#define REGISTERS_SIZE (64 * KiB)
#define REGISTERS_SPACE (16 * REGISTERS_SIZE)

#define MAX_DEVICES 64
#define MAX_RANGES 64

#define SECOND_BRIDGE \
    "-device pxb-cxl,bus_nr=222,bus=pcie.0,id=cxl.2 " \
    "-device cxl-rp,port=8,bus=cxl.2,id=rp1,chassis=0,slot=3"
#define THREE_WINDOWS \
    VFIO_CXL_WINDOW ",cxl-fmw.1.targets.0=cxl.2,cxl-fmw.1.size=512M," \
    "cxl-fmw.2.targets.0=cxl.1,cxl-fmw.2.targets.1=cxl.2," \
    "cxl-fmw.2.size=2G,cxl-fmw.2.interleave-granularity=8k"

typedef struct {
    uint64_t base, size;
    unsigned int ways, granularity;     /* as encoded: 1 << n, 256 << n */
    uint32_t targets[2];
} Window;

typedef struct {
    uint32_t uids[4];                   /* host bridges, by their CHBS */
    uint64_t registers[4];
    unsigned int n_bridges;
    Window windows[4];
    unsigned int n_windows;
} CEDT;

static void read_chbs(const uint8_t *p, CEDT *c)
{
    uint64_t base = ldq_le_p(p + 16);
    unsigned int i;

    g_assert_cmpuint(lduw_le_p(p + 2), ==, CHBS_LENGTH);
    g_assert_cmpuint(c->n_bridges, <, ARRAY_SIZE(c->uids));
    g_assert_cmphex(ldl_le_p(p + 8), ==, CHBS_CXL20);
    g_assert_cmphex(ldl_le_p(p + 12), ==, 0);
    g_assert_cmphex(base, >=, VIRT_CXL_HOST);
    g_assert_cmphex(base, <, VIRT_CXL_HOST + REGISTERS_SPACE);
    g_assert_cmphex(base % REGISTERS_SIZE, ==, 0);
    g_assert_cmphex(ldq_le_p(p + 24), ==, REGISTERS_SIZE);
    for (i = 0; i < c->n_bridges; i++) {
        g_assert_cmpuint(c->uids[i], !=, ldl_le_p(p + 4));
        g_assert_cmphex(c->registers[i], !=, base);
    }
    c->registers[c->n_bridges] = base;
    c->uids[c->n_bridges++] = ldl_le_p(p + 4);
}

static void read_cfmws(const uint8_t *p, CEDT *c)
{
    Window *w = &c->windows[c->n_windows];
    unsigned int i;

    g_assert_cmpuint(c->n_windows++, <, ARRAY_SIZE(c->windows));
    g_assert_cmphex(ldl_le_p(p + 4), ==, 0);
    w->base = ldq_le_p(p + 8);
    w->size = ldq_le_p(p + 16);
    w->ways = p[24];
    g_assert_cmphex(p[25], ==, 0);              /* modulo arithmetic */
    g_assert_cmphex(lduw_le_p(p + 26), ==, 0);
    w->granularity = ldl_le_p(p + 28);
    g_assert_cmphex(lduw_le_p(p + 32), ==, RESTRICT_TYPES);
    g_assert_cmphex(lduw_le_p(p + 34), ==, 0);  /* QTG ID */
    g_assert_cmpuint(1u << w->ways, <=, ARRAY_SIZE(w->targets));
    g_assert_cmpuint(lduw_le_p(p + 2), ==,
                     CFMWS_LENGTH + (4u << w->ways));
    for (i = 0; i < 1u << w->ways; i++) {
        w->targets[i] = ldl_le_p(p + CFMWS_LENGTH + 4 * i);
    }
}

static CEDT read_cedt(const ACPITables *t)
{
    uint32_t length, pos;
    const uint8_t *p = acpi_tables_find(t, "CEDT", &length);
    CEDT c = {};

    g_assert_nonnull(p);
    g_assert_cmpuint(p[8], ==, 1);
    for (pos = CEDT_HEADER; pos < length; pos += lduw_le_p(p + pos + 2)) {
        g_assert_cmpuint(length - pos, >=, CHBS_LENGTH);
        g_assert_cmpuint(lduw_le_p(p + pos + 2), <=, length - pos);
        if (p[pos] == CEDT_CHBS) {
            read_chbs(p + pos, &c);
        } else {
            g_assert_cmpuint(p[pos], ==, CEDT_CFMWS);
            read_cfmws(p + pos, &c);
        }
    }
    return c;
}

static void check_window(const Window *w, uint64_t base, uint64_t size,
                         unsigned int ways, unsigned int granularity,
                         uint32_t target, uint32_t second_target)
{
    g_assert_cmphex(w->base, ==, base);
    g_assert_cmphex(w->size, ==, size);
    g_assert_cmpuint(w->ways, ==, ways);
    g_assert_cmpuint(w->granularity, ==, granularity);
    g_assert_cmpuint(w->targets[0], ==, target);
    g_assert_cmpuint(w->targets[1], ==, second_target);
}

/* A guest learns of windows from CEDT, and of nothing else in them */
static void check_no_range(const ACPITables *t, const CEDT *c)
{
    ACPIRange ranges[MAX_RANGES];
    unsigned int n = acpi_all_ranges(t, ranges, ARRAY_SIZE(ranges));
    unsigned int memory = 0, i, j;

    for (i = 0; i < n; i++) {
        if (ranges[i].type != ACPI_RANGE_MEMORY) {
            continue;
        }
        memory++;
        g_assert_cmphex(ranges[i].min, <=, ranges[i].max);
        for (j = 0; j < c->n_windows; j++) {
            const Window *w = &c->windows[j];

            g_assert_true(ranges[i].max < w->base ||
                          ranges[i].min >= w->base + w->size);
        }
        /* The bridges' own registers are CHBS's to tell */
        g_assert_true(ranges[i].max < VIRT_CXL_HOST ||
                      ranges[i].min >= VIRT_CXL_HOST + REGISTERS_SPACE);
    }
    /* UART, flash, fw_cfg, the host bridges: or nothing was understood */
    g_assert_cmpuint(memory, >, 8);
}

static const ACPIDevice *find_device(const ACPIDevice *d, unsigned int n,
                                     const char *hid, uint64_t uid)
{
    const ACPIDevice *found = NULL;
    unsigned int i;

    for (i = 0; i < n; i++) {
        if (!strcmp(d[i].hid, hid) && d[i].uid == uid) {
            g_assert_null(found);
            found = &d[i];
        }
    }
    return found;
}

static unsigned int count_devices(const ACPIDevice *d, unsigned int n,
                                  const char *hid)
{
    unsigned int count = 0, i;

    for (i = 0; i < n; i++) {
        count += !strcmp(d[i].hid, hid);
    }
    return count;
}

/* Each CHBS has its ACPI0016 with that _UID, and the other way round */
static void check_devices(const ACPITables *t, const CEDT *c)
{
    ACPIDevice d[MAX_DEVICES];
    unsigned int n = acpi_devices(t, d, ARRAY_SIZE(d)), i, j, k;
    const ACPIDevice *root;

    g_assert_cmpuint(count_devices(d, n, "ACPI0016"), ==, c->n_bridges);
    for (i = 0; i < c->n_bridges; i++) {
        const ACPIDevice *b = find_device(d, n, "ACPI0016", c->uids[i]);

        g_assert_nonnull(b);
        g_assert_cmpuint(b->bbn, ==, c->uids[i]);
        g_assert_nonnull(b->crs);
    }
    for (i = 0; i < c->n_windows; i++) {
        for (j = 0; j < 1u << c->windows[i].ways; j++) {
            for (k = 0; k < c->n_bridges; k++) {
                if (c->uids[k] == c->windows[i].targets[j]) {
                    break;
                }
            }
            g_assert_cmpuint(k, <, c->n_bridges);
        }
    }
    g_assert_cmpuint(count_devices(d, n, "ACPI0017"), ==, 1);
    root = find_device(d, n, "ACPI0017", UINT64_MAX);
    g_assert_nonnull(root);
    g_assert_null(root->crs);
}

/*
 * A CHBS tells where that very bridge has its registers: only the one above
 * the device has a committed decoder
 */
static void check_registers(QTestState *qts, const CEDT *c, uint32_t owner)
{
    unsigned int i, j;

    for (i = 0; i < c->n_bridges; i++) {
        uint64_t cm = c->registers[i] + 0x1000;
        uint32_t header = qtest_readl(qts, cm);
        bool committed = false;

        g_assert_cmphex(header & 0xffff, ==, 1);
        for (j = 1; j <= header >> 24; j++) {
            uint32_t cap = qtest_readl(qts, cm + j * 4);

            if ((cap & 0xffff) == CAP_HDM) {
                uint64_t hdm = cm + (cap >> 20);

                committed = qtest_readl(qts, hdm + HDM_CTRL) & HDM_COMMITTED;
            }
        }
        g_assert_cmpint(committed, ==, c->uids[i] == owner);
    }
}

/* A bridge's _CRS: its buses, and its port's window if that has been set */
static void check_bridge_crs(const ACPITables *t, unsigned int bus,
                             unsigned int last_bus, bool window)
{
    ACPIDevice d[MAX_DEVICES];
    ACPIRange r[MAX_RANGES];
    unsigned int n = acpi_devices(t, d, ARRAY_SIZE(d)), i, buses = 0;
    const ACPIDevice *b = find_device(d, n, "ACPI0016", bus);
    unsigned int memory = 0;

    n = acpi_ranges(b->crs, b->crs_size, r, ARRAY_SIZE(r));
    for (i = 0; i < n; i++) {
        if (r[i].type == ACPI_RANGE_BUS) {
            g_assert_cmpuint(r[i].min, ==, bus);
            g_assert_cmpuint(r[i].max, ==, last_bus);
            buses++;
        } else {
            g_assert_cmpuint(r[i].type, ==, ACPI_RANGE_MEMORY);
            g_assert_cmphex(r[i].min, ==, VIRT_MMIO64);
            g_assert_cmphex(r[i].max, ==, VIRT_MMIO64 + 16 * GiB - 1);
            memory++;
        }
    }
    g_assert_cmpuint(buses, ==, 1);
    g_assert_cmpuint(memory, ==, window);
}

static void check_same(ACPITables *a, ACPITables *b)
{
    g_assert_cmpmem(a->data, a->size, b->data, b->size);
    acpi_tables_free(a);
    acpi_tables_free(b);
}

static ACPITables tables_of(const char *args)
{
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    ACPITables t = acpi_tables_read(m->qts);

    vfio_cxl_machine_stop(m);
    return t;
}

static void test_one_bridge(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(
        s, VFIO_CXL_WINDOW ",cxl-fmw.1.targets.0=cxl.1,cxl-fmw.1.size=512M",
        NULL, NULL);
    ACPITables t = tables_of(args);
    CEDT c = read_cedt(&t);

    g_assert_cmpuint(c.n_bridges, ==, 1);
    g_assert_cmpuint(c.uids[0], ==, 12);
    g_assert_cmpuint(c.n_windows, ==, 2);
    check_window(&c.windows[0], VIRT_WINDOW, 4 * GiB, 0, 0, 12, 0);
    check_window(&c.windows[1], VIRT_WINDOW + 4 * GiB, 512 * MiB, 0, 0, 12,
                 0);
    check_no_range(&t, &c);
    check_devices(&t, &c);
    check_bridge_crs(&t, 12, 13, true);
    acpi_tables_free(&t);
    vfio_cxl_server_stop(s);
}

static void test_two_bridges(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, THREE_WINDOWS, SECOND_BRIDGE,
                                          NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    ACPITables t = acpi_tables_read(m->qts);
    CEDT c = read_cedt(&t);

    g_assert_cmpuint(c.n_bridges, ==, 2);
    g_assert_cmpuint(c.n_windows, ==, 3);
    check_window(&c.windows[0], VIRT_WINDOW, 4 * GiB, 0, 0, 12, 0);
    check_window(&c.windows[1], VIRT_WINDOW + 4 * GiB, 512 * MiB, 0, 0, 222,
                 0);
    check_window(&c.windows[2], VIRT_WINDOW + 4 * GiB + 512 * MiB, 2 * GiB,
                 1, 5, 12, 222);
    check_no_range(&t, &c);
    check_devices(&t, &c);
    check_registers(m->qts, &c, 12);
    check_bridge_crs(&t, 12, 13, true);
    check_bridge_crs(&t, 222, 222, false);
    acpi_tables_free(&t);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/*
 * A passed-through device is found by the guest, not described to it: with
 * it, and with one of another size, the tables are those of an empty port
 */
static void test_device_changes_nothing(void)
{
    static const char *const options[] = {
        NULL, "--identity accel --hdm-size 1G"
    };
    g_autofree char *without = vfio_cxl_args(NULL, THREE_WINDOWS,
                                             SECOND_BRIDGE, NULL);
    int i;

    for (i = 0; i < ARRAY_SIZE(options); i++) {
        VFIOCXLServer *s = vfio_cxl_server_start(options[i]);
        g_autofree char *with = vfio_cxl_args(s, THREE_WINDOWS,
                                              SECOND_BRIDGE, NULL);
        ACPITables a = tables_of(with), b = tables_of(without);

        check_same(&a, &b);
        vfio_cxl_server_stop(s);
    }
}

/* Of a machine with another window, only that window's size is different */
static void test_window_changes_itself(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args_a = vfio_cxl_args(s, NULL, NULL, NULL);
    g_autofree char *args_b = vfio_cxl_args(
        s, "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=2G", NULL, NULL);
    ACPITables a = tables_of(args_a), b = tables_of(args_b);
    uint32_t length_a, length_b;
    const uint8_t *cedt_a = acpi_tables_find(&a, "CEDT", &length_a);
    const uint8_t *cedt_b = acpi_tables_find(&b, "CEDT", &length_b);
    const size_t size = CEDT_HEADER + CHBS_LENGTH + 16;
    size_t at = cedt_a - a.data, i;

    g_assert_cmpuint(a.size, ==, b.size);
    g_assert_cmpuint(at, ==, cedt_b - b.data);
    g_assert_cmphex(ldq_le_p(cedt_a + size), ==, 4 * GiB);
    g_assert_cmphex(ldq_le_p(cedt_b + size), ==, 2 * GiB);
    for (i = 0; i < a.size; i++) {
        if ((i < at + size || i >= at + size + 8) && i != at + 9) {
            g_assert_cmphex(a.data[i], ==, b.data[i]); /* 9: checksum */
        }
    }
    acpi_tables_free(&a);
    acpi_tables_free(&b);
    vfio_cxl_server_stop(s);
}

/* Once the guest has given the same addresses, the tables are the same */
static void test_reset_changes_nothing(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *args = vfio_cxl_args(s, THREE_WINDOWS, SECOND_BRIDGE,
                                          NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    int i;

    for (i = 0; i < 3; i++) {
        ACPITables before = acpi_tables_read(m->qts), after;

        qtest_system_reset(m->qts);
        vfio_cxl_machine_enumerate(m, VIRT_MMIO64);
        after = acpi_tables_read(m->qts);
        check_same(&before, &after);
    }
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

/* Without CXL, the device is to the tables like any other in its place */
static void test_off(void)
{
    static const char machine[] =
        "-nodefaults -machine virt,gic-version=3,memory-backend=ram "
        "-object memory-backend-memfd,id=ram,size=128M,share=on -m 128M "
        "-cpu max -device pcie-root-port,id=rp0,chassis=0,slot=2";
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *with = g_strdup_printf(
        "%s -device '{\"driver\":\"vfio-user-pci\",\"bus\":\"rp0\","
        "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"},\"cxl\":\"off\"}'",
        machine, s->socket);
    g_autofree char *other = g_strdup_printf(
        "%s -device pci-testdev,bus=rp0", machine);
    QTestState *qts = qtest_init(with);
    ACPITables a = acpi_tables_read(qts), b;
    ACPIDevice d[MAX_DEVICES];
    unsigned int n = acpi_devices(&a, d, ARRAY_SIZE(d));
    uint32_t length;

    qtest_quit(qts);
    g_assert_null(acpi_tables_find(&a, "CEDT", &length));
    g_assert_cmpuint(count_devices(d, n, "ACPI0016"), ==, 0);
    g_assert_cmpuint(count_devices(d, n, "ACPI0017"), ==, 0);
    qts = qtest_init(other);
    b = acpi_tables_read(qts);
    qtest_quit(qts);
    check_same(&a, &b);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/acpi/one-bridge", test_one_bridge);
    qtest_add_func("/vfio/cxl/acpi/two-bridges", test_two_bridges);
    qtest_add_func("/vfio/cxl/acpi/device-changes-nothing",
                   test_device_changes_nothing);
    qtest_add_func("/vfio/cxl/acpi/window-changes-itself",
                   test_window_changes_itself);
    qtest_add_func("/vfio/cxl/acpi/reset-changes-nothing",
                   test_reset_changes_nothing);
    qtest_add_func("/vfio/cxl/acpi/off", test_off);
    return g_test_run();
}
