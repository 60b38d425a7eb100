/* Devices, contexts, streams, events and failures of the simulated driver. */
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_util.h"

static void test_start(void) {
  int n = 0;
  CUdevice ordinal;
  CUcontext none;
  char text[32];
  CHECK_EQ(sim_reset(1), 0);
  CHECK_EQ(cuDeviceGetCount(&n), CUDA_ERROR_NOT_INITIALIZED);
  CHECK_EQ(cuStreamCreate(&stream, 0), CUDA_ERROR_NOT_INITIALIZED);
  CHECK_EQ(cuInit(1), CUDA_ERROR_INVALID_VALUE);
  sim_devices(0);
  CHECK_EQ(cuInit(0), CUDA_ERROR_NO_DEVICE);
  sim_devices(3);
  OK(cuInit(0));
  OK(cuDeviceGetCount(&n));
  CHECK_EQ(n, 3);
  OK(cuDeviceGet(&ordinal, 2));
  CHECK_EQ(cuDeviceGet(&ordinal, 3), CUDA_ERROR_INVALID_DEVICE);
  CHECK_EQ(cuDeviceGet(&ordinal, -1), CUDA_ERROR_INVALID_DEVICE);
  CHECK_EQ(cuDevicePrimaryCtxRetain(&none, 3), CUDA_ERROR_INVALID_DEVICE);
  OK(cuDeviceGetName(text, sizeof text, 2));
  CHECK(!strcmp(text, "Simulated GPU 2"));
  OK(cuDeviceGetPCIBusId(text, 13, 1));
  CHECK(!strcmp(text, "0000:01:00.0"));
  CHECK_EQ(cuDeviceGetPCIBusId(text, 12, 1), CUDA_ERROR_INVALID_VALUE);
  sim_driver_version(11040);
  OK(cuDriverGetVersion(&n));
  CHECK_EQ(n, 11040);
}

static void test_errors_have_names(void) {
  const char *text;
  OK(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text));
  CHECK(!strcmp(text, "CUDA_ERROR_OUT_OF_MEMORY"));
  OK(cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text));
  CHECK(!strcmp(text, "out of memory"));
  CHECK_EQ(cuGetErrorString(12345, &text), CUDA_ERROR_INVALID_VALUE);
  CHECK(!text);
}

static void *use_without_context(void *unused) {
  CUdeviceptr address;
  CHECK_EQ(cuMemAlloc_v2(&address, 8), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_EQ(cuEventQuery(event), CUDA_ERROR_INVALID_CONTEXT);
  CHECK_EQ(cuCtxPopCurrent_v2(NULL), CUDA_ERROR_INVALID_CONTEXT);
  return unused;
}

static void test_contexts_are_current_in_a_thread(void) {
  pthread_t thread;
  CUcontext second, popped;
  begin(2);
  REQUIRE(!pthread_create(&thread, NULL, use_without_context, NULL));
  pthread_join(thread, NULL);
  OK(cuDevicePrimaryCtxRetain(&second, 1));
  CHECK(second != context);
  OK(cuCtxPushCurrent_v2(second));
  CHECK_EQ(cuEventRecord(event, NULL), CUDA_ERROR_INVALID_HANDLE); /* of another context */
  OK(cuCtxPopCurrent_v2(&popped));
  CHECK(popped == second);
  OK(cuDevicePrimaryCtxRelease_v2(1));
  CHECK_EQ(cuCtxPushCurrent_v2(second), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CHECK_EQ(cuDevicePrimaryCtxRelease_v2(1), CUDA_ERROR_INVALID_CONTEXT);
  end(0);
}

static void test_handles(void) {
  CUstream gone;
  CUevent gone_event;
  begin(3);
  OK(cuStreamCreate(&gone, 0));
  OK(cuStreamDestroy_v2(gone));
  CHECK_EQ(cuStreamDestroy_v2(gone), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuStreamSynchronize(gone), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuStreamDestroy_v2(NULL), CUDA_ERROR_INVALID_HANDLE);
  OK(cuEventCreate(&gone_event, 0));
  OK(cuEventDestroy_v2(gone_event));
  CHECK_EQ(cuEventDestroy_v2(gone_event), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuEventRecord(gone_event, stream), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuStreamWaitEvent(stream, (CUevent)host, 0), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuEventRecord(event, (CUstream)host), CUDA_ERROR_INVALID_HANDLE);
  CHECK_EQ(cuStreamCreate(&gone, 2), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuEventCreate(&gone_event, CU_EVENT_INTERPROCESS), CUDA_ERROR_INVALID_VALUE);
  end(0);
}

static void test_events_hold_streams_and_the_host(void) {
  uint64_t sum = 0;
  begin(7);
  CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS); /* never recorded */
  OK(cuStreamWaitEvent(other, event, 0));
  sim_slowness(3000);
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuEventRecord(event, stream));
  OK(cuStreamWaitEvent(other, event, 0));
  OK(sim_kernel_read(other, device, SIZE, 10, &sum));
  OK(cuEventSynchronize(event));
  CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS);
  OK(cuStreamSynchronize(other));
  CHECK(sum == sim_checksum(host, SIZE));
  end(0);
}

static void test_a_later_record_moves_an_event(void) {
  begin(8);
  OK(sim_stall(other, 1));
  OK(cuEventRecord(event, other));
  OK(cuStreamWaitEvent(stream, event, 0)); /* this record, not the next */
  OK(cuEventRecord(event, stream));
  OK(sim_stall(other, 0));
  OK(cuEventSynchronize(event));
  CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS);
  end(0);
}

static void test_an_event_is_not_complete_for_an_earlier_record(void) {
  begin(23);
  OK(sim_stall(SIM_ALL_STREAMS, 1));
  OK(sim_stall(stream, 1));
  OK(cuEventRecord(event, other));
  OK(cuEventRecord(event, stream));
  OK(sim_stall(SIM_ALL_STREAMS, 0));
  OK(cuStreamSynchronize(other));
  for (int i = 0; i < 10; i++) CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  OK(sim_stall(stream, 0));
  OK(cuEventSynchronize(event));
  OK(cuEventQuery(event));
  end(0);
}

static void test_queries_answer_late(void) {
  int late = 0;
  begin(9);
  for (int i = 0; i < 30; i++) {
    OK(cuEventRecord(event, stream));
    usleep(1000); /* it is complete by now, or the check below is weaker than it could be */
    while (cuEventQuery(event) == CUDA_ERROR_NOT_READY) late++;
    CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS); /* and never takes it back */
  }
  CHECK(late > 0);
  OK(cuEventRecord(event, stream));
  OK(cuStreamSynchronize(stream));
  CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS); /* the host knows it by other means */
  end(0);
}

static void test_the_legacy_stream_orders_blocking_ones(void) {
  CUstream blocking;
  uint64_t sum = 0;
  begin(10);
  sim_slowness(2000);
  OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, blocking));
  OK(sim_kernel_add(NULL, device, SIZE, 3, 500));
  OK(sim_kernel_add(CU_STREAM_PER_THREAD, device, SIZE, 253, 500));
  OK(sim_kernel_read(CU_STREAM_LEGACY, device, SIZE, 10, &sum));
  CHECK_EQ(wrong_bytes(), 0);
  CHECK(sum == sim_checksum(host, SIZE));
  OK(cuStreamDestroy_v2(blocking));
  end(0);
}

/* After some hundred others; and what was done on the old stream is not taken for the new one's. */
static void test_a_handle_is_given_out_again(void) {
  CUstream first, again = NULL;
  int others = 0;
  begin(24);
  OK(cuStreamCreate(&first, CU_STREAM_NON_BLOCKING));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, first));
  OK(cuStreamSynchronize(first));
  for (OK(cuStreamDestroy_v2(first)); again != first && others < 5000; others++) {
    if (again) OK(cuStreamDestroy_v2(again));
    OK(cuStreamCreate(&again, CU_STREAM_NON_BLOCKING));
  }
  CHECK(again == first && others > 100);
  OK(sim_stall(again, 1));
  OK(cuEventRecord(event, again));
  OK(cuStreamWaitEvent(other, event, 0));
  OK(cuEventRecord(event, other));
  usleep(1000);
  for (int i = 0; i < 10; i++) CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  OK(sim_stall(again, 0));
  OK(cuStreamDestroy_v2(again));
  end(0);
}

static void test_destroyed_streams_and_events_finish(void) {
  CUstream short_lived;
  CUevent mark;
  begin(11);
  OK(cuStreamCreate(&short_lived, CU_STREAM_NON_BLOCKING));
  OK(cuEventCreate(&mark, 0));
  OK(sim_stall(short_lived, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, short_lived));
  OK(cuEventRecord(mark, short_lived));
  OK(cuStreamWaitEvent(stream, mark, 0));
  OK(sim_stall(short_lived, 0));
  OK(cuStreamDestroy_v2(short_lived));
  OK(cuEventDestroy_v2(mark));
  OK(cuStreamSynchronize(stream));
  CHECK_EQ(wrong_bytes(), 0);
  end(0);
}

static void test_the_child_of_a_fork_has_no_driver(void) {
  int status;
  begin(15);
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  pid_t child = fork();
  if (!child) {
    int refused = cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                  cuStreamSynchronize(stream) == CUDA_ERROR_NOT_INITIALIZED;
    exit(refused ? 0 : 1); /* through what is run at exit */
  }
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  OK(sim_stall(stream, 0));
  CHECK_EQ(wrong_bytes(), 0);
  end(0);
}

static void test_injected_failures(void) {
  CUdeviceptr address;
  begin(16);
  int64_t before = sim_calls("cuMemAlloc_v2");
  OK(sim_fail("cuMemAlloc_v2", 2, CUDA_ERROR_OUT_OF_MEMORY));
  OK(cuMemAlloc_v2(&address, 8));
  OK(cuMemFree_v2(address));
  CHECK_EQ(cuMemAlloc_v2(&address, 8), CUDA_ERROR_OUT_OF_MEMORY);
  OK(cuMemAlloc_v2(&address, 8));
  OK(cuMemFree_v2(address));
  CHECK_EQ(sim_calls("cuMemAlloc_v2") - before, 3);
  OK(sim_fail("cuEventQuery", -1, CUDA_ERROR_UNKNOWN));
  for (int i = 0; i < 3; i++) CHECK_EQ(cuEventQuery(event), CUDA_ERROR_UNKNOWN);
  OK(sim_fail("cuEventQuery", 0, 0));
  OK(cuEventQuery(event));
  CHECK_EQ(sim_fail("cuEventQuerry", 1, 1), -1);
  CHECK_EQ(sim_calls("cuEventQuerry"), -1);
  CHECK_EQ(sim_live("event"), -1);
  end(0);
}

static void *count_calls(void *unused) {
  CHECK_EQ(sim_calls_by_this_thread("cuInit"), 0);
  OK(cuInit(0));
  CHECK_EQ(sim_calls_by_this_thread("cuInit"), 1);
  return unused;
}

static void test_calls_by_a_thread(void) {
  pthread_t thread;
  begin(17);
  REQUIRE(!pthread_create(&thread, NULL, count_calls, NULL));
  pthread_join(thread, NULL);
  CHECK_EQ(sim_calls_by_this_thread("cuInit"), 1);
  CHECK_EQ(sim_calls("cuInit"), 2);
  end(0);
}

static void test_a_failed_copy_fails_the_context(void) {
  for (int report = 0; report < 2; report++) {
    begin(18);
    uint64_t sum = 0;
    CUresult release = report ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
    sim_fail_copies(2, CUDA_ERROR_ILLEGAL_ADDRESS, report);
    OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
    CHECK_EQ(wrong_bytes(), 0);
    OK(sim_stall(stream, 1));
    OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
    OK(sim_kernel_read(stream, device, SIZE, 0, &sum));
    OK(sim_stall(stream, 0));
    CHECK_EQ(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(!sum); /* nothing executes any more */
    CHECK_EQ(cuEventQuery(event), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK_EQ(cuEventRecord(event, other), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK_EQ(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK_EQ(cuMemHostUnregister(host), release);
    CHECK_EQ(cuMemFree_v2(device), release);
    CHECK_EQ(cuEventDestroy_v2(event), release);
    CHECK_EQ(cuStreamDestroy_v2(stream), release);
    CHECK_EQ(cuStreamDestroy_v2(other), release);
    free(host);
    OK(cuCtxPopCurrent_v2(NULL));
    OK(cuDevicePrimaryCtxRelease_v2(0));
    CHECK_EQ(sim_live("all"), 0);
    CHECK_EQ(sim_violations(), 0);
    OK(cuDevicePrimaryCtxRetain(&context, 0)); /* a new one works */
    OK(cuCtxPushCurrent_v2(context));
    OK(cuCtxSynchronize());
    OK(cuCtxPopCurrent_v2(NULL));
    OK(cuDevicePrimaryCtxRelease_v2(0));
  }
}

static void test_captures(void) {
  CUstream blocking;
  int status = -1, mode = CU_CAPTURE_RELAXED;
  begin(20);
  OK(sim_capture(stream, 1));
  OK(cuStreamIsCapturing(stream, &status));
  CHECK_EQ(status, CU_CAPTURE_ACTIVE);
  OK(cuStreamIsCapturing(other, &status));
  CHECK_EQ(status, CU_CAPTURE_NONE);
  CHECK_EQ(cuStreamWaitEvent(stream, event, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  CHECK_EQ(cuMemcpyHtoDAsync_v2(device, host, 8, stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  CHECK_EQ(mode, CU_CAPTURE_GLOBAL);
  CHECK_EQ(cuEventQuery(event), CUDA_SUCCESS);
  OK(cuEventRecord(event, stream));
  CHECK_EQ(cuEventQuery(event), CUDA_ERROR_CAPTURED_EVENT);
  CHECK_EQ(cuStreamWaitEvent(other, event, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
  OK(sim_capture(stream, 0));
  OK(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
  OK(sim_capture(blocking, 1));
  CHECK_EQ(cuStreamIsCapturing(NULL, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
  OK(cuStreamDestroy_v2(blocking));
  OK(cuStreamIsCapturing(NULL, &status));
  CHECK_EQ(status, CU_CAPTURE_NONE);
  OK(cuThreadExchangeStreamCaptureMode(&mode));
  CHECK_EQ(mode, CU_CAPTURE_RELAXED);
  end(0);
}

static void test_reset_counts_what_was_live(void) {
  begin(21);
  OK(sim_stall(SIM_ALL_STREAMS, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  CHECK_EQ(sim_live("contexts"), 1);
  CHECK_EQ(sim_live("all"), 6); /* context, 2 streams, event, device memory, registration */
  CHECK_EQ(sim_reset(22), 6);
  free(host);
  CHECK_EQ(sim_live("all"), 0);
  CHECK_EQ(cuStreamSynchronize(stream), CUDA_ERROR_NOT_INITIALIZED);
}

int main(void) {
  watchdog_start();
  RUN(test_start);
  RUN(test_errors_have_names);
  RUN(test_contexts_are_current_in_a_thread);
  RUN(test_handles);
  RUN(test_events_hold_streams_and_the_host);
  RUN(test_a_later_record_moves_an_event);
  RUN(test_an_event_is_not_complete_for_an_earlier_record);
  RUN(test_queries_answer_late);
  RUN(test_the_legacy_stream_orders_blocking_ones);
  RUN(test_a_handle_is_given_out_again);
  RUN(test_destroyed_streams_and_events_finish);
  RUN(test_the_child_of_a_fork_has_no_driver);
  RUN(test_injected_failures);
  RUN(test_calls_by_a_thread);
  RUN(test_a_failed_copy_fails_the_context);
  RUN(test_captures);
  RUN(test_reset_counts_what_was_live);
  return check_report("test_simulated");
}
