/*
 * CXL Type-2 device passthrough: memory that the host cannot reach
 *
 * A mapped page of HDM can go at any time: the server's file shrinks, the
 * host gates the device, memory fails.  Whoever touches it then, a vCPU or
 * the monitor, gets SIGBUS.  The mapping is replaced by ordinary memory, so
 * that the access can end, and the device is gated as soon as the main loop
 * runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qemu/atomic.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "hw/core/cpu.h"
#include "system/kvm_fault.h"
#include "cxl-int.h"
#include "trace.h"

/*
 * The handler walks this at any time and in any thread.  Entries are never
 * freed but used again: their number is that of the most devices at a time.
 */
typedef struct HDMMapping {
    uintptr_t start;            /* 0: free */
    uintptr_t size;
    bool fault;
    VFIOCXL *cxl;
    QEMUBH *bh;
    struct HDMMapping *next;
} HDMMapping;

static HDMMapping *mappings;
static struct sigaction old_action;

/* What the kernel tells of failing memory that nobody has touched yet */
static siginfo_t advice;
static QEMUBH *advice_bh;

static void advice_cb(void *opaque)
{
    old_action.sa_sigaction(SIGBUS, &advice, NULL);
}

static void sigbus_handler(int sig, siginfo_t *info, void *context)
{
    uintptr_t addr = (uintptr_t)info->si_addr;
    HDMMapping *m;

    for (m = qatomic_read(&mappings); m; m = qatomic_read(&m->next)) {
        uintptr_t start = qatomic_read(&m->start);

        if (start && addr >= start && addr - start < m->size &&
            mmap((void *)start, m->size, PROT_READ | PROT_WRITE,
                 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                 -1, 0) != MAP_FAILED) {
            qatomic_set(&m->fault, true);
            qemu_bh_schedule(m->bh);    /* may be called here */
            return;
        }
    }

    /*
     * Not ours: as if there were no handler here.  Advice is for the main
     * loop, as long as SIGBUS was blocked there.
     */
    if ((old_action.sa_flags & SA_SIGINFO) &&
        info->si_code == BUS_MCEERR_AO) {
        advice = *info;
        qemu_bh_schedule(advice_bh);
    } else if (old_action.sa_flags & SA_SIGINFO) {
        old_action.sa_sigaction(sig, info, context);
    } else {
        sigaction(SIGBUS, &old_action, NULL);
    }
}

/* Processors that may have met what was found, and have not told yet */
static unsigned int late_cpus;

static void sigbus_bh(void *opaque)
{
    HDMMapping *m = opaque;
    VFIOCXL *cxl = m->cxl;
    CPUState *cpu;

    qemu_bh_cancel(m->bh);
    /* Gone, or repaired before this had its turn */
    if (!cxl || !cxl->path || !qatomic_read(&m->fault)) {
        return;
    }
    cxl_hdm_gate_set(&cxl->gate, CXL_HDM_GATE_MEMORY_ERROR, true);
    late_cpus = 0;
    CPU_FOREACH(cpu) {
        late_cpus++;
    }
    error_report("vfio %s: the host cannot reach the HDM (SIGBUS): it is "
                 "taken from the guest until a reset of the device succeeds",
                 cxl->vdev->vbasedev.name);
    vfio_cxl_report_failure(cxl, CXL_HDM_FAILURE_MEMORY_ERROR);
}

/*
 * Touch pages of all mappings that the guest can reach, in steps of @step
 * bytes, at most of the whole mapping.  Returns: whether SIGBUS came.
 */
static bool probe(uintptr_t step)
{
    bool found = false;
    HDMMapping *m;

    for (m = mappings; m; m = m->next) {
        uintptr_t offset;

        if (!m->cxl || m->cxl->gate.reasons) {
            continue;
        }
        for (offset = 0; offset < m->size && !qatomic_read(&m->fault);
             offset += MIN(step, m->size)) {
            (void)qatomic_read((uint8_t *)(m->start + offset));
        }
        found |= qatomic_read(&m->fault);
        sigbus_bh(m);
    }
    return found;
}

/*
 * KVM found no memory behind an access of the guest, and tells no more: SIGBUS
 * tells which device it is.  Most often a device is out of reach as a whole,
 * and one page of each is enough; else each page has to be touched.
 */
static bool kvm_fault(void)
{
    /* No more than may be late: a fault elsewhere must not repeat for ever */
    return probe(UINTPTR_MAX) || probe(qemu_real_host_page_size()) ||
           (late_cpus && late_cpus--);
}

/* Of the threads that run guest code, only KVM's have it unblocked */
static void unblock(CPUState *cpu, run_on_cpu_data unused)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void sigbus_install(void)
{
    static bool installed;
    struct sigaction action = {
        .sa_sigaction = sigbus_handler,
        .sa_flags = SA_SIGINFO,
    };
    CPUState *cpu;

    if (installed) {
        return;
    }
    installed = true;
    advice_bh = qemu_bh_new(advice_cb, NULL);
    sigaction(SIGBUS, &action, &old_action);
    kvm_set_fault_handler(kvm_fault);

    /* Monitor and gdb have HDM accessed by the main thread */
    unblock(NULL, RUN_ON_CPU_NULL);
    CPU_FOREACH(cpu) {
        async_run_on_cpu(cpu, unblock, RUN_ON_CPU_NULL);
    }
}

static HDMMapping *mapping_of(const VFIOCXL *cxl)
{
    HDMMapping *m;

    for (m = mappings; m && m->cxl != cxl; m = m->next) {
        ;
    }
    return m;
}

void vfio_cxl_sigbus_add(VFIOCXL *cxl)
{
    HDMMapping *m = mapping_of(NULL);

    sigbus_install();
    if (!m) {
        m = g_new0(HDMMapping, 1);
        m->bh = qemu_bh_new(sigbus_bh, m);
        m->next = mappings;
        qatomic_store_release(&mappings, m);
    }
    m->cxl = cxl;
    m->fault = false;
    m->size = cxl->hdm.mmaps[0].size;
    qatomic_store_release(&m->start, (uintptr_t)cxl->hdm.mmaps[0].mmap);
}

void vfio_cxl_sigbus_remove(VFIOCXL *cxl)
{
    HDMMapping *m = mapping_of(cxl);

    if (m) {
        qatomic_set(&m->start, 0);
        qemu_bh_cancel(m->bh);
        m->cxl = NULL;
    }
}

bool vfio_cxl_sigbus_repair(VFIOCXL *cxl)
{
    HDMMapping *m = mapping_of(cxl);
    VFIOMmap *map = &cxl->hdm.mmaps[0];
    Error *err = NULL;
    int fd;

    if (!m || !qatomic_read(&m->fault)) {
        return true;
    }
    if (!vfio_cxl_check_file(cxl, &err)) {
        error_reportf_err(err, VFIO_MSG_PREFIX, cxl->vdev->vbasedev.name);
        return false;
    }
    fd = vfio_device_get_region_fd(cxl->hdm.vbasedev, cxl->hdm.nr);
    /* Before the memory is back: it may fault again at once */
    qatomic_set(&m->fault, false);
    if (mmap(map->mmap, map->size, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED, fd,
             cxl->hdm.fd_offset + map->offset) == MAP_FAILED) {
        error_report("vfio %s: cannot map the HDM again: %s",
                     cxl->vdev->vbasedev.name, strerror(errno));
        qatomic_set(&m->fault, true);
        return false;
    }
    return !qatomic_read(&m->fault);
}
