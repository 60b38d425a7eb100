/* What every entry point begins and ends with: the mutex, the count, the failure that a test asked
 * for, and the preconditions.
 */
#include <string.h>

#include "state.h"

/* What a function asks for; NONE works without cuInit(). */
enum { NONE = 1, CONTEXT = 2, RELEASE = 4, UNSAFE_IN_CAPTURE = 8 };

static struct function {
  const char *name;
  unsigned flags;
  int64_t calls;
  int fail_in; /* calls; 0: never, -1: always */
  CUresult code;
} functions[] = {
    {.name = "cuInit", .flags = NONE},
    {.name = "cuDriverGetVersion", .flags = NONE},
    {.name = "cuGetErrorName", .flags = NONE},
    {.name = "cuGetErrorString", .flags = NONE},
    {.name = "cuDeviceGetCount"},
    {.name = "cuDeviceGet"},
    {.name = "cuDeviceGetName"},
    {.name = "cuDeviceGetPCIBusId"},
    {.name = "cuDevicePrimaryCtxRetain"},
    {.name = "cuDevicePrimaryCtxRelease_v2"},
    {.name = "cuCtxPushCurrent_v2"},
    {.name = "cuCtxPopCurrent_v2"},
    {.name = "cuCtxSynchronize", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
    {.name = "cuThreadExchangeStreamCaptureMode"},
    {.name = "cuMemHostRegister_v2", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
    {.name = "cuMemHostUnregister", .flags = CONTEXT | RELEASE | UNSAFE_IN_CAPTURE},
    {.name = "cuMemHostAlloc", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
    {.name = "cuMemFreeHost", .flags = CONTEXT | RELEASE | UNSAFE_IN_CAPTURE},
    {.name = "cuMemAlloc_v2", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
    {.name = "cuMemFree_v2", .flags = CONTEXT | RELEASE | UNSAFE_IN_CAPTURE},
    {.name = "cuMemGetInfo_v2", .flags = CONTEXT},
    {.name = "cuMemcpyHtoDAsync_v2", .flags = CONTEXT},
    {.name = "cuMemcpyDtoH_v2", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
    {.name = "cuStreamCreate", .flags = CONTEXT},
    {.name = "cuStreamDestroy_v2", .flags = CONTEXT | RELEASE},
    {.name = "cuStreamWaitEvent", .flags = CONTEXT},
    {.name = "cuStreamIsCapturing", .flags = CONTEXT},
    {.name = "cuStreamSynchronize", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
    {.name = "cuEventCreate", .flags = CONTEXT},
    {.name = "cuEventDestroy_v2", .flags = CONTEXT | RELEASE},
    {.name = "cuEventRecord", .flags = CONTEXT},
    {.name = "cuEventQuery", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
    {.name = "cuEventSynchronize", .flags = CONTEXT | UNSAFE_IN_CAPTURE},
};
enum { N_FUNCTIONS = sizeof functions / sizeof functions[0] };
_Static_assert(N_FUNCTIONS <= MAX_FUNCTIONS, "a thread counts its calls of each");

static struct function *find(const char *name) {
  for (int i = 0; i < N_FUNCTIONS; i++)
    if (!strcmp(functions[i].name, name)) return &functions[i];
  return NULL;
}

static CUresult injected(struct function *function) {
  if (function->fail_in < 0) return function->code;
  if (function->fail_in == 0 || --function->fail_in) return CUDA_SUCCESS;
  return function->code;
}

static CUresult context_trouble(unsigned flags) {
  CUcontext context = current_context();
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  if (!context->retained) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
  return flags & RELEASE ? CUDA_SUCCESS : context->error;
}

static CUresult precondition(const struct function *function) {
  if (function->flags & NONE) return CUDA_SUCCESS;
  if (!state.initialised || state.forked) return CUDA_ERROR_NOT_INITIALIZED;
  CUresult status = function->flags & CONTEXT ? context_trouble(function->flags) : CUDA_SUCCESS;
  if (!status && function->flags & UNSAFE_IN_CAPTURE && capture_forbids()) {
    violation("%s during a stream capture, by a thread whose mode does not allow it: "
              "the capture is lost", function->name);
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return status;
}

CUresult enter(const char *name) {
  state_lock();
  struct function *function = find(name);
  function->calls++;
  this_thread()->calls[function - functions]++;
  CUresult status = injected(function);
  return status ? status : precondition(function);
}

CUresult leave(CUresult status) {
  state_unlock();
  return status;
}

/* Of a function that has released what it was asked to: a copy may have failed in the context. */
CUresult leave_release(CUresult status) {
  CUcontext context = current_context();
  if (!status && context && state.releases_report) status = context->error;
  return leave(status);
}

void calls_reset(void) {
  for (int i = 0; i < N_FUNCTIONS; i++) functions[i].calls = functions[i].fail_in = 0;
}

int sim_fail(const char *name, int nth, int code) {
  state_lock();
  struct function *function = find(name);
  if (function) {
    function->fail_in = nth;
    function->code = code;
  }
  state_unlock();
  return function ? 0 : -1;
}

int64_t sim_calls(const char *name) {
  state_lock();
  const struct function *function = find(name);
  int64_t calls = function ? function->calls : -1;
  state_unlock();
  return calls;
}

int64_t sim_calls_by_this_thread(const char *name) {
  state_lock();
  const struct function *function = find(name);
  int64_t calls = function ? this_thread()->calls[function - functions] : -1;
  state_unlock();
  return calls;
}
