/* Samples kept in shared memory: made once, by whichever worker, read by all.
 *
 *   header | table: one word a sample, 0 or where its entry is | entries, one behind the other
 *
 * Room for an entry is taken from a counter that only grows, so no lock exists and nothing is ever
 * moved or freed. A worker takes room, writes into it, and only then publishes its place in the
 * table: who is killed in between loses that room and nothing else. If two make the same sample at
 * once, the first to publish wins, and the other's room is lost.
 *
 * The memory is an anonymous memfd. Its size is the budget, but pages come as they are written, and
 * the headroom is looked at all along. Functions return 0 or a negative errno. Any thread of any
 * process may call anything.
 */
#ifndef FASTFEED_CACHE_H
#define FASTFEED_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "atomic.h"

#define FF_CACHE_ALIGN 64u /* entries and their data start at multiples of it */

/* What stands before the data of a sample. A note says how to read the data; samples that look
 * alike share one. */
typedef struct {
  uint64_t note; /* where it is, from the start of the memory */
  uint64_t note_bytes;
  uint64_t data_bytes;
  uint64_t unused[5];
} ff_cache_entry;
_Static_assert(sizeof(ff_cache_entry) == FF_CACHE_ALIGN, "data must start on a line of its own");

typedef struct {
  uint64_t magic;
  uint64_t items;
  uint64_t bytes; /* the whole memory: the budget */
  uint64_t unused[5];
  ff_a64 used;    /* bytes taken, from the start of the memory; may run beyond the end */
  ff_a64 entries; /* samples in the table; these three are for people to look at */
  ff_a64 hits;    /* samples that were asked for and there */
  ff_a64 misses;  /* that had to be made */
  uint64_t unused_too[4];
} ff_cache_header;
_Static_assert(sizeof(ff_cache_header) % FF_CACHE_ALIGN == 0, "the table must be aligned");

/* One process's look at it. */
typedef struct {
  ff_cache_header *header;
  ff_a64 *table;
  uint64_t first; /* where entries begin */
  ff_a64 unchecked; /* bytes taken here since the last look at the headroom */
  ff_a64 mapped;    /* up to here pages were made ready to be read, where they came since opening */
} ff_cache;

/* One leaf of a batch that samples are copied to: row i starts at `to + i * stride`. */
typedef struct {
  uint8_t *to;
  uint64_t stride;
  uint64_t offset; /* in the data of a sample */
  uint64_t bytes;  /* of a row */
} ff_cache_column;

/* Bytes of header and table; entries take what is left of the budget. */
uint64_t ff_cache_overhead(uint64_t items);

/* Make the memory for `items` samples: a sealed memfd of `bytes`, its table's pages allocated.
 * -EINVAL: the table alone does not fit. -ENOMEM: more than the headroom. */
int ff_cache_create(uint64_t items, uint64_t bytes, const char *root, int *fd);

/* Map one; `fd` may be closed afterwards. -EPROTO: it is none, or of another version. */
int ff_cache_open(int fd, ff_cache *cache);
void ff_cache_close(ff_cache *cache);

static inline char *ff_cache_at(const ff_cache *cache, uint64_t offset) {
  return (char *)cache->header + offset;
}

/* Take `bytes` for an entry or a note; its place goes to *offset.
 * -ENOSPC: the budget is used up. -EFBIG: it would not fit if nothing else were there. -ENOMEM: it
 * would fit the budget, but memory has become short. */
int ff_cache_take(ff_cache *cache, uint64_t bytes, const char *root, uint64_t *offset);

/* Show sample `row`, whose entry at `offset` is complete, to everybody. -EEXIST: somebody else was
 * first. -ERANGE: there is no such sample. */
int ff_cache_publish(ff_cache *cache, int64_t row, uint64_t offset);

/* The entry of a sample, its data behind it; NULL: it is not there. Never changes any more. */
const ff_cache_entry *ff_cache_find(const ff_cache *cache, int64_t row);
void ff_cache_count(ff_cache *cache, uint64_t hits, uint64_t misses);

/* For i below `count`: copy sample rows[i] to row i of every column, if it is there and its note is
 * the given one; done[i] says so. Returns how many were copied. */
size_t ff_cache_gather(ff_cache *cache, const int64_t *rows, size_t count, const void *note,
                       uint64_t note_bytes, const ff_cache_column *columns, size_t n_columns,
                       uint8_t *done);

#endif
