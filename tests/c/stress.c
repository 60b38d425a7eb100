/* One body, many variants: workers as threads on one mapping, every slot's content checked.
 *
 *   stress [SCALE [VARIANT]]
 *
 * Run plain, and under ThreadSanitizer, which follows the orders of atomic.h between the threads.
 * In the variants whose workers die a thread plays a process: it ends at a random fault point
 * without another step, and the real monitor sees its pipe close and mends the ring.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "arena.h"
#include "check.h"
#include "fault.h"
#include "feed.h"
#include "monitor.h"
#include "park.h"
#include "random.h"

#define STRIDE 4096u
#define MAX_THREADS 8u
#define WRAP (1ull << 40)

typedef struct {
  feed_plan plan;
  bool deadly;
  bool gives_up; /* on a ticket at its first death; else never */
} variant;

static const variant variants[] = {
    {.plan = {.name = "one producer", .n_workers = 1, .n_entries = 16, .n_slots = 8,
              .batches = 6000}},
    {.plan = {.name = "many producers", .n_workers = 6, .n_entries = 16, .n_slots = 8,
              .batches = 6000}},
    {.plan = {.name = "spinning", .n_workers = 2, .n_entries = 16, .n_slots = 8, .spin = 100,
              .batches = 6000}},
    {.plan = {.name = "slow consumer", .n_workers = 3, .n_entries = 8, .n_slots = 6,
              .slow_every = 3, .batches = 3000}},
    {.plan = {.name = "unordered", .n_workers = 4, .n_entries = 16, .n_slots = 8,
              .unordered = true, .batches = 6000}},
    {.plan = {.name = "tiny ring", .n_workers = 3, .n_entries = 1, .n_slots = 2,
              .batches = 3000}},
    {.plan = {.name = "one slot", .n_workers = 3, .n_entries = 4, .n_slots = 1, .batches = 3000}},
    {.plan = {.name = "keeps leases", .n_workers = 3, .n_entries = 16, .n_slots = 12, .keep = 9,
              .batches = 6000}},
    {.plan = {.name = "addressed", .n_workers = 3, .n_entries = 8, .n_slots = 8,
              .addressed = true, .batches = 4000}},
    {.plan = {.name = "cancelling", .n_workers = 3, .n_entries = 16, .n_slots = 8,
              .cancel_every = 5, .batches = 4000}},
    {.plan = {.name = "over the wrap", .n_workers = 3, .n_entries = 8, .n_slots = 8,
              .first = WRAP - 2000, .batches = 4000}},
    {.plan = {.name = "parts, over the wrap", .n_workers = 4, .n_entries = 16, .n_slots = 8,
              .parts = 3, .first = WRAP - 2000, .batches = 3000}},
    {.plan = {.name = "parts, unordered, cancelling", .n_workers = 4, .n_entries = 16,
              .n_slots = 8, .parts = 2, .unordered = true, .cancel_every = 7, .batches = 3000}},
    {.plan = {.name = "dying", .n_workers = 3, .n_entries = 16, .n_slots = 8, .keep = 2,
              .batches = 3000},
     .deadly = true},
    {.plan = {.name = "dying, spinning", .n_workers = 3, .n_entries = 4, .n_slots = 4,
              .spin = 200, .batches = 3000},
     .deadly = true},
    {.plan = {.name = "dying, unordered, cancelling", .n_workers = 3, .n_entries = 16,
              .n_slots = 8, .unordered = true, .cancel_every = 7, .batches = 3000},
     .deadly = true},
    {.plan = {.name = "dying, giving up", .n_workers = 3, .n_entries = 16, .n_slots = 8,
              .batches = 3000},
     .deadly = true, .gives_up = true},
    {.plan = {.name = "dying, parts", .n_workers = 4, .n_entries = 16, .n_slots = 8,
              .parts = 3, .batches = 2000},
     .deadly = true},
    {.plan = {.name = "dying, addressed", .n_workers = 3, .n_entries = 16, .n_slots = 8,
              .addressed = true, .batches = 3000},
     .deadly = true},
};

typedef struct crew crew;
typedef struct {
  crew *crew;
  uint32_t number;
  int lifeline; /* write end of a pipe: closed by the death. -1: immortal */
  uint64_t random;
  pthread_t thread;
} worker;

struct crew {
  feed run;
  ff_monitor *monitor; /* NULL where nobody dies */
  uint64_t births;
  worker workers[MAX_THREADS];
};

/* -- dying ----------------------------------------------------------------------------------- */

static __thread worker *self;

/* To the other threads the end of a process comes after all that it did: the kernel orders it. For
 * a thread that only ends, this adding of nothing does, on the words that reclaim looks at. */
static void order_my_death(ff_ring *ring) {
  for (uint32_t i = 0; i < ring->header->n_entries; i++) ff_or_release64(&ring->entries[i].word, 0);
}

static void die(void) {
  order_my_death(&self->crew->run.ring);
  close(self->lifeline);
  pthread_exit(NULL);
}

void ff_fault(enum ff_fault_point point) {
  (void)point;
  if (self && self->lifeline >= 0 && random_below(&self->random, 24) == 0) die();
}

static void while_filling(void) { FF_FAULT(FF_WHILE_FILLING); }

/* -- working --------------------------------------------------------------------------------- */

static void *work(void *argument) {
  self = argument;
  feed *run = &self->crew->run;
  ff_ring ring;
  ff_claim claimed;
  int rc = ff_ring_attach(&ring, run->ring.header,
                          ff_ring_bytes(run->plan.n_entries, run->plan.n_workers));
  REQUIRE(rc == 0);
  while (!(rc = ff_ring_claim(&ring, self->number, FF_FOREVER, &claimed))) {
    uint32_t slot = (uint32_t)(claimed.ticket.offset / STRIDE);
    feed_fill(ff_slot_data(run->segment, slot), &claimed, while_filling);
    CHECK_EQ(feed_publish(&ring, &claimed), 0);
  }
  CHECK_EQ(rc, -ESHUTDOWN);
  if (self->lifeline >= 0) close(self->lifeline);
  return NULL;
}

static void start_worker(crew *c, uint32_t number) {
  worker *w = &c->workers[number];
  *w = (worker){.crew = c, .number = number, .lifeline = -1, .random = ++c->births};
  if (c->monitor) {
    int ends[2];
    REQUIRE(!pipe(ends));
    REQUIRE(ff_monitor_watch(c->monitor, number, ends[0]) == 0);
    w->lifeline = ends[1];
  }
  REQUIRE(!pthread_create(&w->thread, NULL, work, w));
}

static void replace_dead(void *context) {
  crew *c = context;
  for (int number; (number = ff_monitor_next_death(c->monitor)) >= 0;) {
    pthread_join(c->workers[number].thread, NULL);
    ff_ring_reset_worker(&c->run.ring, (uint32_t)number);
    start_worker(c, (uint32_t)number);
  }
}

/* -- one variant ----------------------------------------------------------------------------- */

static void start_crew(crew *c, const variant *v) {
  if (v->deadly) {
    uint32_t max_retries = v->gives_up ? 0 : FF_MAX_ATTEMPTS;
    REQUIRE(ff_monitor_start(&c->run.ring, max_retries, &c->monitor) == 0);
    c->run.deaths = ff_monitor_deaths(c->monitor);
    c->run.replace_dead = replace_dead;
    c->run.context = c;
  }
  for (uint32_t i = 0; i < c->run.plan.n_workers; i++) start_worker(c, i);
}

static void stop_crew(crew *c) {
  ff_ring_stop(&c->run.ring);
  for (uint32_t i = 0; i < c->run.plan.n_workers; i++) pthread_join(c->workers[i].thread, NULL);
  if (c->monitor) ff_monitor_stop(c->monitor);
}

static void check_and_print(const crew *c, const variant *v) {
  const feed *run = &c->run;
  CHECK((run->crashed > 0) == v->gives_up);
  CHECK((run->retried > 0) == (v->deadly && !v->gives_up));
  CHECK((run->cancelled > 0) == (run->plan.cancel_every > 0));
  printf("  %-28s %llu batches, %llu deaths, %llu made again, %llu given up, %llu cancelled\n",
         run->plan.name, (unsigned long long)run->delivered,
         (unsigned long long)c->births - run->plan.n_workers, (unsigned long long)run->retried,
         (unsigned long long)run->crashed, (unsigned long long)run->cancelled);
}

static void run_variant(const variant *v, uint64_t scale) {
  int ring_fd = -1, slots_fd = -1;
  feed_plan plan = v->plan;
  plan.batches *= scale;
  crew *c = calloc(1, sizeof *c);
  uint64_t ring_bytes = ff_ring_bytes(plan.n_entries, plan.n_workers);
  REQUIRE(c && plan.n_workers <= MAX_THREADS);
  REQUIRE(ff_memory_create("stress-ring", ring_bytes, "", &ring_fd) == 0);
  REQUIRE(ff_memory_create("stress-slots", (uint64_t)plan.n_slots * STRIDE, "", &slots_fd) == 0);
  feed_open(&c->run, &plan, ring_fd, slots_fd, STRIDE);
  watchdog_ring(&c->run.ring);
  close(ring_fd);
  close(slots_fd);
  start_crew(c, v);
  feed_all(&c->run);
  stop_crew(c);
  check_and_print(c, v);
  watchdog_ring(NULL);
  feed_close(&c->run);
  free(c);
}

int main(int argc, char **argv) {
  uint64_t scale = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  watchdog_start();
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
    if (argc < 3 || !strcmp(argv[2], variants[i].plan.name)) run_variant(&variants[i], scale);
  return check_report("stress");
}
