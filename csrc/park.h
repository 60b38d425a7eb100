/* Sleeping until a shared word changes.
 *
 * ff_park() returns when the word no longer holds `seen`, when somebody calls ff_unpark(), after
 * the time-out, or for no reason at all: callers look at their condition again in a loop. The
 * futexes are not FUTEX_PRIVATE because both sides may be different processes.
 */
#ifndef FASTFEED_PARK_H
#define FASTFEED_PARK_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"

#define FF_FOREVER (-1)

/* Returns 0 if woken or changed, -ETIMEDOUT after `timeout_ns` (FF_FOREVER: no limit). */
static inline int ff_park(const ff_a32 *word, uint32_t seen, int64_t timeout_ns) {
  struct timespec limit = {timeout_ns / 1000000000, timeout_ns % 1000000000};
  long rc = syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout_ns < 0 ? NULL : &limit, NULL, 0);
  return rc < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

static inline void ff_unpark(const ff_a32 *word, int sleepers) {
  syscall(SYS_futex, word, FUTEX_WAKE, sleepers, NULL, NULL, 0);
}

static inline void ff_unpark_all(const ff_a32 *word) { ff_unpark(word, INT_MAX); }

static inline void ff_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* To sleep and to be woken costs both sides more than a small batch does. So whoever finds nothing
 * looks again: `spin` times after a pause, then some times after letting others have this core,
 * who post and publish meanwhile. False: enough, go to sleep. */
#define FF_YIELDS 8u
static inline bool ff_look_again(uint32_t looks, uint32_t spin) {
  if (looks < spin)
    ff_pause();
  else if (looks < spin + FF_YIELDS)
    sched_yield();
  else
    return false;
  return true;
}

/* A bell, for one listener at a time: +2 whenever it rings, bit 0 while the listener sleeps. He
 * announces his sleep with ff_bell_listen(), looks once more, and parks. All operations are
 * read-modify-writes in one order: either the ringer sees the bit, or the listener's look comes
 * after what was rung for, or the futex finds the word changed. */
#define FF_LISTENS 1u

static inline void ff_bell_ring(ff_a32 *bell) {
  if (!(ff_add_seq32(bell, 2) & FF_LISTENS)) return; /* SYNC bell: release */
  ff_and_seq32(bell, ~FF_LISTENS);
  ff_unpark(bell, 1);
}

static inline uint32_t ff_bell_listen(ff_a32 *bell) {
  return ff_or_seq32(bell, FF_LISTENS) | FF_LISTENS; /* SYNC bell: acquire */
}

/* For what the listener does not look for again before he parks: did it ring between the two? He
 * hears before he looks for it, and listens afterwards. */
static inline uint32_t ff_bell_hear(const ff_a32 *bell) { return ff_load_seq32(bell); }

static inline bool ff_bell_rang(uint32_t heard, uint32_t seen) {
  return (heard ^ seen) & ~FF_LISTENS;
}

#endif
