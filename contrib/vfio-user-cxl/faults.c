/*
 * Deliberate misbehaviour, for testing clients
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "faults.h"

typedef enum FaultKind {
    FAULT_FLAG,
    FAULT_SIZE,
    FAULT_NUMBER,
} FaultKind;

typedef struct FaultDesc {
    const char *name;
    FaultKind kind;
    size_t field;
    uint64_t max;           /* of a number */
    const char *about;
} FaultDesc;

#define FLAG(n, f, about) \
    { n, FAULT_FLAG, offsetof(CxlFaults, f), 0, about }
#define SIZE(n, f, about) \
    { n, FAULT_SIZE, offsetof(CxlFaults, f), UINT64_MAX - 1, about }
#define NUMBER(n, f, max, about) \
    { n, FAULT_NUMBER, offsetof(CxlFaults, f), max, about }

#define MAX_REGION 10

static const FaultDesc descs[] = {
    FLAG("hdm-size-unaligned", hdm_size_unaligned,
         "HDM region is 4 KiB short of a multiple of 256 MiB"),
    FLAG("hdm-size-zero", hdm_size_zero, "HDM region has no bytes"),
    SIZE("decoder-size", decoder_size, "size in decoder 0, not the region's"),
    FLAG("hdm-no-mmap", hdm_no_mmap, "HDM region cannot be mapped"),
    FLAG("hdm-no-fd", hdm_no_fd, "HDM mappable, but no descriptor is sent"),
    FLAG("hdm-short-fd", hdm_short_fd,
         "HDM descriptor has half of the region's bytes"),
    FLAG("no-hdm-region", no_hdm_region, "HDM region is missing"),
    FLAG("no-decoder-region", no_decoder_region,
         "decoder-register region is missing"),
    FLAG("two-hdm-regions", two_hdm_regions,
         "decoder-register region says that it is an HDM region"),
    FLAG("swap-regions", swap_regions,
         "decoder registers at index 9, HDM at 10 (not an error)"),
    FLAG("no-geometry", no_geometry, "geometry capability is missing"),
    NUMBER("geometry-bar", geometry_bar, UINT32_MAX,
           "BAR number in the geometry capability"),
    NUMBER("geometry-offset", geometry_offset, UINT64_MAX - 1,
           "offset in the geometry capability"),
    NUMBER("geometry-version", geometry_version, UINT16_MAX,
           "version of the geometry capability"),
    NUMBER("decoder-count", decoder_count, 15,
           "count code of the HDM capability (0 is one decoder)"),
    FLAG("interleave", interleave, "decoder 0 interleaves two ways"),
    FLAG("not-committed", not_committed, "decoder 0 is not committed"),
    FLAG("decoder-error", decoder_error,
         "commit of decoder 0 failed: its error bit is set"),
    FLAG("decoder-region-short", decoder_region_short,
         "decoder region ends after 16 bytes"),
    FLAG("decoder-eio", decoder_eio, "reads of the decoder region fail"),
    NUMBER("cap-loop", cap_loop, MAX_REGION,
           "capability chain of region N loops"),
    NUMBER("cap-overrun", cap_overrun, MAX_REGION,
           "capability chain of region N leaves the buffer"),
    NUMBER("cap-truncated", cap_truncated, MAX_REGION,
           "last capability of region N is cut in half"),
    NUMBER("sparse-overrun", sparse_overrun, MAX_REGION,
           "region N counts more sparse areas than it lists"),
    NUMBER("sparse-outside", sparse_outside, MAX_REGION,
           "last sparse area of region N ends outside the region"),
    NUMBER("argsz-grow", argsz_grow, MAX_REGION,
           "every reply about region N asks for a larger buffer"),
    FLAG("no-cxl-flag", no_cxl_flag, "device info lacks the CXL flag"),
    FLAG("no-reset-flag", no_reset_flag, "device info lacks the reset flag"),
    FLAG("no-dvsec", no_dvsec, "config space lacks DVSECs 0, 5, 7 and 8"),
    FLAG("no-cache", no_cache,
         "CXL Device DVSEC claims no CXL.cache, but the HDM is HDM-D"),
    FLAG("no-mem", no_mem, "CXL Device DVSEC claims no CXL.mem"),
    FLAG("second-range", second_range,
         "CXL Device DVSEC shows the host base in Range 2 too (no error)"),
    NUMBER("odd-bar", odd_bar, 5, "size of BAR N is no power of two"),
    NUMBER("close-at", close_at, UINT32_MAX,
           "close the connection instead of answering request N (from 1)"),
    NUMBER("reset-at", reset_at, UINT32_MAX,
           "close the connection with request N unread (from 1)"),
    NUMBER("silent-at", silent_at, UINT32_MAX,
           "never answer request N (from 1)"),
    NUMBER("close-in-reply", close_in_reply, UINT32_MAX,
           "close the connection in the middle of the answer to request N"),
    NUMBER("stall-in-reply", stall_in_reply, UINT32_MAX,
           "send half of the answer to request N, then nothing more"),
    FLAG("reset-fails", reset_fails,
         "resets fail and leave the memory unreachable"),
    NUMBER("fail-reset", fail_reset, UINT32_MAX,
           "reset N (from 1, FLR included) fails with EIO, gates the memory"),
    NUMBER("reset-ms", reset_ms, 600000,
           "a reset takes N milliseconds (no error)"),
    SIZE("capacity", capacity,
         "capacity in the accelerator's register, not the HDM's"),
    NUMBER("die-in-copy", die_in_copy, UINT32_MAX,
           "end the server in the middle of copy N (from 1)"),
    FLAG("no-completion", no_completion,
         "copies end without their interrupt"),
};

void faults_init(CxlFaults *f)
{
    memset(f, 0, sizeof(*f));
    for (unsigned i = 0; i < ARRAY_SIZE(descs); i++) {
        if (descs[i].kind != FAULT_FLAG) {
            *(uint64_t *)((char *)f + descs[i].field) = FAULT_NONE;
        }
    }
}

static bool parse_value(const FaultDesc *d, const char *text, uint64_t *val)
{
    if (d->kind == FAULT_SIZE) {
        return qemu_strtosz(text, NULL, val) == 0 && *val <= d->max;
    }
    return qemu_strtou64(text, NULL, 0, val) == 0 && *val <= d->max &&
           text[0] != '-';
}

bool faults_set(CxlFaults *f, const char *arg, Error **errp)
{
    const char *eq = strchr(arg, '=');
    size_t len = eq ? eq - arg : strlen(arg);

    for (unsigned i = 0; i < ARRAY_SIZE(descs); i++) {
        const FaultDesc *d = &descs[i];
        void *field = (char *)f + d->field;

        if (strlen(d->name) != len || strncmp(d->name, arg, len) != 0) {
            continue;
        }
        if (d->kind == FAULT_FLAG) {
            if (eq) {
                error_setg(errp, "fault '%s' takes no value", d->name);
                return false;
            }
            *(bool *)field = true;
            return true;
        }
        if (!eq || !parse_value(d, eq + 1, field)) {
            error_setg(errp, "fault '%s' needs a value from 0 to %" PRIu64
                       ": --fault %s=N", d->name, d->max, d->name);
            return false;
        }
        return true;
    }
    error_setg(errp, "unknown fault '%s'; --list-faults shows all", arg);
    return false;
}

void faults_list(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(descs); i++) {
        static const char *const suffix[] = { "", "=SIZE", "=N" };
        g_autofree char *name = g_strconcat(descs[i].name,
                                            suffix[descs[i].kind], NULL);

        printf("  %-22s %s\n", name, descs[i].about);
    }
}
