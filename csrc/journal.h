/* What became of each batch, and the totals: written by the parent, read by whoever looks at a
 * loader, also from another process, who must not disturb it.
 *
 * It lies behind the ring, in the same memory, and holds the last FF_RECORDS batches. A record is
 * found by its ticket's number, so that the upload thread can add when its copy was done, whether
 * the consumer has written the rest already or not.
 *
 * Times are ff_now_ns(), 0 where something did not happen; durations are in ns too.
 */
#ifndef FASTFEED_JOURNAL_H
#define FASTFEED_JOURNAL_H

#include "ring.h"

#define FF_RECORDS 16384u /* a power of two: hours of training, or 2 MiB */
#define FF_NAME_BYTES 96u

enum {
  FF_ORDERED = 1, /* batches come in the order of their tickets */
  FF_INLINE = 2,  /* the consumer makes them itself */
};

/* A batch that was handed out, or an error that was raised in its place. */
typedef struct {
  uint64_t stamp; /* the ticket's number + 1; 0 while it is being written */
  uint64_t index;
  uint32_t epoch;
  uint16_t worker; /* all bits: nobody */
  uint8_t attempt;
  uint8_t kind;
  uint64_t bytes;
  uint64_t posted_ns, started_ns, made_ns; /* the ticket, and who made its last part */
  uint64_t upload_ns, uploaded_ns;         /* the upload thread: copy issued, and seen done */
  uint64_t asked_ns, answered_ns;          /* the consumer: wants a batch, has this one */
  uint64_t order_wait_ns;  /* of his wait: another batch was finished, but not this one */
  uint64_t upload_wait_ns; /* of his wait: it was made, but not on its way to the device */
  uint64_t work_ns;        /* of all workers that made a part of it */
} ff_record;

#define FF_RECORD_WORDS (sizeof(ff_record) / sizeof(uint64_t))

/* Since the journal was made. */
typedef struct {
  uint64_t newest;           /* highest stamp so far */
  uint64_t waiting_since_ns; /* 0: the consumer is not waiting */
  uint64_t epoch;            /* of the newest */
  uint64_t ahead;            /* batches ahead of the consumer, at the most, now */
  uint64_t batches, bytes;
  uint64_t first_batch_for; /* from `started_ns` */
  uint64_t wait_for, order_wait_for, upload_wait_for;
  uint64_t step_for, steps; /* the consumer, between two batches of an epoch */
  uint64_t failed;          /* samples that could not be read */
} ff_totals;

#define FF_TOTAL_WORDS (sizeof(ff_totals) / sizeof(uint64_t))

typedef struct {
  _Alignas(FF_LINE) uint64_t started_ns; /* when it was made */
  uint32_t flags;                        /* as above */
  char name[FF_NAME_BYTES];              /* what is fed; ends with a zero */
  _Alignas(FF_LINE) ff_a64 totals[FF_TOTAL_WORDS];
  struct {
    _Alignas(FF_LINE) ff_a64 words[FF_RECORD_WORDS];
  } records[FF_RECORDS];
} ff_journal;

/* Where it lies in the ring's memory, and how long both are together. */
size_t ff_journal_offset(uint32_t n_entries, uint32_t n_workers);
size_t ff_journal_end(uint32_t n_entries, uint32_t n_workers);

/* `journal` points to zeros. */
void ff_journal_init(ff_journal *journal, const char *name, uint32_t flags);
/* The consumer. All but `stamp` and `uploaded_ns` is taken from `record`; adds it to the totals. */
void ff_journal_write(ff_journal *journal, uint64_t sequence, const ff_record *record);
/* The consumer: it begins to wait, at a time, or has ended, with 0. */
void ff_journal_waiting(ff_journal *journal, uint64_t since_ns);
/* The consumer: a step has taken so long. */
void ff_journal_step(ff_journal *journal, uint64_t step_for);
/* The consumer: a batch has come with samples that could not be read. */
void ff_journal_failed(ff_journal *journal, uint64_t samples);
void ff_journal_ahead(ff_journal *journal, uint64_t ahead);
/* The upload thread. */
void ff_journal_uploaded(ff_journal *journal, uint64_t sequence, uint64_t uploaded_ns);
/* Anybody. False: that batch was not handed out, or too long ago, or is being written now. */
bool ff_journal_read(const ff_journal *journal, uint64_t sequence, ff_record *record);
ff_totals ff_journal_totals(const ff_journal *journal);

#endif
