/*
 * A device of arrays around the copy engine, for its unit tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "cxl-copy-fake.h"

static CxlCopyError fake_check(void *opaque, bool write, uint64_t addr,
                               uint64_t len, uint64_t hdm)
{
    Fake *f = opaque;

    if (addr < f->ram_base || addr - f->ram_base >= RAM_SIZE ||
        len > RAM_SIZE - (addr - f->ram_base)) {
        return CXL_COPY_E_DMA;
    }
    return f->overlap ? CXL_COPY_E_OVERLAP : CXL_COPY_NO_ERROR;
}

static CxlDmaWay fake_way(void *opaque, bool write, uint64_t addr,
                          uint32_t *len, void **ptr)
{
    Fake *f = opaque;
    uint64_t off = addr - f->ram_base;

    g_assert(*len <= CHUNK);
    if (f->hole && addr <= f->hole && f->hole - addr < *len) {
        *len = f->hole - addr;
        if (!*len) {
            return CXL_DMA_NONE;
        }
    }
    f->max_len = MAX(f->max_len, *len);
    if (off >= f->direct) {
        *ptr = f->ram + off;
        return CXL_DMA_DIRECT;
    }
    *len = MIN(*len, f->direct - off);
    return CXL_DMA_MESSAGE;
}

static bool fake_start(void *opaque, bool write, uint64_t addr, uint8_t *buf,
                       uint32_t len)
{
    Fake *f = opaque;

    g_assert(!f->pending);
    if (f->refuse_start) {
        return false;
    }
    f->pending = true;
    f->write = write;
    f->addr = addr;
    f->buf = buf;
    f->len = len;
    return true;
}

static void fake_cancel(void *opaque)
{
    Fake *f = opaque;

    g_assert(f->pending);
    f->pending = false;
    f->cancels++;
}

static int fake_hdm(void *opaque, bool write, uint64_t off, void *buf,
                    uint32_t len)
{
    Fake *f = opaque;

    g_assert(off <= HDM_SIZE);
    g_assert(len <= HDM_SIZE - off);
    if (f->gated) {
        return -EIO;
    }
    if (f->ram_gone && buf != f->copy.buf) {
        return -EFAULT;
    }
    if (write) {
        memcpy(f->hdm + off, buf, len);
    } else {
        memcpy(buf, f->hdm + off, len);
    }
    return 0;
}

static bool fake_enabled(void *opaque)
{
    return !((Fake *)opaque)->gated;
}

static void fake_irq(void *opaque, unsigned vector)
{
    ((Fake *)opaque)->irqs[vector]++;
}

static const CxlCopyOps fake_ops = {
    .dma = {
        .check = fake_check,
        .way = fake_way,
        .start = fake_start,
        .cancel = fake_cancel,
    },
    .hdm = fake_hdm,
    .hdm_enabled = fake_enabled,
    .irq = fake_irq,
};

Fake *fake_new(uint64_t die_in, bool no_irq)
{
    CxlCopyConfig config = {
        .hdm_size = HDM_SIZE,
        .vectors = 4,
        .chunk = CHUNK,
        .die_in = die_in,
        .no_irq = no_irq,
    };
    Fake *f = g_new0(Fake, 1);

    cxl_copy_init(&f->copy, &config, &fake_ops, f);
    f->ram_base = RAM_BASE;
    for (int i = 0; i < RAM_SIZE; i++) {
        f->ram[i] = i * 7 + i / 256;
        f->hdm[i] = i * 11 + i / 256 + 3;
    }
    return f;
}

void fake_free(Fake *f)
{
    cxl_copy_cleanup(&f->copy);
    g_free(f);
}

void put(Fake *f, uint32_t off, uint64_t val, unsigned size)
{
    uint8_t buf[8];

    stq_le_p(buf, val);
    cxl_copy_write(&f->copy, off, buf, size);
}

uint64_t get(Fake *f, uint32_t off, unsigned size)
{
    uint8_t buf[8] = { };

    cxl_copy_read(&f->copy, off, buf, size);
    return ldq_le_p(buf);
}

void start(Fake *f, uint32_t op, uint64_t src, uint64_t dst, uint64_t len)
{
    put(f, CXL_COPY_SRC, src, 8);
    put(f, CXL_COPY_DST, dst, 8);
    put(f, CXL_COPY_LEN, len, 8);
    put(f, CXL_COPY_CONTROL, op | 2 << CXL_COPY_VECTOR_SHIFT | CXL_COPY_IRQ,
        4);
    put(f, CXL_COPY_COMMAND, CXL_COPY_START, 4);
}

void answer(Fake *f, bool ok)
{
    uint8_t *ram = f->ram + (f->addr - f->ram_base);

    g_assert(f->pending);
    f->pending = false;
    if (ok && f->write) {
        memcpy(ram, f->buf, f->len);
    } else if (ok) {
        memcpy(f->buf, ram, f->len);
    }
    cxl_copy_dma_done(&f->copy, ok);
}

void run_to_end(Fake *f)
{
    for (int i = 0; i < 10000; i++) {
        if (f->pending) {
            answer(f, true);
        } else if (cxl_copy_runnable(&f->copy)) {
            cxl_copy_run(&f->copy);
        } else {
            return;
        }
    }
    g_assert_not_reached();
}

void check_end(Fake *f, uint32_t status, uint32_t error, uint64_t done)
{
    g_assert(!cxl_copy_runnable(&f->copy));
    g_assert(get(f, CXL_COPY_STATUS, 4) == status);
    g_assert(get(f, CXL_COPY_ERROR, 4) == error);
    g_assert(get(f, CXL_COPY_DONE, 8) == done);
}
