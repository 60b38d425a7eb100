#include "upload_rig.h"

#include "arena.h"
#include "park.h"
#include "pin.h"
#include "random.h"

/* -- what a batch is --------------------------------------------------------------------------- */

enum ff_kind rig_kind(const rig *r, uint64_t index) {
  if (!r->plan.odd_kinds) return FF_DATA;
  return index % 11 == 4 ? FF_EXCEPTION : index % 11 == 8 ? FF_END : FF_DATA;
}

bool rig_is_spilled(const rig *r, uint64_t index) {
  return r->plan.odd_kinds && rig_kind(r, index) == FF_DATA && index % 7 < 2;
}

static uint64_t room(const rig *r) { return r->plan.stride - 64; } /* the note lies behind */

uint64_t rig_bytes(const rig *r, uint64_t index) {
  uint64_t state = index;
  if (!r->plan.odd_sizes) return room(r);
  return index % 5 ? random_below(&state, (uint32_t)room(r) + 1) : index % 4;
}

/* Different for every index and place. */
static void fill(const rig *r, uint64_t index, void *to, uint64_t part, uint64_t parts) {
  uint64_t words = (rig_bytes(r, index) + 7) / 8;
  for (uint64_t i = words * part / parts; i < words * (part + 1) / parts; i++) {
    uint64_t state = index << 20 ^ i, word = random_next(&state);
    memcpy((uint8_t *)to + 8 * i, &word, sizeof word);
  }
}

void rig_fill(const rig *r, uint64_t index, void *to) { fill(r, index, to, 0, 1); }

static uint64_t parts_of(const rig *r) { return r->plan.parts ? r->plan.parts : 1; }

static void fill_note(uint64_t index, uint8_t *note) {
  for (uint32_t i = 0; i < RIG_NOTE; i++) note[i] = (uint8_t)(index * 31 + i);
}

static uint8_t *made(const rig *r, uint64_t index) {
  uint8_t *bytes = malloc(r->plan.stride);
  REQUIRE(bytes);
  rig_fill(r, index, bytes);
  return bytes;
}

uint64_t rig_checksum(const rig *r, uint64_t index) {
  uint8_t *bytes = made(r, index);
  uint64_t sum = sim_checksum(bytes, rig_bytes(r, index));
  free(bytes);
  return sum;
}

/* -- the workers --------------------------------------------------------------------------- */

static void make(rig *r, const ff_claim *claimed) {
  uint64_t index = claimed->ticket.index;
  uint8_t *slot = ff_slot_data(r->segment, (uint32_t)(claimed->ticket.offset / r->plan.stride));
  ff_result result = {.kind = rig_kind(r, index),
                      .spilled = rig_is_spilled(r, index),
                      .data_bytes = rig_bytes(r, index),
                      .note_bytes = RIG_NOTE};
  if (result.kind == FF_DATA && !result.spilled)
    fill(r, index, slot, claimed->ticket.part, claimed->ticket.parts);
  if (!claimed->ticket.part) fill_note(index, slot + result.data_bytes);
  CHECK_EQ(ff_ring_publish(&r->ring, claimed, &result), 0);
}

void rig_make(rig *r) {
  ff_claim claimed;
  REQUIRE(ff_ring_claim(&r->ring, 0, 0, &claimed) == 0);
  make(r, &claimed);
}

typedef struct {
  rig *rig;
  uint32_t number;
} work_order;

static void *work(void *argument) {
  work_order order = *(work_order *)argument;
  ff_claim claimed;
  int rc;
  free(argument);
  while (!(rc = ff_ring_claim(&order.rig->ring, order.number, FF_FOREVER, &claimed)))
    make(order.rig, &claimed);
  CHECK_EQ(rc, -ESHUTDOWN);
  return NULL;
}

static void start_workers(rig *r) {
  for (uint32_t i = 0; i < r->plan.n_workers && !r->plan.no_workers; i++) {
    work_order *order = malloc(sizeof *order);
    REQUIRE(order && r->plan.n_workers <= RIG_MAX_WORKERS);
    *order = (work_order){r, i};
    REQUIRE(!pthread_create(&r->workers[i], NULL, work, order));
  }
}

/* -- opening and closing --------------------------------------------------------------------- */

static void open_ring(rig *r) {
  size_t bytes = ff_ring_bytes(r->plan.n_entries, r->plan.n_workers);
  void *memory = bytes ? aligned_alloc(FF_LINE, bytes) : NULL;
  REQUIRE(memory);
  REQUIRE(ff_ring_init(&r->ring, memory, r->plan.n_entries, r->plan.n_workers, r->plan.spin) == 0);
}

static void open_segment(rig *r) {
  int fd = -1;
  REQUIRE(ff_memory_create("rig", r->plan.stride * r->plan.n_slots, "", &fd) == 0);
  /* Poisoned when free: a copy that is still on its way then has wrong bytes. */
  REQUIRE(ff_segment_open(fd, r->plan.stride, r->plan.n_slots, true, &r->segment) == 0);
  close(fd);
  if (!r->plan.pageable)
    REQUIRE(ff_pin(r->device, r->segment, 3 * r->plan.stride, &r->error) == 0);
}

void rig_open(rig *r, const rig_plan *plan, uint64_t seed, void (*fail)(void *), void *context) {
  *r = (rig){.plan = *plan};
  r->device = begin(seed);
  open_ring(r);
  open_segment(r);
  watchdog_ring(&r->ring);
  if (fail) fail(context);
  if (ff_uploader_start(r->device, &r->ring, plan->upload, &r->uploader, &r->error))
    r->uploader = NULL;
  else if (!plan->no_slots)
    REQUIRE(ff_uploader_use(r->uploader, 1, r->segment, !plan->pageable) == 0);
  start_workers(r);
}

void rig_stop(rig *r) {
  ff_ring_stop(&r->ring);
  for (uint32_t i = 0; i < r->plan.n_workers && !r->plan.no_workers; i++)
    pthread_join(r->workers[i], NULL);
  if (r->uploader) ff_uploader_stop(r->uploader);
  r->uploader = NULL;
}

void rig_close(rig *r) {
  rig_stop(r);
  for (uint32_t slot = 0; slot < r->plan.n_slots; slot++)
    if (!ff_slot_unbind(r->segment, slot)) ff_slot_release(r->segment, slot);
  CHECK_EQ(ff_segment_in_use(r->segment), 0);
  ff_segment_close(r->segment);
  ff_device_release(r->device);
  watchdog_ring(NULL);
  free(r->ring.header);
  nothing_is_live();
  check_violations(false);
  watchdog_pat();
}

/* -- the consumer ------------------------------------------------------------------------------ */

void rig_post(rig *r) {
  uint32_t slot;
  uint64_t sequence;
  while (r->next_index < r->plan.batches && !ff_slot_acquire(r->segment, &slot)) {
    ff_ticket ticket = {.index = r->next_index,
                        .segment = 1,
                        .offset = slot * r->plan.stride,
                        .capacity = r->plan.stride,
                        .parts = r->plan.parts};
    if (ff_ring_post_quietly(&r->ring, &ticket, FF_ANY_WORKER, &sequence)) {
      ff_slot_unbind(r->segment, slot);
      ff_slot_release(r->segment, slot);
      return;
    }
    CHECK_EQ(sequence, r->next_index * parts_of(r));
    r->next_index++;
  }
}

int rig_take(rig *r, ff_arrival *arrival) {
  int rc;
  do {
    rig_post(r);
    rc = ff_uploader_take_wait(r->uploader, arrival, NULL, 0, FF_FOREVER);
  } while (rc == -EAGAIN);
  watchdog_pat();
  return rc;
}

void rig_release_slot(rig *r, const ff_batch *batch) {
  uint32_t slot = (uint32_t)(batch->ticket.offset / r->plan.stride);
  CHECK_EQ(ff_slot_unbind(r->segment, slot), 0);
  ff_slot_release(r->segment, slot);
}

void rig_check(const rig *r, const ff_arrival *arrival) {
  uint64_t index = arrival->batch.ticket.index;
  uint8_t note[RIG_NOTE];
  fill_note(index, note);
  CHECK_EQ(arrival->batch.sequence, index * parts_of(r));
  CHECK_EQ(arrival->batch.result.kind, rig_kind(r, index));
  CHECK_EQ(arrival->batch.result.spilled, rig_is_spilled(r, index));
  CHECK_EQ(arrival->batch.result.data_bytes, rig_bytes(r, index));
  bool uploaded = rig_kind(r, index) == FF_DATA && !rig_is_spilled(r, index);
  CHECK_EQ(arrival->buffer != NULL, uploaded);
  CHECK_EQ(arrival->note != NULL, uploaded);
  const uint8_t *slot =
      (uint8_t *)ff_slot_data(r->segment, 0) + arrival->batch.ticket.offset;
  const uint8_t *got = uploaded ? arrival->note : slot + arrival->batch.result.data_bytes;
  CHECK(!memcmp(got, note, RIG_NOTE));
}

ff_buffer *rig_send(rig *r, const ff_batch *batch) {
  ff_buffer *buffer = NULL;
  uint8_t *bytes = made(r, batch->ticket.index);
  int rc = ff_uploader_send(r->uploader, bytes, batch->result.data_bytes, &buffer, &r->error);
  memset(bytes, 0, r->plan.stride); /* they have been read */
  free(bytes);
  CHECK_EQ(buffer == NULL, rc != 0);
  return buffer;
}

int rig_read(const rig *r, uint64_t index, ff_buffer *buffer, ff_cuda_error *error) {
  uint64_t size = rig_bytes(r, index);
  uint8_t *expected = made(r, index), *got = malloc(size + 1);
  REQUIRE(got);
  int rc = ff_buffer_read(buffer, 0, got, size, error);
  if (!rc) CHECK(!memcmp(got, expected, size));
  free(got);
  free(expected);
  return rc;
}

void rig_finish(rig *r, ff_arrival *arrival) {
  uint64_t index = arrival->batch.ticket.index;
  rig_check(r, arrival);
  if (rig_is_spilled(r, index)) {
    arrival->buffer = rig_send(r, &arrival->batch);
    CHECK(arrival->buffer);
  }
  if (arrival->buffer) {
    CHECK_EQ(rig_read(r, index, arrival->buffer, &r->error), 0);
    ff_buffer_release(arrival->buffer);
  }
  if (!arrival->note) rig_release_slot(r, &arrival->batch);
  free(arrival->note);
}
