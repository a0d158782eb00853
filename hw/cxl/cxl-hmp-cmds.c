/*
 * HMP command info cxl: what x-query-cxl tells, for people
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"

/* The ID that the user gave, or the end of the QOM path */
static const char *short_name(const char *id, const char *qom_path)
{
    const char *slash = strrchr(qom_path, '/');

    return id ? id : slash ? slash + 1 : qom_path;
}

static void print_range(Monitor *mon, uint64_t base, uint64_t size)
{
    g_autofree char *text = size_to_str(size);

    monitor_printf(mon, "0x%" PRIx64, base);
    if (size) {
        monitor_printf(mon, "-0x%" PRIx64, base + size - 1);
    }
    monitor_printf(mon, " (%s)", text);
}

static void print_address(Monitor *mon, const CxlPciAddress *address)
{
    monitor_printf(mon, "%02" PRIx64 ":%02" PRIx64 ".%" PRIu64,
                   address->bus, address->slot, address->function);
}

static void print_decoder(Monitor *mon, int indent, const CxlHdmDecoder *d)
{
    uint8List *target;

    monitor_printf(mon, "%*sdecoder %" PRId64 ": ", indent, "", d->index);
    print_range(mon, d->base, d->size);
    monitor_printf(mon, ", %s%s%s", d->committed ? "committed" :
                   "not committed", d->locked ? ", locked" : "",
                   d->error ? ", ERROR" : "");
    if (d->interleave_ways != 1) {
        monitor_printf(mon, ", %" PRId64 " ways of %" PRId64 " bytes",
                       d->interleave_ways, d->interleave_granularity);
    }
    if (d->has_targets) {
        monitor_printf(mon, ", target port");
    }
    for (target = d->targets; target; target = target->next) {
        monitor_printf(mon, " %u", target->value);
    }
    if (d->has_dpa_skip && d->dpa_skip) {
        monitor_printf(mon, ", skips 0x%" PRIx64, d->dpa_skip);
    }
    monitor_printf(mon, "\n");
}

static void print_decoders(Monitor *mon, int indent,
                           const CxlHdmDecoderList *list)
{
    unsigned int unused = 0;

    for (; list; list = list->next) {
        const CxlHdmDecoder *d = list->value;

        if (d->size || d->committed || d->error) {
            print_decoder(mon, indent, d);
        } else {
            unused++;
        }
    }
    if (unused) {
        monitor_printf(mon, "%*s%u decoder%s unused\n", indent, "", unused,
                       unused == 1 ? "" : "s");
    }
}

static void print_window(Monitor *mon, const CxlWindow *window,
                         const CxlHostBridgeList *bridges)
{
    g_autofree char *size = size_to_str(window->size);
    strList *target;

    monitor_printf(mon, "window %" PRId64 ": ", window->index);
    if (window->has_base) {
        print_range(mon, window->base, window->size);
    } else {
        monitor_printf(mon, "not placed (%s)", size);
    }
    monitor_printf(mon, ", to");
    for (target = window->targets; target; target = target->next) {
        const CxlHostBridgeList *iter;
        const char *id = NULL;

        for (iter = bridges; iter; iter = iter->next) {
            if (!strcmp(iter->value->qom_path, target->value)) {
                id = iter->value->id;
            }
        }
        monitor_printf(mon, " %s", short_name(id, target->value));
    }
    if (window->interleave_ways > 1) {
        monitor_printf(mon, ", %" PRId64 " ways of %" PRId64 " bytes",
                       window->interleave_ways,
                       window->interleave_granularity);
    }
    monitor_printf(mon, "\n");
}

static void print_device(Monitor *mon, int indent, const CxlDevice *device)
{
    g_autofree char *size = size_to_str(device->hdm_size);
    const CxlHdmRangeList *range;
    const CxlHdmReasonList *reason;

    monitor_printf(mon, "%*sdevice %s (%s) at ", indent, "",
                   short_name(device->id, device->qom_path), device->type);
    print_address(mon, device->address);
    monitor_printf(mon, ": %s, %s%s%s, %s commits\n", size,
                   CxlDeviceBacking_str(device->backing),
                   device->source ? " " : "",
                   device->source ? device->source : "",
                   CxlHdmCommit_str(device->commit));
    indent += 2;
    print_decoders(mon, indent, device->decoders);
    for (range = device->ranges; range; range = range->next) {
        monitor_printf(mon, "%*smemory: ", indent, "");
        print_range(mon, range->value->base, range->value->size);
        if (range->value->has_window) {
            monitor_printf(mon, " in window %" PRId64, range->value->window);
        } else {
            monitor_printf(mon, " in no window");
        }
        monitor_printf(mon, ", %s\n", range->value->reachable ? "reachable" :
                       "NOT REACHABLE");
    }
    if (device->blocked) {
        monitor_printf(mon, "%*sblocked by:", indent, "");
    }
    for (reason = device->blocked; reason; reason = reason->next) {
        monitor_printf(mon, " %s", CxlHdmReason_str(reason->value));
    }
    if (device->blocked) {
        monitor_printf(mon, "\n");
    }
}

static void print_below(Monitor *mon, int indent, const CxlInfo *info,
                        const char *parent);

static void print_switch(Monitor *mon, int indent, const CxlInfo *info,
                         const CxlSwitch *sw)
{
    monitor_printf(mon, "%*sswitch %s at ", indent, "",
                   short_name(sw->id, sw->qom_path));
    print_address(mon, sw->address);
    monitor_printf(mon, "\n");
    print_decoders(mon, indent + 2, sw->decoders);
    print_below(mon, indent + 2, info, sw->qom_path);
}

/* All that is directly below a component or a port, and what is below that */
static void print_below(Monitor *mon, int indent, const CxlInfo *info,
                        const char *parent)
{
    const CxlPortList *port;
    const CxlSwitchList *sw;
    const CxlDeviceList *device;

    for (port = info->ports; port; port = port->next) {
        if (!strcmp(port->value->parent, parent)) {
            monitor_printf(mon, "%*sport %" PRId64 ": %s at ", indent, "",
                           port->value->number,
                           short_name(port->value->id,
                                      port->value->qom_path));
            print_address(mon, port->value->address);
            monitor_printf(mon, "\n");
            print_below(mon, indent + 2, info, port->value->qom_path);
        }
    }
    for (sw = info->switches; sw; sw = sw->next) {
        if (!strcmp(sw->value->port, parent)) {
            print_switch(mon, indent, info, sw->value);
        }
    }
    for (device = info->devices; device; device = device->next) {
        if (!strcmp(device->value->port, parent)) {
            print_device(mon, indent, device->value);
        }
    }
}

/* Ranges without a device; those with one are shown with the device */
static void print_vacant(Monitor *mon, const CxlInfo *info,
                         const CxlHostBridge *bridge)
{
    const CxlHdmAllocationList *iter;
    const CxlPortList *port;

    for (iter = bridge->allocations; iter; iter = iter->next) {
        const CxlHdmAllocation *allocation = iter->value;
        const char *id = NULL;

        if (allocation->device) {
            continue;
        }
        for (port = info->ports; port; port = port->next) {
            if (!strcmp(port->value->qom_path, allocation->port)) {
                id = port->value->id;
            }
        }
        monitor_printf(mon, "  %s for port %s: ",
                       allocation->reserved ? "reserved" :
                       "kept until the next reset",
                       short_name(id, allocation->port));
        print_range(mon, allocation->base, allocation->size);
        monitor_printf(mon, " in window %" PRId64 ", no device\n",
                       allocation->window);
    }
}

static void print_bridge(Monitor *mon, const CxlInfo *info,
                         const CxlHostBridge *bridge)
{
    monitor_printf(mon, "host bridge %s: bus 0x%" PRIx64,
                   short_name(bridge->id, bridge->qom_path), bridge->bus);
    if (bridge->has_registers) {
        monitor_printf(mon, ", registers ");
        print_range(mon, bridge->registers, bridge->registers_size);
    }
    monitor_printf(mon, "\n");
    if (!bridge->shows_decoders) {
        monitor_printf(mon, "  no decoders: all goes to the only port\n");
    }
    print_decoders(mon, 2, bridge->decoders);
    print_vacant(mon, info, bridge);
    print_below(mon, 2, info, bridge->qom_path);
}

void hmp_info_cxl(Monitor *mon, const QDict *qdict)
{
    Error *err = NULL;
    g_autoptr(CxlInfo) info = qmp_x_query_cxl(&err);
    const CxlWindowList *window;
    const CxlHostBridgeList *bridge;

    if (hmp_handle_error(mon, err)) {
        return;
    }
    if (!info->enabled) {
        monitor_printf(mon, "CXL is off, or this machine has none\n");
        return;
    }
    for (window = info->windows; window; window = window->next) {
        print_window(mon, window->value, info->host_bridges);
    }
    for (bridge = info->host_bridges; bridge; bridge = bridge->next) {
        print_bridge(mon, info, bridge->value);
    }
}
