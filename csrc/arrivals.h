/* What the upload thread passes on, in order: one thread puts, one takes, nobody locks. */
#ifndef FASTFEED_ARRIVALS_H
#define FASTFEED_ARRIVALS_H

#include "buffer.h"
#include "ring.h"

/* A batch. With a buffer: it lies there, whoever takes this is its user, and the slot is none of
 * his business any more; `note` is the batch's note. Without: as the ring gave it. */
typedef struct {
  ff_batch batch;
  uint64_t upload_ns; /* when the copy was issued; 0: there was none */
  ff_buffer *buffer;
  uint8_t *note; /* result.note_bytes, to be freed; NULL without a buffer */
} ff_arrival;

typedef struct {
  ff_arrival *entries; /* [capacity] */
  uint32_t capacity;   /* a power of two */
  _Alignas(FF_LINE) ff_a64 put;
  _Alignas(FF_LINE) ff_a64 taken;
  ff_a32 on_device; /* of those between the two, that have a buffer */
  _Alignas(FF_LINE) ff_a32 bell; /* who takes listens; rung by ff_arrivals_put() */
} ff_arrivals;

int ff_arrivals_open(ff_arrivals *arrivals, uint32_t capacity); /* -ENOMEM */
void ff_arrivals_close(ff_arrivals *arrivals);                  /* drops what nobody took */

bool ff_arrivals_have_room(const ff_arrivals *arrivals);
void ff_arrivals_put(ff_arrivals *arrivals, const ff_arrival *arrival);
bool ff_arrivals_take(ff_arrivals *arrivals, ff_arrival *arrival);
/* How many there are, and how many of them lie on the device. Any thread. */
uint32_t ff_arrivals_count(const ff_arrivals *arrivals);
uint32_t ff_arrivals_on_device(const ff_arrivals *arrivals);

#endif
