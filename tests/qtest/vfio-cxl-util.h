/*
 * A virt machine with a CXL device that is served over vfio-user
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_VFIO_CXL_UTIL_H
#define TESTS_VFIO_CXL_UTIL_H

#include "libqtest.h"
#include "qobject/qdict.h"
#include "qemu/units.h"

/* Memory map of the virt machine with its default settings */
#define VIRT_FW_CFG 0x09020000ull
#define VIRT_RAM 0x40000000ull
#define VIRT_CXL_HOST 0x4004000000ull
#define VIRT_ECAM 0x4010000000ull
#define VIRT_MMIO64 0x8000000000ull
#define VIRT_WINDOW 0x10000000000ull

/* What the reference device hides from guests: see its README */
#define DEVICE_HOST_BASE 0x4ac0000000ull

/* Configuration space of the devices, as the reference device's README tells */
enum { PM_CSR = 0x44, EXP_DEVCTL = 0x68 };

/* In the CXL Device DVSEC, CXL r3.1 section 8.1.3 */
enum { DVSEC_CTRL2 = 0x10, DVSEC_STATUS2 = 0x12 };

/* Offsets of one endpoint or bridge decoder, CXL r3.1 section 8.2.4.20 */
enum {
    HDM_CAP = 0x00, HDM_GLOBAL = 0x04, HDM_BASE_LO = 0x10, HDM_BASE_HI = 0x14,
    HDM_SIZE_LO = 0x18, HDM_SIZE_HI = 0x1c, HDM_CTRL = 0x20,
    HDM_TARGET_LO = 0x24, HDM_NEXT = 0x20,
};

#define HDM_CTRL_LOCKED 0x700u      /* COMMITTED, COMMIT, LOCK_ON_COMMIT */

typedef struct VFIOCXLServer {
    GPid pid;
    char *dir;
    char *socket;
    char *mem_file;
} VFIOCXLServer;

typedef struct VFIOCXLMachine {
    QTestState *qts;
    uint64_t port;          /* configuration space of the root port */
    uint64_t device;        /* configuration space of the CXL device */
    int component_bar;
    uint64_t block_offset;  /* of the component block in that BAR */
    uint64_t component;     /* where that block is mapped now */
    uint64_t hdm_block;     /* the HDM decoder block in it */
} VFIOCXLMachine;

/**
 * vfio_cxl_server_start: start the reference device and wait until it serves
 * @options: more command line options, separated by single spaces, or NULL
 */
VFIOCXLServer *vfio_cxl_server_start(const char *options);
void vfio_cxl_server_stop(VFIOCXLServer *server);

/**
 * vfio_cxl_server_summary: end the server and return what it counted
 */
QDict *vfio_cxl_server_summary(VFIOCXLServer *server);

/**
 * vfio_cxl_server_mem: map the first bytes of the HDM's backing file
 */
uint64_t *vfio_cxl_server_mem(const VFIOCXLServer *server, size_t size);

/* CXL properties of the usual machine: one window of 4 GiB */
#define VFIO_CXL_WINDOW "cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G"

/* Another port of the usual machine's bridge */
#define VFIO_CXL_PORT_9 \
    "-device cxl-rp,port=9,bus=cxl.1,id=rp1,chassis=0,slot=3 "

/* Below a single port, only a bridge that shows decoders can be plugged */
#define VFIO_CXL_DECODERS \
    "-global pxb-cxl.hdm_for_passthrough=on "

/**
 * vfio_cxl_args: a command line: windows, bridge, port, device
 * @server: NULL for a machine without the device
 * @machine: CXL properties of the machine, NULL for VFIO_CXL_WINDOW
 * @options: options that come before the device, or NULL
 * @members: JSON members for the device, as "\"cxl\":\"on\"", or NULL
 */
char *vfio_cxl_args(const VFIOCXLServer *server, const char *machine,
                    const char *options, const char *members);

/**
 * vfio_cxl_machine_start: start QEMU and map the device's component BAR
 * @args: from vfio_cxl_args(), with anything added
 */
VFIOCXLMachine *vfio_cxl_machine_start(const char *args);
void vfio_cxl_machine_stop(VFIOCXLMachine *m);

/**
 * vfio_cxl_machine_enumerate: give bridge and BAR addresses, as a guest does
 * @bar_base: where the component BAR goes, inside the 64-bit MMIO space
 */
void vfio_cxl_machine_enumerate(VFIOCXLMachine *m, uint64_t bar_base);

/**
 * vfio_cxl_enable_below: turn Memory Space on for a second device
 * @slot: of its root port on the bridge's bus
 * @bus: number to give to its bus
 *
 * Returns: its configuration space.
 */
uint64_t vfio_cxl_enable_below(VFIOCXLMachine *m, int slot, int bus);

/**
 * vfio_cxl_hdm_below: give BAR addresses to a second device of the same kind
 * @slot: of its root port on the bridge's bus
 * @bus: number to give to its bus
 *
 * Returns: where its HDM decoder block is.
 */
uint64_t vfio_cxl_hdm_below(VFIOCXLMachine *m, int slot, int bus);

/**
 * vfio_cxl_power_slot: what a guest does when a device comes, or has to go
 */
void vfio_cxl_power_slot(VFIOCXLMachine *m, bool on);

/**
 * vfio_cxl_power_port: the same for another port of the bridge
 * @slot: of the port on the bridge's bus
 */
void vfio_cxl_power_port(VFIOCXLMachine *m, int slot, bool on);

/**
 * vfio_cxl_bus_reset: reset the bus below the port, as a guest does
 */
void vfio_cxl_bus_reset(VFIOCXLMachine *m);

/**
 * vfio_cxl_find_dvsec: offset of a CXL DVSEC in the device's config space
 */
unsigned int vfio_cxl_find_dvsec(VFIOCXLMachine *m, uint16_t id);

/* A QEMU that has to end by itself */
typedef struct {
    char *err;
    int status;
    int64_t us;
} VFIOCXLRun;

/**
 * vfio_cxl_run: start QEMU, wait until it ends, and keep what it says
 */
void vfio_cxl_run(const char *args, VFIOCXLRun *run);

/**
 * vfio_cxl_check_failure: it ended soon, with status 1 and one line
 * @device: what the line must name
 * @expect: up to three more words of it
 */
void vfio_cxl_check_failure(VFIOCXLRun *run, const char *device,
                            const char *const *expect);

/**
 * vfio_cxl_commit: program a decoder as a guest does
 * @decoder: address of its block's start, as of m->hdm_block
 * @target: target list, or DPA skip
 * @control: what to write to the control register in the end
 *
 * Returns: the control register after that.
 */
uint32_t vfio_cxl_commit(QTestState *q, uint64_t decoder, uint64_t base,
                         uint64_t size, uint32_t target, uint32_t control);

#endif /* TESTS_VFIO_CXL_UTIL_H */
