/*
 * Unit tests of the copy engine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-copy-fake.h"

/* Lengths and offsets around the chunk size, RAM direct, by message, mixed */
static void test_moves(void)
{
    static const uint32_t lens[] = { 1, 7, 8, 63, 64, 65, 128, 200, 1000 };
    static const uint32_t offs[] = { 0, 1, 63, 64, 777 };
    static const uint32_t direct[] = { 0, 800, RAM_SIZE };
    uint32_t count = 0;

    for (int i = 0; i < ARRAY_SIZE(lens) * ARRAY_SIZE(offs) * 3; i++) {
        uint32_t len = lens[i % ARRAY_SIZE(lens)];
        uint32_t off = offs[i / ARRAY_SIZE(lens) % ARRAY_SIZE(offs)];
        uint32_t hdm = 2000 - off;
        Fake *f = fake_new(0, false), *old = fake_new(0, false);

        f->direct = direct[i / (ARRAY_SIZE(lens) * ARRAY_SIZE(offs))];
        start(f, CXL_COPY_OP_TO_HDM, RAM_BASE + off, hdm, len);
        run_to_end(f);
        check_end(f, CXL_COPY_OK, 0, len);
        g_assert(memcmp(f->hdm + hdm, f->ram + off, len) == 0);
        g_assert(memcmp(f->hdm, old->hdm, hdm) == 0);
        g_assert(memcmp(f->hdm + hdm + len, old->hdm + hdm + len, HDM_SIZE - hdm
                 - len) == 0);
        g_assert(memcmp(f->ram, old->ram, RAM_SIZE) == 0);

        start(f, CXL_COPY_OP_FROM_HDM, hdm - 500, RAM_BASE + off, len);
        run_to_end(f);
        check_end(f, CXL_COPY_OK, 0, len);
        g_assert(memcmp(f->hdm + hdm - 500, f->ram + off, len) == 0);
        g_assert(memcmp(f->ram, old->ram, off) == 0);
        g_assert(memcmp(f->ram + off + len, old->ram + off + len, RAM_SIZE - off
                 - len) == 0);
        g_assert(f->max_len == MIN(len, CHUNK));
        g_assert(f->irqs[2] == 2);
        g_assert(get(f, CXL_COPY_COUNT, 4) == 2);
        count++;
        fake_free(f);
        fake_free(old);
    }
    g_assert(count == 135);
}

static void test_fill(void)
{
    Fake *f = fake_new(0, false), *old = fake_new(0, false);

    put(f, CXL_COPY_PATTERN, 0x8877665544332211, 8);
    start(f, CXL_COPY_OP_FILL, UINT64_MAX, 5, 203);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 203);
    for (int i = 0; i < 203; i++) {
        g_assert(f->hdm[5 + i] == (i % 8 + 1) * 0x11);
    }
    g_assert(memcmp(f->hdm, old->hdm, 5) == 0);
    g_assert(memcmp(f->hdm + 208, old->hdm + 208, 100) == 0);
    fake_free(f);
    fake_free(old);
}

static void test_hdm_to_hdm(void)
{
    Fake *f = fake_new(0, false), *old = fake_new(0, false);

    /* neighbours do not overlap */
    start(f, CXL_COPY_OP_HDM, 100, 300, 200);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 200);
    g_assert(memcmp(f->hdm + 300, old->hdm + 100, 200) == 0);
    start(f, CXL_COPY_OP_HDM, HDM_SIZE - 100, HDM_SIZE - 200, 100);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 100);
    g_assert(memcmp(f->hdm + HDM_SIZE - 200, old->hdm + HDM_SIZE - 100, 100) ==
             0);
    fake_free(f);
    fake_free(old);
}

typedef struct BadRequest {
    uint32_t control;
    uint64_t src;
    uint64_t dst;
    uint64_t len;
    CxlCopyError error;
} BadRequest;

#define IN CXL_COPY_OP_TO_HDM
#define OUT CXL_COPY_OP_FROM_HDM
#define FILL CXL_COPY_OP_FILL
#define HDM CXL_COPY_OP_HDM

static const BadRequest bad[] = {
    { IN, RAM_BASE, 0, 0, CXL_COPY_E_LENGTH },
    { FILL, 0, HDM_SIZE, 0, CXL_COPY_E_LENGTH },
    { IN, RAM_BASE, HDM_SIZE, 1, CXL_COPY_E_HDM_START },
    { IN, RAM_BASE, UINT64_MAX, 1, CXL_COPY_E_HDM_START },
    { OUT, HDM_SIZE, RAM_BASE, 1, CXL_COPY_E_HDM_START },
    { FILL, 0, UINT64_MAX - 7, 16, CXL_COPY_E_HDM_START },
    { HDM, 0, HDM_SIZE, 8, CXL_COPY_E_HDM_START },
    { HDM, HDM_SIZE, 0, 8, CXL_COPY_E_HDM_START },
    { IN, RAM_BASE, HDM_SIZE - 1, 2, CXL_COPY_E_HDM_END },
    { OUT, 1, RAM_BASE, UINT64_MAX, CXL_COPY_E_HDM_END },
    { FILL, 0, 0, HDM_SIZE + 1, CXL_COPY_E_HDM_END },
    { HDM, 1, 0, HDM_SIZE, CXL_COPY_E_HDM_END },
    { HDM, 0, 4095, UINT64_MAX, CXL_COPY_E_HDM_END },
    { IN, RAM_BASE - 1, 0, 1, CXL_COPY_E_DMA },
    { OUT, 0, 0, 1, CXL_COPY_E_DMA },
    /* around the end of the address space to a good address */
    { IN, UINT64_MAX - 7, 0, 16, CXL_COPY_E_DMA },
    { OUT, 0, UINT64_MAX, 2, CXL_COPY_E_DMA },
    { HDM, 0, 0, 1, CXL_COPY_E_OVERLAP },
    { HDM, 0, 99, 100, CXL_COPY_E_OVERLAP },
    { HDM, 199, 100, 100, CXL_COPY_E_OVERLAP },
    { 0, 0, 0, 8, CXL_COPY_E_OP },
    { 5, 0, 0, 8, CXL_COPY_E_OP },
    { 15, 0, 0, 0, CXL_COPY_E_OP },
    { FILL | CXL_COPY_IRQ | 4 << 8, 0, 0, 8, CXL_COPY_E_VECTOR },
    { FILL | CXL_COPY_IRQ | 255 << 8, 0, 0, 8, CXL_COPY_E_VECTOR },
};

/* Each is refused at once, moves nothing, and raises its interrupt */
static void test_bad(void)
{
    Fake *f = fake_new(0, false), *old = fake_new(0, false);

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        const BadRequest *b = &bad[i];
        uint32_t control = b->control & CXL_COPY_IRQ ? b->control :
                           b->control | CXL_COPY_IRQ | 3 << 8;

        put(f, CXL_COPY_SRC, b->src, 8);
        put(f, CXL_COPY_DST, b->dst, 8);
        put(f, CXL_COPY_LEN, b->len, 8);
        put(f, CXL_COPY_CONTROL, control, 4);
        f->irqs[3] = 0;
        put(f, CXL_COPY_COMMAND, CXL_COPY_START, 4);
        check_end(f, CXL_COPY_FAILED, b->error, 0);
        g_assert(f->irqs[3] == (b->error != CXL_COPY_E_VECTOR));
        g_assert(get(f, CXL_COPY_COUNT, 4) == i + 1);
    }
    g_assert(memcmp(f->hdm, old->hdm, HDM_SIZE) == 0);
    g_assert(memcmp(f->ram, old->ram, RAM_SIZE) == 0);
    g_assert(f->copy.stats.failed == ARRAY_SIZE(bad));

    /* a vector that nobody asked for is no error; the last byte is there */
    put(f, CXL_COPY_SRC, UINT64_MAX - 7, 8);
    put(f, CXL_COPY_DST, HDM_SIZE - 8, 8);
    put(f, CXL_COPY_LEN, 8, 8);
    put(f, CXL_COPY_CONTROL, IN | 200 << 8, 4);
    put(f, CXL_COPY_COMMAND, CXL_COPY_START, 4);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 8);
    fake_free(f);
    fake_free(old);
}

/* The client's HDM mapping is the other side of the request */
static void test_dma_overlap(void)
{
    Fake *f = fake_new(0, false);

    f->overlap = true;
    start(f, IN, RAM_BASE, 0, 8);
    check_end(f, CXL_COPY_FAILED, CXL_COPY_E_OVERLAP, 0);
    start(f, OUT, 0, RAM_BASE, 8);
    check_end(f, CXL_COPY_FAILED, CXL_COPY_E_OVERLAP, 0);
    fake_free(f);
}

/* What was mapped when the request began is not any more */
static void test_dma_lost(void)
{
    Fake *f = fake_new(0, false);

    f->hole = RAM_BASE + 100;
    start(f, IN, RAM_BASE, 0, 256);
    run_to_end(f);
    check_end(f, CXL_COPY_FAILED, CXL_COPY_E_DMA, 100);
    f->hole = 0;
    f->ram_gone = true;
    start(f, OUT, 0, RAM_BASE, 256);
    run_to_end(f);
    check_end(f, CXL_COPY_FAILED, CXL_COPY_E_DMA, 0);
    f->ram_gone = false;
    f->direct = RAM_SIZE;
    f->refuse_start = true;
    start(f, OUT, 0, RAM_BASE, 256);
    run_to_end(f);
    check_end(f, CXL_COPY_FAILED, CXL_COPY_E_DMA, 0);
    f->refuse_start = false;
    start(f, IN, RAM_BASE, 0, 256);
    cxl_copy_run(&f->copy);
    answer(f, true);
    cxl_copy_run(&f->copy);
    answer(f, false);
    check_end(f, CXL_COPY_FAILED, CXL_COPY_E_DMA, CHUNK);
    g_assert(f->irqs[2] == 4);
    fake_free(f);
}

static void test_gated(void)
{
    static const int ops[] = { IN, OUT, FILL, HDM };

    for (int i = 0; i < ARRAY_SIZE(ops); i++) {
        Fake *f = fake_new(0, false);
        uint64_t src = ops[i] == IN ? RAM_BASE : 0;
        uint64_t dst = ops[i] == OUT ? RAM_BASE : 1024;

        f->gated = true;
        start(f, ops[i], src, dst, 256);
        check_end(f, CXL_COPY_FAILED, CXL_COPY_E_GATED, 0);
        f->gated = false;
        f->direct = i % 2 ? RAM_SIZE : 0;
        start(f, ops[i], src, dst, 256);
        cxl_copy_run(&f->copy);
        if (f->pending) {
            answer(f, true);
        }
        f->gated = true;
        run_to_end(f);
        check_end(f, CXL_COPY_FAILED, CXL_COPY_E_GATED, CHUNK);
        g_assert(f->irqs[2] == 2);
        fake_free(f);
    }
}

/* While busy: registers are fixed, and a start is refused and remembered */
static void test_busy(void)
{
    Fake *f = fake_new(0, false);

    start(f, IN, RAM_BASE, 0, 256);
    g_assert(get(f, CXL_COPY_STATUS, 4) == CXL_COPY_BUSY);
    cxl_copy_run(&f->copy);
    g_assert(get(f, CXL_COPY_DONE, 8) == CHUNK);
    start(f, FILL, 1, 2, 3);
    g_assert(get(f, CXL_COPY_STATUS, 4) == (CXL_COPY_BUSY | CXL_COPY_REFUSED));
    g_assert(get(f, CXL_COPY_SRC, 8) == RAM_BASE);
    g_assert(get(f, CXL_COPY_LEN, 8) == 256);
    g_assert(get(f, CXL_COPY_CONTROL, 4) == (IN | 0x10200));
    run_to_end(f);
    check_end(f, CXL_COPY_OK | CXL_COPY_REFUSED, 0, 256);
    g_assert(get(f, CXL_COPY_COUNT, 4) == 1);
    g_assert(memcmp(f->hdm, f->ram, 256) == 0);
    start(f, FILL, 0, 0, 8);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 8);
    fake_free(f);
}

static void test_abort(void)
{
    Fake *f = fake_new(0, false);

    put(f, CXL_COPY_COMMAND, CXL_COPY_ABORT, 4);
    check_end(f, CXL_COPY_IDLE, 0, 0);
    start(f, FILL, 0, 0, 256);
    cxl_copy_run(&f->copy);
    put(f, CXL_COPY_COMMAND, CXL_COPY_ABORT, 4);
    check_end(f, CXL_COPY_FAILED, CXL_COPY_E_ABORTED, CHUNK);
    g_assert(f->irqs[2] == 1);
    put(f, CXL_COPY_COMMAND, CXL_COPY_ABORT, 4);
    g_assert(get(f, CXL_COPY_COUNT, 4) == 1);

    /* with a message on its way: the end comes with its answer */
    f->direct = RAM_SIZE;
    for (int i = 0; i < 4; i++) {
        start(f, i & 1 ? IN : OUT, i & 1 ? RAM_BASE : 0,
              i & 1 ? 0 : RAM_BASE, 256);
        cxl_copy_run(&f->copy);
        put(f, CXL_COPY_COMMAND, CXL_COPY_ABORT, 4);
        g_assert(get(f, CXL_COPY_STATUS, 4) == CXL_COPY_BUSY);
        g_assert(!cxl_copy_runnable(&f->copy));
        answer(f, i & 2);
        check_end(f, CXL_COPY_FAILED, CXL_COPY_E_ABORTED, i == 2 ? CHUNK : 0);
        g_assert(f->irqs[2] == i + 2);
    }

    /* too late: all had moved */
    start(f, OUT, 0, RAM_BASE, CHUNK);
    cxl_copy_run(&f->copy);
    put(f, CXL_COPY_COMMAND, CXL_COPY_ABORT, 4);
    answer(f, true);
    check_end(f, CXL_COPY_OK, 0, CHUNK);
    start(f, FILL, 0, 0, 256);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 256);
    fake_free(f);
}

static void test_reset(void)
{
    Fake *f = fake_new(0, false);

    f->direct = RAM_SIZE;
    start(f, IN, RAM_BASE, 0, 256);
    cxl_copy_run(&f->copy);
    g_assert(f->pending);
    cxl_copy_reset(&f->copy);
    g_assert(f->cancels == 1);
    check_end(f, CXL_COPY_IDLE, 0, 0);
    g_assert(f->irqs[2] == 0);
    for (uint32_t off = 0; off < CXL_COPY_REGS; off += 4) {
        g_assert(get(f, off, 4) == 0);
    }
    /* a late answer changes nothing */
    cxl_copy_dma_done(&f->copy, true);
    check_end(f, CXL_COPY_IDLE, 0, 0);
    start(f, IN, RAM_BASE, 0, 256);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 256);
    g_assert(get(f, CXL_COPY_COUNT, 4) == 1);
    g_assert(f->copy.stats.started == 2);
    fake_free(f);
}

static void test_access(void)
{
    Fake *f = fake_new(0, false);

    put(f, CXL_COPY_SRC, 0x11223344, 4);
    put(f, CXL_COPY_SRC + 4, 0x55667788, 4);
    g_assert(get(f, CXL_COPY_SRC, 8) == 0x5566778811223344);
    g_assert(get(f, CXL_COPY_SRC + 4, 4) == 0x55667788);
    put(f, CXL_COPY_LEN, 8, 8);
    /* half a command is none, and STATUS to COUNT cannot be written */
    put(f, CXL_COPY_CONTROL, FILL, 4);
    put(f, CXL_COPY_COMMAND, CXL_COPY_START, 2);
    put(f, CXL_COPY_STATUS, UINT64_MAX, 8);
    put(f, CXL_COPY_DONE, UINT64_MAX, 8);
    put(f, CXL_COPY_COUNT, UINT64_MAX, 8);
    check_end(f, CXL_COPY_IDLE, 0, 0);
    g_assert(get(f, CXL_COPY_COUNT, 8) == 0);
    put(f, CXL_COPY_COMMAND, 3, 4);
    check_end(f, CXL_COPY_IDLE, 0, 0);
    /* control and command in one access */
    put(f, CXL_COPY_CONTROL, FILL | (uint64_t)CXL_COPY_START << 32, 8);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 8);
    g_assert(get(f, CXL_COPY_COMMAND, 4) == 0);
    g_assert(f->irqs[0] == 0);
    fake_free(f);
}

static void test_faults(void)
{
    Fake *f = fake_new(2, false);

    start(f, FILL, 0, 0, 1000);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 1000);
    start(f, FILL, 0, 0, 1000);
    run_to_end(f);
    g_assert(f->copy.dead);
    g_assert(get(f, CXL_COPY_STATUS, 4) == CXL_COPY_BUSY);
    g_assert(get(f, CXL_COPY_DONE, 8) == 500);
    fake_free(f);

    f = fake_new(0, true);
    start(f, FILL, 0, 0, 8);
    run_to_end(f);
    check_end(f, CXL_COPY_OK, 0, 8);
    g_assert(f->irqs[2] == 0);
    fake_free(f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-copy/moves", test_moves);
    g_test_add_func("/cxl-copy/fill", test_fill);
    g_test_add_func("/cxl-copy/hdm-to-hdm", test_hdm_to_hdm);
    g_test_add_func("/cxl-copy/bad", test_bad);
    g_test_add_func("/cxl-copy/dma-overlap", test_dma_overlap);
    g_test_add_func("/cxl-copy/dma-lost", test_dma_lost);
    g_test_add_func("/cxl-copy/gated", test_gated);
    g_test_add_func("/cxl-copy/busy", test_busy);
    g_test_add_func("/cxl-copy/abort", test_abort);
    g_test_add_func("/cxl-copy/reset", test_reset);
    g_test_add_func("/cxl-copy/access", test_access);
    g_test_add_func("/cxl-copy/faults", test_faults);
    return g_test_run();
}
