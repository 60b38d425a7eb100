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

#endif
