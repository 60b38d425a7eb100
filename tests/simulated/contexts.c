/* Devices, their primary contexts, and each thread's stack of current contexts. */
#include <stdio.h>

#include "state.h"

CUcontext current_context(void) {
  const struct thread *self = this_thread();
  return self->depth ? self->stack[self->depth - 1] : NULL;
}

static bool device_exists(CUdevice device) { return device >= 0 && device < state.devices; }

CUresult cuInit(unsigned flags) {
  CUresult status = enter(__func__);
  if (!status && flags) status = CUDA_ERROR_INVALID_VALUE;
  if (!status && state.forked) status = CUDA_ERROR_NOT_INITIALIZED;
  if (!status && !state.devices) status = CUDA_ERROR_NO_DEVICE;
  if (!status) state.initialised = true;
  return leave(status);
}

CUresult cuDriverGetVersion(int *version) {
  CUresult status = enter(__func__);
  if (!status && !version) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) *version = state.version;
  return leave(status);
}

CUresult cuDeviceGetCount(int *count) {
  CUresult status = enter(__func__);
  if (!status && !count) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) *count = state.devices;
  return leave(status);
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  CUresult status = enter(__func__);
  if (!status && !device) status = CUDA_ERROR_INVALID_VALUE;
  if (!status && !device_exists(ordinal)) status = CUDA_ERROR_INVALID_DEVICE;
  if (!status) *device = ordinal;
  return leave(status);
}

/* The device's number between `before` and `after`. */
static CUresult describe(char *text, int length, CUdevice device, const char *before,
                         const char *after) {
  if (!text || length <= 0) return CUDA_ERROR_INVALID_VALUE;
  if (!device_exists(device)) return CUDA_ERROR_INVALID_DEVICE;
  char all[32];
  int needed = snprintf(all, sizeof all, "%s%d%s", before, device, after);
  if (needed >= length) return CUDA_ERROR_INVALID_VALUE;
  snprintf(text, (size_t)length, "%s", all);
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  CUresult status = enter(__func__);
  if (!status) status = describe(name, length, device, "Simulated GPU ", "");
  return leave(status);
}

CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice device) {
  CUresult status = enter(__func__);
  if (!status) status = describe(id, length, device, "0000:0", ":00.0");
  return leave(status);
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  CUresult status = enter(__func__);
  if (!status && !context) status = CUDA_ERROR_INVALID_VALUE;
  if (!status && !device_exists(device)) status = CUDA_ERROR_INVALID_DEVICE;
  if (!status) {
    *context = &state.contexts[device];
    (*context)->retained++;
  }
  return leave(status);
}

static int live_in(const struct CUctx_st *context) {
  int live = device_used(context->device) > 0;
  for (int i = 0; i < MAX_STREAMS; i++)
    live += state.streams[i].live && state.streams[i].context == context;
  for (int i = 0; i < MAX_EVENTS; i++)
    live += state.events[i].live && state.events[i].context == context;
  return live;
}

/* The real driver destroys what is left; here it stays live, so that a test sees it. */
static void release(CUcontext context) {
  if (--context->retained) return;
  context->error = CUDA_SUCCESS;
  if (live_in(context))
    violation("the last reference to the primary context of device %d is released with streams, "
              "events or memory in it", context->device);
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  CUresult status = enter(__func__);
  if (!status && !device_exists(device)) status = CUDA_ERROR_INVALID_DEVICE;
  if (!status && !state.contexts[device].retained) status = CUDA_ERROR_INVALID_CONTEXT;
  if (!status) release(&state.contexts[device]);
  return leave(status);
}

CUresult cuCtxPushCurrent_v2(CUcontext context) {
  CUresult status = enter(__func__);
  struct thread *self = this_thread();
  bool known = context >= state.contexts && context < state.contexts + state.devices;
  if (!status && !known) status = CUDA_ERROR_INVALID_CONTEXT;
  if (!status && !context->retained) status = CUDA_ERROR_CONTEXT_IS_DESTROYED;
  if (!status && self->depth == MAX_DEPTH) status = CUDA_ERROR_OUT_OF_MEMORY;
  if (!status) self->stack[self->depth++] = context;
  return leave(status);
}

CUresult cuCtxPopCurrent_v2(CUcontext *context) {
  CUresult status = enter(__func__);
  struct thread *self = this_thread();
  if (!status && !self->depth) status = CUDA_ERROR_INVALID_CONTEXT;
  if (!status) {
    self->depth--;
    if (context) *context = self->stack[self->depth];
  }
  return leave(status);
}

CUresult cuThreadExchangeStreamCaptureMode(int *mode) {
  CUresult status = enter(__func__);
  struct thread *self = this_thread();
  if (!status && (!mode || *mode < CU_CAPTURE_GLOBAL || *mode > CU_CAPTURE_RELAXED))
    status = CUDA_ERROR_INVALID_VALUE;
  if (!status) {
    int before = self->capture_mode;
    self->capture_mode = *mode;
    *mode = before;
  }
  return leave(status);
}
