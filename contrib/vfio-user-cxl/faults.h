/*
 * Deliberate misbehaviour, for testing clients
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VFIO_USER_CXL_FAULTS_H
#define VFIO_USER_CXL_FAULTS_H

/* "unset" for numbers where 0 is a value */
#define FAULT_NONE UINT64_MAX

/* Numbers are FAULT_NONE when the fault is off; see --list-faults */
typedef struct CxlFaults {
    bool hdm_size_unaligned;
    bool hdm_size_zero;
    bool hdm_no_mmap;
    bool hdm_no_fd;
    bool hdm_short_fd;
    bool no_hdm_region;
    bool no_decoder_region;
    bool two_hdm_regions;
    bool swap_regions;
    bool no_geometry;
    uint64_t geometry_bar;
    uint64_t geometry_offset;
    uint64_t geometry_version;
    uint64_t decoder_size;
    uint64_t decoder_count;
    bool interleave;
    bool not_committed;
    bool decoder_error;
    bool decoder_region_short;
    bool decoder_eio;
    uint64_t cap_loop;
    uint64_t cap_overrun;
    uint64_t cap_truncated;
    uint64_t sparse_overrun;
    uint64_t sparse_outside;
    uint64_t argsz_grow;
    bool no_cxl_flag;
    bool no_reset_flag;
    bool no_dvsec;
    bool no_cache;
    bool no_mem;
    bool second_range;
    uint64_t odd_bar;
    uint64_t close_at;
    uint64_t reset_at;
    uint64_t silent_at;
    uint64_t close_in_reply;
    uint64_t stall_in_reply;
    bool reset_fails;
    uint64_t fail_reset;
    uint64_t reset_ms;
    uint64_t capacity;
    uint64_t die_in_copy;
    bool no_completion;
} CxlFaults;

/* Switch every fault off. */
void faults_init(CxlFaults *f);

/*
 * Switch on what @arg ("NAME" or "NAME=VALUE") names.  False and @errp:
 * unknown name, value missing, not wanted or out of range.
 */
bool faults_set(CxlFaults *f, const char *arg, Error **errp);

/* Print one line for each fault to stdout. */
void faults_list(void);

#endif /* VFIO_USER_CXL_FAULTS_H */
