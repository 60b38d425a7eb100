/* The atomics of fastfeed. No other file includes <stdatomic.h>, so this page is the list of
 * every memory order in use, and the place where a checker could be slipped in.
 *
 * Words that two processes or threads share are `ff_a32` or `ff_a64` and are touched only through
 * the functions below, whose names carry the order. Each ordering edge has a name; the comment
 * `SYNC <name>: release` stands where it starts and `SYNC <name>: acquire` where it ends
 * (tests/unit/test_sync_names.py counts them). There are no stand-alone fences: ThreadSanitizer
 * cannot follow those.
 */
#ifndef FASTFEED_ATOMIC_H
#define FASTFEED_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic uint32_t ff_a32;
typedef _Atomic uint64_t ff_a64;

_Static_assert(sizeof(ff_a32) == 4 && sizeof(ff_a64) == 8, "shared words must have no hidden lock");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2,
               "a lock inside an atomic would stay locked when its holder is killed");

/* The ThreadSanitizer job compiles the core once with -DFF_WEAKEN_PUBLISH and must then report a
 * race: proof that it would see one. Both orders are named because the second would hide the first. */
#ifdef FF_WEAKEN_PUBLISH
#define FF_ORDER_PUBLISH memory_order_relaxed
#define FF_ORDER_NOTIFY memory_order_relaxed
#else
#define FF_ORDER_PUBLISH memory_order_release
#define FF_ORDER_NOTIFY memory_order_seq_cst
#endif

static inline uint32_t ff_load_relaxed32(const ff_a32 *word) {
  return atomic_load_explicit(word, memory_order_relaxed);
}
static inline uint32_t ff_load_acquire32(const ff_a32 *word) {
  return atomic_load_explicit(word, memory_order_acquire);
}
static inline uint32_t ff_load_seq32(const ff_a32 *word) {
  return atomic_load_explicit(word, memory_order_seq_cst);
}
static inline void ff_store_relaxed32(ff_a32 *word, uint32_t value) {
  atomic_store_explicit(word, value, memory_order_relaxed);
}
static inline void ff_store_release32(ff_a32 *word, uint32_t value) {
  atomic_store_explicit(word, value, memory_order_release);
}
static inline uint32_t ff_add_relaxed32(ff_a32 *word, uint32_t value) {
  return atomic_fetch_add_explicit(word, value, memory_order_relaxed);
}
static inline uint32_t ff_add_seq32(ff_a32 *word, uint32_t value) {
  return atomic_fetch_add_explicit(word, value, memory_order_seq_cst);
}
static inline uint32_t ff_sub_seq32(ff_a32 *word, uint32_t value) {
  return atomic_fetch_sub_explicit(word, value, memory_order_seq_cst);
}
static inline uint32_t ff_sub_acq_rel32(ff_a32 *word, uint32_t value) {
  return atomic_fetch_sub_explicit(word, value, memory_order_acq_rel);
}
static inline uint32_t ff_or_seq32(ff_a32 *word, uint32_t bits) {
  return atomic_fetch_or_explicit(word, bits, memory_order_seq_cst);
}
static inline uint32_t ff_and_seq32(ff_a32 *word, uint32_t bits) {
  return atomic_fetch_and_explicit(word, bits, memory_order_seq_cst);
}
static inline uint32_t ff_notify_add32(ff_a32 *word, uint32_t value) {
  return atomic_fetch_add_explicit(word, value, FF_ORDER_NOTIFY);
}

static inline uint64_t ff_load_relaxed64(const ff_a64 *word) {
  return atomic_load_explicit(word, memory_order_relaxed);
}
static inline uint64_t ff_load_acquire64(const ff_a64 *word) {
  return atomic_load_explicit(word, memory_order_acquire);
}
static inline void ff_store_relaxed64(ff_a64 *word, uint64_t value) {
  atomic_store_explicit(word, value, memory_order_relaxed);
}
static inline void ff_store_release64(ff_a64 *word, uint64_t value) {
  atomic_store_explicit(word, value, memory_order_release);
}
static inline uint64_t ff_add_relaxed64(ff_a64 *word, uint64_t value) {
  return atomic_fetch_add_explicit(word, value, memory_order_relaxed);
}
static inline uint64_t ff_and_acquire64(ff_a64 *word, uint64_t bits) {
  return atomic_fetch_and_explicit(word, bits, memory_order_acquire);
}
static inline uint64_t ff_or_release64(ff_a64 *word, uint64_t bits) {
  return atomic_fetch_or_explicit(word, bits, memory_order_release);
}
static inline uint64_t ff_or_relaxed64(ff_a64 *word, uint64_t bits) {
  return atomic_fetch_or_explicit(word, bits, memory_order_relaxed);
}
static inline uint64_t ff_and_relaxed64(ff_a64 *word, uint64_t bits) {
  return atomic_fetch_and_explicit(word, bits, memory_order_relaxed);
}
static inline bool ff_swap_if_acquire64(ff_a64 *word, uint64_t expected, uint64_t desired) {
  return atomic_compare_exchange_strong_explicit(word, &expected, desired, memory_order_acquire,
                                                 memory_order_relaxed);
}
static inline bool ff_swap_if_release64(ff_a64 *word, uint64_t expected, uint64_t desired) {
  return atomic_compare_exchange_strong_explicit(word, &expected, desired, memory_order_release,
                                                 memory_order_relaxed);
}
static inline bool ff_publish_if64(ff_a64 *word, uint64_t expected, uint64_t desired) {
  return atomic_compare_exchange_strong_explicit(word, &expected, desired, FF_ORDER_PUBLISH,
                                                 memory_order_relaxed);
}

#endif
