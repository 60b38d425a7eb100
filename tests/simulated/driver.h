/* The part of the CUDA driver's interface that the simulated driver has: the names, types and
 * numbers of its binary interface, written down here so that no CUDA header is needed.
 */
#ifndef FASTFEED_SIMULATED_DRIVER_H
#define FASTFEED_SIMULATED_DRIVER_H

#include <stddef.h>

#define SIM_EXPORT __attribute__((visibility("default")))

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;

enum {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_ECC_UNCORRECTABLE = 214,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
  CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED = 712,
  CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED = 713,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_PERMITTED = 800,
  CUDA_ERROR_NOT_SUPPORTED = 801,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
  CUDA_ERROR_STREAM_CAPTURE_ISOLATION = 905,
  CUDA_ERROR_STREAM_CAPTURE_IMPLICIT = 906,
  CUDA_ERROR_CAPTURED_EVENT = 907,
  CUDA_ERROR_UNKNOWN = 999
};

#define CU_STREAM_LEGACY ((CUstream)0x1)
#define CU_STREAM_PER_THREAD ((CUstream)0x2)

enum { CU_STREAM_DEFAULT = 0, CU_STREAM_NON_BLOCKING = 1 };
enum { CU_EVENT_BLOCKING_SYNC = 1, CU_EVENT_DISABLE_TIMING = 2, CU_EVENT_INTERPROCESS = 4 };
enum { CU_MEMHOSTREGISTER_PORTABLE = 1, CU_MEMHOSTALLOC_PORTABLE = 1 };
/* Modes of a thread, then what cuStreamIsCapturing says. */
enum { CU_CAPTURE_GLOBAL = 0, CU_CAPTURE_THREAD_LOCAL = 1, CU_CAPTURE_RELAXED = 2 };
enum { CU_CAPTURE_NONE = 0, CU_CAPTURE_ACTIVE = 1 };

SIM_EXPORT CUresult cuInit(unsigned flags);
SIM_EXPORT CUresult cuDriverGetVersion(int *version);
SIM_EXPORT CUresult cuGetErrorName(CUresult error, const char **text);
SIM_EXPORT CUresult cuGetErrorString(CUresult error, const char **text);
SIM_EXPORT CUresult cuDeviceGetCount(int *count);
SIM_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal);
SIM_EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice device);
SIM_EXPORT CUresult cuDeviceGetPCIBusId(char *id, int length, CUdevice device);
SIM_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
SIM_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device);
SIM_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext context);
SIM_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *context);
SIM_EXPORT CUresult cuCtxSynchronize(void);
SIM_EXPORT CUresult cuThreadExchangeStreamCaptureMode(int *mode);

SIM_EXPORT CUresult cuMemHostRegister_v2(void *pointer, size_t bytes, unsigned flags);
SIM_EXPORT CUresult cuMemHostUnregister(void *pointer);
SIM_EXPORT CUresult cuMemHostAlloc(void **pointer, size_t bytes, unsigned flags);
SIM_EXPORT CUresult cuMemFreeHost(void *pointer);
SIM_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);
SIM_EXPORT CUresult cuMemFree_v2(CUdeviceptr address);
SIM_EXPORT CUresult cuMemGetInfo_v2(size_t *available, size_t *total);
SIM_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes,
                                         CUstream stream);
SIM_EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes);

SIM_EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned flags);
SIM_EXPORT CUresult cuStreamDestroy_v2(CUstream stream);
SIM_EXPORT CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
SIM_EXPORT CUresult cuStreamIsCapturing(CUstream stream, int *status);
SIM_EXPORT CUresult cuStreamSynchronize(CUstream stream);
SIM_EXPORT CUresult cuEventCreate(CUevent *event, unsigned flags);
SIM_EXPORT CUresult cuEventDestroy_v2(CUevent event);
SIM_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream);
SIM_EXPORT CUresult cuEventQuery(CUevent event);
SIM_EXPORT CUresult cuEventSynchronize(CUevent event);

#endif
