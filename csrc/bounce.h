/* A detour for bytes whose memory could not be page-locked: through a little that can be.
 *
 * One copy on the host more, but the upload stays asynchronous. Where even that little is refused
 * the driver makes the detour itself, and the calling thread waits for it. One thread at a time.
 */
#ifndef FASTFEED_BOUNCE_H
#define FASTFEED_BOUNCE_H

#include "cuda.h"

#define FF_BOUNCES 2u /* one is filled while the other is read */

typedef struct {
  void *host;
  uint64_t bytes;
  ff_cu_event read; /* the copy that reads it, or did; NULL: none ever */
} ff_bounce_lane;

typedef struct {
  ff_bounce_lane lanes[FF_BOUNCES];
  uint64_t turn;
  bool refused;
} ff_bounce;

/* Copy to device memory with `stream`. The source is free again when this returns, unless it fails:
 * then, when the stream is idle. In the device's context, like ff_bounce_close(). */
int ff_bounce_copy(ff_bounce *bounce, const ff_cuda *cuda, ff_cu_pointer to, const void *from,
                   size_t bytes, ff_cu_stream stream, ff_cuda_error *error);
/* When the stream is idle. */
void ff_bounce_close(ff_bounce *bounce, const ff_cuda *cuda);

#endif
