/* Events: the points in streams that they mark, and when the program learns of them. */
#include "state.h"

CUevent event_find(CUevent handle) {
  size_t offset = (size_t)((uintptr_t)handle - (uintptr_t)state.events);
  if (offset >= sizeof state.events || offset % sizeof state.events[0]) return NULL;
  return handle->live ? handle : NULL;
}

/* The place that was left longest ago, so that stale handles stay recognisable. */
static CUresult event_create(CUevent *event) {
  static unsigned next;
  for (int tried = 0; tried < MAX_EVENTS; tried++) {
    CUevent new = &state.events[next++ % MAX_EVENTS];
    if (new->live) continue;
    *new = (struct CUevent_st){.live = true, .context = current_context()};
    *event = new;
    return CUDA_SUCCESS;
  }
  return CUDA_ERROR_OUT_OF_MEMORY;
}

/* The stream has come to the record. Unless the event has been recorded again since, or is gone. */
void event_completed(CUevent event, uint64_t record) {
  if (event->record != record) return;
  event->completed_at = ++state.clock;
  event->lies = state_random(4);
}

/* A capture forbids what is not safe to all threads in the global mode, and in the thread-local
 * mode to the thread that captures. */
bool capture_forbids(void) {
  const struct thread *self = this_thread();
  for (int i = 0; i < MAX_STREAMS; i++) {
    uint64_t by = state.streams[i].captured_by;
    if (by && self->capture_mode == CU_CAPTURE_GLOBAL) return true;
    if (by == self->number && self->capture_mode == CU_CAPTURE_THREAD_LOCAL) return true;
  }
  return false;
}

CUresult cuEventCreate(CUevent *event, unsigned flags) {
  CUresult status = enter(__func__);
  bool timed = !(flags & CU_EVENT_DISABLE_TIMING);
  if (!status && (!event || flags > 7 || (flags & CU_EVENT_INTERPROCESS && timed)))
    status = CUDA_ERROR_INVALID_VALUE;
  if (!status) status = event_create(event);
  return leave(status);
}

CUresult cuEventDestroy_v2(CUevent handle) {
  CUresult status = enter(__func__);
  CUevent event = event_find(handle);
  if (!status && !event) status = CUDA_ERROR_INVALID_HANDLE;
  if (!status) event->live = false;
  return leave_release(status);
}

static CUresult record(CUevent event, CUstream stream) {
  if (event->context != stream->context) return CUDA_ERROR_INVALID_HANDLE;
  event->captured = stream->captured_by;
  if (event->captured) return CUDA_SUCCESS;
  event->record = ++state.records;
  event->completed_at = 0;
  event->stream = stream;
  stream_enqueue(stream, (op_t){.kind = RECORD, .event = event, .record = event->record});
  event->position = stream->enqueued;
  event->after = moment_of(stream);
  return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent handle, CUstream to) {
  CUresult status = enter(__func__);
  CUevent event = event_find(handle);
  CUstream stream;
  if (!status && !event) status = CUDA_ERROR_INVALID_HANDLE;
  if (!status) status = stream_resolve(to, &stream);
  if (!status) status = record(event, stream);
  return leave(status);
}

/* What the program has learned once, also through a later event, stays true. */
static CUresult query(CUevent event) {
  if (event->captured) return CUDA_ERROR_CAPTURED_EVENT;
  if (!event->record) return CUDA_SUCCESS;
  if (!event->completed_at) return CUDA_ERROR_NOT_READY;
  if (event->completed_at <= state.host_saw) return CUDA_SUCCESS;
  if (event->lies) {
    event->lies--;
    return CUDA_ERROR_NOT_READY;
  }
  state.host_saw = event->completed_at;
  return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent handle) {
  CUresult status = enter(__func__);
  CUevent event = event_find(handle);
  if (!status && !event) status = CUDA_ERROR_INVALID_HANDLE;
  if (!status) status = query(event);
  if (!status) moment_add(&state.host, &event->after);
  return leave(status);
}

static CUresult synchronize(CUevent event) {
  if (event->captured) return CUDA_ERROR_CAPTURED_EVENT;
  moment then = event->after; /* it may be recorded again meanwhile */
  if (event->record) stream_wait_until(event->stream, event->position);
  moment_add(&state.host, &then);
  state.host_saw = state.clock;
  return current_context()->error;
}

CUresult cuEventSynchronize(CUevent handle) {
  CUresult status = enter(__func__);
  CUevent event = event_find(handle);
  if (!status && !event) status = CUDA_ERROR_INVALID_HANDLE;
  if (!status) status = synchronize(event);
  return leave(status);
}
