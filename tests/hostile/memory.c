/* SPDX-License-Identifier: Apache-2.0 OR LGPL-2.1-or-later */
#include "tests/hostile/memory.h"

#ifdef HOSTILE_UNMEASURED

size_t memory_bytes(void)
{
    return 0;
}

size_t memory_peak(void)
{
    return 0;
}

void memory_reset_peak(void)
{
}

#else

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

/* What libc's own are called too. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

#define EXPORTED __attribute__((visibility("default")))

static atomic_size_t held, peak;

static void *count(void *memory)
{
    size_t now, most;

    if (!memory)
        return NULL;
    now = atomic_fetch_add(&held, malloc_usable_size(memory)) + malloc_usable_size(memory);
    most = atomic_load(&peak);
    while (now > most && !atomic_compare_exchange_weak(&peak, &most, now))
        continue;
    return memory;
}

static void discount(void *memory)
{
    if (memory)
        atomic_fetch_sub(&held, malloc_usable_size(memory));
}

EXPORTED void *malloc(size_t bytes)
{
    return count(__libc_malloc(bytes));
}

EXPORTED void *calloc(size_t members, size_t bytes)
{
    return count(__libc_calloc(members, bytes));
}

EXPORTED void *realloc(void *memory, size_t bytes)
{
    size_t before = memory ? malloc_usable_size(memory) : 0;
    void *moved = __libc_realloc(memory, bytes);

    if (moved || bytes == 0)
        atomic_fetch_sub(&held, before);
    return count(moved);
}

EXPORTED void free(void *memory)
{
    discount(memory);
    __libc_free(memory);
}

EXPORTED void *memalign(size_t alignment, size_t bytes)
{
    return count(__libc_memalign(alignment, bytes));
}

EXPORTED void *aligned_alloc(size_t alignment, size_t bytes)
{
    return count(__libc_memalign(alignment, bytes));
}

EXPORTED int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
    *memory = count(__libc_memalign(alignment, bytes));
    return *memory ? 0 : ENOMEM;
}

size_t memory_bytes(void)
{
    return atomic_load(&held);
}

size_t memory_peak(void)
{
    return atomic_load(&peak);
}

void memory_reset_peak(void)
{
    atomic_store(&peak, atomic_load(&held));
}

#endif
