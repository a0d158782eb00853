/*
 * A virt machine with the emulated CXL Type-2 device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "cxl-type2-util.h"

void type2_start_with(Type2Rig *r, const char *machine, const char *device)
{
    g_autofree char *options = NULL;
    g_autofree char *args = NULL;

    r->dir = g_dir_make_tmp("cxl-type2-XXXXXX", NULL);
    g_assert_nonnull(r->dir);
    r->file = g_build_filename(r->dir, "hdm", NULL);
    options = g_strdup_printf("-object memory-backend-file,id=mem,size=256M,"
                              "share=on,mem-path=%s %s", r->file, device);
    args = vfio_cxl_args(NULL, machine, options, NULL);
    r->m = vfio_cxl_machine_start(args);
    r->q = r->m->qts;
}

void type2_start(Type2Rig *r, const char *members)
{
    g_autofree char *device = g_strdup_printf(TYPE2_DEVICE "%s", members);

    type2_start_with(r, NULL, device);
}

void type2_stop(Type2Rig *r)
{
    vfio_cxl_machine_stop(r->m);
    g_unlink(r->file);
    g_assert_cmpint(g_rmdir(r->dir), ==, 0);
    g_free(r->dir);
    g_free(r->file);
}

uint64_t type2_host_word(Type2Rig *r, uint64_t offset)
{
    int fd = open(r->file, O_RDONLY);
    uint64_t value;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, &value, sizeof(value), offset), ==,
                    sizeof(value));
    close(fd);
    return value;
}

void type2_check_open(Type2Rig *r, uint64_t value)
{
    g_assert_cmphex(qtest_readq(r->q, VIRT_WINDOW), ==, value);
    g_assert_cmphex(qtest_readq(r->q, LAST), ==, value);
    g_assert_cmphex(type2_host_word(r, 0), ==, value);
    g_assert_cmphex(type2_host_word(r, HDM_SIZE - 8), ==, value);
}

void type2_fill(Type2Rig *r, uint64_t value)
{
    qtest_writeq(r->q, VIRT_WINDOW, value);
    qtest_writeq(r->q, LAST, value);
    type2_check_open(r, value);
}

uint32_t type2_hdm(Type2Rig *r, unsigned int reg)
{
    return qtest_readl(r->q, r->m->hdm_block + reg);
}

void type2_check_committed(Type2Rig *r, uint64_t base)
{
    g_assert_cmphex(type2_hdm(r, HDM_CAP), ==, 0x300);
    g_assert_cmphex(type2_hdm(r, HDM_GLOBAL), ==, 2);
    g_assert_cmphex(type2_hdm(r, HDM_CTRL), ==, HDM_CTRL_LOCKED);
    g_assert_cmphex(type2_hdm(r, HDM_BASE_HI), ==, base >> 32);
    g_assert_cmphex(type2_hdm(r, HDM_BASE_LO), ==, (uint32_t)base);
    g_assert_cmphex(type2_hdm(r, HDM_SIZE_LO), ==, HDM_SIZE);
    g_assert_cmphex(type2_hdm(r, HDM_SIZE_HI), ==, 0);
}

uint16_t type2_dvsec_word(Type2Rig *r, unsigned int reg)
{
    return qtest_readw(r->q, r->m->device + vfio_cxl_find_dvsec(r->m, 0) +
                       reg);
}

void type2_set_ctrl2(Type2Rig *r, uint16_t value)
{
    qtest_writew(r->q, r->m->device + vfio_cxl_find_dvsec(r->m, 0) +
                 DVSEC_CTRL2, value);
}
