/* The monitor with real processes: what it watches, mends, counts and reports. */
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "arena.h"
#include "monitor.h"
#include "ring_util.h"

/* A ring that children reach too: its mapping is inherited. */
static ff_ring shared_ring(uint32_t n_entries, uint32_t n_workers) {
  int fd = -1;
  void *memory = NULL;
  uint64_t bytes = 0;
  ff_ring ring;
  REQUIRE(ff_memory_create("ring", ff_ring_bytes(n_entries, n_workers), "", &fd) == 0);
  REQUIRE(ff_memory_map(fd, &memory, &bytes) == 0);
  close(fd);
  REQUIRE(ff_ring_init(&ring, memory, n_entries, n_workers, 0) == 0);
  return ring;
}

static void unmap_ring(ff_ring *ring) {
  ff_memory_unmap(ring->header, ff_ring_bytes(ring->header->n_entries, ring->header->n_workers));
}

static ff_monitor *start(const ff_ring *ring) {
  ff_monitor *monitor = NULL;
  REQUIRE(ff_monitor_start(ring, 2, &monitor) == 0);
  return monitor;
}

/* A child that claims up to `claims` tickets, then sleeps until it is killed. */
static pid_t fork_worker(ff_ring *ring, uint32_t worker, int claims) {
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (child) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (ff_claim claimed; claims && !ff_ring_claim(ring, worker, FF_FOREVER, &claimed);) claims--;
  for (;;) pause();
}

static void watch(ff_monitor *monitor, uint32_t worker, pid_t child) {
  int fd = (int)syscall(SYS_pidfd_open, child, 0);
  REQUIRE(fd >= 0);
  REQUIRE(ff_monitor_watch(monitor, worker, fd) == 0);
}

static void kill_child(pid_t child) {
  int status = 0;
  kill(child, SIGKILL);
  REQUIRE(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
}

static void wait_for_deaths(ff_ring *ring, ff_monitor *monitor, uint32_t count) {
  const ff_a32 *deaths = ff_monitor_deaths(monitor);
  ff_batch batch;
  for (uint32_t seen = 0; (seen = ff_load_acquire32(deaths)) < count;)
    REQUIRE(ff_ring_take_wait(ring, true, &batch, deaths, seen, FF_FOREVER) == -EAGAIN);
}

static void wait_until_claimed(const ff_ring *ring, uint32_t entry) {
  while ((ff_load_acquire64(&ring->entries[entry].word) & 0xf) != 2) sched_yield();
}

static int count_descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  REQUIRE(folder);
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

static void a_death_is_counted_and_reported_once(void) {
  int before = count_descriptors();
  ff_ring ring = shared_ring(4, 3);
  ff_monitor *monitor = start(&ring);
  pid_t children[3];
  for (uint32_t i = 0; i < 3; i++) watch(monitor, i, children[i] = fork_worker(&ring, i, 0));
  CHECK_EQ(ff_monitor_next_death(monitor), -EAGAIN);
  kill_child(children[1]);
  wait_for_deaths(&ring, monitor, 1);
  CHECK_EQ(ff_monitor_next_death(monitor), 1);
  CHECK_EQ(ff_monitor_next_death(monitor), -EAGAIN);
  kill_child(children[2]);
  kill_child(children[0]);
  wait_for_deaths(&ring, monitor, 3);
  CHECK_EQ(ff_monitor_next_death(monitor), 0);
  CHECK_EQ(ff_monitor_next_death(monitor), 2);
  CHECK_EQ(ff_monitor_next_death(monitor), -EAGAIN);
  CHECK_EQ(ff_load_acquire32(ff_monitor_deaths(monitor)), 3);
  ff_monitor_stop(monitor);
  unmap_ring(&ring);
  CHECK_EQ(count_descriptors(), before);
}

static void a_dead_childs_ticket_is_open_again(void) {
  ff_ring ring = shared_ring(4, 2);
  ff_monitor *monitor = start(&ring);
  post(&ring, 7);
  pid_t child = fork_worker(&ring, 1, 1);
  wait_until_claimed(&ring, 0);
  watch(monitor, 1, child);
  CHECK(nothing_to_claim(&ring, 0));
  kill_child(child);
  wait_for_deaths(&ring, monitor, 1);
  CHECK_EQ(ff_monitor_next_death(monitor), 1);
  ff_claim claimed = claim(&ring, 0);
  CHECK_EQ(claimed.ticket.index, 7);
  CHECK_EQ(claimed.attempt, 1);
  ff_monitor_stop(monitor);
  unmap_ring(&ring);
}

/* Else a new worker with the dead one's number could lose a ticket to the repair. The ring is as
 * large as can be, so that the repair takes its time, and nothing here waits for it. */
static void a_death_is_reported_only_when_it_is_mended(void) {
  ff_ring ring = shared_ring(FF_MAX_ENTRIES, 1);
  for (int round = 0; round < 20; round++) {
    ff_monitor *monitor = start(&ring);
    int pipe_ends[2];
    REQUIRE(!pipe(pipe_ends));
    REQUIRE(ff_ring_init(&ring, ring.header, FF_MAX_ENTRIES, 1, 0) == 0);
    start_at(&ring, FF_MAX_ENTRIES - 1); /* the entry that the repair looks at last */
    post(&ring, 0);
    claim(&ring, 0);
    REQUIRE(ff_monitor_watch(monitor, 0, pipe_ends[0]) == 0);
    close(pipe_ends[1]);
    while (ff_monitor_next_death(monitor) < 0) continue;
    CHECK_EQ(claim(&ring, 0).attempt, 1);
    ff_monitor_stop(monitor);
    watchdog_pat();
  }
  unmap_ring(&ring);
}

static void workers_can_be_added_and_numbers_used_again(void) {
  ff_ring ring = shared_ring(4, 2);
  ff_monitor *monitor = start(&ring);
  for (uint32_t i = 0; i < 50; i++) {
    pid_t child = fork_worker(&ring, i % 2, 0);
    watch(monitor, i % 2, child);
    CHECK_EQ(ff_monitor_watch(monitor, i % 2, 0), -EBUSY);
    kill_child(child);
    wait_for_deaths(&ring, monitor, i + 1);
    CHECK_EQ(ff_monitor_next_death(monitor), i % 2);
    watchdog_pat();
  }
  ff_monitor_stop(monitor);
  unmap_ring(&ring);
}

static void a_worker_that_goes_home_is_reported_too(void) {
  ff_ring ring = shared_ring(4, 1);
  ff_monitor *monitor = start(&ring);
  int status = -1;
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (!child) {
    ff_claim claimed;
    _exit(ff_ring_claim(&ring, 0, FF_FOREVER, &claimed) == -ESHUTDOWN ? 0 : 1);
  }
  watch(monitor, 0, child);
  ff_ring_stop_worker(&ring, 0);
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK_EQ(status, 0);
  wait_for_deaths(&ring, monitor, 1);
  CHECK_EQ(ff_monitor_next_death(monitor), 0);
  ff_monitor_stop(monitor);
  unmap_ring(&ring);
}

/* Where there is no pidfd: the write end that only the worker has is closed by its death. */
static void a_pipe_serves_in_place_of_a_pidfd(void) {
  ff_ring ring = shared_ring(4, 1);
  ff_monitor *monitor = start(&ring);
  int ends[2];
  REQUIRE(!pipe(ends));
  pid_t child = fork_worker(&ring, 0, 0);
  close(ends[1]);
  REQUIRE(ff_monitor_watch(monitor, 0, ends[0]) == 0);
  kill_child(child);
  wait_for_deaths(&ring, monitor, 1);
  CHECK_EQ(ff_monitor_next_death(monitor), 0);
  ff_monitor_stop(monitor);
  unmap_ring(&ring);
}

static void stopping_leaves_living_workers_alone(void) {
  ff_ring ring = shared_ring(4, 1);
  ff_monitor *monitor = start(&ring);
  pid_t child = fork_worker(&ring, 0, 0);
  watch(monitor, 0, child);
  ff_monitor_stop(monitor);
  CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
  kill_child(child);
  unmap_ring(&ring);
}

/* poll() refuses a list longer than the limit of open files. */
static void more_numbers_than_open_files_are_no_trouble(void) {
  ff_ring ring = shared_ring(4, FF_MAX_WORKERS);
  struct rlimit before, low;
  REQUIRE(!getrlimit(RLIMIT_NOFILE, &before));
  low = before;
  low.rlim_cur = 64;
  REQUIRE(!setrlimit(RLIMIT_NOFILE, &low));
  ff_monitor *monitor = start(&ring);
  pid_t child = fork_worker(&ring, FF_MAX_WORKERS - 1, 0);
  watch(monitor, FF_MAX_WORKERS - 1, child);
  kill_child(child);
  wait_for_deaths(&ring, monitor, 1);
  CHECK_EQ(ff_monitor_next_death(monitor), FF_MAX_WORKERS - 1);
  ff_monitor_stop(monitor);
  REQUIRE(!setrlimit(RLIMIT_NOFILE, &before));
  unmap_ring(&ring);
}

int main(void) {
  watchdog_start();
  RUN(a_death_is_counted_and_reported_once);
  RUN(a_dead_childs_ticket_is_open_again);
  RUN(a_death_is_reported_only_when_it_is_mended);
  RUN(workers_can_be_added_and_numbers_used_again);
  RUN(a_worker_that_goes_home_is_reported_too);
  RUN(a_pipe_serves_in_place_of_a_pidfd);
  RUN(stopping_leaves_living_workers_alone);
  RUN(more_numbers_than_open_files_are_no_trouble);
  CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD); /* nobody is left */
  return check_report("test_monitor");
}
