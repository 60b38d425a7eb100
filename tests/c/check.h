/* Assertions for the C tests.
 *
 * CHECK notes a failure and goes on, REQUIRE ends the program. A test, and a program, that checked
 * nothing has failed. Counting uses relaxed atomics: any thread may check, and the counting orders
 * nothing that ThreadSanitizer should see unordered.
 */
#ifndef FASTFEED_CHECK_H
#define FASTFEED_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "atomic.h"
#include "watchdog.h"

#define MAX_FAILURES_SHOWN 20u

/* One pair a program, however many of its files include this. */
__attribute__((weak)) ff_a32 checks_made, checks_failed;

static inline bool check_that(bool holds, const char *what, const char *file, int line) {
  ff_add_relaxed32(&checks_made, 1);
  if (holds) return true;
  if (ff_add_relaxed32(&checks_failed, 1) < MAX_FAILURES_SHOWN)
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
  return false;
}

static inline bool check_equal(long long got, long long expected, const char *what,
                               const char *file, int line) {
  ff_add_relaxed32(&checks_made, 1);
  if (got == expected) return true;
  if (ff_add_relaxed32(&checks_failed, 1) < MAX_FAILURES_SHOWN)
    fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", file, line, what, got, expected);
  return false;
}

#define CHECK(condition) check_that((condition), #condition, __FILE__, __LINE__)
#define CHECK_EQ(got, expected) \
  check_equal((long long)(got), (long long)(expected), #got, __FILE__, __LINE__)
/* For what makes the rest of the test meaningless. */
#define REQUIRE(condition)            \
  do {                                \
    if (!CHECK(condition)) abort();   \
  } while (0)

static inline void run_test(const char *name, void (*test)(void)) {
  uint32_t before = ff_load_relaxed32(&checks_made);
  watchdog_now(name);
  test();
  if (ff_load_relaxed32(&checks_made) != before) return;
  ff_add_relaxed32(&checks_failed, 1);
  fprintf(stderr, "%s checked nothing\n", name);
}
#define RUN(test) run_test(#test, test)

/* What main() returns. */
static inline int check_report(const char *program) {
  uint32_t made = ff_load_relaxed32(&checks_made), failed = ff_load_relaxed32(&checks_failed);
  printf("%s: %u checks, %u failed%s\n", program, made, failed, made ? "" : ": NOTHING CHECKED");
  return made && !failed ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
