/* One body, many variants: workers, the upload thread, a consumer with several streams, and a
 * thread that releases what the consumer is done with. The bytes of every batch are checked by a
 * kernel on the stream that it was handed to.
 *
 *   stress_upload [SCALE [VARIANT]]
 */
#include "park.h"
#include "random.h"
#include "upload_rig.h"

#define MAX_STREAMS 12u
#define MAX_KEPT 16u
#define QUEUE 64u

typedef struct {
  rig_plan plan;
  uint32_t streams;
  uint32_t keep;        /* batches that the consumer holds on to, at the most */
  uint32_t anywhere;    /* of so many batches one is used where nobody is told; 0: none */
  unsigned slowness_us; /* of copies; kernels take up to as long */
} variant;

#define UPLOAD(...) .upload = {__VA_ARGS__}
static const variant variants[] = {
    {.plan = {.name = "ordered", .n_workers = 3, .n_entries = 16, .n_slots = 8, .stride = 8192,
              .batches = 150, .odd_sizes = true,
              UPLOAD(.waiting = 2, .buffers = 4, .ordered = true)},
     .streams = 2, .keep = 2, .slowness_us = 50},
    {.plan = {.name = "unordered, spinning", .n_workers = 3, .n_entries = 16, .n_slots = 8,
              .stride = 8192, .batches = 150, .spin = 100, UPLOAD(.waiting = 3, .buffers = 5)},
     .streams = 3, .keep = 3, .slowness_us = 50},
    {.plan = {.name = "parts", .n_workers = 3, .n_entries = 16, .n_slots = 8, .stride = 8192,
              .batches = 150, .parts = 3, UPLOAD(.waiting = 2, .buffers = 4, .ordered = true)},
     .streams = 2, .keep = 2, .slowness_us = 50},
    {.plan = {.name = "parts, unordered", .n_workers = 3, .n_entries = 8, .n_slots = 8,
              .stride = 8192, .batches = 150, .parts = 2, UPLOAD(.waiting = 3, .buffers = 5)},
     .streams = 3, .keep = 3, .slowness_us = 50},
    {.plan = {.name = "odd kinds", .n_workers = 2, .n_entries = 8, .n_slots = 6, .stride = 4096,
              .batches = 150, .odd_sizes = true, .odd_kinds = true,
              UPLOAD(.waiting = 2, .buffers = 4, .ordered = true)},
     .streams = 2, .keep = 1, .slowness_us = 30},
    {.plan = {.name = "pageable", .n_workers = 2, .n_entries = 8, .n_slots = 4, .stride = 16384,
              .batches = 100, .pageable = true, .odd_sizes = true,
              UPLOAD(.waiting = 2, .buffers = 4, .ordered = true)},
     .streams = 2, .keep = 2, .slowness_us = 100},
    {.plan = {.name = "fixed", .n_workers = 2, .n_entries = 8, .n_slots = 5, .stride = 8192,
              .batches = 150, UPLOAD(.waiting = 3, .buffers = 3, .fixed = true, .ordered = true)},
     .streams = 2, .keep = 1, .slowness_us = 50},
    {.plan = {.name = "fixed, pageable, odd kinds", .n_workers = 2, .n_entries = 8, .n_slots = 5,
              .stride = 8192, .batches = 100, .pageable = true, .odd_kinds = true,
              UPLOAD(.waiting = 2, .buffers = 2, .fixed = true, .ordered = true)},
     .streams = 1, .keep = 1, .slowness_us = 30},
    {.plan = {.name = "used anywhere", .n_workers = 2, .n_entries = 8, .n_slots = 5,
              .stride = 8192, .batches = 80, UPLOAD(.waiting = 2, .buffers = 3, .ordered = true)},
     .streams = 2, .keep = 2, .anywhere = 2, .slowness_us = 50},
    {.plan = {.name = "hoarding", .n_workers = 3, .n_entries = 16, .n_slots = 6, .stride = 4096,
              .batches = 100, UPLOAD(.waiting = 4, .buffers = 3, .ordered = true)},
     .streams = MAX_STREAMS, .keep = 14, .slowness_us = 50},
    {.plan = {.name = "one of all", .n_workers = 1, .n_entries = 1, .n_slots = 1, .stride = 4096,
              .batches = 100, UPLOAD(.waiting = 1, .buffers = 1, .ordered = true)},
     .streams = 1, .slowness_us = 20},
};

/* -- a thread that releases ------------------------------------------------------------------- */

typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  ff_buffer *buffers[QUEUE];
  uint32_t count;
  bool over;
} bin;

static void *empty_the_bin(void *argument) {
  bin *b = argument;
  pthread_mutex_lock(&b->lock);
  while (!b->over || b->count) {
    if (!b->count) {
      pthread_cond_wait(&b->changed, &b->lock);
      continue;
    }
    ff_buffer *buffer = b->buffers[--b->count];
    pthread_mutex_unlock(&b->lock);
    ff_buffer_release(buffer);
    pthread_mutex_lock(&b->lock);
  }
  pthread_mutex_unlock(&b->lock);
  return NULL;
}

/* Sometimes here, sometimes there. */
static void throw_away(bin *b, ff_buffer *buffer, bool there) {
  pthread_mutex_lock(&b->lock);
  there = there && b->count < QUEUE;
  if (there) b->buffers[b->count++] = buffer;
  pthread_cond_signal(&b->changed);
  pthread_mutex_unlock(&b->lock);
  if (!there) ff_buffer_release(buffer);
}

/* -- the consumer ---------------------------------------------------------------------------- */

typedef struct {
  rig rig;
  const variant *variant;
  CUstream streams[MAX_STREAMS];
  uint64_t *sums; /* [batches], written by kernels */
  uint64_t random, most, n_kept, data;
  ff_buffer *kept[MAX_KEPT];
  bin bin;
} consumer;

static void let_go_of_oldest(consumer *c) {
  throw_away(&c->bin, c->kept[0], random_below(&c->random, 2));
  memmove(c->kept, c->kept + 1, --c->n_kept * sizeof *c->kept);
}

/* On one stream that the buffer is handed to, and now and then on one that nobody is told of. */
static void use(consumer *c, uint64_t index, ff_buffer *buffer) {
  const variant *v = c->variant;
  CUstream stream = c->streams[random_below(&c->random, v->streams)];
  uint64_t bytes = rig_bytes(&c->rig, index);
  unsigned time = random_below(&c->random, v->slowness_us + 1);
  CHECK_EQ(ff_buffer_hand_to(buffer, STREAM(stream), &c->rig.error), 0);
  if (bytes)
    CHECK_EQ(sim_kernel_read(stream, ff_buffer_pointer(buffer), bytes, time, &c->sums[index]), 0);
  if (!v->anywhere || index % v->anywhere || !bytes) return;
  CUstream second = c->streams[v->streams - 1];
  CHECK_EQ(ff_buffer_wait(buffer, &c->rig.error), 0);
  ff_buffer_is_used_anywhere(buffer);
  CHECK_EQ(sim_kernel_read(second, ff_buffer_pointer(buffer), bytes, time, &c->sums[index]), 0);
}

/* With fixed buffers there may be none before another thread has let go of it. */
static ff_buffer *send(consumer *c, const ff_batch *batch) {
  ff_buffer *buffer;
  while (c->n_kept) let_go_of_oldest(c);
  while (!(buffer = rig_send(&c->rig, batch))) sched_yield();
  return buffer;
}

static void accept(consumer *c, ff_arrival *arrival) {
  uint64_t index = arrival->batch.ticket.index;
  rig_check(&c->rig, arrival);
  if (rig_is_spilled(&c->rig, index)) arrival->buffer = send(c, &arrival->batch);
  if (!arrival->note) rig_release_slot(&c->rig, &arrival->batch);
  free(arrival->note);
  if (!arrival->buffer) return;
  c->data++;
  use(c, index, arrival->buffer);
  c->kept[c->n_kept++] = arrival->buffer;
  while (c->n_kept > random_below(&c->random, c->variant->keep + 1)) let_go_of_oldest(c);
}

static void take_all(consumer *c) {
  const rig_plan *plan = &c->rig.plan;
  for (uint64_t i = 0; i < plan->batches; i++) {
    ff_arrival arrival;
    uint32_t buffers;
    uint64_t bytes;
    REQUIRE(rig_take(&c->rig, &arrival) == 0);
    if (plan->upload.ordered) CHECK_EQ(arrival.batch.ticket.index, i);
    CHECK(ff_uploader_counts(c->rig.uploader).waiting <= plan->upload.waiting);
    accept(c, &arrival);
    ff_pool_size(ff_uploader_pool(c->rig.uploader), &buffers, &bytes);
    if (buffers > c->most) c->most = buffers;
  }
  while (c->n_kept) let_go_of_oldest(c);
}

/* -- one variant ----------------------------------------------------------------------------- */

static void check_all(consumer *c) {
  const rig_plan *plan = &c->rig.plan;
  uint64_t data = 0;
  for (uint64_t i = 0; i < plan->batches; i++) {
    if (rig_kind(&c->rig, i) != FF_DATA) continue;
    data++;
    if (rig_bytes(&c->rig, i)) CHECK(c->sums[i] == rig_checksum(&c->rig, i));
  }
  CHECK_EQ(c->data, data);
  if (plan->upload.fixed) CHECK_EQ(c->most, plan->upload.buffers);
  ff_upload_counts counts = ff_uploader_counts(c->rig.uploader);
  CHECK_EQ(counts.uploads, data);
  printf("  %-28s %llu batches, up to %llu buffers, %llu copies on the host\n", plan->name,
         (unsigned long long)data, (unsigned long long)c->most,
         (unsigned long long)counts.host_copies);
}

static void run_variant(const variant *v, uint64_t scale) {
  consumer *c = calloc(1, sizeof *c);
  rig_plan plan = v->plan;
  pthread_t thread;
  plan.batches *= scale;
  REQUIRE(c && (c->sums = calloc(plan.batches, sizeof *c->sums)));
  REQUIRE(v->streams <= MAX_STREAMS && v->keep < MAX_KEPT);
  watchdog_now(plan.name);
  rig_open(&c->rig, &plan, 7, NULL, NULL);
  sim_slowness(v->slowness_us);
  c->variant = v;
  pthread_mutex_init(&c->bin.lock, NULL);
  pthread_cond_init(&c->bin.changed, NULL);
  OK(ff_device_enter(c->rig.device, &c->rig.error));
  for (uint32_t i = 0; i < v->streams; i++)
    OK(cuStreamCreate(&c->streams[i], CU_STREAM_NON_BLOCKING));
  REQUIRE(!pthread_create(&thread, NULL, empty_the_bin, &c->bin));
  take_all(c);
  pthread_mutex_lock(&c->bin.lock);
  c->bin.over = true;
  pthread_cond_signal(&c->bin.changed);
  pthread_mutex_unlock(&c->bin.lock);
  pthread_join(thread, NULL);
  OK(cuCtxSynchronize());
  check_all(c);
  for (uint32_t i = 0; i < v->streams; i++) OK(cuStreamDestroy_v2(c->streams[i]));
  ff_device_leave(c->rig.device);
  rig_close(&c->rig);
  free(c->sums);
  free(c);
}

int main(int argc, char **argv) {
  uint64_t scale = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  watchdog_start();
  for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
    if (argc < 3 || !strcmp(argv[2], variants[i].plan.name)) run_variant(&variants[i], scale);
  return check_report("stress_upload");
}
