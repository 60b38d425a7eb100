/* Worker PROCESSES that are killed at every point of the protocol, thousands of times.
 *
 *   kill_test [SCALE [VARIANT]]
 *
 * The workers are forked, share the ring and the slots through memfds, and send SIGKILL to
 * themselves at random fault points inside csrc/ring*.c; or a thread of the parent sends it from
 * outside at random moments. The real monitor mends the ring, the parent forks replacements.
 * feed.c asserts that nothing is lost, doubled, torn or out of order. Nobody ever parks with a
 * time-out: a lost wake-up stops everything, and the watchdog says so.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "check.h"
#include "fault.h"
#include "feed.h"
#include "monitor.h"
#include "park.h"
#include "random.h"

#define MAX_PROCESSES 8u

typedef struct {
  feed_plan plan;
  uint32_t stride; /* bytes of a slot: from outside one must catch workers while they fill */
  uint32_t max_retries;
  uint32_t suicide_one_in;  /* visits to a fault point; 0: never */
  uint32_t murder_every_us; /* on average; 0: never */
  bool late; /* the dead are replaced only when one worker is left: it must hear of everything */
} variant;

#define ALWAYS FF_MAX_ATTEMPTS

static const variant variants[] = {
    {.plan = {.name = "fault points", .n_workers = 3, .n_entries = 16, .n_slots = 10, .keep = 2,
              .batches = 50000},
     .stride = 4096, .max_retries = ALWAYS, .suicide_one_in = 24},
    {.plan = {.name = "fault points, unordered", .n_workers = 4, .n_entries = 8, .n_slots = 8,
              .unordered = true, .batches = 20000},
     .stride = 4096, .max_retries = ALWAYS, .suicide_one_in = 24},
    {.plan = {.name = "fault points, one slot", .n_workers = 2, .n_entries = 2, .n_slots = 1,
              .batches = 8000},
     .stride = 4096, .max_retries = ALWAYS, .suicide_one_in = 24},
    {.plan = {.name = "fault points, replaced late", .n_workers = 4, .n_entries = 4, .n_slots = 4,
              .batches = 10000},
     .stride = 4096, .max_retries = ALWAYS, .suicide_one_in = 24, .late = true},
    {.plan = {.name = "fault points, giving up", .n_workers = 3, .n_entries = 16, .n_slots = 10,
              .batches = 8000},
     .stride = 4096, .max_retries = 0, .suicide_one_in = 24},
    {.plan = {.name = "fault points, parts", .n_workers = 3, .n_entries = 16, .n_slots = 10,
              .keep = 2, .parts = 3, .batches = 12000},
     .stride = 4096, .max_retries = ALWAYS, .suicide_one_in = 24},
    {.plan = {.name = "parts, unordered", .n_workers = 4, .n_entries = 8, .n_slots = 8,
              .parts = 2, .unordered = true, .cancel_every = 50, .batches = 12000},
     .stride = 4096, .max_retries = ALWAYS, .suicide_one_in = 40, .murder_every_us = 1000},
    {.plan = {.name = "parts, giving up", .n_workers = 3, .n_entries = 16, .n_slots = 10,
              .parts = 4, .batches = 3000},
     .stride = 4096, .max_retries = 0, .suicide_one_in = 24},
    {.plan = {.name = "killed from outside", .n_workers = 3, .n_entries = 16, .n_slots = 10,
              .keep = 2, .batches = 20000},
     .stride = 65536, .max_retries = ALWAYS, .murder_every_us = 400},
    {.plan = {.name = "both", .n_workers = 4, .n_entries = 16, .n_slots = 10, .keep = 2,
              .cancel_every = 50, .batches = 20000},
     .stride = 4096, .max_retries = ALWAYS, .suicide_one_in = 40, .murder_every_us = 1000},
};

static const char *const point_names[FF_FAULT_POINTS] = {
    "before claim",  "after claim", "while filling", "before publish",
    "after publish", "before wake", "before sleep",  "after sleep",
};

typedef struct {
  pid_t pid; /* 0: dead and not replaced yet */
  int pidfd; /* our own; the monitor has another */
} worker;

typedef struct {
  feed run;
  const variant *variant;
  ff_monitor *monitor;
  int ring_fd, slots_fd;
  uint64_t births, killed;
  worker workers[MAX_PROCESSES];
  /* The murderer, a thread. */
  pthread_t murderer;
  pthread_mutex_t lock; /* of `pidfd` of the workers, which it reads, and `over` */
  bool over;
} crew;

/* -- in the worker process -------------------------------------------------------------------- */

static ff_a32 *deaths_at; /* [FF_FAULT_POINTS], shared by all processes; only ever added to */
static uint32_t suicide_one_in;
static uint64_t random_state;

void ff_fault(enum ff_fault_point point) {
  if (!suicide_one_in || random_below(&random_state, suicide_one_in)) return;
  ff_add_relaxed32(&deaths_at[point], 1);
  kill(getpid(), SIGKILL);
}

static void while_filling(void) { FF_FAULT(FF_WHILE_FILLING); }

/* A worker has its own mappings of both memfds, as one that was not forked would. */
static _Noreturn void work(const crew *c, uint32_t number) {
  ff_ring ring;
  ff_claim claimed;
  void *ring_memory = NULL, *slots = NULL;
  uint64_t ring_bytes = 0, slot_bytes = 0;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* the test itself may fail and end */
  random_state = c->births;
  if (ff_memory_map(c->ring_fd, &ring_memory, &ring_bytes)) _exit(10);
  if (ff_memory_map(c->slots_fd, &slots, &slot_bytes)) _exit(11);
  if (ff_ring_attach(&ring, ring_memory, ring_bytes)) _exit(12);
  suicide_one_in = c->variant->suicide_one_in;
  int rc;
  while (!(rc = ff_ring_claim(&ring, number, FF_FOREVER, &claimed))) {
    feed_fill((char *)slots + claimed.ticket.offset, &claimed, while_filling);
    if (feed_publish(&ring, &claimed)) _exit(13);
  }
  _exit(rc == -ESHUTDOWN ? 0 : 14);
}

/* -- in the parent ---------------------------------------------------------------------------- */

static void start_worker(crew *c, uint32_t number) {
  worker *w = &c->workers[number];
  c->births++;
  pid_t pid = fork();
  REQUIRE(pid >= 0);
  if (!pid) work(c, number);
  int fd = (int)syscall(SYS_pidfd_open, pid, 0), copy = (int)syscall(SYS_pidfd_open, pid, 0);
  REQUIRE(fd >= 0 && copy >= 0);
  pthread_mutex_lock(&c->lock);
  *w = (worker){.pid = pid, .pidfd = fd};
  pthread_mutex_unlock(&c->lock);
  REQUIRE(ff_monitor_watch(c->monitor, number, copy) == 0);
}

/* Killed, or gone home with 0 when it is time. */
static void bury_worker(crew *c, uint32_t number, bool may_go_home) {
  worker *w = &c->workers[number];
  int status = 0;
  REQUIRE(waitpid(w->pid, &status, 0) == w->pid);
  bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  CHECK(killed || (may_go_home && WIFEXITED(status) && WEXITSTATUS(status) == 0));
  c->killed += killed;
  pthread_mutex_lock(&c->lock);
  close(w->pidfd);
  *w = (worker){.pidfd = -1};
  pthread_mutex_unlock(&c->lock);
}

static void replace_dead(void *context) {
  crew *c = context;
  uint32_t n_workers = c->run.plan.n_workers, alive = 0;
  for (int number; (number = ff_monitor_next_death(c->monitor)) >= 0;)
    bury_worker(c, (uint32_t)number, false);
  for (uint32_t i = 0; i < n_workers; i++) alive += c->workers[i].pid != 0;
  if (c->variant->late && alive > 1) return;
  for (uint32_t i = 0; i < n_workers; i++) {
    if (c->workers[i].pid) continue;
    ff_ring_reset_worker(&c->run.ring, i);
    start_worker(c, i);
  }
}

static bool murder_one(crew *c, uint64_t *random) {
  pthread_mutex_lock(&c->lock);
  bool over = c->over;
  int fd = c->workers[random_below(random, c->run.plan.n_workers)].pidfd;
  /* One that is dead already cannot be killed again: then this is no error. */
  if (!over && fd >= 0 && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) && errno != ESRCH)
    abort();
  pthread_mutex_unlock(&c->lock);
  return !over;
}

static void *murder(void *argument) {
  crew *c = argument;
  uint64_t random = 1;
  for (;;) {
    uint32_t us = random_below(&random, 2 * c->variant->murder_every_us);
    struct timespec moment = {.tv_nsec = us * 1000L};
    nanosleep(&moment, NULL);
    if (!murder_one(c, &random)) return NULL;
  }
}

static void start_crew(crew *c) {
  REQUIRE(ff_monitor_start(&c->run.ring, c->variant->max_retries, &c->monitor) == 0);
  c->run.deaths = ff_monitor_deaths(c->monitor);
  c->run.replace_dead = replace_dead;
  c->run.context = c;
  pthread_mutex_init(&c->lock, NULL);
  for (uint32_t i = 0; i < c->run.plan.n_workers; i++) start_worker(c, i);
  if (c->variant->murder_every_us) REQUIRE(!pthread_create(&c->murderer, NULL, murder, c));
}

/* Some die at a fault point on their way home; the others must hear of the shutdown. */
static void stop_crew(crew *c) {
  if (c->variant->murder_every_us) {
    pthread_mutex_lock(&c->lock);
    c->over = true;
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->murderer, NULL);
  }
  ff_ring_stop(&c->run.ring);
  for (uint32_t i = 0; i < c->run.plan.n_workers; i++)
    if (c->workers[i].pid) bury_worker(c, i, true);
  ff_monitor_stop(c->monitor);
  pthread_mutex_destroy(&c->lock);
  CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD); /* no child is left */
}

/* -- one variant ------------------------------------------------------------------------------ */

static uint64_t suicides(void) {
  uint64_t sum = 0;
  for (int point = 0; point < FF_FAULT_POINTS; point++) sum += ff_load_relaxed32(&deaths_at[point]);
  return sum;
}

static void check_and_print(const crew *c, uint64_t suicides_before) {
  const feed *run = &c->run;
  bool gives_up = c->variant->max_retries == 0;
  CHECK((run->crashed > 0) == gives_up);
  CHECK((run->retried > 0) == !gives_up);
  CHECK((run->pieces > 0) == (run->plan.parts > 1));
  if (c->variant->murder_every_us)
    CHECK(c->killed > suicides() - suicides_before);
  else
    CHECK_EQ(c->killed, suicides() - suicides_before);
  printf("  %-27s %llu batches, %llu deaths, %llu made again, %llu given up\n", run->plan.name,
         (unsigned long long)run->delivered, (unsigned long long)c->killed,
         (unsigned long long)run->retried, (unsigned long long)run->crashed);
  fflush(stdout); /* or every child to come has it in its buffer too */
}

static uint64_t run_variant(const variant *v, uint64_t scale) {
  crew c = {.variant = v};
  feed_plan plan = v->plan;
  plan.batches *= scale;
  uint64_t ring_bytes = ff_ring_bytes(plan.n_entries, plan.n_workers);
  uint64_t slot_bytes = (uint64_t)plan.n_slots * v->stride;
  REQUIRE(plan.n_workers <= MAX_PROCESSES);
  REQUIRE(ff_memory_create("kill-test-ring", ring_bytes, "", &c.ring_fd) == 0);
  REQUIRE(ff_memory_create("kill-test-slots", slot_bytes, "", &c.slots_fd) == 0);
  uint64_t suicides_before = suicides();
  feed_open(&c.run, &plan, c.ring_fd, c.slots_fd, v->stride);
  watchdog_ring(&c.run.ring);
  start_crew(&c);
  feed_all(&c.run);
  stop_crew(&c);
  check_and_print(&c, suicides_before);
  watchdog_ring(NULL);
  feed_close(&c.run);
  close(c.ring_fd);
  close(c.slots_fd);
  return c.killed;
}

/* One variant alone may not come to each of them. */
static void check_and_print_points(bool all_variants) {
  for (int point = 0; point < FF_FAULT_POINTS; point++) {
    printf("  %-16s %u deaths\n", point_names[point], ff_load_relaxed32(&deaths_at[point]));
    if (all_variants) CHECK(ff_load_relaxed32(&deaths_at[point]) > 0);
  }
}

int main(int argc, char **argv) {
  uint64_t scale = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, killed = 0;
  watchdog_start();
  deaths_at = mmap(NULL, FF_FAULT_POINTS * sizeof *deaths_at, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(deaths_at != MAP_FAILED);
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
    if (argc < 3 || !strcmp(argv[2], variants[i].plan.name))
      killed += run_variant(&variants[i], scale);
  check_and_print_points(argc < 3);
  printf("  %llu deaths in all\n", (unsigned long long)killed);
  return check_report("kill_test");
}
