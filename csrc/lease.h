/* Slots and who still uses them.
 *
 * A segment is one mapped memfd cut into equal slots. Its books (which slots are free, how many
 * users each has) are the parent's private memory, so no dying worker can damage them. A slot
 * leaves ff_slot_acquire() with one user, the ticket to which it is bound; it is free again when
 * its last user is gone: the ticket, a NumPy view, a DLPack capsule, a copy to a device. Releasing
 * needs no lock and no GIL, any thread may do it.
 *
 * The segment itself lives until its owner and every slot in use are gone, so a batch that the
 * user keeps stays valid after the loader is closed.
 */
#ifndef FASTFEED_LEASE_H
#define FASTFEED_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "dlpack.h"

#define FF_ALIGNMENT 64u /* of every array; TensorFlow aborts the process on less */

typedef struct ff_segment ff_segment;

/* Map `fd` and cut it into `count` slots of `stride` bytes (a multiple of 4096). The descriptor
 * stays the caller's. `poison`: fill each slot with 0xff when it becomes free (debugging). */
int ff_segment_open(int fd, uint64_t stride, uint32_t count, bool poison, ff_segment **segment);
/* One slot of ordinary memory, already in use by the caller, who is the only holder: it goes when
 * the slot is released. For batches that no worker process writes. */
int ff_segment_private(uint64_t bytes, ff_segment **segment);
/* The owner, or another holder, is done with it. */
void ff_segment_close(ff_segment *segment);
/* One holder more. */
void ff_segment_hold(ff_segment *segment);
/* Have `call` called when nobody holds it any more, just before the bytes go. In a fork: never. */
typedef void (*ff_segment_end)(void *context, void *base);
void ff_segment_at_end(ff_segment *segment, ff_segment_end call, void *context);

uint32_t ff_segment_count(const ff_segment *segment);
uint64_t ff_segment_stride(const ff_segment *segment);
uint64_t ff_segment_bytes(const ff_segment *segment); /* of all slots */
/* Slots that have a user now, and those that are bound to a ticket. */
uint32_t ff_segment_in_use(const ff_segment *segment);
uint32_t ff_segment_bound(const ff_segment *segment);

/* A free slot, which now has one user and is bound; -EAGAIN: none is free. One thread at a time. */
int ff_slot_acquire(ff_segment *segment, uint32_t *slot);
/* Its ticket has been seen to; the use is the caller's now. -EINVAL: it was not bound. */
int ff_slot_unbind(ff_segment *segment, uint32_t slot);
void *ff_slot_data(const ff_segment *segment, uint32_t slot);
void ff_slot_retain(ff_segment *segment, uint32_t slot);
void ff_slot_release(ff_segment *segment, uint32_t slot);

/* A DLPack tensor over bytes of a slot, a user of its own. NULL: no memory, or `offset` is not
 * aligned. */
DLManagedTensor *ff_slot_dlpack(ff_segment *segment, uint32_t slot, uint64_t offset,
                                DLDataType dtype, int32_t ndim, const int64_t *shape);

/* Segments that still exist in this process; tests end by asserting that none does. */
uint32_t ff_segments_alive(void);

#endif
