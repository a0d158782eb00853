/*
 * Test of the HDM's dma-buf: what the kernel is asked, and how often
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qom/object.h"
#include "hw/vfio/vfio-cxl-abi.h"
#include "../../hw/vfio/cxl-dmabuf.h"
#include "../../hw/vfio/cxl-int.h"

#define HDM_REGION  9
#define HDM_SIZE    (4 * GiB)

/* Nothing of a device but its place in a structure */
static const TypeInfo device_info = {
    .name = TYPE_VFIO_PCI_DEVICE,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VFIOPCIDevice),
};

Object *memory_region_owner(MemoryRegion *mr)
{
    return mr->owner;
}

static unsigned int asked;
static int answer;

static int fake_feature(VFIODevice *vbasedev,
                        struct vfio_device_feature *feature)
{
    const struct vfio_device_feature_dma_buf *request =
        (const struct vfio_device_feature_dma_buf *)feature->data;

    asked++;
    g_assert_cmpuint(feature->flags, ==, VFIO_DEVICE_FEATURE_GET |
                                         VFIO_DEVICE_FEATURE_DMA_BUF);
    /* The feature's header, the request, one range */
    g_assert_cmpuint(feature->argsz, ==, 8 + 16 + 16);
    g_assert_cmpuint(request->region_index, ==, HDM_REGION);
    g_assert_cmpuint(request->open_flags, ==, O_RDWR | O_CLOEXEC);
    g_assert_cmpuint(request->flags, ==, 0);
    g_assert_cmpuint(request->nr_ranges, ==, 1);
    g_assert_cmpuint(request->dma_ranges[0].offset, ==, 0);
    g_assert_cmpuint(request->dma_ranges[0].length, ==, HDM_SIZE);
    return answer;
}

typedef struct Fixture {
    VFIODeviceIOOps ops;
    VFIOMmap mmap;
    VFIOCXL cxl;
    VFIOPCIDevice vdev;
} Fixture;

static Fixture *fixture_new(void)
{
    Fixture *f = g_new0(Fixture, 1);

    object_initialize(&f->vdev, sizeof(f->vdev), TYPE_VFIO_PCI_DEVICE);
    f->ops.device_feature = fake_feature;
    f->mmap.mem.owner = OBJECT(&f->vdev);
    f->cxl.hdm.nr = HDM_REGION;
    f->cxl.hdm.size = HDM_SIZE;
    f->cxl.hdm.nr_mmaps = 1;
    f->cxl.hdm.mmaps = &f->mmap;
    f->vdev.cxl = &f->cxl;
    f->vdev.vbasedev.name = (char *)"hdm0";
    f->vdev.vbasedev.io_ops = &f->ops;
    asked = 0;
    return f;
}

static int devnull(void)
{
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_export(void)
{
    g_autofree Fixture *f = fixture_new();

    answer = devnull();
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, answer);
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, answer);
    g_assert_cmpuint(asked, ==, 1);

    vfio_cxl_dmabuf_close(&f->vdev);
    g_assert_false(is_open(answer));
    /* A device that comes back gets another */
    answer = devnull();
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, answer);
    g_assert_cmpuint(asked, ==, 2);
    vfio_cxl_dmabuf_close(&f->vdev);
    g_assert_false(is_open(answer));
}

/* Descriptor 0 is one like any other */
static void zero_child(void)
{
    g_autofree Fixture *f = fixture_new();

    answer = dup2(devnull(), 0);
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, 0);
    vfio_cxl_dmabuf_close(&f->vdev);
    g_assert_false(is_open(0));
}

/* A kernel that has none is asked once */
static void refused_child(void)
{
    static const int errors[] = { EINVAL, EOPNOTSUPP, ENOTTY };
    int i;

    for (i = 0; i < ARRAY_SIZE(errors); i++) {
        g_autofree Fixture *f = fixture_new();

        answer = -errors[i];
        g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, -1);
        g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, -1);
        g_assert_cmpuint(asked, ==, 1);
        vfio_cxl_dmabuf_close(&f->vdev);
    }
}

static void no_feature_child(void)
{
    g_autofree Fixture *f = fixture_new();

    f->ops.device_feature = NULL;
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, -1);
    vfio_cxl_dmabuf_close(&f->vdev);
}

/* What the user is told: the patterns are in order, and there is no more */
typedef struct Told {
    const char *path;
    GTestFunc child;
    const char *pattern;
} Told;

#define NO_EXPORT "*hdm0: the host exports no dma-buf of the HDM "

static const Told told[] = {
    { "descriptor-zero", zero_child, "" },
    { "refused", refused_child, NO_EXPORT "(Invalid argument)*"
      NO_EXPORT "(Operation not supported)*" NO_EXPORT "(Inappropriate*" },
    { "no-feature", no_feature_child, NO_EXPORT "(Inappropriate*" },
};

static void test_told(const void *opaque)
{
    const Told *t = opaque;
    g_autofree char *child = g_strdup_printf(
        "/vfio-cxl-dmabuf/%s/subprocess", t->path);

    g_test_trap_subprocess(child, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr(t->pattern);
}

static void test_other_memory(void)
{
    g_autofree Fixture *f = fixture_new();
    MemoryRegion bar = { .owner = OBJECT(&f->vdev) }, ram = { .owner = NULL };

    answer = -1;
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&bar), ==, -1);
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&ram), ==, -1);
    f->cxl.hdm.nr_mmaps = 0;
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, -1);
    f->vdev.cxl = NULL;
    g_assert_cmpint(vfio_cxl_dmabuf_fd(&f->mmap.mem), ==, -1);
    g_assert_cmpuint(asked, ==, 0);

    /* One that was never exported */
    answer = devnull();
    vfio_cxl_dmabuf_close(&f->vdev);
    g_assert_true(is_open(answer));
    close(answer);
}

int main(int argc, char **argv)
{
    int i;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&device_info);
    g_test_add_func("/vfio-cxl-dmabuf/export", test_export);
    for (i = 0; i < ARRAY_SIZE(told); i++) {
        g_autofree char *path = g_strdup_printf("/vfio-cxl-dmabuf/%s",
                                                told[i].path);
        g_autofree char *child = g_strdup_printf("%s/subprocess", path);

        g_test_add_data_func(path, &told[i], test_told);
        g_test_add_func(child, told[i].child);
    }
    g_test_add_func("/vfio-cxl-dmabuf/other-memory", test_other_memory);
    return g_test_run();
}
