/* The control functions of tests that are not next to what they control. */
#include <string.h>

#include "state.h"

static int64_t live_streams(void) {
  int64_t count = 0;
  for (int i = 0; i < MAX_STREAMS; i++) count += state.streams[i].live;
  return count;
}

static int64_t live_events(void) {
  int64_t count = 0;
  for (int i = 0; i < MAX_EVENTS; i++) count += state.events[i].live;
  return count;
}

static int64_t retains(void) {
  int64_t count = 0;
  for (int i = 0; i < MAX_DEVICES; i++) count += state.contexts[i].retained;
  return count;
}

static int64_t live(const char *what) {
  if (!strcmp(what, "registrations")) return host_count(false);
  if (!strcmp(what, "registered_bytes")) return host_registered_bytes();
  if (!strcmp(what, "streams")) return live_streams();
  if (!strcmp(what, "events")) return live_events();
  if (!strcmp(what, "device_bytes")) return (int64_t)device_used(-1);
  if (!strcmp(what, "device_allocations")) return device_allocations();
  if (!strcmp(what, "host_allocations")) return host_count(true);
  if (!strcmp(what, "contexts")) return retains();
  if (strcmp(what, "all")) return -1;
  return host_count(false) + host_count(true) + live_streams() + live_events() +
         device_allocations() + retains();
}

int64_t sim_live(const char *what) {
  state_lock();
  int64_t count = live(what);
  state_unlock();
  return count;
}

int sim_reset(uint64_t seed) {
  state_lock();
  streams_end_all();
  int left = (int)live("all");
  host_reset();
  device_reset();
  order_reset();
  calls_reset();
  violations_reset();
  state_defaults(seed);
  state_unlock();
  return left;
}

void sim_devices(int count) {
  state_lock();
  state.devices = count < 0 ? 0 : count > MAX_DEVICES ? MAX_DEVICES : count;
  state_unlock();
}

void sim_driver_version(int version) {
  state_lock();
  state.version = version;
  state_unlock();
}

void sim_memory(size_t bytes) {
  state_lock();
  state.memory = bytes;
  state_unlock();
}

void sim_slowness(unsigned microseconds) {
  state_lock();
  state.slowness = microseconds;
  state_unlock();
}

void sim_fail_copies(int nth, int code, int releases_report) {
  state_lock();
  state.copies_until_failure = nth;
  state.copy_failure = code;
  state.releases_report = releases_report;
  state_unlock();
}

static CUresult launch(void *handle, op_t op) {
  CUstream stream;
  CUresult status = stream_resolve(handle, &stream);
  if (status) return status;
  if (stream->context->error) return stream->context->error;
  op.device = device_bytes_at(op.address, op.bytes);
  return op.device ? stream_enqueue(stream, op) : CUDA_ERROR_INVALID_VALUE;
}

int sim_kernel_read(void *stream, CUdeviceptr address, size_t bytes, unsigned microseconds,
                    uint64_t *checksum) {
  op_t op = {.kind = KERNEL_READ, .address = address, .bytes = bytes, .checksum = checksum,
             .microseconds = microseconds};
  state_lock();
  return leave(launch(stream, op));
}

int sim_kernel_add(void *stream, CUdeviceptr address, size_t bytes, uint8_t value,
                   unsigned microseconds) {
  op_t op = {.kind = KERNEL_ADD, .address = address, .bytes = bytes, .writes = true,
             .value = value, .microseconds = microseconds};
  state_lock();
  return leave(launch(stream, op));
}

uint64_t sim_checksum(const void *bytes, size_t size) { return checksum_of(bytes, size); }

int sim_capture(void *handle, int on) {
  CUstream stream;
  state_lock();
  CUresult status = stream_resolve(handle, &stream);
  if (!status && stream->kind == LEGACY) status = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (!status) stream->captured_by = on ? this_thread()->number : 0;
  return leave(status);
}

int sim_stall(void *handle, int on) {
  CUstream stream;
  CUresult status = CUDA_SUCCESS;
  state_lock();
  if (handle == SIM_ALL_STREAMS) state.stalled = on;
  else if (!(status = stream_resolve(handle, &stream))) stream->stalled = on;
  state_announce();
  return leave(status);
}
