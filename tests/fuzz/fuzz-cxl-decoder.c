/*
 * Virtual HDM decoders, driven by a guest that does anything
 *
 * The input is a kind of component, with a window or without, then a
 * sequence of register accesses, resets, and what firmware may do. After
 * each step the rules are checked that must hold in every state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_hdm_decoder.h"
#include "fuzz.h"

#define UNIT CXL_HDM_DECODER_ALIGN
#define WINDOW_BASE (4 * UNIT)
#define WINDOW_SIZE (16 * UNIT)
#define HDM_SIZE (2 * UNIT)

/* Control register, CXL r3.1 section 8.2.4.20.7 */
#define IW(control) ((control) >> 4 & 0xf)
#define LOCK (1u << 8)
#define COMMIT (1u << 9)
#define COMMITTED (1u << 10)
#define ERR (1u << 11)
#define CONTROL_BITS 0x1fff

#define REGS (CXL_HDM_BLOCK_SIZE(CXL_HDM_BLOCK_DECODERS) / 4)

typedef struct Regs {
    uint32_t reg[REGS];
} Regs;

static const char *accept_window(void *opaque, unsigned int decoder,
                                 uint64_t base, uint64_t size)
{
    return base >= WINDOW_BASE && size <= WINDOW_SIZE &&
           base - WINDOW_BASE <= WINDOW_SIZE - size ? NULL :
           "outside of the window";
}

static Regs read_all(const CXLHDMBlock *block)
{
    Regs regs;
    unsigned int i;

    for (i = 0; i < REGS; i++) {
        regs.reg[i] = cxl_hdm_block_read(block, i * 4, 4);
    }
    return regs;
}

/* The seven registers of decoder @n, as they were read */
static const uint32_t *decoder(const Regs *regs, unsigned int n)
{
    return regs->reg + (CXL_HDM_BLOCK_HEADER + n * CXL_HDM_BLOCK_STRIDE) / 4;
}

static uint64_t pair(const uint32_t *regs, unsigned int low)
{
    return (uint64_t)regs[low + 1] << 32 | regs[low];
}

static uint32_t control(const Regs *regs, unsigned int n)
{
    return decoder(regs, n)[4];
}

static void check_committed(const CXLHDMBlock *block, const Regs *regs,
                            unsigned int n)
{
    const uint32_t *d = decoder(regs, n);
    uint64_t base = pair(d, 0), size = pair(d, 2), last = base + (size - 1);
    unsigned int i;

    FUZZ_RULE(d[4] & COMMIT, "committed only as long as commit is set");
    FUZZ_RULE(!(d[4] & ERR), "not committed and in error");
    FUZZ_RULE(size && size % UNIT == 0 && base % UNIT == 0 && last >= base,
              "a committed range is aligned and does not wrap");
    FUZZ_RULE(!block->accept || !accept_window(NULL, n, base, size),
              "it is in the window");
    for (i = 0; i < n; i++) {
        const uint32_t *o = decoder(regs, i);

        FUZZ_RULE(!(o[4] & COMMITTED) || pair(o, 0) + pair(o, 2) <= base,
                  "committed ranges ascend and do not overlap");
    }
    if (block->hdm_size) {
        FUZZ_RULE(size == HDM_SIZE && IW(d[4]) == 0 && !pair(d, 5),
                  "an endpoint decodes its HDM, one way, without skip");
    }
}

static void check_state(const CXLHDMBlock *block, const Regs *regs)
{
    unsigned int n;

    for (n = 0; n < CXL_HDM_BLOCK_DECODERS; n++) {
        uint32_t c = control(regs, n);

        FUZZ_RULE(n < block->count || !memcmp(decoder(regs, n),
                                              (uint32_t[8]) { }, 32),
                  "there are no more decoders than the capability says");
        if (n >= block->count) {
            continue;
        }
        FUZZ_RULE(!(c & ~CONTROL_BITS), "reserved bits read as 0");
        FUZZ_RULE(cxl_hdm_block_committed(block, n) == !!(c & COMMITTED),
                  "the guest sees what is committed");
        FUZZ_RULE(!cxl_hdm_block_decodes(block, n) || (c & COMMITTED),
                  "only what is committed decodes");
        if (c & COMMITTED) {
            check_committed(block, regs, n);
        }
    }
}

/* What one write of the guest may have done */
static void check_write(const Regs *was, const Regs *is, CXLHDMEvent event,
                        unsigned int count)
{
    uint32_t errors = 0;
    unsigned int n;

    FUZZ_RULE(event != CXL_HDM_IGNORED || !memcmp(was, is, sizeof(*was)),
              "an ignored write changes nothing");
    FUZZ_RULE(was->reg[0] == is->reg[0], "the capability is read-only");
    for (n = 0; n < count; n++) {
        const uint32_t *d = decoder(was, n), *e = decoder(is, n);
        bool was_on = d[4] & COMMITTED, is_on = e[4] & COMMITTED;

        FUZZ_RULE(!(was_on && (d[4] & LOCK)) || !memcmp(d, e, 7 * 4),
                  "locked means unchanged");
        FUZZ_RULE(!was_on || !memcmp(d, e, 4 * 4),
                  "base and size of a committed decoder stay");
        FUZZ_RULE(was_on == is_on || event == CXL_HDM_CHANGED,
                  "the owner is told of each change");
        FUZZ_RULE(was_on || !is_on || !n ||
                  (control(was, n - 1) & COMMITTED),
                  "decoders commit in turn");
        errors |= e[4] & ERR;
    }
    FUZZ_RULE(event != CXL_HDM_REFUSED || errors, "a refusal is shown");
}

static uint32_t value_for(FuzzInput *in)
{
    uint8_t how = fuzz_u8(in);

    /* Small multiples of the alignment are what is worth trying */
    return how & 0x80 ? fuzz_u32(in) :
           how & 0x40 ? (how & 0xf) << 8 | (how >> 4 & 3) :
           (uint32_t)how << 28;
}

static void write_reg(CXLHDMBlock *block, FuzzInput *in)
{
    static const unsigned int widths[] = { 4, 4, 4, 4, 4, 4, 1, 2, 8 };
    unsigned int reg = fuzz_u8(in) % (REGS + 4);
    unsigned int width = widths[fuzz_u8(in) % ARRAY_SIZE(widths)];
    Regs was = read_all(block), is;
    CXLHDMEvent event;
    hwaddr offset = reg * 4 + (width < 4 ? reg % 4 : 0);

    event = cxl_hdm_block_write(block, offset, value_for(in), width);
    is = read_all(block);
    check_write(&was, &is, event, block->count);
    FUZZ_RULE(width == 4 || event == CXL_HDM_IGNORED, "4 bytes only");
}

static void program(CXLHDMBlock *block, FuzzInput *in)
{
    unsigned int n = fuzz_u8(in) % block->count;
    uint64_t base = (uint64_t)(fuzz_u8(in) % 32) * UNIT;
    uint64_t size = (uint64_t)(fuzz_u8(in) % 8) * UNIT;

    if (cxl_hdm_block_committed(block, n)) {
        return;
    }
    if (cxl_hdm_block_program(block, n, base, size, 0)) {
        Regs regs = read_all(block);

        FUZZ_RULE((control(&regs, n) & (COMMITTED | LOCK)) ==
                  (COMMITTED | LOCK), "firmware commits and locks");
        FUZZ_RULE(cxl_hdm_block_decodes(block, n), "and then it decodes");
    } else {
        FUZZ_RULE(block->refused, "a refusal has a reason");
        FUZZ_RULE(!cxl_hdm_block_committed(block, n), "and leaves nothing");
    }
}

static void step(CXLHDMBlock *block, FuzzInput *in)
{
    uint8_t op = fuzz_u8(in);
    Regs regs;

    if (op < 0xe0) {
        write_reg(block, in);
    } else if (op < 0xf0) {
        program(block, in);
    } else if (op < 0xf8) {
        cxl_hdm_block_release(block, op % block->count);
    } else {
        cxl_hdm_block_reset(block);
        regs = read_all(block);
        FUZZ_RULE(!memcmp(regs.reg + 1, &(Regs) { }, sizeof(regs) - 4),
                  "after a reset all registers but one are 0");
    }
    regs = read_all(block);
    check_state(block, &regs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    CXLHDMBlock block;
    uint8_t kind = fuzz_u8(&in);

    if (kind & 1) {
        cxl_hdm_endpoint_init(&block, HDM_SIZE, fuzz_u32(&in));
    } else {
        cxl_hdm_bridge_init(&block, fuzz_u32(&in));
    }
    block.accept = kind & 2 ? NULL : accept_window;
    FUZZ_RULE(block.count >= 1 && block.count <= CXL_HDM_BLOCK_DECODERS,
              "a sane number of decoders");
    while (in.left) {
        step(&block, &in);
    }
    return 0;
}
