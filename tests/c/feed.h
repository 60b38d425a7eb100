/* The parent's side of every stress: post, take, check, release, until all batches were seen.
 *
 * It asserts that every ticket comes out exactly once, in order where asked, with the content that
 * belongs to its index, and that a batch that is kept stays as it was. Nothing has a time-out.
 */
#ifndef FASTFEED_FEED_H
#define FASTFEED_FEED_H

#include "lease.h"
#include "ring.h"

#define MAX_KEPT 64u

typedef struct {
  const char *name;
  uint32_t n_workers;
  uint32_t n_entries;
  uint32_t n_slots;
  uint32_t spin;
  uint32_t keep;         /* batches that the consumer holds on to */
  uint32_t cancel_every; /* after so many batches everything unclaimed is withdrawn; 0: never */
  uint32_t slow_every;   /* after so many batches the consumer rests; 0: never */
  uint32_t parts;        /* of each batch, in different hands; 0: one */
  bool unordered;
  bool addressed;    /* tickets go to the workers in turn */
  uint64_t batches;
  uint64_t first;    /* number of the first ticket */
} feed_plan;

typedef struct {
  feed_plan plan;
  ff_ring ring;
  ff_segment *segment;
  /* Where workers die: the count that must wake the parent, and what replaces the dead. */
  const ff_a32 *deaths;
  void (*replace_dead)(void *context);
  void *context;
  /* What came out. */
  uint64_t delivered, crashed, cancelled, retried;
  uint64_t pieces; /* parts that came by themselves */
} feed;

/* `stride` bytes a slot, all of which a worker fills. */
void feed_open(feed *run, const feed_plan *plan, int ring_fd, int slots_fd, uint64_t stride);
/* Returns when `plan.batches` indices were delivered (or crashed). */
void feed_all(feed *run);
/* Asserts that nothing is left in the ring or in use. */
void feed_close(feed *run);

/* What a worker does with a claim. `half_way` (or NULL) is called in the middle of the filling. */
void feed_fill(void *slot, const ff_claim *claimed, void (*half_way)(void));
int feed_publish(ff_ring *ring, const ff_claim *claimed);

#endif
