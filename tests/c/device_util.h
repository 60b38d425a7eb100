/* The simulated driver under the core: a device of it, and what every test ends with. */
#ifndef FASTFEED_DEVICE_UTIL_H
#define FASTFEED_DEVICE_UTIL_H

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buffer.h"
#include "check.h"
#include "lease.h"
#include "simulated.h"

#define OK(call) CHECK_EQ((call), 0)

/* The file that this program is linked with, for the core to open by its name. */
static inline const char *simulated_library(void) {
  Dl_info found;
  REQUIRE(dladdr((void *)(uintptr_t)sim_reset, &found));
  return found.dli_fname;
}

/* A fresh driver, and its first device. */
static inline ff_device *begin(uint64_t seed) {
  ff_device *device = NULL;
  ff_cuda_error error;
  CHECK_EQ(sim_reset(seed), 0);
  REQUIRE(ff_device_open(simulated_library(), 0, &device, &error) == 0);
  return device;
}

static inline void check_violations(bool expected) {
  if (CHECK_EQ(sim_violations() > 0, expected)) return;
  for (int i = 0; sim_violation_text(i); i++) fprintf(stderr, "%s\n", sim_violation_text(i));
}

static inline void nothing_is_live(void) {
  CHECK_EQ(sim_live("all"), 0);
  CHECK_EQ(ff_segments_alive(), 0);
  CHECK_EQ(ff_pools_alive(), 0);
  CHECK_EQ(ff_devices_alive(), 0);
}

static inline void end(ff_device *device) {
  ff_device_release(device);
  nothing_is_live();
  check_violations(false);
}

/* All of the driver's calls so far. */
static inline int64_t all_calls(void) {
  int64_t calls = 0;
#define ADD(name, symbol, parameters) calls += sim_calls(symbol);
  FF_CUDA_FUNCTIONS(ADD)
#undef ADD
  return calls;
}

/* In a fork of this process: no call of the driver's, and `body` returns. */
static inline void in_a_fork(void (*body)(void *), void *argument) {
  int status = -1;
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (!child) {
    int64_t calls = all_calls();
    uint32_t failed = ff_load_relaxed32(&checks_failed);
    body(argument);
    _exit(all_calls() != calls || ff_load_relaxed32(&checks_failed) != failed);
  }
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
}

#endif
