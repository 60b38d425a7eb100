#include "bounce.h"

#include "copy.h"

static void free_lane(ff_bounce_lane *lane, const ff_cuda *cuda) {
  if (lane->host) cuda->MemFreeHost(lane->host);
  if (lane->read) cuda->EventDestroy(lane->read);
  *lane = (ff_bounce_lane){0};
}

/* Whoever is refused once is not asked again. */
static bool has_room(ff_bounce *bounce, ff_bounce_lane *lane, const ff_cuda *cuda, size_t bytes) {
  if (bounce->refused) return false;
  if (lane->bytes >= bytes) return true;
  free_lane(lane, cuda);
  bounce->refused = cuda->MemHostAlloc(&lane->host, bytes, FF_CU_HOST_PORTABLE) ||
                    cuda->EventCreate(&lane->read, FF_CU_EVENT_NO_TIMING | FF_CU_EVENT_BLOCKING);
  if (!bounce->refused) lane->bytes = bytes;
  return !bounce->refused;
}

static int copy_by_lane(ff_bounce_lane *lane, const ff_cuda *cuda, ff_cu_pointer to,
                        const void *from, size_t bytes, ff_cu_stream stream,
                        ff_cuda_error *error) {
  ff_copy(lane->host, from, bytes);
  int rc = FF_CU(cuda, error, MemcpyHtoDAsync, to, lane->host, bytes, stream);
  return rc ? rc : FF_CU(cuda, error, EventRecord, lane->read, stream);
}

int ff_bounce_copy(ff_bounce *bounce, const ff_cuda *cuda, ff_cu_pointer to, const void *from,
                   size_t bytes, ff_cu_stream stream, ff_cuda_error *error) {
  ff_bounce_lane *lane = &bounce->lanes[bounce->turn++ % FF_BOUNCES];
  int rc = lane->read ? FF_CU(cuda, error, EventSynchronize, lane->read) : 0;
  if (rc) return rc;
  if (has_room(bounce, lane, cuda, bytes))
    return copy_by_lane(lane, cuda, to, from, bytes, stream, error);
  rc = FF_CU(cuda, error, MemcpyHtoDAsync, to, from, bytes, stream);
  /* Where the device reads ordinary memory itself, the call may return before it has. */
  return rc ? rc : FF_CU(cuda, error, StreamSynchronize, stream);
}

void ff_bounce_close(ff_bounce *bounce, const ff_cuda *cuda) {
  for (uint32_t i = 0; i < FF_BOUNCES; i++) free_lane(&bounce->lanes[i], cuda);
}
