/* What the journal costs a batch in C alone: prints the ns of each part, the least of some rounds,
 * as a line of JSON. Linked with csrc/ by bench/records_cost.py. */
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "journal.h"

#define ROUNDS 15
#define BATCHES 200000u /* a round: 12 times around the journal */

static uint64_t sink; /* so that no loop is left out */

static void clocks(ff_journal *journal, uint64_t batches) {
  (void)journal;
  for (uint64_t i = 0; i < batches; i++) sink += ff_now_ns();
}

static void writes(ff_journal *journal, uint64_t batches) {
  ff_record record = {.kind = FF_DATA, .bytes = 2048};
  for (uint64_t i = 0; i < batches; i++) {
    record.index = record.posted_ns = record.started_ns = record.made_ns = i;
    record.asked_ns = i;
    record.answered_ns = i + 1;
    ff_journal_write(journal, i, &record);
  }
}

static void steps(ff_journal *journal, uint64_t batches) {
  for (uint64_t i = 0; i < batches; i++) ff_journal_step(journal, i);
}

static double least(void (*part)(ff_journal *, uint64_t), ff_journal *journal) {
  uint64_t best = UINT64_MAX;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t begin = ff_now_ns();
    part(journal, BATCHES);
    uint64_t lasted = ff_now_ns() - begin;
    if (lasted < best) best = lasted;
  }
  return (double)best / BATCHES;
}

int main(void) {
  ff_journal *journal = aligned_alloc(FF_LINE, (sizeof *journal + FF_LINE - 1) / FF_LINE * FF_LINE);
  if (!journal) return 1;
  for (size_t i = 0; i < sizeof *journal; i++) ((volatile char *)journal)[i] = 0;
  printf("{\"clock\": %.2f, ", least(clocks, journal));
  printf("\"write\": %.2f, ", least(writes, journal));
  printf("\"step\": %.2f}\n", least(steps, journal));
  free(journal);
  return sink == 0;
}
