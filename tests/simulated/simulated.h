/* How tests control the simulated driver, and what it saw. For C and for ctypes.
 *
 * Streams are CUstream handles, 0, 1 and 2 among them, which are those of the calling thread's
 * current context. Functions that return int return a CUresult unless they say otherwise.
 */
#ifndef FASTFEED_SIMULATED_H
#define FASTFEED_SIMULATED_H

#include <stdint.h>

#include "driver.h"

/* Each byte of device memory that nothing has been written to, and of the target of a copy that
 * has not landed. */
#define SIM_POISON 0xdb
#define SIM_ALL_STREAMS ((void *)-1)

/* Waits for all work, ends every stream and goes back to the defaults: not initialised, 2 devices
 * of 1 GiB, driver 13000, copies 200 us late, nothing to fail, no violation, no call counted.
 * Returns how much was still live (as sim_live("all")); that is dropped. No other thread may be in
 * a call meanwhile. */
SIM_EXPORT int sim_reset(uint64_t seed);
SIM_EXPORT void sim_devices(int count); /* 0 to 8 */
SIM_EXPORT void sim_driver_version(int version);
SIM_EXPORT void sim_memory(size_t bytes); /* of each device */
/* Mean time by which a copy lands late. */
SIM_EXPORT void sim_slowness(unsigned microseconds);

/* The `nth` next call of the function (1: the next) returns `code` and does nothing; -1: every call
 * from now on; 0: none. One rule a function. Returns 0, or -1 if there is no such function. */
SIM_EXPORT int sim_fail(const char *function, int nth, int code);
/* The `nth` next copy to the device fails while it executes. From then on nothing executes in its
 * context, and every call that needs this context returns `code`. Releases still release; they
 * return 0, or `code` if `releases_report` (as the real driver does). -1: every copy; 0: none. */
SIM_EXPORT void sim_fail_copies(int nth, int code, int releases_report);

/* How often the function was called, failed calls included; -1 if there is no such function. */
SIM_EXPORT int64_t sim_calls(const char *function);
SIM_EXPORT int64_t sim_calls_by_this_thread(const char *function);
/* How many live "registrations", "registered_bytes", "streams", "events", "device_bytes",
 * "device_allocations", "host_allocations", "contexts" (retains not released), or "all" (sum of
 * these but the bytes). -1 for any other word. */
SIM_EXPORT int64_t sim_live(const char *what);
/* 1 if every byte of the range is registered or from cuMemHostAlloc, else 0. */
SIM_EXPORT int sim_is_host_registered(const void *pointer, size_t bytes);

/* What no correct program does: see README.md. */
SIM_EXPORT int sim_violations(void);
/* NULL when there is no violation `i`; the text is valid until sim_reset. The first 64 have one. */
SIM_EXPORT const char *sim_violation_text(int i);

/* Kernels. The first reads the range when it starts and again, `microseconds` later, before it
 * ends; different bytes are a violation. When it ends it writes sim_checksum() of the bytes to
 * `checksum`, which may be NULL. The second adds `value` to each byte, at its end. */
SIM_EXPORT int sim_kernel_read(void *stream, CUdeviceptr address, size_t bytes,
                               unsigned microseconds, uint64_t *checksum);
SIM_EXPORT int sim_kernel_add(void *stream, CUdeviceptr address, size_t bytes, uint8_t value,
                              unsigned microseconds);
SIM_EXPORT uint64_t sim_checksum(const void *bytes, size_t size);

/* Begins or ends a capture of the stream by the calling thread, in the global mode. */
SIM_EXPORT int sim_capture(void *stream, int on);
/* Holds back what the stream, or SIM_ALL_STREAMS, has not begun, and the rest of what it has. */
SIM_EXPORT int sim_stall(void *stream, int on);

#endif
