/* The journal: what is written can be read, from the side, whole or not at all. */
#include <pthread.h>
#include <string.h>

#include "check.h"
#include "journal.h"

#define ROUNDS 3u

static ff_journal *new_journal(void) {
  ff_journal *journal = aligned_alloc(FF_LINE, sizeof *journal);
  REQUIRE(journal);
  memset(journal, 0, sizeof *journal);
  ff_journal_init(journal, "a source", FF_ORDERED);
  return journal;
}

/* Every word tells to which ticket it belongs. */
static ff_record of_ticket(uint64_t sequence) {
  return (ff_record){.index = 3 * sequence,
                     .epoch = (uint32_t)sequence,
                     .worker = (uint16_t)sequence,
                     .bytes = sequence,
                     .posted_ns = sequence + 1,
                     .started_ns = sequence + 2,
                     .made_ns = sequence + 3,
                     .upload_ns = sequence + 4,
                     .asked_ns = sequence + 5,
                     .answered_ns = sequence + 9,
                     .order_wait_ns = 2,
                     .upload_wait_ns = 1};
}

static bool is_whole(const ff_record *record) {
  uint64_t sequence = record->stamp - 1;
  ff_record expected = of_ticket(sequence);
  expected.stamp = record->stamp;
  expected.uploaded_ns = record->uploaded_ns;
  return !memcmp(record, &expected, sizeof expected);
}

static void what_is_written_can_be_read(void) {
  ff_journal *journal = new_journal();
  ff_record record = of_ticket(7);
  CHECK(!ff_journal_read(journal, 7, &record));
  ff_journal_write(journal, 7, &record);
  CHECK(!ff_journal_read(journal, 6, &record));
  REQUIRE(ff_journal_read(journal, 7, &record));
  CHECK(is_whole(&record));
  CHECK_EQ(record.uploaded_ns, 0);
  CHECK_EQ(strcmp(journal->name, "a source"), 0);
  free(journal);
}

static void a_record_gives_way_to_a_later_one(void) {
  ff_journal *journal = new_journal();
  ff_record record = of_ticket(7);
  ff_journal_write(journal, 7, &record);
  record = of_ticket(7 + FF_RECORDS);
  ff_journal_write(journal, 7 + FF_RECORDS, &record);
  CHECK(!ff_journal_read(journal, 7, &record));
  REQUIRE(ff_journal_read(journal, 7 + FF_RECORDS, &record));
  CHECK(is_whole(&record));
  free(journal);
}

static void the_end_of_a_copy_comes_before_or_after_the_rest(void) {
  ff_journal *journal = new_journal();
  ff_record record = of_ticket(7);
  ff_journal_uploaded(journal, 7, 100);
  ff_journal_write(journal, 7, &record);
  REQUIRE(ff_journal_read(journal, 7, &record));
  CHECK_EQ(record.uploaded_ns, 100);
  record = of_ticket(8);
  ff_journal_write(journal, 8, &record);
  ff_journal_uploaded(journal, 8, 200);
  REQUIRE(ff_journal_read(journal, 8, &record));
  CHECK_EQ(record.uploaded_ns, 200);
  free(journal);
}

static void the_end_of_an_earlier_copy_is_not_taken_for_this_ones(void) {
  ff_journal *journal = new_journal();
  ff_record record = of_ticket(7 + FF_RECORDS);
  ff_journal_uploaded(journal, 7, 100);
  ff_journal_write(journal, 7 + FF_RECORDS, &record);
  REQUIRE(ff_journal_read(journal, 7 + FF_RECORDS, &record));
  CHECK_EQ(record.uploaded_ns, 0);
  record = of_ticket(8);
  record.upload_ns = 0; /* went nowhere */
  ff_journal_uploaded(journal, 8, 100);
  ff_journal_write(journal, 8, &record);
  REQUIRE(ff_journal_read(journal, 8, &record));
  CHECK_EQ(record.uploaded_ns, 0);
  free(journal);
}

static void totals_add_up(void) {
  ff_journal *journal = new_journal();
  uint64_t bytes = 0;
  for (uint64_t sequence = 1; sequence <= 10; sequence++) {
    ff_record record = of_ticket(sequence);
    record.answered_ns += journal->started_ns;
    record.asked_ns += journal->started_ns;
    record.kind = sequence == 10 ? FF_EXCEPTION : FF_DATA;
    ff_journal_write(journal, sequence, &record);
    if (sequence < 10) bytes += sequence;
  }
  ff_journal_step(journal, 30);
  ff_journal_step(journal, 12);
  ff_journal_waiting(journal, 77);
  ff_journal_ahead(journal, 5);
  ff_totals totals = ff_journal_totals(journal);
  CHECK_EQ(totals.batches, 9);
  CHECK_EQ(totals.bytes, bytes);
  CHECK_EQ(totals.newest, 11);
  CHECK_EQ(totals.wait_for, 40);
  CHECK_EQ(totals.order_wait_for, 20);
  CHECK_EQ(totals.upload_wait_for, 10);
  CHECK_EQ(totals.first_batch_for, 10);
  CHECK_EQ(totals.step_for, 42);
  CHECK_EQ(totals.steps, 2);
  CHECK_EQ(totals.waiting_since_ns, 77);
  CHECK_EQ(totals.ahead, 5);
  CHECK_EQ(totals.epoch, 10);
  free(journal);
}

static ff_a32 enough; /* the reader has seen what it wants to see */

static void *write_on(void *argument) {
  uint64_t sequence = 0;
  for (; sequence < ROUNDS * FF_RECORDS || !ff_load_relaxed32(&enough); sequence++) {
    ff_record record = of_ticket(sequence);
    ff_journal_write(argument, sequence, &record);
  }
  return NULL;
}

static void *end_copies(void *argument) {
  while (!ff_load_relaxed32(&enough))
    for (uint64_t sequence = 0; sequence < FF_RECORDS; sequence++)
      ff_journal_uploaded(argument, sequence, sequence + 5);
  return NULL;
}

/* Whoever reads beside the writer finds whole records only. */
static void nobody_reads_half_a_record(void) {
  ff_journal *journal = new_journal();
  pthread_t writer, uploader;
  ff_record record;
  ff_store_relaxed32(&enough, 0);
  REQUIRE(!pthread_create(&writer, NULL, write_on, journal));
  REQUIRE(!pthread_create(&uploader, NULL, end_copies, journal));
  for (uint64_t found = 0; found < FF_RECORDS;) {
    uint64_t newest = ff_journal_totals(journal).newest;
    for (uint64_t sequence = newest < 64 ? 0 : newest - 64; sequence < newest + 2; sequence++) {
      if (!ff_journal_read(journal, sequence, &record)) continue;
      CHECK(is_whole(&record));
      found++;
    }
  }
  ff_store_relaxed32(&enough, 1);
  pthread_join(writer, NULL);
  pthread_join(uploader, NULL);
  free(journal);
}

int main(void) {
  RUN(what_is_written_can_be_read);
  RUN(a_record_gives_way_to_a_later_one);
  RUN(the_end_of_a_copy_comes_before_or_after_the_rest);
  RUN(the_end_of_an_earlier_copy_is_not_taken_for_this_ones);
  RUN(totals_add_up);
  RUN(nobody_reads_half_a_record);
  return check_report("test_journal");
}
