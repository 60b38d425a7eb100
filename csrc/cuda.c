#include "cuda.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"

#define USUAL_LIBRARY "libcuda.so.1"

struct ff_device {
  ff_cuda cuda;
  ff_cu_context context;
  pid_t owner;
  int device;
  int ordinal;
  int driver_version;
  char name[128];
  char bus[32];
  ff_a32 holders;
};

static ff_a32 devices_alive;

uint32_t ff_devices_alive(void) { return ff_load_relaxed32(&devices_alive); }

/* -- errors -------------------------------------------------------------------------------- */

int ff_cuda_check(const ff_cuda *cuda, int code, const char *call, ff_cuda_error *error) {
  if (!code) return 0;
  const char *name = NULL, *text = NULL;
  if (cuda->GetErrorName(code, &name) || !name) name = "an unknown result";
  if (cuda->GetErrorString(code, &text) || !text) text = "";
  error->code = code;
  snprintf(error->call, sizeof error->call, "%s", call);
  snprintf(error->text, sizeof error->text, "%s (%d)%s%s", name, code, *text ? ": " : "", text);
  return code;
}

int ff_cuda_own_error(int code, const char *call, const char *text, ff_cuda_error *error) {
  error->code = code;
  snprintf(error->call, sizeof error->call, "%s", call);
  snprintf(error->text, sizeof error->text, "%s", text ? text : strerror(-code));
  return code;
}

/* -- the library --------------------------------------------------------------------------- */

/* The library stays loaded: a driver that is unloaded under a framework's feet takes it along. */
static int load(const char *library, ff_cuda *cuda, ff_cuda_error *error) {
  void *handle = dlopen(library ? library : USUAL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return ff_cuda_own_error(-ENOENT, "dlopen", dlerror(), error);
#define FIND(name, symbol, parameters)              \
  *(void **)&cuda->name = dlsym(handle, symbol);    \
  if (!cuda->name) return ff_cuda_own_error(-ENOSYS, symbol, dlerror(), error);
  FF_CUDA_FUNCTIONS(FIND)
#undef FIND
  return 0;
}

/* -- the device ---------------------------------------------------------------------------- */

static int find(ff_device *device, ff_cuda_error *error) {
  const ff_cuda *cuda = &device->cuda;
  int count = 0, rc = FF_CU(cuda, error, Init, 0);
  if (rc || (rc = FF_CU(cuda, error, DriverGetVersion, &device->driver_version))) return rc;
  if ((rc = FF_CU(cuda, error, DeviceGetCount, &count))) return rc;
  if (device->ordinal < 0 || device->ordinal >= count) {
    char text[64];
    snprintf(text, sizeof text, "%d device%s", count, count == 1 ? "" : "s");
    return ff_cuda_own_error(-ENODEV, "cuDeviceGetCount", text, error);
  }
  if ((rc = FF_CU(cuda, error, DeviceGet, &device->device, device->ordinal))) return rc;
  rc = FF_CU(cuda, error, DeviceGetName, device->name, sizeof device->name, device->device);
  if (rc) return rc;
  return FF_CU(cuda, error, DeviceGetPCIBusId, device->bus, sizeof device->bus, device->device);
}

int ff_device_open(const char *library, int ordinal, ff_device **result, ff_cuda_error *error) {
  ff_device *device = calloc(1, sizeof *device);
  if (!device) return ff_cuda_own_error(-ENOMEM, "calloc", NULL, error);
  device->owner = getpid();
  device->ordinal = ordinal;
  ff_store_relaxed32(&device->holders, 1);
  int rc = load(library, &device->cuda, error);
  if (!rc) rc = find(device, error);
  if (!rc)
    rc = FF_CU(&device->cuda, error, DevicePrimaryCtxRetain, &device->context, device->device);
  if (rc) {
    free(device);
    return rc;
  }
  ff_add_relaxed32(&devices_alive, 1);
  *result = device;
  return 0;
}

void ff_device_retain(ff_device *device) {
  ff_add_relaxed32(&device->holders, 1); /* the caller is a holder already */
}

void ff_device_release(ff_device *device) {
  /* SYNC device: release and acquire in one. The context goes after everybody's last call. */
  if (ff_sub_acq_rel32(&device->holders, 1) != 1) return;
  if (ff_device_is_ours(device)) device->cuda.DevicePrimaryCtxRelease(device->device);
  free(device);
  ff_add_relaxed32(&devices_alive, UINT32_MAX); /* minus one */
}

const ff_cuda *ff_device_driver(const ff_device *device) { return &device->cuda; }
int ff_device_ordinal(const ff_device *device) { return device->ordinal; }
const char *ff_device_name(const ff_device *device) { return device->name; }
const char *ff_device_bus(const ff_device *device) { return device->bus; }
int ff_device_driver_version(const ff_device *device) { return device->driver_version; }
bool ff_device_is_ours(const ff_device *device) { return device->owner == getpid(); }

int ff_device_enter(const ff_device *device, ff_cuda_error *error) {
  if (!ff_device_is_ours(device))
    return ff_cuda_own_error(-EPERM, "fork", "this process is a fork of the one that uses the GPU",
                             error);
  return FF_CU(&device->cuda, error, CtxPushCurrent, device->context);
}

void ff_device_leave(const ff_device *device) {
  ff_cu_context before;
  device->cuda.CtxPopCurrent(&before);
}

size_t ff_device_free_bytes(const ff_device *device) {
  size_t unused = 0, total = 0;
  return device->cuda.MemGetInfo(&unused, &total) ? 0 : unused;
}
