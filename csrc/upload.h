/* The upload thread: from the ring to a device, without the GIL.
 *
 *   ring --take--> copy on a stream of its own --> arrival --take--> the training thread
 *
 * It takes finished batches in the place of the training thread, has the device copy each in one
 * piece into a buffer of its own, and passes it on at once: whoever gets it has his stream wait
 * for the copy. The slot is free when the copy is done. What is no batch in a slot (exceptions,
 * ends, batches that brought memory of their own) is passed on in its place, as it is.
 *
 * Up to `waiting` batches wait on the device for the training thread. Marked functions belong to
 * that thread ("the consumer"); it may not be in one of them while the uploader is stopped.
 * Functions return 0, a negative errno, or a result of the driver's.
 */
#ifndef FASTFEED_UPLOAD_H
#define FASTFEED_UPLOAD_H

#include "arrivals.h"
#include "journal.h"
#include "lease.h"
#include "ring.h"

typedef struct ff_uploader ff_uploader;

typedef struct {
  uint32_t waiting; /* batches that wait on the device, at the most */
  uint32_t buffers; /* that there usually are */
  bool fixed;       /* exactly so many, in turn, at the same addresses for ever */
  bool ordered;
  ff_journal *journal; /* that is told when copies are done; may be NULL */
} ff_upload_plan;

typedef struct {
  uint64_t uploads, bytes;
  uint64_t host_copies; /* of batches, between the slot and the device */
  uint32_t waiting;     /* on the device for the consumer, now */
  uint32_t arrivals;    /* all that the consumer has not taken yet */
} ff_upload_counts;

int ff_uploader_start(ff_device *device, const ff_ring *ring, ff_upload_plan plan,
                      ff_uploader **uploader, ff_cuda_error *error);
/* End the thread; copies on their way are waited for. Batches that the consumer has stay valid. */
void ff_uploader_stop(ff_uploader *uploader);

/* Tickets may name slots of `segment` by this number from now on. `pinned`: the device reads them
 * directly. -ENOMEM. */
int ff_uploader_use(ff_uploader *uploader, uint32_t number, ff_segment *segment, bool pinned);
/* No ticket will name it any more. */
void ff_uploader_forget(ff_uploader *uploader, uint32_t number);
/* Tickets below this number belong to a loop that was left: do not upload them. */
void ff_uploader_skip_below(ff_uploader *uploader, uint64_t sequence);

/* The consumer. -EAGAIN: nothing has arrived. -EIO: nothing will, see ff_uploader_error(). */
int ff_uploader_take(ff_uploader *uploader, ff_arrival *arrival);
/* Sleeps up to `timeout_ns`; -EAGAIN also when a slot was freed, when no buffer is left (see
 * ff_uploader_is_starved()), or as ff_ring_take_wait() does. */
int ff_uploader_take_wait(ff_uploader *uploader, ff_arrival *arrival, const ff_a32 *alarm,
                          uint32_t alarm_seen, int64_t timeout_ns);
/* The consumer. Upload bytes that lie in no slot; waits until they have been read. -EAGAIN as
 * ff_pool_take(). */
int ff_uploader_send(ff_uploader *uploader, const void *bytes, size_t size, ff_buffer **buffer,
                     ff_cuda_error *error);

void ff_uploader_error(ff_uploader *uploader, ff_cuda_error *error);
ff_upload_counts ff_uploader_counts(const ff_uploader *uploader);
ff_pool *ff_uploader_pool(const ff_uploader *uploader);
/* The next upload needs a fixed buffer whose batch somebody still has. */
bool ff_uploader_is_starved(const ff_uploader *uploader);

#endif
