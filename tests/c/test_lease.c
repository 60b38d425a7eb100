/* Users of slots, from one thread and from many; what outlives what. Every test ends by asserting
 * that no segment is left. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "check.h"
#include "lease.h"

#define PAGE 4096

static ff_segment *open_segment(uint32_t count, bool poison) {
  int fd = -1;
  ff_segment *segment = NULL;
  REQUIRE(ff_memory_create("test", (uint64_t)count * PAGE, "", &fd) == 0);
  REQUIRE(ff_segment_open(fd, PAGE, count, poison, &segment) == 0);
  close(fd); /* stays the caller's, and is not needed any more */
  return segment;
}

static uint32_t acquire(ff_segment *segment) {
  uint32_t slot = UINT32_MAX;
  REQUIRE(ff_slot_acquire(segment, &slot) == 0);
  return slot;
}

static void every_slot_is_given_out_once_and_the_lowest_first(void) {
  enum { COUNT = 130 }; /* more than two words of the bit map */
  ff_segment *segment = open_segment(COUNT, false);
  uint32_t none = 0;
  CHECK_EQ(ff_segment_count(segment), COUNT);
  CHECK_EQ(ff_segment_stride(segment), PAGE);
  for (uint32_t i = 0; i < COUNT; i++) {
    CHECK_EQ(ff_segment_in_use(segment), i);
    CHECK_EQ(acquire(segment), i);
    memset(ff_slot_data(segment, i), (int)i, PAGE);
  }
  CHECK_EQ(ff_slot_acquire(segment, &none), -EAGAIN);
  for (uint32_t i = 0; i < COUNT; i++)
    CHECK_EQ(((uint8_t *)ff_slot_data(segment, i))[PAGE - 1], (uint8_t)i);
  ff_slot_release(segment, 129);
  ff_slot_release(segment, 70);
  CHECK_EQ(acquire(segment), 70);
  CHECK_EQ(acquire(segment), 129);
  for (uint32_t i = 0; i < COUNT; i++) ff_slot_release(segment, i);
  CHECK_EQ(ff_segment_in_use(segment), 0);
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 0);
}

static void a_slot_is_free_when_its_last_user_is_gone(void) {
  ff_segment *segment = open_segment(1, false);
  uint32_t slot = acquire(segment), none = 0;
  ff_slot_retain(segment, slot);
  ff_slot_retain(segment, slot);
  for (int users = 3; users > 0; users--) {
    CHECK_EQ(ff_slot_acquire(segment, &none), -EAGAIN);
    CHECK_EQ(ff_segment_in_use(segment), 1);
    ff_slot_release(segment, slot);
  }
  CHECK_EQ(acquire(segment), slot);
  ff_slot_release(segment, slot);
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 0);
}

static void poison_covers_a_free_slot_and_only_that(void) {
  ff_segment *segment = open_segment(3, true);
  for (uint32_t i = 0; i < 3; i++) memset(ff_slot_data(segment, acquire(segment)), 0x11, PAGE);
  ff_slot_release(segment, 1);
  const uint8_t *bytes = ff_slot_data(segment, 0);
  for (size_t i = 0; i < 3 * PAGE; i++)
    if (bytes[i] != (i / PAGE == 1 ? 0xff : 0x11)) CHECK(!"poison in its place");
  CHECK_EQ(bytes[PAGE], 0xff);
  ff_slot_release(segment, 0);
  ff_slot_release(segment, 2);
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 0);
}

static void a_segment_outlives_its_owner_while_a_slot_is_in_use(void) {
  ff_segment *segment = open_segment(2, false);
  uint32_t slot = acquire(segment);
  memset(ff_slot_data(segment, slot), 0x22, PAGE);
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 1);
  CHECK_EQ(((uint8_t *)ff_slot_data(segment, slot))[PAGE - 1], 0x22);
  ff_slot_release(segment, slot);
  CHECK_EQ(ff_segments_alive(), 0);
}

static int64_t pages_of(int fd) {
  struct stat status;
  REQUIRE(!fstat(fd, &status));
  return status.st_blocks * 512 / PAGE;
}

/* The descriptor stands for a worker that still maps a segment which the parent is done with. */
static void the_pages_go_with_the_last_user(void) {
  int fd = -1;
  ff_segment *segment = NULL;
  REQUIRE(ff_memory_create("test", 3 * PAGE, "", &fd) == 0);
  REQUIRE(ff_segment_open(fd, PAGE, 3, false, &segment) == 0);
  uint32_t slot = acquire(segment);
  ff_segment_close(segment);
  CHECK_EQ(pages_of(fd), 3);
  ff_slot_release(segment, slot);
  CHECK_EQ(pages_of(fd), 0);
  close(fd);
  CHECK_EQ(ff_segments_alive(), 0);
}

static void a_fork_drops_its_books_and_leaves_the_bytes(void) {
  int fd = -1, status = -1;
  ff_segment *segment = NULL;
  REQUIRE(ff_memory_create("test", PAGE, "", &fd) == 0);
  REQUIRE(ff_segment_open(fd, PAGE, 1, true, &segment) == 0);
  uint32_t slot = acquire(segment);
  memset(ff_slot_data(segment, slot), 0x33, PAGE);
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (!child) {
    ff_slot_release(segment, slot);
    ff_segment_close(segment);
    _exit(ff_segments_alive() ? 1 : 0);
  }
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
  CHECK_EQ(pages_of(fd), 1);
  CHECK_EQ(((uint8_t *)ff_slot_data(segment, slot))[PAGE - 1], 0x33);
  ff_slot_release(segment, slot);
  ff_segment_close(segment);
  close(fd);
  CHECK_EQ(ff_segments_alive(), 0);
}

static void a_private_segment_goes_with_its_slot(void) {
  for (uint64_t bytes = 0; bytes < 200; bytes += 33) {
    ff_segment *segment = NULL;
    REQUIRE(ff_segment_private(bytes, &segment) == 0);
    uint32_t none = 0;
    CHECK_EQ(ff_slot_acquire(segment, &none), -EAGAIN);
    CHECK_EQ((uintptr_t)ff_slot_data(segment, 0) % FF_ALIGNMENT, 0);
    memset(ff_slot_data(segment, 0), 1, bytes);
    ff_slot_retain(segment, 0);
    ff_slot_release(segment, 0);
    CHECK_EQ(ff_segments_alive(), 1);
    ff_slot_release(segment, 0);
    CHECK_EQ(ff_segments_alive(), 0);
  }
}

static void impossible_segments_are_refused(void) {
  int fd = -1;
  ff_segment *segment = NULL;
  REQUIRE(ff_memory_create("test", 4 * PAGE, "", &fd) == 0);
  CHECK_EQ(ff_segment_open(fd, PAGE, 5, false, &segment), -EINVAL);
  CHECK_EQ(ff_segment_open(fd, 4 * PAGE, 2, false, &segment), -EINVAL);
  CHECK_EQ(ff_segment_open(fd, PAGE, 0, false, &segment), -EINVAL);
  CHECK_EQ(ff_segment_open(fd, 0, 1, false, &segment), -EINVAL);
  CHECK_EQ(ff_segment_open(fd, PAGE + 64, 1, false, &segment), -EINVAL);
  CHECK_EQ(ff_segment_open(fd, UINT64_MAX / PAGE * PAGE, 2, false, &segment), -EINVAL);
  CHECK_EQ(ff_segment_open(-1, PAGE, 1, false, &segment), -EBADF);
  CHECK_EQ(ff_segments_alive(), 0);
  CHECK_EQ(ff_segment_open(fd, PAGE, 4, false, &segment), 0);
  close(fd);
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 0);
}

/* -- DLPack ---------------------------------------------------------------------------------- */

static const DLDataType float32 = {DLPACK_FLOAT, 32, 1};

static void a_tensor_describes_its_part_of_the_slot(void) {
  ff_segment *segment = open_segment(2, false);
  uint32_t slot = acquire(segment);
  int64_t shape[3] = {2, 3, 4};
  CHECK(!ff_slot_dlpack(segment, slot, 32, float32, 3, shape));
  CHECK(!ff_slot_dlpack(segment, slot, 1, float32, 3, shape));
  DLManagedTensor *managed = ff_slot_dlpack(segment, slot, 128, float32, 3, shape);
  REQUIRE(managed);
  const DLTensor *tensor = &managed->dl_tensor;
  shape[0] = 9; /* it has a copy */
  CHECK(tensor->data == (uint8_t *)ff_slot_data(segment, slot) + 128);
  CHECK_EQ(tensor->ndim, 3);
  CHECK(tensor->shape[0] == 2 && tensor->shape[1] == 3 && tensor->shape[2] == 4);
  CHECK(!tensor->strides && !tensor->byte_offset);
  CHECK(tensor->dtype.code == DLPACK_FLOAT && tensor->dtype.bits == 32 && tensor->dtype.lanes == 1);
  CHECK(tensor->device.device_type == DLPACK_CPU && tensor->device.device_id == 0);
  DLManagedTensor *scalar = ff_slot_dlpack(segment, slot, 0, float32, 0, shape);
  REQUIRE(scalar);
  ff_slot_release(segment, slot); /* the ticket's use: the tensors remain */
  ff_segment_close(segment);
  managed->deleter(managed);
  CHECK_EQ(ff_segments_alive(), 1);
  scalar->deleter(scalar);
  CHECK_EQ(ff_segments_alive(), 0);
}

static void *delete_tensor(void *managed) {
  ((DLManagedTensor *)managed)->deleter(managed);
  return NULL;
}

static void a_tensor_may_be_deleted_by_another_thread(void) {
  ff_segment *segment = open_segment(1, true);
  int64_t shape[1] = {16};
  for (int i = 0; i < 200; i++) {
    pthread_t threads[3];
    uint32_t slot = acquire(segment);
    for (int t = 0; t < 3; t++) {
      void *managed = ff_slot_dlpack(segment, slot, 0, float32, 1, shape);
      REQUIRE(managed && !pthread_create(&threads[t], NULL, delete_tensor, managed));
    }
    ff_slot_release(segment, slot);
    for (int t = 0; t < 3; t++) pthread_join(threads[t], NULL);
    CHECK_EQ(ff_segment_in_use(segment), 0);
  }
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 0);
}

/* -- the owner takes slots again while the threads that gave them back still run --------------- */

enum { SLOTS = 4, READERS = 3, JOBS = 1500, UNJOINED = 4 * SLOTS };

typedef struct {
  ff_segment *segment;
  uint32_t slot;
  int value;
  pthread_t readers[READERS];
} job;

/* Plain reads: ThreadSanitizer reports them if the next writer does not come after them. */
static void *read_and_release(void *argument) {
  const job *given = argument;
  const int *ints = ff_slot_data(given->segment, given->slot);
  for (int i = 0; i < 8; i++) CHECK_EQ(ints[i], given->value);
  ff_slot_release(given->segment, given->slot);
  return NULL;
}

static void join_readers(const job *given) {
  for (int r = 0; r < READERS; r++) pthread_join(given->readers[r], NULL);
}

static void start_readers(job *given) {
  int *ints = ff_slot_data(given->segment, given->slot);
  for (int i = 0; i < 8; i++) ints[i] = given->value;
  for (int r = 1; r < READERS; r++) ff_slot_retain(given->segment, given->slot);
  for (int r = 0; r < READERS; r++)
    REQUIRE(!pthread_create(&given->readers[r], NULL, read_and_release, given));
}

static void a_slot_is_written_again_only_after_all_have_read_it(void) {
  ff_segment *segment = open_segment(SLOTS, false);
  static job jobs[UNJOINED]; /* many more than slots: joining would order what releasing must */
  for (int j = 0; j < JOBS + UNJOINED; j++) {
    job *given = &jobs[j % UNJOINED];
    if (j >= UNJOINED) join_readers(given);
    watchdog_pat();
    if (j >= JOBS) continue;
    given->segment = segment;
    given->value = j;
    while (ff_slot_acquire(segment, &given->slot)) sched_yield();
    start_readers(given);
  }
  CHECK_EQ(ff_segment_in_use(segment), 0);
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 0);
}

/* -- the last user of a closed segment takes it along, whichever thread that is ---------------- */

static void *release_a_slot(void *argument) {
  const job *given = argument;
  ff_slot_release(given->segment, given->slot);
  return NULL;
}

static void the_last_thread_frees_a_closed_segment(void) {
  for (int round = 0; round < 300; round++) {
    ff_segment *segment = open_segment(READERS, false);
    pthread_t threads[READERS];
    job jobs[READERS];
    for (int i = 0; i < READERS; i++) jobs[i] = (job){.segment = segment, .slot = acquire(segment)};
    for (int i = 0; i < READERS; i++)
      REQUIRE(!pthread_create(&threads[i], NULL, release_a_slot, &jobs[i]));
    ff_segment_close(segment);
    for (int i = 0; i < READERS; i++) pthread_join(threads[i], NULL);
    CHECK_EQ(ff_segments_alive(), 0);
  }
}

int main(void) {
  watchdog_start();
  RUN(every_slot_is_given_out_once_and_the_lowest_first);
  RUN(a_slot_is_free_when_its_last_user_is_gone);
  RUN(poison_covers_a_free_slot_and_only_that);
  RUN(a_segment_outlives_its_owner_while_a_slot_is_in_use);
  RUN(the_pages_go_with_the_last_user);
  RUN(a_fork_drops_its_books_and_leaves_the_bytes);
  RUN(a_private_segment_goes_with_its_slot);
  RUN(impossible_segments_are_refused);
  RUN(a_tensor_describes_its_part_of_the_slot);
  RUN(a_tensor_may_be_deleted_by_another_thread);
  RUN(a_slot_is_written_again_only_after_all_have_read_it);
  RUN(the_last_thread_frees_a_closed_segment);
  return check_report("test_lease");
}
