/*
 * vfio-user-cxl: a CXL Type-2 device on a UNIX socket
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include <sys/signalfd.h>
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "hdm-mem.h"
#include "vfio-user-server.h"
#include "wire.h"

#define PROGRAM "vfio-user-cxl"

typedef struct Options {
    char *socket;
    char *hdm_size;
    char *host_base;
    char *identity;
    char *coherency;
    char *serial;
    char *mem_file;
    char *summary;
    char *dma;
    char **faults;
    gboolean trace;
    gboolean list_faults;
    gboolean version;
} Options;

static Options opt;

static const GOptionEntry entries[] = {
    { "socket", 's', 0, G_OPTION_ARG_FILENAME, &opt.socket,
      "serve the device on this UNIX socket", "PATH" },
    { "hdm-size", 'm', 0, G_OPTION_ARG_STRING, &opt.hdm_size,
      "device memory, 256M (default) to 1T in steps of 256M", "SIZE" },
    { "identity", 'i', 0, G_OPTION_ARG_STRING, &opt.identity,
      "pose as this device (default sfc)", "sfc|accel" },
    { "coherency", 0, 0, G_OPTION_ARG_STRING, &opt.coherency,
      "kind of memory: of a device with CXL.cache (default hdm-d), or without",
      "hdm-d|hdm-h|hdm-db" },
    { "serial", 0, 0, G_OPTION_ARG_STRING, &opt.serial,
      "serial number of 64 bits (default: made of the socket's path)",
      "NUMBER" },
    { "mem-file", 0, 0, G_OPTION_ARG_FILENAME, &opt.mem_file,
      "back the device memory with this sparse file; a new client finds it "
      "cleared", "PATH" },
    { "host-base", 0, 0, G_OPTION_ARG_STRING, &opt.host_base,
      "host physical base in the device's decoder (default 0x4ac0000000)",
      "ADDR" },
    { "dma", 0, 0, G_OPTION_ARG_STRING, &opt.dma,
      "reach guest memory where it is shared, else by message (auto, the "
      "default), or only one way", "auto|shared|message" },
    { "summary", 0, 0, G_OPTION_ARG_FILENAME, &opt.summary,
      "write the JSON summary there at the end (default stdout)", "FILE" },
    { "trace", 't', 0, G_OPTION_ARG_NONE, &opt.trace,
      "print each message to stderr", NULL },
    { "fault", 0, 0, G_OPTION_ARG_STRING_ARRAY, &opt.faults,
      "misbehave; may be repeated", "NAME[=VALUE]" },
    { "list-faults", 0, 0, G_OPTION_ARG_NONE, &opt.list_faults,
      "list the faults and exit", NULL },
    { "version", 'V', 0, G_OPTION_ARG_NONE, &opt.version,
      "print the version and exit", NULL },
    { NULL }
};

static bool parse_args(int argc, char **argv, Error **errp)
{
    g_autoptr(GOptionContext) ctx = g_option_context_new(NULL);
    g_autoptr(GError) err = NULL;

    g_option_context_set_summary(ctx, "A CXL Type-2 device with host-managed "
                                 "device memory, for vfio-user clients.");
    g_option_context_add_main_entries(ctx, entries, NULL);
    if (!g_option_context_parse(ctx, &argc, &argv, &err)) {
        error_setg(errp, "%s; see --help", err->message);
        return false;
    }
    if (argc > 1) {
        error_setg(errp, "unexpected argument '%s'; see --help", argv[1]);
        return false;
    }
    if (!opt.socket && !opt.list_faults && !opt.version) {
        error_setg(errp, "no socket; give --socket PATH");
        return false;
    }
    return true;
}

static bool parse_faults(CxlFaults *faults, Error **errp)
{
    faults_init(faults);
    for (char **f = opt.faults; f && *f; f++) {
        if (!faults_set(faults, *f, errp)) {
            return false;
        }
    }
    return true;
}

static bool parse_coherency(CxlModelCoherency *coherency, Error **errp)
{
    static const char *const names[] = {
        [CXL_MODEL_HDM_D] = "hdm-d",
        [CXL_MODEL_HDM_H] = "hdm-h",
        [CXL_MODEL_HDM_DB] = "hdm-db",
    };

    *coherency = CXL_MODEL_HDM_D;
    if (!opt.coherency) {
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(opt.coherency, names[i]) == 0) {
            *coherency = i;
            return true;
        }
    }
    error_setg(errp, "--coherency '%s' is not known; use hdm-d, hdm-h or "
               "hdm-db", opt.coherency);
    return false;
}

/* Devices of one machine have sockets, and so serial numbers, of their own */
static bool parse_serial(uint64_t *serial, Error **errp)
{
    if (!opt.serial) {
        *serial = CXL_TYPE2_SERIAL(0, g_str_hash(opt.socket));
        return true;
    }
    if (qemu_strtou64(opt.serial, NULL, 0, serial) < 0) {
        error_setg(errp, "--serial '%s' is not a number of 64 bits; write for "
                   "example 0x0200c50000000001", opt.serial);
        return false;
    }
    return true;
}

/* Options and faults into a checked model configuration */
static bool make_config(CxlModelConfig *config, const CxlFaults *faults,
                        Error **errp)
{
    const char *name = opt.identity ? opt.identity : "sfc";

    memset(config, 0, sizeof(*config));
    config->mem_fd = -1;
    config->hdm_size = CXL_MODEL_HDM_ALIGN;
    config->host_base = CXL_MODEL_HOST_BASE;
    config->identity = cxl_identity_find(name);
    if (!config->identity) {
        error_setg(errp, "unknown identity '%s'; use sfc or accel", name);
        return false;
    }
    if (opt.hdm_size &&
        qemu_strtosz(opt.hdm_size, NULL, &config->hdm_size) < 0) {
        error_setg(errp, "--hdm-size '%s' is not a size; write for example "
                   "256M or 4G", opt.hdm_size);
        return false;
    }
    if (opt.host_base &&
        qemu_strtou64(opt.host_base, NULL, 0, &config->host_base) < 0) {
        error_setg(errp, "--host-base '%s' is not an address; write for "
                   "example 0x4ac0000000", opt.host_base);
        return false;
    }
    if (!parse_coherency(&config->coherency, errp) ||
        !parse_serial(&config->serial, errp)) {
        return false;
    }
    config->decoder_size_set = faults->decoder_size != FAULT_NONE;
    config->decoder_size = faults->decoder_size;
    if (faults->decoder_count != FAULT_NONE) {
        config->decoder_count_code = faults->decoder_count;
    }
    config->interleave = faults->interleave;
    config->not_committed = faults->not_committed;
    config->decoder_error = faults->decoder_error;
    config->decoder_eio = faults->decoder_eio;
    config->no_dvsec = faults->no_dvsec;
    config->no_cache = faults->no_cache;
    config->no_mem = faults->no_mem;
    config->second_range = faults->second_range;
    config->reset_fails = faults->reset_fails;
    if (faults->fail_reset != FAULT_NONE) {
        config->fail_reset = faults->fail_reset;
    }
    if (faults->reset_ms != FAULT_NONE) {
        config->reset_ms = faults->reset_ms;
    }
    config->capacity_set = faults->capacity != FAULT_NONE;
    config->capacity = faults->capacity;
    config->die_in_copy = faults->die_in_copy;
    config->no_completion = faults->no_completion;
    return cxl_model_check(config, errp);
}

static bool parse_dma(CxlDmaMode *mode, Error **errp)
{
    static const char *const names[] = {
        [CXL_DMA_AUTO] = "auto",
        [CXL_DMA_SHARED] = "shared",
        [CXL_DMA_BY_MESSAGE] = "message",
    };

    *mode = CXL_DMA_AUTO;
    if (!opt.dma) {
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(opt.dma, names[i]) == 0) {
            *mode = i;
            return true;
        }
    }
    error_setg(errp, "--dma '%s' is not known; use auto, shared or message",
               opt.dma);
    return false;
}

static void warn_capacity(const CxlModelConfig *config)
{
    uint64_t capacity = config->identity->hdm_capacity;

    if (capacity && capacity != config->hdm_size) {
        fprintf(stderr, PROGRAM ": warning: the driver of identity %s takes "
                "%" PRIu64 " MiB only; use --identity accel for another "
                "size\n", config->identity->name, capacity >> 20);
    }
}

/* A descriptor that gets readable when the process is asked to end */
static int make_stop_fd(Error **errp)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        error_setg_errno(errp, errno, "cannot make a signal descriptor");
    }
    return fd;
}

/* A guest with much memory in pieces needs a descriptor for each */
static void raise_fd_limit(void)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) == 0) {
        lim.rlim_cur = lim.rlim_max;
        setrlimit(RLIMIT_NOFILE, &lim);
    }
}

static bool serve_device(CxlServerConfig *server, Error **errp)
{
    struct stat st, now;
    bool ok;

    server->stop_fd = make_stop_fd(errp);
    if (server->stop_fd < 0) {
        return false;
    }
    server->listen_fd = wire_listen(opt.socket, errp);
    if (server->listen_fd < 0) {
        close(server->stop_fd);
        return false;
    }
    ok = lstat(opt.socket, &st) == 0;
    printf("listening on %s\n", opt.socket);
    fflush(stdout);

    if (!server_run(server, errp)) {
        close(server->listen_fd);
        close(server->stop_fd);
        return false;
    }
    /* another server may have taken the name over */
    if (ok && lstat(opt.socket, &now) == 0 && now.st_ino == st.st_ino &&
        now.st_dev == st.st_dev) {
        unlink(opt.socket);
    }
    close(server->listen_fd);
    close(server->stop_fd);
    return true;
}

static bool run(Error **errp)
{
    CxlFaults faults;
    CxlModelConfig config;
    CxlStats stats = { };
    CxlServerConfig server = { .faults = &faults, .stats = &stats,
                               .trace = opt.trace };
    CxlSummary summary;
    bool ok;

    if (!parse_faults(&faults, errp) ||
        !make_config(&config, &faults, errp) ||
        !parse_dma(&server.dma, errp)) {
        return false;
    }
    warn_capacity(&config);
    raise_fd_limit();
    config.mem_fd = opt.mem_file ?
        hdm_mem_file(opt.mem_file, config.hdm_size, errp) :
        hdm_mem_anon("cxl-hdm", config.hdm_size, errp);
    if (config.mem_fd < 0) {
        return false;
    }
    server.model = cxl_model_new(&config, errp);
    if (!server.model) {
        close(config.mem_fd);
        return false;
    }
    server.hdm_fd = config.mem_fd;
    server.hdm_size = config.hdm_size;
    ok = serve_device(&server, errp);
    if (ok) {
        summary.identity = config.identity->name;
        summary.hdm_size = config.hdm_size;
        summary.host_base = config.host_base;
        summary.copies = *cxl_model_copy_stats(server.model);
        ok = stats_write(&stats, &summary, opt.summary, errp);
    }
    cxl_model_free(server.model);
    close(config.mem_fd);
    return ok;
}

int main(int argc, char **argv)
{
    Error *err = NULL;

    if (!parse_args(argc, argv, &err)) {
        goto fail;
    }
    if (opt.list_faults) {
        faults_list();
        return 0;
    }
    if (opt.version) {
        printf(PROGRAM " " QEMU_VERSION "\n");
        return 0;
    }
    if (run(&err)) {
        return 0;
    }
fail:
    fprintf(stderr, PROGRAM ": %s\n", error_get_pretty(err));
    error_free(err);
    return 1;
}
