/* A pool on the simulated driver, and steps on it that must succeed. */
#ifndef FASTFEED_POOL_UTIL_H
#define FASTFEED_POOL_UTIL_H

#include "device_util.h"

#define BYTES ((size_t)70000)
#define MANY 9 /* more streams than a buffer names */

/* The pool of the test that runs, the stream that writes, and those that read. */
static ff_device *device;
static ff_pool *pool;
static CUstream up, readers[MANY];
static uint64_t sums[MANY];
static ff_cuda_error error;

#define STREAM(handle) ((ff_cu_stream)(void *)(handle))

static inline void open_pool(uint64_t seed, uint32_t usual, bool fixed) {
  device = begin(seed);
  OK(ff_device_enter(device, &error));
  REQUIRE(ff_pool_open(device, usual, fixed, &pool) == 0);
  OK(cuStreamCreate(&up, CU_STREAM_NON_BLOCKING));
  for (int i = 0; i < MANY; i++) OK(cuStreamCreate(&readers[i], CU_STREAM_NON_BLOCKING));
}

static inline void destroy_streams(void) {
  OK(cuStreamDestroy_v2(up));
  for (int i = 0; i < MANY; i++) OK(cuStreamDestroy_v2(readers[i]));
}

static inline void close_pool(void) {
  ff_pool_close(pool);
  destroy_streams();
  ff_device_leave(device);
  ff_device_release(device);
  nothing_is_live();
}

/* As the upload thread does it: from ordinary memory, so read at once and landing late. */
static inline void fill(ff_buffer *buffer, int value) {
  static unsigned char bytes[BYTES];
  memset(bytes, value, BYTES);
  OK(cuMemcpyHtoDAsync_v2(ff_buffer_pointer(buffer), bytes, BYTES, up));
  OK(ff_buffer_written_by(buffer, STREAM(up), &error));
}

static inline uint64_t sum_of(int value) {
  static unsigned char bytes[BYTES];
  memset(bytes, value, BYTES);
  return sim_checksum(bytes, BYTES);
}

static inline ff_buffer *take(void) {
  ff_buffer *buffer = NULL;
  REQUIRE(ff_pool_take(pool, BYTES, STREAM(up), &buffer, &error) == 0);
  return buffer;
}

static inline ff_buffer *take_written(int value) {
  ff_buffer *buffer = take();
  fill(buffer, value);
  return buffer;
}

static inline void read_on(int reader, const ff_buffer *buffer, unsigned microseconds) {
  OK(sim_kernel_read(readers[reader], ff_buffer_pointer(buffer), BYTES, microseconds,
                     &sums[reader]));
}

#endif
