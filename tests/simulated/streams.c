/* A stream is a queue and a thread that executes it. */
#include "state.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

/* The default streams exist in each context without being created: `handle` is NULL, 1 or 2. */
static CUresult default_stream(CUstream handle, CUstream *stream) {
  stream_kind kind = handle == CU_STREAM_PER_THREAD ? PER_THREAD : LEGACY;
  uint64_t owner = kind == PER_THREAD ? this_thread()->number : 0;
  CUcontext context = current_context();
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  for (CUstream s = state.streams; s < state.streams + MAX_STREAMS; s++)
    if (s->kind == kind && s->context == context && s->owner == owner && !s->closing) {
      *stream = s;
      return CUDA_SUCCESS;
    }
  CUresult status = stream_create(stream, kind);
  if (!status) (*stream)->owner = owner;
  return status;
}

CUresult stream_resolve(CUstream handle, CUstream *stream) {
  if (!handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD)
    return default_stream(handle, stream);
  for (CUstream s = state.streams; s < state.streams + MAX_STREAMS; s++)
    if (s == handle && s->live) {
      *stream = s;
      return CUDA_SUCCESS;
    }
  return CUDA_ERROR_INVALID_HANDLE;
}

static bool held_back(CUstream stream) {
  const op_t *op = stream->first;
  if (state.stalled || stream->stalled) return true;
  return op->kind == WAIT && op->awaited->completed < op->position;
}

static void finish_first(CUstream stream) {
  op_t *op = stream->first;
  stream->first = op->next;
  if (!op->next) stream->last = NULL;
  stream->completed++;
  free(op->staged);
  free(op);
  state_announce();
}

static void *execute(void *argument) {
  CUstream stream = argument;
  state_lock();
  for (;;) {
    if (stream->first && !held_back(stream)) {
      op_run(stream, stream->first);
      finish_first(stream);
    } else if (!stream->first && stream->closing) {
      break;
    } else {
      state_wait();
    }
  }
  stream->running = false;
  stream->kind = UNUSED;
  state_announce();
  state_unlock();
  return NULL;
}

/* Detached: ends with its stream, or with the process. It takes no signal: those are for the
 * program's threads. */
static bool start_thread(CUstream stream) {
  pthread_t thread;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  stream->running = !pthread_create(&thread, NULL, execute, stream);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (stream->running) pthread_detach(thread);
  return stream->running;
}

/* The place that was left longest ago, so that stale handles stay recognisable. */
static CUstream unused_place(bool *soon) {
  static unsigned next;
  *soon = false;
  for (int tried = 0; tried < MAX_STREAMS; tried++, next++) {
    CUstream place = &state.streams[next % MAX_STREAMS];
    *soon |= place->closing && place->running && !place->first;
    if (place->kind != UNUSED) continue;
    next++;
    return place;
  }
  return NULL;
}

CUresult stream_create(CUstream *stream, stream_kind kind) {
  bool soon;
  CUstream new;
  while (!(new = unused_place(&soon)) && soon) state_wait();
  if (!new) return CUDA_ERROR_OUT_OF_MEMORY;
  *new = (struct CUstream_st){.kind = kind,
                              .live = kind == BLOCKING || kind == NON_BLOCKING,
                              .context = current_context(),
                              .enqueued = new->enqueued,
                              .completed = new->completed};
  if (!start_thread(new)) {
    new->live = false;
    new->kind = UNUSED;
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  *stream = new;
  return CUDA_SUCCESS;
}

static void append(CUstream stream, const op_t *op) {
  op_t *new = malloc(sizeof *new);
  if (!new) abort();
  *new = *op;
  if (stream->last) stream->last->next = new;
  else stream->first = new;
  stream->last = new;
  stream->enqueued++;
}

/* The legacy stream waits for the work of all blocking streams, and they for its own. */
static bool implicitly_ordered(CUstream a, CUstream b) {
  if (a == b || a->context != b->context) return false;
  return (a->kind == LEGACY && (b->kind == BLOCKING || b->kind == PER_THREAD)) ||
         (b->kind == LEGACY && (a->kind == BLOCKING || a->kind == PER_THREAD));
}

CUresult stream_enqueue(CUstream stream, op_t op) {
  if (stream->captured_by) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  for (CUstream other = state.streams; other < state.streams + MAX_STREAMS; other++) {
    if (!implicitly_ordered(stream, other)) continue;
    moment now = moment_of(other);
    moment_add(&stream->after, &now);
    append(stream, &(op_t){.kind = WAIT, .awaited = other, .position = other->enqueued});
  }
  order_op(stream, &op);
  append(stream, &op);
  state_announce();
  return CUDA_SUCCESS;
}

void stream_wait_until(CUstream stream, uint64_t position) {
  while (stream->completed < position) state_wait();
}

/* For all that is enqueued by now; the program knows then that it is over. */
void stream_wait(CUstream stream) {
  moment now = moment_of(stream);
  stream_wait_until(stream, stream->enqueued);
  moment_add(&state.host, &now);
  state.host_saw = state.clock;
}

static bool any_running(void) {
  for (int i = 0; i < MAX_STREAMS; i++)
    if (state.streams[i].running) return true;
  return false;
}

void streams_end_all(void) {
  state.stalled = false;
  for (int i = 0; i < MAX_STREAMS; i++) {
    state.streams[i].stalled = false;
    state.streams[i].closing = true;
  }
  state_announce();
  while (any_running()) state_wait();
}
