/* Who uses memory at this moment: the ops in the streams' queues. */
#include "state.h"

bool ranges_meet(uint64_t a, size_t a_bytes, uint64_t b, size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

bool device_range_in_use(CUdeviceptr address, size_t bytes) {
  for (CUstream stream = state.streams; stream < state.streams + MAX_STREAMS; stream++)
    for (const op_t *op = stream->first; op; op = op->next)
      if (ranges_meet(op->address, op->bytes, address, bytes)) return true;
  return false;
}

static bool reads_from(const op_t *op, const void *base, size_t bytes) {
  return op->kind == COPY && !op->staged &&
         ranges_meet((uintptr_t)op->source, op->bytes, (uintptr_t)base, bytes);
}

static bool any_reading(const void *base, size_t bytes) {
  for (CUstream stream = state.streams; stream < state.streams + MAX_STREAMS; stream++)
    for (const op_t *op = stream->first; op; op = op->next)
      if (op->reading && reads_from(op, base, bytes)) return true;
  return false;
}

/* Page-locked memory goes while copies from it are queued. They are a violation each, and never
 * read it again: it may be unmapped when this returns. */
void abandon_sources(const void *base, size_t bytes, const char *call) {
  for (CUstream stream = state.streams; stream < state.streams + MAX_STREAMS; stream++)
    for (op_t *op = stream->first; op; op = op->next) {
      if (!reads_from(op, base, bytes)) continue;
      op->lost = true;
      violation("%s(%p) while a copy of %zu bytes from %p is queued on stream %d", call, base,
                op->bytes, (const void *)op->source, (int)(stream - state.streams));
    }
  while (any_reading(base, bytes)) state_wait();
}
