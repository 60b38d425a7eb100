#include "pin.h"

#include <errno.h>
#include <stdlib.h>

typedef struct {
  ff_device *device;
  uint64_t chunk;
  uint64_t bytes; /* that are registered */
} pinned;

/* Errors are of no use here: after the driver's own end there is nothing to be undone. */
static void unregister(const pinned *pin, uint8_t *base) {
  for (uint64_t done = 0; done < pin->bytes; done += pin->chunk)
    ff_device_driver(pin->device)->MemHostUnregister(base + done);
}

static void release(pinned *pin) {
  ff_device_release(pin->device);
  free(pin);
}

static void unpin(void *context, void *base) {
  pinned *pin = context;
  ff_cuda_error ignored;
  if (!ff_device_enter(pin->device, &ignored)) {
    unregister(pin, base);
    ff_device_leave(pin->device);
  }
  release(pin);
}

static int register_chunks(pinned *pin, uint8_t *base, uint64_t bytes, ff_cuda_error *error) {
  int rc = 0;
  while (pin->bytes < bytes && !rc) {
    uint64_t left = bytes - pin->bytes, size = left < pin->chunk ? left : pin->chunk;
    rc = FF_CU(ff_device_driver(pin->device), error, MemHostRegister, base + pin->bytes, size,
               FF_CU_HOST_PORTABLE);
    if (!rc) pin->bytes += size;
  }
  if (rc) unregister(pin, base);
  return rc;
}

int ff_pin(ff_device *device, ff_segment *segment, uint64_t most_bytes, ff_cuda_error *error) {
  uint64_t stride = ff_segment_stride(segment), slots = most_bytes / stride;
  pinned *pin = malloc(sizeof *pin);
  if (!pin) return ff_cuda_own_error(-ENOMEM, "malloc", NULL, error);
  *pin = (pinned){.device = device, .chunk = (slots ? slots : 1) * stride};
  ff_device_retain(device);
  int rc = ff_device_enter(device, error);
  if (!rc) {
    rc = register_chunks(pin, ff_slot_data(segment, 0), ff_segment_bytes(segment), error);
    ff_device_leave(device);
  }
  if (rc)
    release(pin);
  else
    ff_segment_at_end(segment, unpin, pin);
  return rc;
}
