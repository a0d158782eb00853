/*
 * A CXL device's memory that goes away under a processor that runs: the
 * signal comes in the thread that emulates it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "vfio-cxl-util.h"

#define SIZE (256 * MiB)
#define PATTERN 0x1122334455667788ull

/*
 * What it runs: it loads from the HDM each time that the word at FLAG becomes
 * other than 0, stores what it got at FLAG + 8, then the word at FLAG + 16,
 * and clears the flag.
 */
#define CODE (VIRT_RAM + 0x80000)
#define FLAG (VIRT_RAM + 0x100000)

static const uint32_t code[] = {
    0xd2c02000,     /* mov   x0, #0x10000000000 */
    0xd2a80203,     /* mov   x3, #0x40100000 */
    0xf9400062,     /* 1: ldr  x2, [x3] */
    0xb4ffffe2,     /* cbz   x2, 1b */
    0xf9400001,     /* ldr   x1, [x0] */
    0xf9000461,     /* str   x1, [x3, #8] */
    0xf9000862,     /* str   x2, [x3, #16] */
    0xf900007f,     /* str   xzr, [x3] */
    0x17fffffa,     /* b     1b */
};

static uint64_t processor_loads(QTestState *q, uint64_t turn)
{
    int64_t end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

    qtest_writeq(q, FLAG, turn);
    while (qtest_readq(q, FLAG + 16) != turn) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    return qtest_readq(q, FLAG + 8);
}

static void test_sigbus(void)
{
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *device = vfio_cxl_args(s, NULL, NULL, NULL);
    g_autofree char *args = g_strdup_printf(
        "-accel tcg -S -device loader,addr=0x%" PRIx64 ",cpu-num=0 %s",
        (uint64_t)CODE, device);
    VFIOCXLMachine *m = vfio_cxl_machine_start(args);
    QTestState *q = m->qts;
    QDict *event;
    int i;

    for (i = 0; i < ARRAY_SIZE(code); i++) {
        qtest_writel(q, CODE + i * 4, code[i]);
    }
    qtest_writeq(q, VIRT_WINDOW, PATTERN);
    qtest_qmp_assert_success(q, "{'execute': 'cont'}");
    g_assert_cmphex(processor_loads(q, 1), ==, PATTERN);

    g_assert_cmpint(truncate(s->mem_file, 0), ==, 0);
    processor_loads(q, 2);
    event = qtest_qmp_eventwait_ref(q, "CXL_HDM_FAILURE");
    g_assert_cmpstr(qdict_get_str(qdict_get_qdict(event, "data"), "reason"),
                    ==, "memory-error");
    qobject_unref(event);
    g_assert_cmphex(processor_loads(q, 3), ==, UINT64_MAX);

    /* Back with the file and a CXL reset, Control2 of the device's DVSEC */
    g_assert_cmpint(truncate(s->mem_file, SIZE), ==, 0);
    qtest_writew(q, m->device + vfio_cxl_find_dvsec(m, 0) + 0x10, 1 << 2);
    g_assert_cmphex(processor_loads(q, 4), ==, 0);
    vfio_cxl_machine_stop(m);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/vfio/cxl/vcpu/sigbus", test_sigbus);
    return g_test_run();
}
