/* The driver's calls on streams. */
#include "state.h"

CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  CUresult status = enter(__func__);
  if (!status && (!stream || flags > CU_STREAM_NON_BLOCKING)) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) status = stream_create(stream, flags ? NON_BLOCKING : BLOCKING);
  return leave(status);
}

static bool is_default(CUstream handle) {
  return !handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD;
}

/* Returns at once; the work that is left is done. */
CUresult cuStreamDestroy_v2(CUstream handle) {
  CUresult status = enter(__func__);
  CUstream stream;
  if (!status && is_default(handle)) status = CUDA_ERROR_INVALID_HANDLE;
  if (!status) status = stream_resolve(handle, &stream);
  if (!status) {
    stream->live = false;
    stream->closing = true;
    stream->captured_by = 0;
    state_announce();
  }
  return leave_release(status);
}

/* A wait that would join work outside of a capture with it, or the other way round, is refused. */
static CUresult wait_for(CUstream stream, CUevent event) {
  if (stream->captured_by || event->captured) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
  if (!event->record) return CUDA_SUCCESS;
  moment_add(&stream->after, &event->after);
  return stream_enqueue(
      stream, (op_t){.kind = WAIT, .awaited = event->stream, .position = event->position});
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent waited, unsigned flags) {
  CUresult status = enter(__func__);
  CUevent event = event_find(waited);
  CUstream stream;
  if (!status && !event) status = CUDA_ERROR_INVALID_HANDLE;
  if (!status && flags > 1) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) status = stream_resolve(handle, &stream);
  if (!status) status = wait_for(stream, event);
  return leave(status);
}

static bool blocking_capture_in(CUcontext context) {
  for (CUstream s = state.streams; s < state.streams + MAX_STREAMS; s++)
    if (s->captured_by && s->kind == BLOCKING && s->context == context) return true;
  return false;
}

CUresult cuStreamIsCapturing(CUstream handle, int *capture) {
  CUresult status = enter(__func__);
  CUstream stream;
  if (!status && !capture) status = CUDA_ERROR_INVALID_VALUE;
  if (!status) status = stream_resolve(handle, &stream);
  if (!status && stream->kind == LEGACY && blocking_capture_in(stream->context))
    status = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
  if (!status) *capture = stream->captured_by ? CU_CAPTURE_ACTIVE : CU_CAPTURE_NONE;
  return leave(status);
}

CUresult cuStreamSynchronize(CUstream handle) {
  CUresult status = enter(__func__);
  CUstream stream;
  if (!status) status = stream_resolve(handle, &stream);
  if (!status && stream->captured_by) status = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  if (!status) {
    stream_wait(stream);
    status = current_context()->error;
  }
  return leave(status);
}

static void wait_for_all_in(CUcontext context) {
  for (CUstream s = state.streams; s < state.streams + MAX_STREAMS; s++)
    if (s->kind != UNUSED && s->context == context) stream_wait(s);
}

CUresult cuCtxSynchronize(void) {
  CUresult status = enter(__func__);
  if (!status) {
    CUcontext context = current_context();
    wait_for_all_in(context);
    status = context->error;
  }
  return leave(status);
}
