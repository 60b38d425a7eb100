/* The driver's calls on memory, and copies. */
#include <stdlib.h>
#include <string.h>

#include "state.h"

CUresult cuMemHostRegister_v2(void *pointer, size_t bytes, unsigned flags) {
  CUresult status = enter(__func__);
  if (!status && flags > 15) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) status = host_register(pointer, bytes);
  return leave(status);
}

CUresult cuMemHostUnregister(void *pointer) {
  CUresult status = enter(__func__);
  if (!status) status = host_unregister(pointer);
  return leave_release(status);
}

CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags) {
  CUresult status = enter(__func__);
  if (!status && flags > 7) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) status = host_allocate(pointer, bytes);
  return leave(status);
}

CUresult cuMemFreeHost(void *pointer) {
  CUresult status = enter(__func__);
  if (!status) status = host_free(pointer);
  return leave_release(status);
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  CUresult status = enter(__func__);
  if (!status) status = device_allocate(address, bytes, current_context()->device);
  return leave(status);
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  CUresult status = enter(__func__);
  if (!status) status = device_free(address);
  return leave_release(status);
}

CUresult cuMemGetInfo_v2(size_t *available, size_t *total) {
  CUresult status = enter(__func__);
  if (!status && (!available || !total)) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) {
    size_t used = device_used(current_context()->device);
    *total = state.memory;
    *available = used < state.memory ? state.memory - used : 0;
  }
  return leave(status);
}

/* A pageable source is read now, a page-locked one when the copy executes. */
static CUresult take_source(op_t *op, const void *from, size_t bytes) {
  host_kind kind = host_memory_kind(from, bytes);
  op->source = from;
  if (kind == MIXED) return CUDA_ERROR_INVALID_VALUE;
  if (kind == PINNED) return CUDA_SUCCESS;
  op->source = op->staged = malloc(bytes);
  if (!op->staged) return CUDA_ERROR_OUT_OF_MEMORY;
  memcpy(op->staged, from, bytes);
  return CUDA_SUCCESS;
}

static CUresult next_copy_failure(void) {
  if (state.copies_until_failure < 0) return state.copy_failure;
  if (!state.copies_until_failure || --state.copies_until_failure) return CUDA_SUCCESS;
  return state.copy_failure;
}

/* The target is poisoned at once where nobody can still be entitled to its bytes; else when the
 * copy begins. */
static void poison_target(op_t *op) {
  op->poisoned = !device_range_in_use(op->address, op->bytes);
  if (op->poisoned) memset(op->device, SIM_POISON, op->bytes);
}

static CUresult copy_to_device(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  op_t op = {.kind = COPY, .address = to, .bytes = bytes, .writes = true};
  if (stream->captured_by) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  op.device = device_bytes_at(to, bytes);
  if (!op.device || !from) return CUDA_ERROR_INVALID_VALUE;
  CUresult status = take_source(&op, from, bytes);
  if (status) return status;
  op.fails = next_copy_failure();
  poison_target(&op);
  return stream_enqueue(stream, op);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream handle) {
  CUresult status = enter(__func__);
  CUstream stream;
  if (!status) status = stream_resolve(handle, &stream);
  if (!status && bytes) status = copy_to_device(to, from, bytes, stream);
  return leave(status);
}

/* Synchronous, and on the legacy stream: streams that do not block are not waited for. */
static CUresult read_back(void *to, CUdeviceptr from, size_t bytes) {
  CUstream stream;
  op_t op = {.kind = READ_BACK, .address = from, .bytes = bytes, .target = to};
  op.device = device_bytes_at(from, bytes);
  if (!op.device || !to) return CUDA_ERROR_INVALID_VALUE;
  CUresult status = stream_resolve(CU_STREAM_LEGACY, &stream);
  if (!status) status = stream_enqueue(stream, op);
  if (status) return status;
  stream_wait(stream);
  return stream->context->error;
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  CUresult status = enter(__func__);
  if (!status && bytes) status = read_back(to, from, bytes);
  return leave(status);
}
