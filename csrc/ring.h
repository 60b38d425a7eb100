/* The ticket ring: who makes which batch, where, and in what order they are taken.
 *
 * One parent posts tickets (make item `index` of `epoch` in this slot). Any number of workers,
 * threads or processes, claim them, fill the slot and publish. The parent takes the batches, in
 * ticket order or as they come. Every step that changes who may touch a slot is ONE atomic
 * operation on the entry's word, and that word names the owner. So a worker killed at any
 * instruction leaves a state that the parent can read and mend with ff_ring_reclaim().
 *
 *   EMPTY --post--> OPEN --claim--> FILLING --publish--> READY --take--> EMPTY
 *                    ^                 |                  ^
 *                    +---- reclaim ----+---- gave up -----+
 *
 * word = ticket number (40 bits) | attempt (8) | owner + 1 (12) | state (4)
 * An OPEN word with an owner is addressed: only that worker may claim it.
 *
 * A batch may be divided: then its parts are consecutive tickets with one slot, made by different
 * workers, each in its own time. It is taken when the last of them is ready, as one ticket if all
 * is as it should be, or else part by part.
 *
 * The ring is plain shared memory: offsets and numbers, no pointer. `ff_ring` is each process's
 * private view of it. Parent-only and worker-only functions are marked; nothing here allocates,
 * prints or knows Python. Functions return 0 or a negative errno.
 */
#ifndef FASTFEED_RING_H
#define FASTFEED_RING_H

#include <stddef.h>

#include "atomic.h"
#include "clock.h"

#define FF_LINE 128 /* two cache lines: the prefetcher of x86 fetches them in pairs */
#define FF_ABI 3u
#define FF_MAX_WORKERS 4094u /* the owner field holds 12 bits and 0 means nobody */
#define FF_MAX_ENTRIES 65536u
#define FF_MAX_ATTEMPTS 255u
#define FF_ANY_WORKER UINT32_MAX
#define FF_NO_WORKER UINT32_MAX

enum ff_kind {
  FF_DATA,      /* the slot holds a batch */
  FF_EXCEPTION, /* the note holds a pickled exception */
  FF_END,       /* the generator has no more items */
  FF_CRASHED,   /* this ticket killed a worker too often; written by the parent */
  FF_CANCELLED, /* withdrawn before anybody claimed it; written by the parent */
};

/* What is to be made, and where: `segment`, `offset`, `capacity` name the slot's bytes.
 * FF_NO_SEGMENT: no slot yet, the worker brings a segment of its own.
 *
 * A batch of samples is rows `first_row` to `first_row + rows - 1` of `batch_rows`; `position` is
 * where the first of them stands in the epoch's order. A ticket for a whole item has no rows.
 * `part` of `parts`: to be posted in so many parts, or one of them; 0 parts are 1. */
#define FF_NO_SEGMENT UINT32_MAX
typedef struct {
  uint64_t index;
  uint32_t epoch;
  uint32_t segment;
  uint64_t offset;
  uint64_t capacity;
  uint64_t posted_ns; /* ff_now_ns(), for the journal */
  uint64_t position;
  uint32_t rows, first_row, batch_rows;
  uint16_t part, parts;
} ff_ticket;

/* What was made: `data_bytes` of arrays and behind them a note of `note_bytes`. `spilled`: not in
 * the slot, which was too small, but in a segment that the worker brought. `failed`: samples that
 * could not be read. `layout`: parts of one batch that belong together say the same number here;
 * their first one writes the note. The times are ff_ring_publish()'s. */
typedef struct {
  uint16_t kind;
  uint16_t spilled;
  uint32_t failed;
  uint64_t data_bytes;
  uint64_t layout;
  uint64_t note_bytes;
  uint64_t started_ns, made_ns;
} ff_result;

/* A ticket in a worker's hands. `word` is the proof of ownership that publish needs; `sequence` is
 * what fits in a word, the low 40 bits. */
typedef struct {
  ff_ticket ticket;
  uint64_t word;
  uint64_t sequence;
  uint64_t started_ns;
  uint32_t attempt;
} ff_claim;

/* A finished ticket, as the parent takes it. Of several parts in one: the first one's number, the
 * times and the worker of the one that was made last, and all their rows. */
typedef struct {
  ff_ticket ticket;
  ff_result result;
  uint64_t sequence;
  uint64_t work_ns; /* spent on it, by all who made a part */
  uint32_t worker;
  uint32_t attempt; /* the highest */
} ff_batch;

typedef struct {
  uint64_t magic;
  uint32_t abi;
  uint32_t n_entries; /* a power of two */
  uint32_t n_workers;
  uint32_t spin; /* pauses before anybody sleeps; 0 where cores are scarce */
  _Alignas(FF_LINE) ff_a32 work;    /* +1 whenever workers should look again; workers sleep here */
  _Alignas(FF_LINE) ff_a32 sleepers; /* too high after a kill: that costs a system call, no more */
  _Alignas(FF_LINE) ff_a32 ready;   /* bit 0: the parent sleeps; +2 per publication */
  _Alignas(FF_LINE) ff_a64 head;    /* lowest ticket not yet taken; the parent writes */
  ff_a64 withdrawn;                 /* lowest one posted after the last cancel; the parent writes */
  _Alignas(FF_LINE) ff_a64 tail;    /* next ticket to be posted; the parent writes */
  _Alignas(FF_LINE) ff_a32 running; /* 0: everybody goes home */
} ff_header;

/* What a worker does, and has done: for whoever looks at it. It alone writes, but for `stop`. */
typedef struct {
  _Alignas(FF_LINE) ff_a32 stop; /* 1: this worker goes home */
  ff_a32 pid;                    /* 0: it has not asked for a ticket yet, or is gone */
  ff_a64 making_since_ns;        /* 0: it has no ticket */
  ff_a64 made_ns;                /* when it published its last one; 0: it has not */
  ff_a64 index, epoch;           /* of its last ticket */
  ff_a64 busy_ns, batches, bytes; /* a part of a batch counts as one */
} ff_worker;

/* The same, as it was at one moment, or nearly. */
typedef struct {
  uint32_t pid;
  uint64_t making_since_ns, index, epoch, busy_ns, batches, bytes;
} ff_worker_now;

typedef struct {
  _Alignas(FF_LINE) ff_a64 word;
  ff_ticket ticket;
  ff_result result;
  uint32_t addressee; /* worker + 1, 0: anybody; FILLING overwrites it in the word */
  ff_a32 group;       /* part | parts << 16 of the ticket, for whoever counts batches */
} ff_entry;

_Static_assert(sizeof(ff_header) == 7 * FF_LINE, "the header is shared: its layout is the ABI");
_Static_assert(sizeof(ff_worker) == FF_LINE, "one line a worker");
_Static_assert(sizeof(ff_entry) == FF_LINE, "one line an entry");

typedef struct {
  ff_header *header;
  ff_worker *workers;
  ff_entry *entries;
} ff_ring;

/* -- both sides ------------------------------------------------------------------------- */

ff_worker_now ff_ring_look(const ff_ring *ring, uint32_t worker);
/* Bytes of shared memory for a ring; 0 if the numbers are out of range. */
size_t ff_ring_bytes(uint32_t n_entries, uint32_t n_workers);
/* -EPROTO: not a ring, of another version, or too short. */
int ff_ring_attach(ff_ring *ring, void *memory, size_t bytes);

/* -- the parent: one thread posts and cancels, one (the same or another) takes ------------- */

int ff_ring_init(ff_ring *ring, void *memory, uint32_t n_entries, uint32_t n_workers,
                 uint32_t spin);
/* Post for any worker (FF_ANY_WORKER) or for one: all parts or, with -EAGAIN, none, because there
 * are not enough free entries. `sequence`: the first one's. -EINVAL: more parts than entries. */
int ff_ring_post(ff_ring *ring, const ff_ticket *ticket, uint32_t worker, uint64_t *sequence);
/* The same without a system call if the next batch is ready: the thread that takes it wakes the
 * workers afterwards, with ff_ring_wake_idle(). */
int ff_ring_post_quietly(ff_ring *ring, const ff_ticket *ticket, uint32_t worker,
                         uint64_t *sequence);
/* Wake workers that sleep although there are tickets. Any thread of the parent. */
void ff_ring_wake_idle(ff_ring *ring);
/* Take the next batch, or any finished one of its epoch if not `ordered`. -EAGAIN: none is ready.
 * One of several parts comes when all are ready: as one, with parts = 1, if they lie in the slot and
 * agree; else each by itself, in order, and ff_batch_join() makes one of them. */
int ff_ring_take(ff_ring *ring, bool ordered, ff_batch *batch);
/* Like take, but sleeps up to `timeout_ns`. Also returns -EAGAIN as soon as `*alarm` differs from
 * `alarm_seen` (pass the monitor's death count, or NULL). */
int ff_ring_take_wait(ff_ring *ring, bool ordered, ff_batch *batch, const ff_a32 *alarm,
                      uint32_t alarm_seen, int64_t timeout_ns);
/* Add the next part to those before it: the kind is the first one's that is not FF_DATA. */
void ff_batch_join(ff_batch *whole, const ff_batch *part);
/* Withdraw every ticket that nobody has claimed; they come out of take as FF_CANCELLED. */
uint32_t ff_ring_cancel(ff_ring *ring);
/* Number of batches that could be taken (in order: that are finished at all). */
uint32_t ff_ring_ready(const ff_ring *ring);
/* Batches posted and not yet taken. */
uint64_t ff_ring_outstanding(const ff_ring *ring);
/* When the first of those batches was finished that are; `none` if there is none. Only for the
 * thread that posts. */
uint64_t ff_ring_first_made_ns(const ff_ring *ring, uint64_t none);
/* Is there a ticket that a worker has, or may still get? Only for the thread that posts. */
bool ff_ring_is_making(const ff_ring *ring);
/* End the sleep of ff_ring_take_wait(). Any thread. */
void ff_ring_wake_taker(ff_ring *ring);
/* Ask one worker, or all, to go home after the batch in hand. Any thread. */
void ff_ring_stop_worker(ff_ring *ring, uint32_t worker);
void ff_ring_stop(ff_ring *ring);
/* Let a number be used by a new worker. Only when the old one is gone and reclaimed. */
void ff_ring_reset_worker(ff_ring *ring, uint32_t worker);

/* -- any thread of the parent, after the whole process `worker` is gone ------------------- */

/* Re-open what the dead worker held, for the same slot and addressee; what has been tried more
 * than `max_retries` times again becomes FF_CRASHED. Wakes everybody, because the dead may have
 * swallowed a wake-up. Returns the number of tickets that it held. */
uint32_t ff_ring_reclaim(ff_ring *ring, uint32_t worker, uint32_t max_retries);

/* -- a worker ---------------------------------------------------------------------------- */

/* 0: `claim` is yours. -ESHUTDOWN: go home. -ETIMEDOUT: look around and come again. */
int ff_ring_claim(ff_ring *ring, uint32_t worker, int64_t timeout_ns, ff_claim *claim);
/* -ECANCELED: the ticket is no longer yours (you were declared dead): touch nothing, exit. */
int ff_ring_publish(ff_ring *ring, const ff_claim *claim, const ff_result *result);

#endif
