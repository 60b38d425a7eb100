/* Workers, a ring, slots, the upload thread and a consumer, on the simulated driver.
 *
 * A batch's index says what it is: how many bytes, which ones, and of what kind. Nothing has a
 * time-out: a wake-up that is lost hangs, and the watchdog says where.
 */
#ifndef FASTFEED_UPLOAD_RIG_H
#define FASTFEED_UPLOAD_RIG_H

#include <pthread.h>

#include "device_util.h"
#include "ring.h"
#include "upload.h"

#define RIG_MAX_WORKERS 4u
#define STREAM(handle) ((ff_cu_stream)(void *)(handle))
#define RIG_NOTE 24u /* bytes of each note */

typedef struct {
  const char *name;
  uint32_t n_workers, n_entries, n_slots;
  uint64_t stride;
  uint64_t batches;
  bool pageable;
  bool odd_sizes;  /* from none to all of a slot; else all */
  bool odd_kinds;  /* some are exceptions, ends, or spilled */
  bool no_slots;   /* the test announces them */
  bool no_workers; /* the test publishes by rig_make() */
  uint32_t spin;
  uint16_t parts; /* of each batch; 0: one. Not with odd sizes: parts would share a word */
  ff_upload_plan upload;
} rig_plan;

typedef struct rig {
  rig_plan plan;
  ff_device *device;
  ff_ring ring;
  ff_segment *segment;
  ff_uploader *uploader; /* NULL: it could not be started, see `error` */
  uint64_t next_index;
  ff_cuda_error error;
  pthread_t workers[RIG_MAX_WORKERS];
} rig;

static inline rig_plan rig_usual(const char *name) {
  return (rig_plan){.name = name, .n_workers = 2, .n_entries = 16, .n_slots = 6, .stride = 8192,
                    .batches = 120,
                    .upload = {.waiting = 2, .buffers = 4, .ordered = true}};
}

/* Long enough for a thread to do what it should not, so that a check can fail. */
static inline void let_it_run(void) { usleep(20000); }

/* With the driver as it is after sim_reset(seed); `fail` (or NULL) comes before the thread. */
void rig_open(rig *r, const rig_plan *plan, uint64_t seed, void (*fail)(void *), void *context);
/* Stops all, and asserts that nothing is live. */
void rig_close(rig *r);
/* Only the workers and the upload thread. */
void rig_stop(rig *r);

/* Posts what there are slots for. */
void rig_post(rig *r);
/* Posts and sleeps until something arrives: 0, or -EIO. */
int rig_take(rig *r, ff_arrival *arrival);
/* One worker's step, for plans without workers. */
void rig_make(rig *r);
/* Gives the slot back of an arrival that has no buffer. */
void rig_release_slot(rig *r, const ff_batch *batch);

/* What a batch is. */
enum ff_kind rig_kind(const rig *r, uint64_t index);
bool rig_is_spilled(const rig *r, uint64_t index);
uint64_t rig_bytes(const rig *r, uint64_t index);
void rig_fill(const rig *r, uint64_t index, void *to); /* room for a slot */
uint64_t rig_checksum(const rig *r, uint64_t index);

/* Asserts what can be seen of an arrival without its bytes: kind, note, buffer or none. */
void rig_check(const rig *r, const ff_arrival *arrival);
/* Uploads a spilled batch as the consumer does; its buffer, or NULL. */
ff_buffer *rig_send(rig *r, const ff_batch *batch);
/* Reads it back on the host and compares, unless it cannot be read. */
int rig_read(const rig *r, uint64_t index, ff_buffer *buffer, ff_cuda_error *error);
/* Checks it, sees to it, and gives back what it has. */
void rig_finish(rig *r, ff_arrival *arrival);

#endif
