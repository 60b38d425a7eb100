/* A detour for bytes whose memory could not be page-locked: through a little that can be.
 *
 * One copy on the host more, but the upload stays asynchronous. Where even that little is refused
 * the driver makes the detour itself, and the calling thread waits for it. One thread at a time.
 */
#ifndef FASTFEED_BOUNCE_H
#define FASTFEED_BOUNCE_H

#include "buffer.h"

#define FF_BOUNCES 2u /* one is filled while the other is read */

typedef struct {
  void *host;
  uint64_t bytes;
  bool refused;
  ff_buffer *reader; /* the upload that reads it, or did */
} ff_bounce_lane;

typedef struct {
  ff_bounce_lane lanes[FF_BOUNCES];
  uint64_t turn;
} ff_bounce;

/* Copy to the start of `buffer` with `stream`. The source is free again when this returns. In the
 * device's context, like ff_bounce_close(). */
int ff_bounce_copy(ff_bounce *bounce, const void *from, size_t bytes, ff_buffer *buffer,
                   ff_cu_stream stream, ff_cuda_error *error);
void ff_bounce_close(ff_bounce *bounce, ff_device *device);

#endif
