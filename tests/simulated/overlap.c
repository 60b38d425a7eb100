/* Who uses which memory: the ops in the streams' queues that meet in it. */
#include "state.h"

static const char *const names[] = {"copy", "read-back", "reading kernel", "writing kernel",
                                    "record", "wait"};

static bool meet(uint64_t a, size_t a_bytes, uint64_t b, size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

static bool conflict(const op_t *a, const op_t *b) {
  return (a->writes || b->writes) && meet(a->address, a->bytes, b->address, b->bytes);
}

static void report(CUstream stream, const op_t *op, CUstream other, const op_t *earlier) {
  violation("%s of %zu bytes at %#llx executes on stream %d before the %s of %zu bytes at %#llx, "
            "enqueued earlier on stream %d, has: no event orders them",
            names[op->kind], op->bytes, op->address, (int)(stream - state.streams),
            names[earlier->kind], earlier->bytes, earlier->address, (int)(other - state.streams));
}

/* When an op begins, whatever was enqueued before it elsewhere and meets it must be over: an event
 * or a synchronising call that orders the two would have held this op back, or its enqueuing. */
void check_overlap(CUstream stream, const op_t *op) {
  for (CUstream other = state.streams; other < state.streams + MAX_STREAMS; other++) {
    if (other == stream) continue;
    for (const op_t *earlier = other->first; earlier; earlier = earlier->next)
      if (earlier->serial < op->serial && conflict(earlier, op)) report(stream, op, other, earlier);
  }
}

bool device_range_in_use(CUdeviceptr address, size_t bytes) {
  for (CUstream stream = state.streams; stream < state.streams + MAX_STREAMS; stream++)
    for (const op_t *op = stream->first; op; op = op->next)
      if (meet(op->address, op->bytes, address, bytes)) return true;
  return false;
}

static bool reads_from(const op_t *op, const void *base, size_t bytes) {
  return op->kind == COPY && !op->staged &&
         meet((uintptr_t)op->source, op->bytes, (uintptr_t)base, bytes);
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
