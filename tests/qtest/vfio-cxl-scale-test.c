/*
 * As many CXL devices as four host bridges have decoders for, and the largest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define BRIDGE_HDM (VIRT_CXL_HOST + 0x1128)
#define PATTERN 0x1122334455667788ull

#define BRIDGES 4
#define DEVICES (BRIDGES * 4)

/* All decoders of a bridge fill one window; returns which */
static unsigned int check_bridge(QTestState *q, uint64_t decoder)
{
    uint64_t base = qtest_readl(q, decoder + HDM_BASE_LO) |
                    (uint64_t)qtest_readl(q, decoder + HDM_BASE_HI) << 32;
    unsigned int window = (base - VIRT_WINDOW) / GiB;
    int i;

    g_assert_cmpuint(window, <, BRIDGES);
    g_assert_cmphex(base, ==, VIRT_WINDOW + window * GiB);
    for (i = 0; i < 4; i++, decoder += HDM_NEXT, base += SIZE) {
        uint32_t port = qtest_readl(q, decoder + HDM_TARGET_LO);

        g_assert_cmphex(qtest_readl(q, decoder + HDM_CTRL), ==,
                        HDM_CTRL_LOCKED);
        g_assert_cmphex(qtest_readl(q, decoder + HDM_BASE_LO), ==,
                        (uint32_t)base);
        g_assert_cmphex(qtest_readl(q, decoder + HDM_BASE_HI), ==,
                        base >> 32);
        g_assert_cmphex(qtest_readl(q, decoder + HDM_SIZE_LO), ==, SIZE);
        /* Ports are numbered from 100, but for the first bridge's first */
        g_assert_cmpuint(port == 7 ? 0 : (port - 100) / 4, ==, window);
    }
    return window;
}

/* As many as four bridges have decoders for, in a window for each bridge */
static void test_sixteen(void)
{
    g_autoptr(GString) windows = g_string_new("cxl=on");
    g_autoptr(GString) more = g_string_new(NULL);
    VFIOCXLServer *s[DEVICES];
    g_autofree char *args = NULL;
    VFIOCXLMachine *m;
    int i, round;

    for (i = 0; i < BRIDGES; i++) {
        g_string_append_printf(windows, ",cxl-fmw.%d.targets.0=cxl.%d,"
                               "cxl-fmw.%d.size=1G", i, i + 1, i);
        if (i) {
            g_string_append_printf(more, "-device pxb-cxl,bus_nr=%d,"
                                   "bus=pcie.0,id=cxl.%d ", 12 + 16 * i,
                                   i + 1);
        }
    }
    for (i = 0; i < DEVICES; i++) {
        s[i] = vfio_cxl_server_start(NULL);
        if (i) {
            g_string_append_printf(more, "-device cxl-rp,port=%d,bus=cxl.%d,"
                "id=more%d,chassis=1,slot=%d -device '{\"driver\":"
                "\"vfio-user-pci\",\"bus\":\"more%d\",\"socket\":{\"type\":"
                "\"unix\",\"path\":\"%s\"}}' ", 100 + i, i / 4 + 1, i, i, i,
                s[i]->socket);
        }
    }
    args = vfio_cxl_args(s[0], windows->str, more->str, NULL);
    m = vfio_cxl_machine_start(args);

    for (round = 0; round < 2; round++) {
        unsigned int seen = 0;

        for (i = 0; i < BRIDGES; i++) {
            seen |= 1 << check_bridge(m->qts, BRIDGE_HDM + i * 64 * KiB);
        }
        g_assert_cmphex(seen, ==, 0xf);
        qtest_system_reset(m->qts);
    }
    vfio_cxl_machine_stop(m);
    for (i = 0; i < DEVICES; i++) {
        vfio_cxl_server_stop(s[i]);
    }
}

static void test_1t(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start("--identity accel "
                                             "--hdm-size 1T");
    g_autofree char *args = vfio_cxl_args(s,
        "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=1T", NULL, NULL);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    uint64_t *mem = vfio_cxl_server_mem(s, TiB);

    g_assert_cmphex(qtest_readl(m->qts, m->hdm_block + HDM_SIZE_HI), ==,
                    TiB >> 32);
    qtest_writeq(m->qts, VIRT_WINDOW + TiB - 8, PATTERN);
    g_assert_cmphex(qatomic_read(&mem[TiB / 8 - 1]), ==, PATTERN);
    munmap(mem, TiB);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/scale/sixteen", test_sixteen);
    qtest_add_func("/vfio/cxl/scale/1t", test_1t);
    return g_test_run();
}
