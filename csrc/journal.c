#include "journal.h"

#include <string.h>

#define PAGE 4096u
#define WORD_OF(field) (offsetof(ff_record, field) / sizeof(uint64_t))
#define TOTAL_OF(field) (offsetof(ff_totals, field) / sizeof(uint64_t))

size_t ff_journal_offset(uint32_t n_entries, uint32_t n_workers) {
  return (ff_ring_bytes(n_entries, n_workers) + PAGE - 1) / PAGE * PAGE;
}

size_t ff_journal_end(uint32_t n_entries, uint32_t n_workers) {
  size_t offset = ff_journal_offset(n_entries, n_workers);
  return offset ? offset + sizeof(ff_journal) : 0;
}

void ff_journal_init(ff_journal *journal, const char *name, uint32_t flags) {
  journal->flags = flags;
  strncpy(journal->name, name, FF_NAME_BYTES - 1);
  journal->started_ns = ff_now_ns();
}

/* Only the consumer adds. */
static void add(ff_a64 *total, uint64_t amount) {
  ff_store_relaxed64(total, ff_load_relaxed64(total) + amount);
}

static void add_batch(ff_journal *journal, const ff_record *record) {
  ff_a64 *first = &journal->totals[TOTAL_OF(first_batch_for)];
  if (!ff_load_relaxed64(first)) ff_store_relaxed64(first, record->answered_ns - journal->started_ns);
  add(&journal->totals[TOTAL_OF(batches)], 1);
  add(&journal->totals[TOTAL_OF(bytes)], record->bytes);
}

static void add_to_totals(ff_journal *journal, uint64_t stamp, const ff_record *record) {
  ff_a64 *totals = journal->totals;
  if (record->kind == FF_DATA) add_batch(journal, record);
  add(&totals[TOTAL_OF(wait_for)], record->answered_ns - record->asked_ns);
  add(&totals[TOTAL_OF(order_wait_for)], record->order_wait_ns);
  add(&totals[TOTAL_OF(upload_wait_for)], record->upload_wait_ns);
  ff_store_relaxed64(&totals[TOTAL_OF(epoch)], record->epoch);
  if (stamp > ff_load_relaxed64(&totals[TOTAL_OF(newest)])) /* a hint: readers look at stamps */
    ff_store_relaxed64(&totals[TOTAL_OF(newest)], stamp);
}

void ff_journal_write(ff_journal *journal, uint64_t sequence, const ff_record *record) {
  ff_a64 *words = journal->records[sequence & (FF_RECORDS - 1)].words;
  uint64_t values[FF_RECORD_WORDS];
  memcpy(values, record, sizeof values);
  ff_store_relaxed64(&words[WORD_OF(stamp)], 0);
  for (size_t i = WORD_OF(stamp) + 1; i < FF_RECORD_WORDS; i++)
    /* SYNC overwrite: release. Whoever reads a new word must find the stamp gone. */
    if (i != WORD_OF(uploaded_ns)) ff_store_release64(&words[i], values[i]);
  /* SYNC record: release. Whoever finds the stamp must find the words. */
  ff_store_release64(&words[WORD_OF(stamp)], sequence + 1);
  add_to_totals(journal, sequence + 1, record);
}

void ff_journal_waiting(ff_journal *journal, uint64_t since_ns) {
  ff_store_relaxed64(&journal->totals[TOTAL_OF(waiting_since_ns)], since_ns);
}

void ff_journal_step(ff_journal *journal, uint64_t step_for) {
  add(&journal->totals[TOTAL_OF(step_for)], step_for);
  add(&journal->totals[TOTAL_OF(steps)], 1);
}

void ff_journal_failed(ff_journal *journal, uint64_t samples) {
  add(&journal->totals[TOTAL_OF(failed)], samples);
}

void ff_journal_ahead(ff_journal *journal, uint64_t ahead) {
  ff_store_relaxed64(&journal->totals[TOTAL_OF(ahead)], ahead);
}

void ff_journal_uploaded(ff_journal *journal, uint64_t sequence, uint64_t uploaded_ns) {
  ff_a64 *words = journal->records[sequence & (FF_RECORDS - 1)].words;
  ff_store_relaxed64(&words[WORD_OF(uploaded_ns)], uploaded_ns);
}

bool ff_journal_read(const ff_journal *journal, uint64_t sequence, ff_record *record) {
  const ff_a64 *words = journal->records[sequence & (FF_RECORDS - 1)].words;
  uint64_t values[FF_RECORD_WORDS];
  values[0] = ff_load_acquire64(&words[WORD_OF(stamp)]); /* SYNC record: acquire */
  if (values[0] != sequence + 1) return false;
  for (size_t i = 1; i < FF_RECORD_WORDS; i++)
    values[i] = ff_load_acquire64(&words[i]); /* SYNC overwrite: acquire */
  memcpy(record, values, sizeof values);
  if (!record->upload_ns || record->uploaded_ns < record->upload_ns)
    record->uploaded_ns = 0; /* of an earlier batch */
  return ff_load_relaxed64(&words[WORD_OF(stamp)]) == sequence + 1;
}

ff_totals ff_journal_totals(const ff_journal *journal) {
  uint64_t values[FF_TOTAL_WORDS];
  ff_totals totals;
  for (size_t i = 0; i < FF_TOTAL_WORDS; i++) values[i] = ff_load_relaxed64(&journal->totals[i]);
  memcpy(&totals, values, sizeof totals);
  return totals;
}
