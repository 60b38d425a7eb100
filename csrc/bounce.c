#include "bounce.h"

#include "copy.h"

/* Wait until the lane's last upload has read it. */
static int clear(ff_bounce_lane *lane, ff_cuda_error *error) {
  if (!lane->reader) return 0;
  int rc = ff_buffer_wait(lane->reader, error);
  ff_buffer_release(lane->reader);
  lane->reader = NULL;
  return rc;
}

static void grow(const ff_cuda *cuda, ff_bounce_lane *lane, size_t bytes) {
  if (lane->bytes >= bytes || lane->refused) return;
  if (lane->host) cuda->MemFreeHost(lane->host);
  lane->host = NULL;
  lane->refused = cuda->MemHostAlloc(&lane->host, bytes, FF_CU_HOST_PORTABLE) != 0;
  lane->bytes = lane->refused ? 0 : bytes;
}

int ff_bounce_copy(ff_bounce *bounce, const void *from, size_t bytes, ff_buffer *buffer,
                   ff_cu_stream stream, ff_cuda_error *error) {
  const ff_cuda *cuda = ff_device_driver(ff_pool_device(ff_buffer_pool(buffer)));
  ff_bounce_lane *lane = &bounce->lanes[bounce->turn++ % FF_BOUNCES];
  int rc = clear(lane, error);
  if (rc) return rc;
  grow(cuda, lane, bytes);
  if (!lane->refused) {
    ff_copy(lane->host, from, bytes);
    from = lane->host;
    lane->reader = buffer;
    ff_buffer_retain(buffer);
  }
  return FF_CU(cuda, error, MemcpyHtoDAsync, ff_buffer_pointer(buffer), from, bytes, stream);
}

void ff_bounce_close(ff_bounce *bounce, ff_device *device) {
  ff_cuda_error ignored;
  for (uint32_t i = 0; i < FF_BOUNCES; i++) {
    clear(&bounce->lanes[i], &ignored);
    if (bounce->lanes[i].host) ff_device_driver(device)->MemFreeHost(bounce->lanes[i].host);
  }
}
