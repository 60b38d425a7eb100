/* Pools of buffers: turns, growth, who outlives whom, and what any failing call leaves. */
#include <pthread.h>

#include "pool_util.h"

static void check_size(uint32_t buffers, uint64_t bytes) {
  uint32_t n = UINT32_MAX;
  uint64_t size = UINT64_MAX;
  ff_pool_size(pool, &n, &size);
  CHECK_EQ(n, buffers);
  CHECK_EQ(size, bytes);
  CHECK_EQ(sim_live("device_allocations"), buffers);
}

/* -- fixed ----------------------------------------------------------------------------------- */

static void fixed_buffers_take_turns(void) {
  enum { FIXED = 3 };
  CUdeviceptr addresses[FIXED];
  open_pool(1, FIXED, true);
  for (int i = 0; i < 20; i++) {
    ff_buffer *buffer = take_written(i);
    if (i < FIXED) addresses[i] = ff_buffer_pointer(buffer);
    CHECK_EQ(ff_buffer_pointer(buffer), addresses[i % FIXED]);
    ff_buffer_release(buffer);
  }
  check_size(FIXED, FIXED * BYTES);
  CHECK_EQ(sim_calls("cuMemAlloc_v2"), FIXED);
  check_violations(false);
  close_pool();
}

static void a_turn_is_waited_for(void) {
  open_pool(2, 2, true);
  ff_buffer *first = take(), *second = take(), *none = NULL;
  CUdeviceptr address = ff_buffer_pointer(first);
  uint32_t bell = ff_load_relaxed32(ff_pool_bell(pool));
  ff_buffer_release(second); /* not the one whose turn it is */
  CHECK(ff_load_relaxed32(ff_pool_bell(pool)) != bell);
  for (int i = 0; i < 3; i++)
    CHECK_EQ(ff_pool_take(pool, BYTES, STREAM(up), &none, &error), -EAGAIN);
  CHECK(!none);
  ff_buffer_release(first);
  first = take();
  CHECK_EQ(ff_buffer_pointer(first), address);
  ff_buffer_release(first);
  close_pool();
}

static void fixed_buffers_do_not_grow(void) {
  open_pool(3, 2, true);
  ff_buffer *buffer = take(), *none = NULL;
  ff_buffer_release(take());
  ff_buffer_release(buffer);
  CHECK_EQ(ff_pool_take(pool, BYTES + 1, STREAM(up), &none, &error), -EMSGSIZE);
  CHECK_EQ(error.code, -EMSGSIZE);
  REQUIRE(ff_pool_take(pool, 1, STREAM(up), &buffer, &error) == 0); /* smaller ones may come */
  CHECK_EQ(ff_buffer_bytes(buffer), BYTES);
  ff_buffer_release(buffer);
  close_pool();
}

/* -- the others ------------------------------------------------------------------------------ */

static void it_grows_while_more_are_kept_and_shrinks_again(void) {
  enum { USUAL = 2, KEPT = 5 };
  ff_buffer *kept[KEPT];
  open_pool(4, USUAL, false);
  for (int i = 0; i < KEPT; i++) kept[i] = take_written(i);
  check_size(KEPT, KEPT * BYTES);
  for (int i = 0; i < KEPT; i++) {
    unsigned char byte = 99;
    OK(ff_buffer_read(kept[i], BYTES - 1, &byte, 1, &error));
    CHECK_EQ(byte, i);
    ff_buffer_release(kept[i]);
  }
  check_size(KEPT, KEPT * BYTES);
  ff_buffer_release(take_written(9));
  check_size(USUAL, USUAL * BYTES);
  for (int i = 0; i < 10; i++) ff_buffer_release(take_written(i));
  check_size(USUAL, USUAL * BYTES);
  CHECK_EQ(sim_calls("cuMemAlloc_v2"), KEPT);
  check_violations(false);
  close_pool();
}

/* The one that has been free for longest: its readers are the most likely to be done. */
static void as_many_as_usual_before_one_is_used_again(void) {
  enum { USUAL = 3 };
  CUdeviceptr addresses[USUAL];
  open_pool(5, USUAL, false);
  for (int i = 0; i < 4 * USUAL; i++) {
    ff_buffer *buffer = take();
    if (i < USUAL) addresses[i] = ff_buffer_pointer(buffer);
    for (int j = 0; j < i && j < USUAL; j++)
      CHECK_EQ(ff_buffer_pointer(buffer) == addresses[j], i % USUAL == j);
    ff_buffer_release(buffer);
  }
  check_size(USUAL, USUAL * BYTES);
  close_pool();
}

static void larger_batches_replace_the_buffers(void) {
  open_pool(6, 2, false);
  ff_buffer_release(take_written(1));
  ff_buffer_release(take_written(2));
  ff_buffer *larger = NULL;
  REQUIRE(ff_pool_take(pool, 2 * BYTES, STREAM(up), &larger, &error) == 0);
  CHECK_EQ(ff_buffer_bytes(larger), 2 * BYTES);
  check_size(1, 2 * BYTES);
  ff_buffer_release(larger);
  REQUIRE(ff_pool_take(pool, 0, STREAM(up), &larger, &error) == 0);
  CHECK(ff_buffer_pointer(larger)); /* zero bytes have an address too */
  ff_buffer_release(larger);
  close_pool();
}

static void no_device_memory_is_left(void) {
  ff_buffer *none = NULL;
  open_pool(7, 2, false);
  sim_memory(BYTES);
  ff_buffer *buffer = take_written(1);
  CHECK_EQ(ff_pool_take(pool, BYTES, STREAM(up), &none, &error), CUDA_ERROR_OUT_OF_MEMORY);
  CHECK_EQ(error.code, FF_CU_OUT_OF_MEMORY);
  CHECK(!strcmp(error.call, "cuMemAlloc"));
  check_size(1, BYTES);
  ff_buffer_release(buffer);
  close_pool();
}

static void a_pointer_tells_its_buffer(void) {
  open_pool(14, 2, false);
  ff_buffer *first = take(), *second = take();
  CUdeviceptr start = ff_buffer_pointer(first), after = start + BYTES;
  CHECK(ff_pool_find(pool, start) == first);
  CHECK(ff_pool_find(pool, after - 1) == first);
  CHECK(!ff_pool_find(pool, after));
  CHECK(!ff_pool_find(pool, start - 1));
  CHECK(ff_pool_find(pool, ff_buffer_pointer(second) + 1) == second);
  for (int users = 0; users < 3; users++) ff_buffer_release(first); /* each find is one more */
  CHECK(!ff_pool_find(pool, start)); /* nobody uses it */
  ff_buffer_release(second);
  ff_buffer_release(second);
  close_pool();
}

/* -- who outlives whom ----------------------------------------------------------------------- */

static void buffers_outlive_the_owner(void) {
  unsigned char byte = 0;
  open_pool(8, 3, false);
  ff_buffer *kept = take_written(5);
  ff_buffer *other = take_written(6);
  ff_buffer_release(take_written(7));
  ff_buffer_release(other);
  ff_pool_close(pool);
  CHECK_EQ(sim_live("device_allocations"), 1); /* what was idle is gone */
  CHECK_EQ(ff_pools_alive(), 1);
  OK(ff_buffer_read(kept, 0, &byte, 1, &error));
  CHECK_EQ(byte, 5);
  OK(ff_buffer_hand_to(kept, STREAM(readers[0]), &error));
  OK(sim_kernel_read(readers[0], ff_buffer_pointer(kept), BYTES, 2000, &sums[0]));
  ff_buffer_release(kept);
  CHECK_EQ(ff_pools_alive(), 0);
  CHECK_EQ(sim_live("device_allocations"), 0);
  CHECK(sums[0] == sum_of(5)); /* freeing it has waited for the reader */
  destroy_streams();
  ff_device_leave(device);
  end(device);
}

static void use_in_a_fork(void *buffer) {
  CHECK_EQ(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error), -EPERM);
  CHECK_EQ(ff_buffer_read(buffer, 0, &error, 1, &error), -EPERM);
  ff_buffer_release(buffer);
  ff_pool_close(pool);
}

static void a_fork_does_not_call_the_driver(void) {
  open_pool(9, 2, false);
  ff_buffer_release(take_written(4));
  ff_buffer *buffer = take_written(5);
  OK(ff_buffer_hand_to(buffer, STREAM(readers[1]), &error));
  in_a_fork(use_in_a_fork, buffer);
  ff_buffer_release(buffer);
  check_violations(false);
  close_pool();
}

/* -- DLPack ---------------------------------------------------------------------------------- */

static const DLDataType float32 = {DLPACK_FLOAT, 32, 1};

static void a_tensor_describes_its_part_of_the_buffer(void) {
  open_pool(10, 1, false);
  int64_t shape[2] = {3, 5};
  ff_buffer *buffer = take_written(1);
  DLManagedTensor *managed = ff_buffer_dlpack(buffer, 256, float32, 2, shape);
  REQUIRE(managed);
  const DLTensor *tensor = &managed->dl_tensor;
  CHECK_EQ((uintptr_t)tensor->data, ff_buffer_pointer(buffer) + 256);
  CHECK(tensor->device.device_type == DLPACK_CUDA && tensor->device.device_id == 0);
  CHECK(tensor->ndim == 2 && tensor->shape[0] == 3 && tensor->shape[1] == 5);
  CHECK(!tensor->strides && !tensor->byte_offset);
  ff_buffer_release(buffer);
  ff_pool_close(pool);
  CHECK_EQ(ff_pools_alive(), 1); /* the tensor is a user */
  managed->deleter(managed);
  CHECK_EQ(ff_pools_alive(), 0);
  destroy_streams();
  ff_device_leave(device);
  end(device);
}

typedef struct {
  ff_buffer *buffer;
  DLManagedTensor *managed;
  int reader;
} share;

/* Each on a stream of its own; who comes last marks the streams of all. */
static void *read_and_delete(void *argument) {
  const share *mine = argument;
  ff_cuda_error my_error;
  if (mine->reader >= 0) {
    CHECK_EQ(ff_buffer_hand_to(mine->buffer, STREAM(readers[mine->reader]), &my_error), 0);
    CHECK_EQ(sim_kernel_read(readers[mine->reader], ff_buffer_pointer(mine->buffer), BYTES, 50,
                             &sums[mine->reader]),
             0);
  }
  mine->managed->deleter(mine->managed);
  return NULL;
}

static void tensors_are_deleted_by_other_threads(void) {
  enum { THREADS = 4, ROUNDS = 150 };
  open_pool(11, 1, false);
  sim_slowness(20);
  int64_t shape[1] = {16};
  for (int round = 0; round < ROUNDS; round++) {
    pthread_t threads[THREADS];
    share shares[THREADS];
    ff_buffer *buffer = take_written(round);
    for (int i = 0; i < THREADS; i++) {
      /* One has nothing to do but to delete, and is often the last. */
      shares[i] = (share){buffer, ff_buffer_dlpack(buffer, 0, float32, 1, shape),
                          i == THREADS - 1 ? -1 : i};
      REQUIRE(shares[i].managed);
      REQUIRE(!pthread_create(&threads[i], NULL, read_and_delete, &shares[i]));
    }
    ff_buffer_release(buffer);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    watchdog_pat();
  }
  CHECK_EQ(sim_calls("cuMemAlloc_v2"), 1);
  OK(cuCtxSynchronize());
  for (int i = 0; i < THREADS - 1; i++) CHECK(sums[i] == sum_of(ROUNDS - 1));
  check_violations(false);
  close_pool();
}

static void the_last_thread_frees_a_closed_pool(void) {
  enum { THREADS = 3 };
  int64_t shape[1] = {16};
  for (uint64_t round = 0; round < 40; round++) {
    pthread_t threads[THREADS];
    share shares[THREADS];
    open_pool(round, THREADS, round % 2);
    for (int i = 0; i < THREADS; i++) {
      ff_buffer *buffer = take_written(i);
      shares[i] = (share){buffer, ff_buffer_dlpack(buffer, 0, float32, 1, shape), i};
      REQUIRE(shares[i].managed);
      ff_buffer_release(buffer);
    }
    for (int i = 0; i < THREADS; i++)
      REQUIRE(!pthread_create(&threads[i], NULL, read_and_delete, &shares[i]));
    ff_pool_close(pool);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_EQ(ff_pools_alive(), 0);
    CHECK_EQ(sim_live("device_allocations"), 0);
    destroy_streams();
    ff_device_leave(device);
    end(device);
  }
}

/* -- failures -------------------------------------------------------------------------------- */

/* All that one can do with buffers; the first thing that went wrong. */
static int do_everything(void) {
  ff_buffer *buffer = NULL;
  unsigned char byte;
  int rc = 0;
  for (int round = 0; round < 4 && !rc; round++) {
    rc = ff_pool_take(pool, BYTES, STREAM(up), &buffer, &error);
    if (rc) break;
    rc = ff_buffer_written_by(buffer, STREAM(up), &error);
    for (int i = 0; i < 2 && !rc; i++) rc = ff_buffer_hand_to(buffer, STREAM(readers[i]), &error);
    if (!rc && round > 1) ff_buffer_is_used_anywhere(buffer);
    if (!rc) rc = ff_buffer_wait(buffer, &error);
    if (!rc) rc = ff_buffer_read(buffer, 1, &byte, 1, &error);
    while (!rc && (rc = ff_buffer_has_arrived(buffer, &error)) == FF_CU_NOT_READY) rc = 0;
    ff_buffer_release(buffer);
  }
  return rc;
}

static void check_failing(const char *function, int nth, bool fixed, bool is_told) {
  open_pool((uint64_t)nth, 1, fixed);
  OK(sim_fail(function, nth, CUDA_ERROR_UNKNOWN));
  int64_t before = sim_calls(function);
  int rc = do_everything();
  CHECK(sim_calls(function) - before >= nth); /* it did fail */
  CHECK_EQ(rc, is_told ? CUDA_ERROR_UNKNOWN : 0);
  if (is_told) CHECK(!strncmp(error.call, function, strlen(error.call)));
  OK(sim_fail(function, 0, 0));
  OK(do_everything()); /* and the pool is as good as before */
  check_violations(false);
  close_pool();
}

static void any_call_may_fail(void) {
  for (int fixed = 0; fixed < 2; fixed++) {
    check_failing("cuMemAlloc_v2", 1, fixed, true);
    for (int nth = 1; nth <= 3; nth++) check_failing("cuEventCreate", nth, fixed, true);
    for (int nth = 1; nth <= 3; nth++) check_failing("cuStreamWaitEvent", nth, fixed, true);
    for (int nth = 1; nth <= 3; nth++) check_failing("cuEventSynchronize", nth, fixed, true);
    for (int nth = 1; nth <= 3; nth++) check_failing("cuMemcpyDtoH_v2", nth, fixed, true);
    check_failing("cuCtxSynchronize", 1, fixed, true);
    check_failing("cuEventRecord", 1, fixed, true);
    /* Those at the release are nobody's: the buffer then waits for the device. */
    check_failing("cuEventRecord", 2, fixed, false);
    check_failing("cuEventRecord", 3, fixed, false);
    for (int nth = 1; nth <= 4; nth++) check_failing("cuStreamIsCapturing", nth, fixed, false);
    check_failing("cuCtxPushCurrent_v2", 1, fixed, true);
    check_failing("cuCtxPushCurrent_v2", 4, fixed, false);
  }
}

static void a_stream_that_cannot_wait_is_not_noted(void) {
  open_pool(13, 1, false);
  OK(sim_stall(up, 1));
  ff_buffer *buffer = take_written(8);
  OK(sim_fail("cuStreamWaitEvent", 1, CUDA_ERROR_UNKNOWN));
  CHECK_EQ(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error), CUDA_ERROR_UNKNOWN);
  OK(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error)); /* now it does wait */
  OK(sim_kernel_read(readers[0], ff_buffer_pointer(buffer), BYTES, 0, &sums[0]));
  OK(sim_stall(up, 0));
  OK(cuCtxSynchronize());
  CHECK(sums[0] == sum_of(8));
  ff_buffer_release(buffer);
  check_violations(false);
  close_pool();
}

int main(void) {
  watchdog_start();
  RUN(fixed_buffers_take_turns);
  RUN(a_turn_is_waited_for);
  RUN(fixed_buffers_do_not_grow);
  RUN(it_grows_while_more_are_kept_and_shrinks_again);
  RUN(as_many_as_usual_before_one_is_used_again);
  RUN(larger_batches_replace_the_buffers);
  RUN(no_device_memory_is_left);
  RUN(a_pointer_tells_its_buffer);
  RUN(buffers_outlive_the_owner);
  RUN(a_fork_does_not_call_the_driver);
  RUN(a_tensor_describes_its_part_of_the_buffer);
  RUN(tensors_are_deleted_by_other_threads);
  RUN(the_last_thread_frees_a_closed_pool);
  RUN(any_call_may_fail);
  RUN(a_stream_that_cannot_wait_is_not_noted);
  return check_report("test_pool");
}
