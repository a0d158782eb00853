/*
 * Counts of what a client asked for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "stats.h"

static const char *const command_names[STATS_COMMANDS] = {
    [0] = "UNKNOWN",
    [1] = "VERSION",
    [2] = "DMA_MAP",
    [3] = "DMA_UNMAP",
    [4] = "DEVICE_GET_INFO",
    [5] = "DEVICE_GET_REGION_INFO",
    [6] = "DEVICE_GET_REGION_IO_FDS",
    [7] = "DEVICE_GET_IRQ_INFO",
    [8] = "DEVICE_SET_IRQS",
    [9] = "REGION_READ",
    [10] = "REGION_WRITE",
    [11] = "DMA_READ",
    [12] = "DMA_WRITE",
    [13] = "DEVICE_RESET",
    [14] = "DIRTY_PAGES",
    [15] = "REGION_WRITE_MULTI",
    [16] = "DEVICE_FEATURE",
    [17] = "MIG_DATA_READ",
    [18] = "MIG_DATA_WRITE",
};

static const char *const region_names[STATS_REGIONS] = {
    "bar0", "bar1", "bar2", "bar3", "bar4", "bar5",
    [STATS_CONFIG] = "config",
    [STATS_HDM] = "hdm",
    [STATS_DECODER] = "decoder",
    [STATS_OTHER] = "other",
};

const char *stats_command_name(unsigned cmd)
{
    return command_names[cmd < STATS_COMMANDS ? cmd : 0];
}

const char *stats_region_name(StatsRegion r)
{
    return region_names[r];
}

void stats_command(CxlStats *st, unsigned cmd)
{
    st->requests++;
    st->commands[cmd < STATS_COMMANDS ? cmd : 0]++;
}

static void count_access(StatsAccess *a, bool write, uint32_t bytes)
{
    if (write) {
        a->writes++;
        a->write_bytes += bytes;
    } else {
        a->reads++;
        a->read_bytes += bytes;
    }
}

void stats_access(CxlStats *st, StatsRegion r, bool write, uint32_t bytes)
{
    count_access(&st->regions[r], write, bytes);
}

void stats_dma(CxlStats *st, StatsDma kind, bool write, uint32_t bytes)
{
    count_access(&st->dma[kind], write, bytes);
}

static QDict *access_dict(const StatsAccess *a)
{
    QDict *one = qdict_new();

    qdict_put_int(one, "reads", a->reads);
    qdict_put_int(one, "writes", a->writes);
    qdict_put_int(one, "read_bytes", a->read_bytes);
    qdict_put_int(one, "write_bytes", a->write_bytes);
    return one;
}

static QDict *regions_dict(const CxlStats *st)
{
    QDict *all = qdict_new();

    for (unsigned i = 0; i < STATS_REGIONS; i++) {
        qdict_put(all, region_names[i], access_dict(&st->regions[i]));
    }
    return all;
}

static QDict *copies_dict(const CxlCopyStats *copies)
{
    QDict *one = qdict_new();

    qdict_put_int(one, "started", copies->started);
    qdict_put_int(one, "failed", copies->failed);
    qdict_put_int(one, "bytes", copies->bytes);
    return one;
}

static QDict *dma_dict(const CxlStats *st)
{
    QDict *all = qdict_new();

    qdict_put_int(all, "errors", st->dma_errors);
    qdict_put(all, "shared", access_dict(&st->dma[STATS_DMA_SHARED]));
    qdict_put(all, "message", access_dict(&st->dma[STATS_DMA_MESSAGE]));
    return all;
}

static GString *summary_json(const CxlStats *st, const CxlSummary *sum)
{
    g_autoptr(QDict) top = qdict_new();
    QDict *commands = qdict_new();

    for (unsigned i = 0; i < STATS_COMMANDS; i++) {
        if (st->commands[i]) {
            qdict_put_int(commands, command_names[i], st->commands[i]);
        }
    }
    qdict_put_str(top, "identity", sum->identity);
    qdict_put_int(top, "hdm_size", sum->hdm_size);
    qdict_put_int(top, "host_base", sum->host_base);
    qdict_put_int(top, "clients", st->clients);
    qdict_put_int(top, "refused", st->refused);
    qdict_put_int(top, "requests", st->requests);
    qdict_put_int(top, "errors", st->errors);
    qdict_put_int(top, "interrupts", st->interrupts);
    qdict_put_int(top, "resets", st->resets);
    qdict_put(top, "commands", commands);
    qdict_put(top, "regions", regions_dict(st));
    qdict_put(top, "copies", copies_dict(&sum->copies));
    qdict_put(top, "dma", dma_dict(st));
    return qobject_to_json_pretty(QOBJECT(top), true);
}

bool stats_write(const CxlStats *st, const CxlSummary *sum, const char *path,
                 Error **errp)
{
    g_autoptr(GString) json = summary_json(st, sum);
    FILE *file = stdout;
    bool ok;

    /*
     * Written in place, never by renaming a new file over it: the path may
     * be a device node or a pipe.
     */
    if (path) {
        file = fopen(path, "w");
        if (!file) {
            error_setg_errno(errp, errno, "cannot open summary file '%s'",
                             path);
            return false;
        }
    }
    g_string_append_c(json, '\n');
    ok = fwrite(json->str, 1, json->len, file) == json->len;
    ok = (path ? fclose(file) : fflush(file)) == 0 && ok;
    if (!ok) {
        error_setg_errno(errp, errno, "cannot write the summary to %s",
                         path ? path : "stdout");
    }
    return ok;
}
