/*
 * What the parts of accel-check share.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "accel-test.h"
#include "guest-mem.h"

static unsigned done;
static sigjmp_buf bus_error;

void check(bool ok, const char *name, const char *fmt, ...)
{
    va_list ap;

    printf("CHECK %s %s: ", ok ? "ok" : "FAIL", name);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    done++;
}

unsigned checks_done(void)
{
    return done;
}

int device_open(void)
{
    int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        die("cannot open " DEVICE ": %s", strerror(errno));
    }
    return fd;
}

int device_ioctl(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg) < 0 ? errno : 0;
}

struct cxl_accel_info device_info(int fd)
{
    struct cxl_accel_info info;
    int err = device_ioctl(fd, CXL_ACCEL_INFO, &info);

    if (err) {
        die("CXL_ACCEL_INFO: %s", strerror(err));
    }
    return info;
}

volatile uint64_t *device_map(int fd, uint64_t offset, size_t size)
{
    void *ptr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                     (off_t)offset);

    if (ptr == MAP_FAILED) {
        die("cannot map 0x%zx bytes at 0x%llx of " DEVICE ": %s", size,
            (unsigned long long)offset, strerror(errno));
    }
    return ptr;
}

const char *read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "r");

    line[0] = 0;
    if (file) {
        if (!fgets(line, (int)size, file)) {
            line[0] = 0;
        }
        fclose(file);
    }
    line[strcspn(line, "\n")] = 0;
    return line;
}

int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int err = 0;

    if (fd < 0) {
        return errno;
    }
    if (write(fd, text, strlen(text)) < 0) {
        err = errno;
    }
    close(fd);
    return err;
}

unsigned count_lines(const char *path, const char *text)
{
    FILE *file = fopen(path, "r");
    unsigned count = 0;
    char line[512];

    while (file && fgets(line, sizeof(line), file)) {
        count += strstr(line, text) != NULL;
    }
    if (file) {
        fclose(file);
    }
    return count;
}

uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_bus_error(int number)
{
    siglongjmp(bus_error, number);
}

static bool can_access(volatile uint64_t *word, bool store)
{
    struct sigaction action = { .sa_handler = on_bus_error }, old;
    volatile bool good = false;

    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &old);
    if (!sigsetjmp(bus_error, 1)) {
        if (store) {
            *word = 1;
        } else {
            (void)*word;
        }
        good = true;
    }
    sigaction(SIGBUS, &old, NULL);
    return good;
}

bool can_read(volatile uint64_t *word)
{
    return can_access(word, false);
}

bool can_write(volatile uint64_t *word)
{
    return can_access(word, true);
}

pid_t child_start(int (*body)(void *), void *arg)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid < 0) {
        die("cannot fork: %s", strerror(errno));
    }
    if (!pid) {
        _exit(body(arg) & 0xff);
    }
    return pid;
}

int child_result(pid_t pid, unsigned timeout_ms)
{
    uint64_t end = now_ms() + timeout_ms;
    int status;

    while (!waitpid(pid, &status, WNOHANG)) {
        if (now_ms() > end) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return -1;
        }
        usleep(2000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
