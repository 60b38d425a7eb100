/* What the ops of a stream do when their turn comes. Device memory is touched with the mutex held;
 * the program's own memory is read and written without it, so that ThreadSanitizer sees a thread of
 * the program that uses it at the same time.
 */
#include <string.h>

#include "state.h"

#define STEP ((size_t)64 << 10)

static size_t step_at(size_t at, size_t end) { return end - at < STEP ? end - at : STEP; }

static void pause_op(CUstream stream, unsigned microseconds) {
  if (microseconds) state_sleep(microseconds);
  while (state.stalled || stream->stalled) state_wait();
}

static bool read_source(op_t *op, size_t at, size_t size, unsigned char *bytes) {
  if (op->lost) return false;
  op->reading = true;
  state_unlock();
  memcpy(bytes, op->source + at, size);
  state_lock();
  op->reading = false;
  if (op->lost) state_announce();
  return true;
}

static void copy_piece(op_t *op, size_t at, size_t end) {
  unsigned char bytes[STEP];
  for (size_t size; at < end; at += size) {
    size = step_at(at, end);
    if (read_source(op, at, size, bytes)) memcpy(op->device + at, bytes, size);
  }
}

/* In a few pieces of which any may be the first, each of them late. */
static void run_copy(CUstream stream, op_t *op) {
  if (!op->poisoned) memset(op->device, SIM_POISON, op->bytes);
  unsigned pieces = 1 + state_random(4), first = state_random(pieces);
  unsigned late = state_random(2 * state.slowness + 1);
  for (unsigned i = 0; i < pieces; i++) {
    pause_op(stream, late / pieces);
    if (op->fails) {
      stream->context->error = op->fails;
      return;
    }
    size_t piece = (first + i) % pieces;
    copy_piece(op, op->bytes * piece / pieces, op->bytes * (piece + 1) / pieces);
  }
}

static void run_read_back(CUstream stream, op_t *op) {
  unsigned char bytes[STEP];
  pause_op(stream, state_random(state.slowness + 1));
  for (size_t at = 0, size; at < op->bytes; at += size) {
    size = step_at(at, op->bytes);
    memcpy(bytes, op->device + at, size);
    state_unlock();
    memcpy(op->target + at, bytes, size);
    state_lock();
  }
}

uint64_t checksum_of(const unsigned char *bytes, size_t size) {
  uint64_t sum = size, word;
  for (size_t at = 0; at < size; at += sizeof word) {
    word = 0;
    memcpy(&word, bytes + at, size - at < sizeof word ? size - at : sizeof word);
    sum = ((sum << 7 | sum >> 57) ^ word) * 0x9e3779b97f4a7c15ull;
  }
  return sum;
}

static void run_kernel_read(CUstream stream, op_t *op) {
  uint64_t before = checksum_of(op->device, op->bytes);
  pause_op(stream, op->microseconds);
  uint64_t after = checksum_of(op->device, op->bytes);
  if (before != after)
    violation("%zu bytes at %#llx changed under the kernel that reads them on stream %d",
              op->bytes, op->address, (int)(stream - state.streams));
  if (op->checksum) *op->checksum = after;
}

static void run_kernel_add(CUstream stream, op_t *op) {
  pause_op(stream, op->microseconds);
  for (size_t i = 0; i < op->bytes; i++) op->device[i] = (unsigned char)(op->device[i] + op->value);
}

/* In a context in which a copy has failed nothing executes, but all completes. */
void op_run(CUstream stream, op_t *op) {
  if (op->kind == RECORD) event_completed(op->event, op->record);
  if (op->kind == RECORD || op->kind == WAIT || stream->context->error) return;
  if (op->kind == COPY) run_copy(stream, op);
  if (op->kind == READ_BACK) run_read_back(stream, op);
  if (op->kind == KERNEL_READ) run_kernel_read(stream, op);
  if (op->kind == KERNEL_ADD) run_kernel_add(stream, op);
}
