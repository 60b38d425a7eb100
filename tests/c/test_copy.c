/* Copies against memcpy, at every alignment and at sizes around the thresholds of copy.c. */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "copy.h"

#define LINE 64
#define GUARD 0xa5

/* A buffer on a line boundary with guarded bytes before and after what is copied. */
typedef struct {
  uint8_t *memory;
  size_t bytes;
} buffer;

static buffer make_buffer(size_t bytes) {
  buffer made = {.bytes = (bytes + 4 * LINE) / LINE * LINE};
  made.memory = aligned_alloc(LINE, made.bytes);
  REQUIRE(made.memory);
  return made;
}

/* Differs from its neighbours and from line to line, so that any displacement shows. */
static void fill_with_noise(buffer b) {
  uint64_t state = 88172645463325252ull;
  for (size_t i = 0; i < b.bytes; i++) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    b.memory[i] = (uint8_t)(state >> 56);
  }
}

static bool all_guard(const uint8_t *bytes, size_t count) {
  return !count || (bytes[0] == GUARD && !memcmp(bytes, bytes + 1, count - 1));
}

/* Was exactly [at, at + bytes) written, with what is in `expected`? */
static bool wrote(buffer to, size_t at, const uint8_t *expected, size_t bytes) {
  return all_guard(to.memory, at) && !memcmp(to.memory + at, expected, bytes)
         && all_guard(to.memory + at + bytes, to.bytes - at - bytes);
}

static void check_copies_of(size_t bytes, buffer from, buffer to, size_t to_step) {
  static const size_t from_offsets[] = {0, 1, 8, 31, 63};
  for (size_t t = 0; t < LINE; t += to_step) {
    for (size_t f = 0; f < sizeof from_offsets / sizeof *from_offsets; f++) {
      memset(to.memory, GUARD, to.bytes);
      ff_copy(to.memory + t, from.memory + from_offsets[f], bytes);
      CHECK(wrote(to, t, from.memory + from_offsets[f], bytes));
    }
  }
}

static void short_copies_are_exact_at_every_alignment(void) {
  buffer from = make_buffer(8192), to = make_buffer(8192);
  fill_with_noise(from);
  for (size_t bytes = 0; bytes <= 3 * LINE + 1; bytes++) check_copies_of(bytes, from, to, 1);
  check_copies_of(4096, from, to, 1);
  free(from.memory);
  free(to.memory);
}

static void copies_around_the_streaming_threshold_are_exact(void) {
  static const long beyond[] = {-65, -64, -1, 0, 1, 63, 64, 65, 127};
  buffer from = make_buffer(FF_STREAM_FROM + 256), to = make_buffer(FF_STREAM_FROM + 256);
  fill_with_noise(from);
  for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
    check_copies_of((size_t)(FF_STREAM_FROM + beyond[i]), from, to, 7);
  check_copies_of(FF_STREAM_FROM + 1, from, to, 1);
  free(from.memory);
  free(to.memory);
}

/* -- rows ------------------------------------------------------------------------------------ */

static void check_gather(size_t row_bytes, size_t count, size_t offset) {
  enum { N_ROWS = 37 };
  buffer from = make_buffer(row_bytes * N_ROWS), to = make_buffer(row_bytes * count);
  buffer expected = make_buffer(row_bytes * count);
  int64_t *rows = calloc(count, sizeof *rows);
  fill_with_noise(from);
  memset(to.memory, GUARD, to.bytes);
  for (size_t i = 0; i < count; i++) {
    rows[i] = (int64_t)((i * i + 11) % N_ROWS); /* some twice, some never, not in order */
    memcpy(expected.memory + i * row_bytes, from.memory + (size_t)rows[i] * row_bytes, row_bytes);
  }
  CHECK_EQ(ff_gather(to.memory + offset, from.memory, row_bytes, N_ROWS, rows, count), 0);
  CHECK(wrote(to, offset, expected.memory, row_bytes * count));
  free(from.memory);
  free(to.memory);
  free(expected.memory);
  free(rows);
}

static void gathered_rows_are_exact(void) {
  static const size_t row_sizes[] = {0, 1, 3, 64, 1000, 1023, 1024, 1025, 1088, 4099};
  for (size_t i = 0; i < sizeof row_sizes / sizeof *row_sizes; i++) {
    size_t streaming = row_sizes[i] ? FF_STREAM_FROM / row_sizes[i] + 1 : 1; /* just enough */
    for (size_t offset = 0; offset < LINE; offset += 21) {
      check_gather(row_sizes[i], 1, offset);
      check_gather(row_sizes[i], 40, offset);
      check_gather(row_sizes[i], streaming - 1, offset);
      check_gather(row_sizes[i], streaming, offset);
    }
  }
}

static void rows_out_of_range_are_refused_and_not_read(void) {
  static const int64_t bad[] = {-1, 5, 6, INT64_MIN, INT64_MAX};
  enum { ROW = 4096, COUNT = 300 }; /* enough to stream */
  uint8_t *from = malloc(5 * ROW);  /* exact, so that AddressSanitizer sees a read beyond it */
  buffer to = make_buffer(ROW * COUNT);
  REQUIRE(from);
  memset(from, 1, 5 * ROW);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    int64_t rows[COUNT] = {0};
    rows[200] = bad[i];
    memset(to.memory, GUARD, to.bytes);
    CHECK_EQ(ff_gather(to.memory, from, ROW, 5, rows, COUNT), -ERANGE);
    CHECK(all_guard(to.memory + 200 * ROW, to.bytes - 200 * ROW));
    CHECK_EQ(ff_gather(to.memory, from, 8, 5, rows + 200, 1), -ERANGE);
  }
  int64_t none = 0;
  CHECK_EQ(ff_gather(to.memory, from, ROW, 0, &none, 1), -ERANGE);
  CHECK_EQ(ff_gather(to.memory, from, ROW, 0, &none, 0), 0);
  free(from);
  free(to.memory);
}

int main(void) {
  watchdog_start();
  RUN(short_copies_are_exact_at_every_alignment);
  RUN(copies_around_the_streaming_threshold_are_exact);
  RUN(gathered_rows_are_exact);
  RUN(rows_out_of_range_are_refused_and_not_read);
  return check_report("test_copy");
}
