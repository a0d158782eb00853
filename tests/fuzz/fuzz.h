/*
 * What every fuzz target has: its entry, and checks that end it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/* Called by libFuzzer with each input; nothing may be kept between calls */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A rule that must hold for whatever input; which one is in the output */
#define FUZZ_RULE(cond, what) do {                                      \
    if (!(cond)) {                                                      \
        fprintf(stderr, "%s:%d: broken rule: %s\n", __FILE__, __LINE__, \
                what);                                                  \
        abort();                                                        \
    }                                                                   \
} while (0)

/* An input that is used up from the front; zeros follow its end */
typedef struct FuzzInput {
    const uint8_t *data;
    size_t left;
} FuzzInput;

static inline void fuzz_take(FuzzInput *in, void *out, size_t size)
{
    size_t n = MIN(size, in->left);

    memset(out, 0, size);
    if (n) {
        memcpy(out, in->data, n);
        in->data += n;
        in->left -= n;
    }
}

static inline uint8_t fuzz_u8(FuzzInput *in)
{
    uint8_t value;

    fuzz_take(in, &value, sizeof(value));
    return value;
}

static inline uint32_t fuzz_u32(FuzzInput *in)
{
    uint32_t value;

    fuzz_take(in, &value, sizeof(value));
    return value;
}

#endif /* TESTS_FUZZ_FUZZ_H */
