/*
 * What must not work with a CXL device, and what QEMU says then
 *
 * Each case is a whole QEMU run: it has to end by itself, with status 1 and
 * one line that names the device and the figure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "vfio-cxl-util.h"

typedef struct {
    const char *name;
    const char *server;     /* options of the reference device */
    const char *machine;    /* CXL properties, NULL for the usual window */
    const char *options;    /* options before the device */
    const char *device;     /* JSON members added to the device */
    const char *expect[3];  /* what the line must contain */
} Case;

#define TWO_BRIDGES "-device pxb-cxl,bus_nr=40,bus=pcie.0,id=cxl.2"

/* Without it these places give a plain PCIe device */
#define WANTED "\"cxl\":\"on\""

static const Case cases[] = {
    /* Windows */
    { "no-window", NULL, "cxl=on", NULL, NULL,
      { "none of 0", "256 MiB", "cxl-fmw.0.size=256M" } },
    { "window-too-small", "--hdm-size 5G --identity accel", NULL, NULL, NULL,
      { "window 0 (size 4 GiB)", "5 GiB", "cxl-fmw.0.size=5120M" } },
    { "window-of-two-bridges", NULL,
      "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.targets.1=cxl.2,"
      "cxl-fmw.0.size=4G", TWO_BRIDGES, NULL,
      { "window 0 has 2 targets", "needs a window with 1", "cxl.1" } },
    { "window-of-another-bridge", NULL,
      "cxl=on,cxl-fmw.0.targets.0=cxl.2,cxl-fmw.0.size=4G", TWO_BRIDGES, NULL,
      { "none of 1", "'cxl.1'", "cxl-fmw.1.targets.0=cxl.1" } },
    { "window-beyond-cpu", NULL,
      "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=1T", "-cpu cortex-a53",
      NULL, { "window 0 of size 0x10000000000", "limit 0x10000000000",
              "smaller" } },
    { "machine-without-cxl", NULL,
      "cxl=off,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G", NULL, WANTED,
      { "cxl=off", "-machine cxl=on", "cxl=off on the device" } },

    /* Places asked for */
    { "offset-unaligned", NULL, NULL, NULL, "\"cxl-hdm-offset\":1048576",
      { "cxl-hdm-offset=0x100000", "multiple of 256 MiB", "use 0x0" } },
    { "offset-outside", NULL, NULL, NULL, "\"cxl-hdm-offset\":4294967296",
      { "cxl-hdm-offset=0x100000000", "0x100000000 bytes",
        "cxl-fmw.0.size=4352M" } },
    { "offset-far-outside", NULL, NULL, NULL,
      "\"cxl-hdm-offset\":8589934592",
      { "cxl-hdm-offset=0x200000000", "0x100000000 bytes",
        "cxl-fmw.0.size=8448M" } },
    { "offset-no-window", NULL,
      "cxl=on,cxl-fmw.0.targets.0=cxl.2,cxl-fmw.0.size=4G", TWO_BRIDGES,
      "\"cxl-hdm-offset\":0",
      { "none of 1", "'cxl.1'", "cxl-fmw.1.targets.0=cxl.1" } },
    { "offset-with-guest", NULL, NULL, NULL,
      "\"cxl-hdm-offset\":0,\"cxl-hdm-commit\":\"guest\"",
      { "cxl-hdm-offset=0x0", "cxl-hdm-commit=guest", "leave one" } },

    /* Size and mapping of the HDM */
    { "hdm-size-unaligned", "--fault hdm-size-unaligned", NULL, NULL, NULL,
      { "region 9", "0xffff000", "multiple of 256 MiB" } },
    { "hdm-size-zero", "--fault hdm-size-zero", NULL, NULL, NULL,
      { "region 9", "size 0x0", "at least 256 MiB" } },
    { "hdm-size-not-decoder-size", "--fault decoder-size=512M", NULL, NULL,
      NULL,
      { "decoder has size 0x20000000", "region has 0x10000000", "equal" } },
    { "hdm-not-mappable", "--fault hdm-no-mmap", NULL, NULL, NULL,
      { "region 9", "flags 0x", "mappable as a whole" } },
    { "hdm-without-descriptor", "--fault hdm-no-fd", NULL, NULL, NULL,
      { "region 9", "without a file descriptor", "never emulated" } },
    { "hdm-file-too-short", "--fault hdm-short-fd", NULL, NULL, NULL,
      { "region 9", "0x10000000 bytes", "has 0x8000000" } },

    /* Regions and geometry */
    { "no-hdm-region", "--fault no-hdm-region", NULL, NULL, NULL,
      { "none of its", "HDM memory region", "subtype 1" } },
    { "no-decoder-region", "--fault no-decoder-region", NULL, NULL, NULL,
      { "none of its", "decoder register region", "subtype 2" } },
    { "two-hdm-regions", "--fault two-hdm-regions", NULL, NULL, NULL,
      { "regions 9 and 10", "HDM memory region", "exactly 1" } },
    { "no-geometry", "--fault no-geometry", NULL, NULL, NULL,
      { "region 10", "no geometry capability", "number 6" } },
    { "geometry-bar", "--fault geometry-bar=6", NULL, NULL, NULL,
      { "region 10", "BAR 6", "no memory BAR" } },
    { "geometry-bar-unused", "--fault geometry-bar=5", NULL, NULL, NULL,
      { "region 10", "BAR 5", "no memory BAR" } },
    { "geometry-offset-outside", "--fault geometry-offset=0x7fffffff0", NULL,
      NULL, NULL, { "region 10", "0x7fffffff0 of BAR 4", "inside" } },
    { "geometry-offset-unaligned", "--fault geometry-offset=0x1129", NULL,
      NULL, NULL, { "region 10", "offset 0x1129", "multiple of 4" } },
    { "no-dvsec", "--fault no-dvsec", NULL, NULL, NULL,
      { "not exactly 1 CXL Device DVSEC", "0x1e98", "cxl=off" } },
    { "wanted-but-no-flag", "--fault no-cxl-flag", NULL, NULL,
      WANTED, { "cxl=on", "lack 0x200", "cxl=auto" } },
    { "wanted-but-no-mem", "--fault no-mem", NULL, NULL, WANTED,
      { "cxl=on", "claim CXL.mem (capability 0x09db lacks 0x4)",
        "cxl=auto" } },
    { "no-reset", "--fault no-reset-flag", NULL, NULL, NULL,
      { "cannot be reset", "lack 0x1", "cxl=off" } },
    { "only-migratable", NULL, NULL, "-only-migratable", NULL,
      { "HDM cannot be migrated", "only-migratable" } },

    /* The host's decoder */
    { "decoder-count", "--fault decoder-count=1", NULL, NULL, NULL,
      { "code 1", "only code 0", "one decoder" } },
    { "interleave", "--fault interleave", NULL, NULL, NULL,
      { "ways code 1", "only code 0", "one way" } },
    { "not-committed", "--fault not-committed", NULL, NULL, NULL,
      { "not committed", "control 0x", "must commit" } },
    { "device-coherent-without-cache", "--fault no-cache", NULL, NULL, NULL,
      { "device coherent (control 0x00000600)", "no CXL.cache",
        "bit 12 set" } },
    { "back-invalidate", "--coherency hdm-db", NULL, NULL, NULL,
      { "Back-Invalidate", "control 0x00002600", "HDM-DB is not" } },
    { "decoder-region-short", "--fault decoder-region-short", NULL, NULL,
      NULL, { "region 10", "size 0x10", "0x30" } },
    { "decoder-read-fails", "--fault decoder-eio", NULL, NULL, NULL,
      { "offset 0x0", "region 10", "Input/output error" } },

    /* Capability chains, of a BAR and of the CXL regions */
    { "caps-loop", "--fault cap-loop=9", NULL, NULL, NULL,
      { "region 9", "loops", "offset 0x" } },
    { "caps-loop-bar", "--fault cap-loop=4", NULL, NULL, NULL,
      { "region 4", "loops", "offset 0x" } },
    { "caps-loop-config", "--fault cap-loop=7", NULL, NULL, NULL,
      { "region 7", "loops", "offset 0x" } },
    { "caps-leave-buffer", "--fault cap-overrun=10", NULL, NULL, NULL,
      { "region 10", "offset 0x", "not inside" } },
    { "caps-leave-buffer-bar", "--fault cap-overrun=4", NULL, NULL, NULL,
      { "region 4", "offset 0x", "not inside" } },
    { "caps-truncated", "--fault cap-truncated=10", NULL, NULL, NULL,
      { "region 10", "offset 0x", "truncated" } },
    { "caps-sparse-overrun", "--fault sparse-overrun=4", NULL, NULL, NULL,
      { "region 4", "areas", "ends after" } },
    { "caps-sparse-outside", "--fault sparse-outside=4", NULL, NULL, NULL,
      { "region 4", "area", "leaves the region" } },
    { "bar-size", "--fault odd-bar=0", NULL, NULL, NULL,
      { "region 0", "size 0x", "power of two" } },
    { "caps-never-enough", "--fault argsz-grow=9", NULL, NULL, NULL,
      { "region 9", "bytes", "65536" } },

    /* Place in the topology */
    { "behind-switch", NULL, NULL,
      "-device cxl-upstream,bus=rp0,id=us0 "
      "-device cxl-downstream,port=0,bus=us0,id=ds0,chassis=1,slot=4",
      "\"bus\":\"ds0\"," WANTED, { "'ds0'", "0 switches", "cxl-rp" } },
    { "not-below-cxl-rp", NULL, NULL,
      "-device pcie-root-port,id=plain,bus=pcie.0,chassis=9",
      "\"bus\":\"plain\"," WANTED, { "bus 'plain'", "cxl-rp", "cxl=off" } },
    { "on-root-bus", NULL, NULL, NULL, "\"bus\":\"pcie.0\"," WANTED,
      { "bus 'pcie.0'", "cxl-rp", "cxl=off" } },
    { "port-not-below-pxb-cxl", NULL, NULL,
      "-device cxl-rp,id=lost,bus=pcie.0,chassis=9,port=1",
      "\"bus\":\"lost\"," WANTED, { "port 'lost'", "bus 'pcie.0'", "pxb-cxl" } },
    { "multifunction", NULL, NULL, NULL, "\"multifunction\":true",
      { "function 00.0", "multifunction=on", "cxl-rp" } },
    { "not-alone", NULL, NULL, "-device pci-testdev,bus=rp0,addr=1.0", NULL,
      { "one of 2 functions", "port 'rp0'", "1 is allowed" } },
    { "not-function-0", NULL, NULL, NULL, "\"addr\":\"0.1\"",
      { "function 00.1", "only function", "cxl-rp" } },
    { "ports-alike", NULL, NULL,
      "-device cxl-rp,port=7,bus=cxl.1,id=rp1,chassis=0,slot=3", NULL,
      { "'rp0' and 'rp1'", "port number 7", "port=N" } },
};

static void test_case(const void *data)
{
    const Case *c = data;
    VFIOCXLServer *s = vfio_cxl_server_start(c->server);
    g_autofree char *args = vfio_cxl_args(s, c->machine, c->options,
                                          c->device);
    bool window = g_str_equal(c->name, "window-beyond-cpu");
    VFIOCXLRun run;

    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, window ? "window" : s->socket, c->expect);
    g_free(run.err);
    vfio_cxl_server_stop(s);
}

/* Four decoders of a bridge are enough for four devices */
static void test_no_decoder_left(void)
{
    static const char *const expect[] = { "4 HDM decoders", "'cxl.1'",
                                          "another pxb-cxl" };
    VFIOCXLServer *s[5];
    g_autoptr(GString) more = g_string_new(NULL);
    g_autofree char *args = NULL;
    VFIOCXLRun run;
    int i;

    for (i = 0; i < 5; i++) {
        s[i] = vfio_cxl_server_start(NULL);
    }
    for (i = 0; i < 4; i++) {
        g_string_append_printf(more, " -device cxl-rp,port=%d,bus=cxl.1,"
            "id=more%d,chassis=0,slot=%d -device '{\"driver\":"
            "\"vfio-user-pci\",\"bus\":\"more%d\",\"socket\":{\"type\":"
            "\"unix\",\"path\":\"%s\"}}'", 20 + i, i, 20 + i, i,
            s[i + 1]->socket);
    }
    args = vfio_cxl_args(s[0], NULL, more->str, NULL);
    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, s[0]->socket, expect);
    g_free(run.err);
    for (i = 0; i < 5; i++) {
        vfio_cxl_server_stop(s[i]);
    }
}

/* Two devices cannot have one place */
static void test_offset_taken(void)
{
    static const char *const expect[] = {
        "cxl-hdm-offset=0x30000000 is in the HDM of device 'first'",
        "offset 0x20000000 of window 0 with 0x20000000 bytes",
        "choose another",
    };
    VFIOCXLServer *first = vfio_cxl_server_start("--identity accel "
                                                 "--hdm-size 512M");
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *more = g_strdup_printf(
        VFIO_CXL_PORT_9
        "-device '{\"driver\":\"vfio-user-pci\",\"bus\":\"rp1\","
        "\"id\":\"first\",\"cxl-hdm-offset\":536870912,"
        "\"socket\":{\"type\":\"unix\",\"path\":\"%s\"}}'", first->socket);
    g_autofree char *args = vfio_cxl_args(s, NULL, more,
                                          "\"cxl-hdm-offset\":805306368");
    VFIOCXLRun run;

    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, s->socket, expect);
    g_free(run.err);
    vfio_cxl_server_stop(s);
    vfio_cxl_server_stop(first);
}

/* The guest looks at slot 0 of a port only, so nothing may be in another */
static void test_second_slot(void)
{
    static const char *const expect[] = { "slot 1 function 0", "reserved",
                                          NULL };
    VFIOCXLServer *s = vfio_cxl_server_start(NULL);
    g_autofree char *one = vfio_cxl_args(s, NULL, NULL, NULL);
    /* As JSON it comes after the device, not before */
    g_autofree char *two = g_strdup_printf(
        "%s -device '{\"driver\":\"pci-testdev\",\"bus\":\"rp0\","
        "\"addr\":\"1.0\"}'", one);
    VFIOCXLRun run;

    vfio_cxl_run(two, &run);
    vfio_cxl_check_failure(&run, "pci-testdev", expect);
    g_free(run.err);
    vfio_cxl_server_stop(s);
}

/*
 * The server goes away while QEMU starts, at each request in turn, until it
 * outlives the start.
 */
static unsigned int server_fails_at_each(const char *fault)
{
    static const char *const expect[] = { "closed the connection",
                                          "at command ", "server's own" };
    unsigned int n;

    for (n = 1; n < 200; n++) {
        g_autofree char *option = g_strdup_printf("--fault %s=%u", fault, n);
        VFIOCXLServer *s = vfio_cxl_server_start(option);
        g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
        VFIOCXLRun run;

        vfio_cxl_run(args, &run);
        if (WIFEXITED(run.status) && WEXITSTATUS(run.status) == 124) {
            /* More requests than QEMU's start takes */
            g_free(run.err);
            vfio_cxl_server_stop(s);
            break;
        }
        vfio_cxl_check_failure(&run, s->socket, expect);
        g_free(run.err);
        vfio_cxl_server_stop(s);
    }
    g_test_message("%u requests until the start was over", n);
    return n;
}

static void test_server_dies(void)
{
    unsigned int n = server_fails_at_each("close-at");

    g_assert_cmpuint(n, >, 20);
    g_assert_cmpuint(n, <, 200);
}

/* What the server had not read yet makes the end a reset of the connection */
static void test_server_resets(void)
{
    unsigned int n = server_fails_at_each("reset-at");

    g_assert_cmpuint(n, >, 20);
    g_assert_cmpuint(n, <, 200);
}

static void test_server_dies_in_reply(void)
{
    unsigned int n = server_fails_at_each("close-in-reply");

    g_assert_cmpuint(n, >, 20);
    g_assert_cmpuint(n, <, 200);
}

static void test_server_silent(const void *fault)
{
    static const char *const expect[] = { "timed out", NULL, NULL };
    VFIOCXLServer *s = vfio_cxl_server_start(fault);
    g_autofree char *args = vfio_cxl_args(s, NULL, NULL, NULL);
    VFIOCXLRun run;

    vfio_cxl_run(args, &run);
    vfio_cxl_check_failure(&run, s->socket, expect);
    g_free(run.err);
    vfio_cxl_server_stop(s);
}

int main(int argc, char **argv)
{
    int i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *path = g_strdup_printf("/vfio/cxl/error/%s",
                                                cases[i].name);

        qtest_add_data_func(path, &cases[i], test_case);
    }
    qtest_add_func("/vfio/cxl/error/server-dies", test_server_dies);
    qtest_add_func("/vfio/cxl/error/server-dies-in-reply",
                   test_server_dies_in_reply);
    qtest_add_func("/vfio/cxl/error/server-resets", test_server_resets);
    qtest_add_data_func("/vfio/cxl/error/server-silent",
                        "--fault silent-at=1", test_server_silent);
    qtest_add_data_func("/vfio/cxl/error/server-stalls",
                        "--fault stall-in-reply=1", test_server_silent);
    qtest_add_func("/vfio/cxl/error/no-decoder-left", test_no_decoder_left);
    qtest_add_func("/vfio/cxl/error/offset-taken", test_offset_taken);
    qtest_add_func("/vfio/cxl/error/second-slot", test_second_slot);
    return g_test_run();
}
