/* Page-locking a segment, so that a device reads its slots directly.
 *
 * The memory is registered in the parent. What worker processes write there is seen by the device
 * too: all share the same pages.
 */
#ifndef FASTFEED_PIN_H
#define FASTFEED_PIN_H

#include "cuda.h"
#include "lease.h"

/* One call of the driver's fails from 512 GiB on. */
#define FF_PIN_BYTES (64ull << 30)

/* Register all slots, in calls of up to `most_bytes`, no slot in two of them. They are unregistered
 * when nobody holds the segment any more, a view of it included. -ENOMEM or a result of the
 * driver's: nothing is registered. */
int ff_pin(ff_device *device, ff_segment *segment, uint64_t most_bytes, ff_cuda_error *error);

#endif
