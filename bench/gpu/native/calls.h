/* Which calls of the CUDA driver a thread makes while it is armed.
 *
 * Counts are the calling thread's own; a thread that was never armed costs one comparison.
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MOST_NAMES 512

static _Thread_local int armed;
static _Thread_local unsigned n_names;
static _Thread_local const char *names[MOST_NAMES];
static _Thread_local unsigned long counts[MOST_NAMES];

/* Names are compared as text: one function may have several addresses. */
static void count_call(const char *name) {
  if (!armed) return;
  unsigned i = 0;
  while (i < n_names && strcmp(names[i], name)) i++;
  if (i == MOST_NAMES) return;
  if (i == n_names) {
    names[n_names++] = name;
    counts[i] = 0;
  }
  counts[i]++;
}

EXPORT void calls_arm(int on) { armed = on; }
EXPORT unsigned calls_names(void) { return n_names; }
EXPORT const char *calls_name(unsigned i) { return i < n_names ? names[i] : ""; }
EXPORT unsigned long calls_count(unsigned i) { return i < n_names ? counts[i] : 0; }

#endif
