/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/unit/disk-sample.h"

#include "vhd/error.h"

static VhdFile *wrap(VhdFile *file, void *data)
{
    return fault_file_new(file, data);
}

VhdDiskOptions options_of(Fixture *f)
{
    return (VhdDiskOptions){
        .path = f->path,
        .no_pending = true,
        .wrap = wrap,
        .wrap_data = f->faults,
        .log = sample_log,
        .log_data = f->log,
    };
}

void open_with(Fixture *f, const VhdDiskOptions *options, const VhdDiskBounds *bounds)
{
    g_autoptr(GError) error = NULL;

    f->disk = vhd_disk_open_bounded(options, bounds ? bounds : &VHD_DISK_BOUNDS, &error);
    g_assert_no_error(error);
}

void setup(Fixture *f, const Sample *sample)
{
    *f = (Fixture){.folder = sample_folder_new(), .faults = faults_new(), .log = g_string_new("")};
    f->path = sample_make(f->folder, "disk.vhd", sample);
}

void setup_open(Fixture *f, const Sample *sample)
{
    VhdDiskOptions options;

    setup(f, sample);
    options = options_of(f);
    open_with(f, &options, NULL);
}

void teardown(Fixture *f)
{
    g_assert_cmpint(vhd_disk_close(f->disk), ==, 0);
    faults_unref(f->faults);
    g_string_free(f->log, TRUE);
    g_free(f->path);
    sample_folder_free(f->folder);
}

uint64_t barriers(Fixture *f)
{
    return faults_count(f->faults, FILE_OP_BARRIER, FILE_KIND_ANY);
}

void task_init(Task *task)
{
    *task = (Task){.done = false};
    pthread_mutex_init(&task->lock, NULL);
    pthread_cond_init(&task->wake, NULL);
}

void task_done(VhdRequest *request, int result)
{
    Task *task = request->data;

    pthread_mutex_lock(&task->lock);
    g_assert_false(task->done);
    task->result = result;
    task->done = true;
    pthread_cond_signal(&task->wake);
    pthread_mutex_unlock(&task->lock);
}

void submit(VhdDisk *disk, Task *task, VhdOp op, uint64_t off, void *buf, size_t len)
{
    task_init(task);
    task->iov = (struct iovec){buf, len};
    task->request = (VhdRequest){
        .op = op,
        .off = off,
        .len = len,
        .iov = &task->iov,
        .iovcnt = 1,
        .done = task_done,
        .data = task,
    };
    vhd_disk_submit(disk, &task->request);
}

int wait_for(Task *task)
{
    int result;

    pthread_mutex_lock(&task->lock);
    while (!task->done)
        pthread_cond_wait(&task->wake, &task->lock);
    result = task->result;
    pthread_mutex_unlock(&task->lock);
    pthread_cond_destroy(&task->wake);
    pthread_mutex_destroy(&task->lock);
    return result;
}

bool is_done(Task *task)
{
    bool done;

    pthread_mutex_lock(&task->lock);
    done = task->done;
    pthread_mutex_unlock(&task->lock);
    return done;
}

int run(VhdDisk *disk, VhdOp op, uint64_t off, uint64_t len, const struct iovec *iov, int iovcnt)
{
    Task task;

    task_init(&task);
    task.request = (VhdRequest){.op = op,
                                .off = off,
                                .len = len,
                                .iov = iov,
                                .iovcnt = iovcnt,
                                .done = task_done,
                                .data = &task};
    vhd_disk_submit(disk, &task.request);
    return wait_for(&task);
}
