/* What the upload thread passes on: order, room, counts; two threads that meet in nothing else. */
#include <pthread.h>

#include "arrivals.h"
#include "check.h"
#include "pool_util.h"

static ff_arrival numbered(uint64_t number) {
  return (ff_arrival){.batch = {.sequence = number, .ticket = {.index = 3 * number}}};
}

static void they_come_out_in_order(void) {
  ff_arrivals arrivals = {0};
  ff_arrival arrival;
  uint64_t put = 0, taken = 0;
  REQUIRE(ff_arrivals_open(&arrivals, 4) == 0);
  CHECK(!ff_arrivals_take(&arrivals, &arrival));
  for (int round = 0; round < 7; round++) {
    for (; ff_arrivals_have_room(&arrivals); put++) {
      arrival = numbered(put);
      ff_arrivals_put(&arrivals, &arrival);
    }
    CHECK_EQ(put - taken, 4);
    CHECK_EQ(ff_arrivals_count(&arrivals), 4);
    for (int i = 0; i < 3; i++, taken++) {
      REQUIRE(ff_arrivals_take(&arrivals, &arrival));
      CHECK_EQ(arrival.batch.sequence, taken);
      CHECK_EQ(arrival.batch.ticket.index, 3 * taken);
    }
  }
  CHECK_EQ(ff_arrivals_on_device(&arrivals), 0);
  ff_arrivals_close(&arrivals);
}

static void what_nobody_took_is_dropped(void) {
  ff_arrivals arrivals = {0};
  ff_arrival arrival = numbered(0);
  open_pool(1, 2, false);
  REQUIRE(ff_arrivals_open(&arrivals, 2) == 0);
  ff_arrivals_put(&arrivals, &arrival);
  arrival.buffer = take_written(1);
  REQUIRE(arrival.note = malloc(8));
  ff_arrivals_put(&arrivals, &arrival);
  CHECK_EQ(ff_arrivals_on_device(&arrivals), 1);
  ff_arrivals_close(&arrivals);
  close_pool();
}

/* -- two threads --------------------------------------------------------------------------- */

enum { NUMBERS = 20000 };

/* Polling, not by the bell, which would order the two. The notes make plain accesses of it. */
static void *put_all(void *argument) {
  ff_arrivals *arrivals = argument;
  for (uint64_t i = 0; i < NUMBERS; i++) {
    ff_arrival arrival = numbered(i);
    REQUIRE(arrival.note = malloc(1));
    *arrival.note = (uint8_t)i;
    while (!ff_arrivals_have_room(arrivals)) sched_yield();
    ff_arrivals_put(arrivals, &arrival);
  }
  return NULL;
}

static void one_puts_and_another_takes(void) {
  ff_arrivals arrivals = {0};
  ff_arrival arrival;
  pthread_t thread;
  REQUIRE(ff_arrivals_open(&arrivals, 4) == 0);
  REQUIRE(!pthread_create(&thread, NULL, put_all, &arrivals));
  for (uint64_t i = 0; i < NUMBERS; i++) {
    while (!ff_arrivals_take(&arrivals, &arrival)) sched_yield();
    CHECK_EQ(arrival.batch.sequence, i);
    CHECK_EQ(*arrival.note, (uint8_t)i);
    free(arrival.note);
  }
  pthread_join(thread, NULL);
  ff_arrivals_close(&arrivals);
}

int main(void) {
  watchdog_start();
  RUN(they_come_out_in_order);
  RUN(what_nobody_took_is_dropped);
  RUN(one_puts_and_another_takes);
  return check_report("test_arrivals");
}
