#include "arrivals.h"

#include <errno.h>
#include <stdlib.h>

#include "park.h"

int ff_arrivals_open(ff_arrivals *arrivals, uint32_t capacity) {
  arrivals->capacity = capacity;
  arrivals->entries = calloc(capacity, sizeof *arrivals->entries);
  return arrivals->entries ? 0 : -ENOMEM;
}

void ff_arrivals_close(ff_arrivals *arrivals) {
  ff_arrival arrival;
  while (arrivals->entries && ff_arrivals_take(arrivals, &arrival)) {
    if (arrival.buffer) ff_buffer_release(arrival.buffer);
    free(arrival.note);
  }
  free(arrivals->entries);
}

bool ff_arrivals_have_room(const ff_arrivals *arrivals) {
  /* SYNC room: acquire. Who takes has read the entry that is written next. */
  uint64_t taken = ff_load_acquire64(&arrivals->taken);
  return ff_load_relaxed64(&arrivals->put) - taken < arrivals->capacity;
}

void ff_arrivals_put(ff_arrivals *arrivals, const ff_arrival *arrival) {
  uint64_t put = ff_load_relaxed64(&arrivals->put);
  arrivals->entries[put & (arrivals->capacity - 1)] = *arrival;
  if (arrival->buffer) ff_add_relaxed32(&arrivals->on_device, 1);
  /* SYNC arrival: release. Without it what the entry held before could be read. */
  ff_store_release64(&arrivals->put, put + 1);
  ff_bell_ring(&arrivals->bell);
}

bool ff_arrivals_take(ff_arrivals *arrivals, ff_arrival *arrival) {
  uint64_t taken = ff_load_relaxed64(&arrivals->taken);
  if (ff_load_acquire64(&arrivals->put) == taken) return false; /* SYNC arrival: acquire */
  *arrival = arrivals->entries[taken & (arrivals->capacity - 1)];
  if (arrival->buffer) ff_add_relaxed32(&arrivals->on_device, UINT32_MAX); /* minus one */
  ff_store_release64(&arrivals->taken, taken + 1); /* SYNC room: release */
  return true;
}

uint32_t ff_arrivals_count(const ff_arrivals *arrivals) {
  /* As in ff_arrivals_have_room(): a third thread could else find more taken than were put. */
  uint64_t taken = ff_load_acquire64(&arrivals->taken);
  return (uint32_t)(ff_load_relaxed64(&arrivals->put) - taken);
}

uint32_t ff_arrivals_on_device(const ff_arrivals *arrivals) {
  return ff_load_relaxed32(&arrivals->on_device);
}
