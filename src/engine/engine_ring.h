/* engine_ring: numbers from one thread to another, in order: one writer, one reader, no lock. */
#pragma once
#include <stdatomic.h>
#include "base.h"

struct engine_ring {
    int32_t *at;
    uint32_t size;          /* a power of two */
    _Atomic uint32_t read;  /* how many were taken; the reader's */
    _Atomic uint32_t write; /* how many were put; the writer's */
};

/* The writer: how many more fit. */
static inline uint32_t engine_ring_room(struct engine_ring *ring)
{
    return ring->size - (atomic_load_explicit(&ring->write, memory_order_relaxed) -
                         atomic_load_explicit(&ring->read, memory_order_acquire));
}

/* Where in `at` the next number will stand: for what goes along with it in an array beside. The
 * writer's before it puts, the reader's before it gets. */
static inline uint32_t engine_ring_put_place(struct engine_ring *ring)
{
    return atomic_load_explicit(&ring->write, memory_order_relaxed) & (ring->size - 1);
}

static inline uint32_t engine_ring_get_place(struct engine_ring *ring)
{
    return atomic_load_explicit(&ring->read, memory_order_relaxed) & (ring->size - 1);
}

/* The writer; there must be room. */
static inline void engine_ring_put(struct engine_ring *ring, int32_t value)
{
    uint32_t write = atomic_load_explicit(&ring->write, memory_order_relaxed);
    WEIR_ASSERT(engine_ring_room(ring) > 0);
    ring->at[write & (ring->size - 1)] = value;
    atomic_store_explicit(&ring->write, write + 1, memory_order_release);
}

/* The reader. */
static inline bool engine_ring_empty(struct engine_ring *ring)
{
    return atomic_load_explicit(&ring->write, memory_order_acquire) ==
           atomic_load_explicit(&ring->read, memory_order_relaxed);
}

static inline bool engine_ring_get(struct engine_ring *ring, int32_t *value)
{
    if (engine_ring_empty(ring))
        return false;
    uint32_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    *value = ring->at[read & (ring->size - 1)];
    atomic_store_explicit(&ring->read, read + 1, memory_order_release);
    return true;
}
