#include "lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"
#include "atomic.h"

#define PAGE 4096u
#define BITS 64u

struct ff_segment {
  uint8_t *base;
  uint64_t bytes;
  uint64_t stride;
  uint32_t count;
  bool mapped; /* else `base` comes from the heap */
  bool poison;
  pid_t owner;
  ff_a32 holders; /* the owner, every slot in use, and who else was let in */
  ff_a32 *users;  /* [count] */
  ff_a64 *free;   /* one bit a slot */
  ff_a64 *bound;  /* one bit a slot */
  ff_a32 n_bound;
  ff_segment_end at_end; /* NULL: nothing more is to be done */
  void *at_end_context;
};

static ff_a32 segments_alive;

uint32_t ff_segments_alive(void) { return ff_load_relaxed32(&segments_alive); }

/* -- the segment --------------------------------------------------------------------------- */

static uint32_t words(uint32_t count) { return (count + BITS - 1) / BITS; }

static void destroy(ff_segment *segment) {
  if (segment->mapped)
    ff_memory_unmap(segment->base, segment->bytes);
  else
    free(segment->base);
  free(segment->users);
  free(segment->free);
  free(segment->bound);
  free(segment);
}

static ff_segment *new_segment(uint64_t stride, uint32_t count) {
  ff_segment *segment = calloc(1, sizeof *segment);
  if (!segment) return NULL;
  segment->owner = getpid();
  segment->stride = stride;
  segment->count = count;
  segment->users = calloc(count, sizeof *segment->users);
  segment->free = calloc(words(count), sizeof *segment->free);
  segment->bound = calloc(words(count), sizeof *segment->bound);
  ff_store_relaxed32(&segment->holders, 1);
  if (segment->users && segment->free && segment->bound) return segment;
  destroy(segment);
  return NULL;
}

static int map_slots(ff_segment *segment, int fd) {
  void *base = NULL;
  int rc = ff_memory_map(fd, &base, &segment->bytes);
  if (rc) return rc;
  segment->base = base;
  segment->mapped = true;
  return segment->bytes / segment->stride < segment->count ? -EINVAL : 0;
}

int ff_segment_open(int fd, uint64_t stride, uint32_t count, bool poison, ff_segment **result) {
  if (!count || !stride || stride % PAGE) return -EINVAL;
  ff_segment *segment = new_segment(stride, count);
  if (!segment) return -ENOMEM;
  segment->poison = poison;
  int rc = map_slots(segment, fd);
  if (rc) {
    destroy(segment);
    return rc;
  }
  for (uint32_t slot = 0; slot < count; slot++)
    ff_or_release64(&segment->free[slot / BITS], 1ull << slot % BITS);
  ff_add_relaxed32(&segments_alive, 1);
  *result = segment;
  return 0;
}

int ff_segment_private(uint64_t bytes, ff_segment **result) {
  ff_segment *segment = new_segment(bytes, 1);
  if (!segment) return -ENOMEM;
  segment->base = aligned_alloc(FF_ALIGNMENT, (bytes / FF_ALIGNMENT + 1) * FF_ALIGNMENT);
  if (!segment->base) {
    destroy(segment);
    return -ENOMEM;
  }
  ff_store_relaxed32(&segment->users[0], 1);
  ff_add_relaxed32(&segments_alive, 1);
  *result = segment;
  return 0;
}

/* A fork of the owner drops its copy of the books, but must not touch the bytes: they are shared. */
static bool is_owner(const ff_segment *segment) { return segment->owner == getpid(); }

static void let_go(ff_segment *segment) {
  /* SYNC holders: release and acquire in one. The last to leave frees the books, so every use of
   * them by the others must come before. */
  if (ff_sub_acq_rel32(&segment->holders, 1) != 1) return;
  /* The pages go now: idle workers may keep their mapping until they hear of a new segment. */
  if (segment->at_end && is_owner(segment)) segment->at_end(segment->at_end_context, segment->base);
  if (segment->mapped && is_owner(segment)) madvise(segment->base, segment->bytes, MADV_REMOVE);
  destroy(segment);
  ff_add_relaxed32(&segments_alive, UINT32_MAX); /* minus one */
}

void ff_segment_close(ff_segment *segment) { let_go(segment); }

void ff_segment_hold(ff_segment *segment) {
  ff_add_relaxed32(&segment->holders, 1); /* the caller is a holder already */
}

void ff_segment_at_end(ff_segment *segment, ff_segment_end call, void *context) {
  segment->at_end = call;
  segment->at_end_context = context;
}

uint32_t ff_segment_count(const ff_segment *segment) { return segment->count; }
uint64_t ff_segment_stride(const ff_segment *segment) { return segment->stride; }

uint64_t ff_segment_bytes(const ff_segment *segment) { return segment->count * segment->stride; }

static uint32_t count_bits(const ff_a64 *bits, uint32_t count) {
  uint32_t set = 0;
  for (uint32_t i = 0; i < words(count); i++)
    set += (uint32_t)__builtin_popcountll(ff_load_relaxed64(&bits[i]));
  return set;
}

uint32_t ff_segment_in_use(const ff_segment *segment) {
  return segment->count - count_bits(segment->free, segment->count);
}

uint32_t ff_segment_bound(const ff_segment *segment) {
  return count_bits(segment->bound, segment->count);
}

/* -- slots --------------------------------------------------------------------------------- */

int ff_slot_acquire(ff_segment *segment, uint32_t *slot) {
  for (uint32_t i = 0; i < words(segment->count); i++) {
    uint64_t bits = ff_load_relaxed64(&segment->free[i]);
    if (!bits) continue;
    uint32_t lowest = (uint32_t)__builtin_ctzll(bits); /* the slot most likely still in cache */
    /* SYNC free: acquire. The last user's reads come before the next worker's writes. */
    ff_and_acquire64(&segment->free[i], ~(1ull << lowest));
    *slot = i * BITS + lowest;
    ff_store_relaxed32(&segment->users[*slot], 1); /* nobody else knows this slot yet */
    ff_or_relaxed64(&segment->bound[i], 1ull << lowest); /* `free` orders it after its unbinding */
    ff_add_relaxed32(&segment->holders, 1);        /* the owner holds it: it cannot be zero */
    return 0;
  }
  return -EAGAIN;
}

int ff_slot_unbind(ff_segment *segment, uint32_t slot) {
  uint64_t bit = 1ull << slot % BITS;
  if (slot >= segment->count) return -EINVAL;
  return ff_and_relaxed64(&segment->bound[slot / BITS], ~bit) & bit ? 0 : -EINVAL;
}

void *ff_slot_data(const ff_segment *segment, uint32_t slot) {
  return segment->base + slot * segment->stride;
}

void ff_slot_retain(ff_segment *segment, uint32_t slot) {
  ff_add_relaxed32(&segment->users[slot], 1); /* the caller is a user already */
}

void ff_slot_release(ff_segment *segment, uint32_t slot) {
  /* SYNC users: release and acquire in one. Each user's reads come before the slot is free. */
  if (ff_sub_acq_rel32(&segment->users[slot], 1) != 1) return;
  if (segment->poison && is_owner(segment))
    memset(ff_slot_data(segment, slot), 0xff, segment->stride);
  ff_or_release64(&segment->free[slot / BITS], 1ull << slot % BITS); /* SYNC free: release */
  let_go(segment);
}

/* -- DLPack -------------------------------------------------------------------------------- */

static void release_user(void *segment, uint32_t slot) { ff_slot_release(segment, slot); }

DLManagedTensor *ff_slot_dlpack(ff_segment *segment, uint32_t slot, uint64_t offset,
                                DLDataType dtype, int32_t ndim, const int64_t *shape) {
  if (offset % FF_ALIGNMENT) return NULL;
  void *data = (uint8_t *)ff_slot_data(segment, slot) + offset;
  DLManagedTensor *tensor = ff_dlpack_new(data, (DLDevice){DLPACK_CPU, 0}, dtype, ndim, shape,
                                          (ff_user){release_user, segment, slot});
  if (tensor) ff_slot_retain(segment, slot);
  return tensor;
}
