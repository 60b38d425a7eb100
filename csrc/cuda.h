/* The CUDA driver, found at run time, and one of its devices.
 *
 * Nothing of CUDA is needed to build or to import fastfeed: the functions are looked up by name in
 * `libcuda.so.1`, or in another library with the same names. A device is used through its primary
 * context, which is the one that CuPy, PyTorch, TensorFlow and JAX use, so pointers, streams and
 * events are theirs as well as ours. It is retained as long as somebody holds the device, and
 * never reset.
 *
 * The driver's result codes are positive numbers, our own failures negative errnos. Who fails
 * fills an ff_cuda_error, which names the call. Types as in cuda.h of CUDA 12 and 13.
 */
#ifndef FASTFEED_CUDA_H
#define FASTFEED_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ff_cu_context *ff_cu_context;
typedef struct ff_cu_stream *ff_cu_stream;
typedef struct ff_cu_event *ff_cu_event;
typedef unsigned long long ff_cu_pointer; /* in device memory */

enum {
  FF_CU_OUT_OF_MEMORY = 2,
  FF_CU_NOT_READY = 600,
  FF_CU_CAPTURE_UNSUPPORTED = 900,
  FF_CU_HOST_PORTABLE = 1, /* pinned for every context */
  FF_CU_STREAM_NON_BLOCKING = 1,
  FF_CU_EVENT_BLOCKING = 1,
  FF_CU_EVENT_NO_TIMING = 2,
  FF_CU_CAPTURE_RELAXED = 2,
};

/* name | symbol | parameters. The `_v2` ones have 64-bit sizes, for a decade now. */
#define FF_CUDA_FUNCTIONS(F)                                                                     \
  F(Init, "cuInit", (unsigned flags))                                                            \
  F(DriverGetVersion, "cuDriverGetVersion", (int *version))                                      \
  F(GetErrorName, "cuGetErrorName", (int code, const char **name))                               \
  F(GetErrorString, "cuGetErrorString", (int code, const char **text))                           \
  F(DeviceGetCount, "cuDeviceGetCount", (int *count))                                            \
  F(DeviceGet, "cuDeviceGet", (int *device, int ordinal))                                        \
  F(DeviceGetName, "cuDeviceGetName", (char *name, int bytes, int device))                       \
  F(DeviceGetPCIBusId, "cuDeviceGetPCIBusId", (char *id, int bytes, int device))                 \
  F(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (ff_cu_context *context, int device))    \
  F(DevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (int device))                       \
  F(CtxPushCurrent, "cuCtxPushCurrent_v2", (ff_cu_context context))                              \
  F(CtxPopCurrent, "cuCtxPopCurrent_v2", (ff_cu_context *context))                               \
  F(CtxSynchronize, "cuCtxSynchronize", (void))                                                  \
  F(ThreadExchangeStreamCaptureMode, "cuThreadExchangeStreamCaptureMode", (int *mode))           \
  F(MemHostRegister, "cuMemHostRegister_v2", (void *base, size_t bytes, unsigned flags))         \
  F(MemHostUnregister, "cuMemHostUnregister", (void *base))                                      \
  F(MemHostAlloc, "cuMemHostAlloc", (void **base, size_t bytes, unsigned flags))                 \
  F(MemFreeHost, "cuMemFreeHost", (void *base))                                                  \
  F(MemAlloc, "cuMemAlloc_v2", (ff_cu_pointer *pointer, size_t bytes))                           \
  F(MemFree, "cuMemFree_v2", (ff_cu_pointer pointer))                                            \
  F(MemGetInfo, "cuMemGetInfo_v2", (size_t *unused, size_t *total))                              \
  F(MemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                                     \
    (ff_cu_pointer to, const void *from, size_t bytes, ff_cu_stream stream))                     \
  F(MemcpyDtoH, "cuMemcpyDtoH_v2", (void *to, ff_cu_pointer from, size_t bytes))                 \
  F(StreamCreate, "cuStreamCreate", (ff_cu_stream *stream, unsigned flags))                      \
  F(StreamDestroy, "cuStreamDestroy_v2", (ff_cu_stream stream))                                  \
  F(StreamSynchronize, "cuStreamSynchronize", (ff_cu_stream stream))                             \
  F(StreamWaitEvent, "cuStreamWaitEvent",                                                        \
    (ff_cu_stream stream, ff_cu_event event, unsigned flags))                                    \
  F(StreamIsCapturing, "cuStreamIsCapturing", (ff_cu_stream stream, int *status))                \
  F(EventCreate, "cuEventCreate", (ff_cu_event *event, unsigned flags))                          \
  F(EventDestroy, "cuEventDestroy_v2", (ff_cu_event event))                                      \
  F(EventRecord, "cuEventRecord", (ff_cu_event event, ff_cu_stream stream))                      \
  F(EventQuery, "cuEventQuery", (ff_cu_event event))                                             \
  F(EventSynchronize, "cuEventSynchronize", (ff_cu_event event))

typedef struct {
#define FF_CUDA_MEMBER(name, symbol, parameters) int(*name) parameters;
  FF_CUDA_FUNCTIONS(FF_CUDA_MEMBER)
#undef FF_CUDA_MEMBER
} ff_cuda;

/* What went wrong: the driver's result (positive) or an errno (negative), and where. */
typedef struct {
  int code;
  char call[40];
  char text[200];
} ff_cuda_error;

/* One GPU. Any thread may hold it; the last one to release it releases the primary context. */
typedef struct ff_device ff_device;

/* -ENOENT: no such library; -ENOSYS: it lacks a function; -ENODEV: no such ordinal; else what the
 * driver said. `library` NULL: libcuda.so.1. */
int ff_device_open(const char *library, int ordinal, ff_device **device, ff_cuda_error *error);
void ff_device_retain(ff_device *device);
void ff_device_release(ff_device *device);

const ff_cuda *ff_device_driver(const ff_device *device);
int ff_device_ordinal(const ff_device *device);
const char *ff_device_name(const ff_device *device);
const char *ff_device_bus(const ff_device *device); /* "0000:3b:00.0" */
int ff_device_driver_version(const ff_device *device); /* 12040: CUDA 12.4 */
/* False in a fork of the process that opened it: there, CUDA must not be called. */
bool ff_device_is_ours(const ff_device *device);

/* Make the device's context current in this thread, and what was so before again. For every call
 * below, and whatever else needs a context. -EPERM in a fork: the driver is not asked. */
int ff_device_enter(const ff_device *device, ff_cuda_error *error);
void ff_device_leave(const ff_device *device);

/* Bytes of device memory that are free; 0 if nobody knows. In the device's context. */
size_t ff_device_free_bytes(const ff_device *device);

/* Devices that somebody holds; tests end by asserting that there is none. */
uint32_t ff_devices_alive(void);

/* Fill `error` with a failure of our own and return `code`. `text` NULL: the errno's. */
int ff_cuda_own_error(int code, const char *call, const char *text, ff_cuda_error *error);
/* Fill `error` and return its code, unless `code` is 0. */
int ff_cuda_check(const ff_cuda *cuda, int code, const char *call, ff_cuda_error *error);
/* ff_cuda_check around a call of the driver's: FF_CU(cuda, error, MemFree, pointer) */
#define FF_CU(cuda, error, name, ...) \
  ff_cuda_check((cuda), (cuda)->name(__VA_ARGS__), "cu" #name, (error))

#endif
