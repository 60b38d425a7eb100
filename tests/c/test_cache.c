/* The cache: what is published is found, whole; what is not leaves nothing but a gap. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "cache.h"
#include "fakes.h"

#define MIB (1ull << 20)
#define ENTRY sizeof(ff_cache_entry)
#define WORDS 24u /* of the data of a sample */
#define NOTE "a note"

static ff_cache new_cache(uint64_t items, uint64_t bytes) {
  int fd;
  ff_cache cache;
  REQUIRE(ff_cache_create(items, bytes, "", &fd) == 0);
  REQUIRE(ff_cache_open(fd, &cache) == 0);
  close(fd);
  return cache;
}

/* Room for a sample, its data and its note, not yet published; 0 if there is none. */
static uint64_t written(ff_cache *cache, int64_t row, const char *note) {
  uint64_t place, data[WORDS];
  if (ff_cache_take(cache, ENTRY + sizeof data + strlen(note), "", &place)) return 0;
  ff_cache_entry *entry = (ff_cache_entry *)ff_cache_at(cache, place);
  *entry = (ff_cache_entry){.note = place + ENTRY + sizeof data,
                            .note_bytes = strlen(note),
                            .data_bytes = sizeof data};
  for (uint32_t i = 0; i < WORDS; i++) data[i] = (uint64_t)row * 1000 + i;
  memcpy(entry + 1, data, sizeof data);
  memcpy(ff_cache_at(cache, entry->note), note, strlen(note));
  return place;
}

static int add(ff_cache *cache, int64_t row, const char *note) {
  uint64_t place = written(cache, row, note);
  return place ? ff_cache_publish(cache, row, place) : -ENOSPC;
}

static bool is_of(const void *data, int64_t row) {
  const uint64_t *words = data;
  for (uint32_t i = 0; i < WORDS; i++)
    if (words[i] != (uint64_t)row * 1000 + i) return false;
  return true;
}

static bool is_there(const ff_cache *cache, int64_t row) {
  const ff_cache_entry *entry = ff_cache_find(cache, row);
  return entry && is_of(entry + 1, row)
         && !memcmp(ff_cache_at(cache, entry->note), NOTE, entry->note_bytes);
}

static uint64_t number_of(const ff_a64 *word) { return ff_load_relaxed64(word); }

/* -- one process ----------------------------------------------------------------------------- */

static void what_is_added_is_found(void) {
  ff_cache cache = new_cache(10, MIB);
  CHECK(!ff_cache_find(&cache, 3));
  CHECK_EQ(add(&cache, 3, NOTE), 0);
  CHECK(is_there(&cache, 3));
  CHECK(!ff_cache_find(&cache, 2) && !ff_cache_find(&cache, 4));
  CHECK_EQ((uintptr_t)ff_cache_find(&cache, 3) % FF_CACHE_ALIGN, 0);
  CHECK_EQ(number_of(&cache.header->entries), 1);
  ff_cache_close(&cache);
}

static void the_first_to_publish_wins(void) {
  ff_cache cache = new_cache(10, MIB);
  CHECK_EQ(add(&cache, 3, NOTE), 0);
  const ff_cache_entry *before = ff_cache_find(&cache, 3);
  CHECK_EQ(add(&cache, 3, NOTE), -EEXIST);
  CHECK(ff_cache_find(&cache, 3) == before);
  CHECK_EQ(number_of(&cache.header->entries), 1);
  ff_cache_close(&cache);
}

static void rows_that_do_not_exist_are_refused(void) {
  ff_cache cache = new_cache(10, MIB);
  CHECK(!ff_cache_find(&cache, -1) && !ff_cache_find(&cache, 10));
  CHECK_EQ(add(&cache, -1, NOTE), -ERANGE);
  CHECK_EQ(add(&cache, 10, NOTE), -ERANGE);
  ff_cache_close(&cache);
}

static void the_budget_holds(void) {
  uint64_t one = ENTRY + WORDS * 8 + FF_CACHE_ALIGN, place;
  ff_cache cache = new_cache(10, ff_cache_overhead(10) + 3 * one);
  for (int64_t row = 0; row < 3; row++) CHECK_EQ(add(&cache, row, NOTE), 0);
  CHECK_EQ(number_of(&cache.header->used), cache.header->bytes);
  CHECK_EQ(ff_cache_take(&cache, 1, "", &place), -ENOSPC);
  CHECK_EQ(ff_cache_take(&cache, 3 * one, "", &place), -ENOSPC);
  CHECK_EQ(ff_cache_take(&cache, 3 * one + 1, "", &place), -EFBIG);
  CHECK_EQ(ff_cache_take(&cache, UINT64_MAX, "", &place), -EFBIG);
  CHECK(is_there(&cache, 0) && is_there(&cache, 2) && !ff_cache_find(&cache, 3));
  ff_cache_close(&cache);
}

static void a_smaller_one_fits_where_a_larger_one_did_not(void) {
  uint64_t place;
  ff_cache cache = new_cache(10, ff_cache_overhead(10) + 10 * FF_CACHE_ALIGN);
  CHECK_EQ(ff_cache_take(&cache, 8 * FF_CACHE_ALIGN, "", &place), 0);
  CHECK_EQ(place, ff_cache_overhead(10));
  CHECK_EQ(ff_cache_take(&cache, 3 * FF_CACHE_ALIGN, "", &place), -ENOSPC);
  CHECK_EQ(ff_cache_take(&cache, 2 * FF_CACHE_ALIGN, "", &place), 0);
  ff_cache_close(&cache);
}

static void a_budget_without_room_for_the_table_is_refused(void) {
  int fd;
  CHECK_EQ(ff_cache_create(1000, ff_cache_overhead(1000) - 1, "", &fd), -EINVAL);
  CHECK_EQ(ff_cache_create(UINT64_MAX / 4, MIB, "", &fd), -EINVAL);
  CHECK_EQ(ff_cache_create(1000, 0, "", &fd), -EINVAL);
}

static void what_is_no_cache_is_refused(void) {
  int fd;
  ff_cache cache, again;
  REQUIRE(ff_memory_create("other", MIB, "", &fd) == 0);
  CHECK_EQ(ff_cache_open(fd, &cache), -EPROTO);
  close(fd);
  REQUIRE(ff_cache_create(10, MIB, "", &fd) == 0);
  REQUIRE(ff_cache_open(fd, &cache) == 0);
  cache.header->items = 1ull << 61; /* a table of 2^64 bytes: none, to who multiplies */
  CHECK_EQ(ff_cache_open(fd, &again), -EPROTO);
  ff_cache_close(&cache);
  close(fd);
}

/* -- memory ---------------------------------------------------------------------------------- */

static void available(uint64_t bytes) {
  char text[64];
  snprintf(text, sizeof text, "MemAvailable: %llu kB\n", (unsigned long long)bytes / 1024);
  write_file("/proc/meminfo", text);
}

static void pages_come_as_they_are_written(void) {
  int fd;
  ff_cache cache;
  struct stat status;
  REQUIRE(ff_cache_create(1000, 64 * MIB, "", &fd) == 0);
  REQUIRE(ff_cache_open(fd, &cache) == 0);
  REQUIRE(fstat(fd, &status) == 0);
  CHECK_EQ(status.st_size, 64 * MIB);
  CHECK(status.st_blocks * 512 >= 8000 && (uint64_t)status.st_blocks * 512 < MIB);
  close(fd);
  ff_cache_close(&cache);
}

static void more_than_the_headroom_is_refused(void) {
  int fd;
  begin();
  available(10 * MIB);
  CHECK_EQ(ff_cache_create(10, 9 * MIB, root, &fd), -ENOMEM);
  REQUIRE(ff_cache_create(10, 7 * MIB, root, &fd) == 0);
  close(fd);
  end();
}

/* Others have taken the memory since: the cache stops growing, and goes on when it is back. */
static void it_stops_growing_when_memory_becomes_short(void) {
  uint64_t place;
  begin();
  ff_cache cache = new_cache(10, 64 * MIB);
  available(4 * MIB);
  CHECK_EQ(ff_cache_take(&cache, MIB, root, &place), -ENOMEM);
  CHECK_EQ(ff_cache_take(&cache, MIB, root, &place), -ENOMEM);
  available(1000 * MIB);
  CHECK_EQ(ff_cache_take(&cache, MIB, root, &place), 0);
  available(4 * MIB);
  for (int i = 0; i < 14; i++) CHECK_EQ(ff_cache_take(&cache, MIB, root, &place), 0);
  while (!ff_cache_take(&cache, MIB, root, &place)) {}
  CHECK_EQ(ff_cache_take(&cache, MIB, root, &place), -ENOMEM);
  CHECK(number_of(&cache.header->used) < 18 * MIB);
  ff_cache_close(&cache);
  end();
}

/* -- gathering ------------------------------------------------------------------------------- */

typedef struct {
  uint64_t first[4][WORDS - 4];
  uint64_t second[4][5]; /* a row is 4 words; the fifth must stay as it is */
} batch;

static size_t gather(ff_cache *cache, const int64_t rows[4], batch *out, uint8_t done[4]) {
  ff_cache_column columns[] = {
      {(uint8_t *)out->first, sizeof out->first[0], 0, sizeof out->first[0]},
      {(uint8_t *)out->second, sizeof out->second[0], (WORDS - 4) * 8, 4 * 8}};
  memset(out, 0xa5, sizeof *out);
  return ff_cache_gather(cache, rows, 4, NOTE, strlen(NOTE), columns, 2, done);
}

static bool is_row(const batch *out, size_t i, int64_t row) {
  uint64_t data[WORDS];
  memcpy(data, out->first[i], sizeof out->first[i]);
  memcpy(data + WORDS - 4, out->second[i], 4 * 8);
  return is_of(data, row);
}

static bool is_untouched(const batch *out, size_t i) {
  uint64_t guard = 0xa5a5a5a5a5a5a5a5ull;
  return out->first[i][0] == guard && out->second[i][0] == guard;
}

static void rows_that_are_there_are_copied(void) {
  ff_cache cache = new_cache(10, MIB);
  batch out;
  uint8_t done[4];
  add(&cache, 2, NOTE);
  add(&cache, 7, NOTE);
  CHECK_EQ(gather(&cache, (int64_t[]){7, 1, 2, 7}, &out, done), 3);
  CHECK(done[0] && !done[1] && done[2] && done[3]);
  CHECK(is_row(&out, 0, 7) && is_untouched(&out, 1) && is_row(&out, 2, 2) && is_row(&out, 3, 7));
  for (size_t i = 0; i < 4; i++) CHECK_EQ(out.second[i][4], 0xa5a5a5a5a5a5a5a5ull);
  CHECK_EQ(number_of(&cache.header->hits), 3);
  ff_cache_close(&cache);
}

static void samples_that_look_different_are_left_out(void) {
  ff_cache cache = new_cache(10, MIB);
  batch out;
  uint8_t done[4];
  add(&cache, 0, NOTE);
  add(&cache, 1, "b note");
  add(&cache, 2, "a note, longer");
  add(&cache, 3, NOTE);
  CHECK_EQ(gather(&cache, (int64_t[]){0, 1, 2, 3}, &out, done), 2);
  CHECK(done[0] && !done[1] && !done[2] && done[3]);
  CHECK(is_row(&out, 0, 0) && is_untouched(&out, 1) && is_untouched(&out, 2) && is_row(&out, 3, 3));
  CHECK_EQ(gather(&cache, (int64_t[]){-1, 10, 1000000, 0}, &out, done), 1);
  CHECK(!done[0] && !done[1] && !done[2] && done[3]);
  ff_cache_close(&cache);
}

/* -- many at once ---------------------------------------------------------------------------- */

enum { ROWS = 400, THREADS = 4, ROUNDS = 20 };

static ff_cache shared;
static ff_a32 wins, wrong;

/* All add all samples, each in an order of its own, and look at what they find meanwhile. */
static void *add_everything(void *number) {
  int64_t start = (int64_t)(intptr_t)number * ROWS / THREADS;
  for (int64_t i = 0; i < ROWS; i++) {
    int64_t row = (start + i * 7) % ROWS, other = ROWS - 1 - row;
    if (ff_cache_find(&shared, other) && !is_there(&shared, other)) ff_add_relaxed32(&wrong, 1);
    if (add(&shared, row, NOTE) == 0) ff_add_relaxed32(&wins, 1);
    if (!is_there(&shared, row)) ff_add_relaxed32(&wrong, 1);
  }
  return NULL;
}

static void threads_that_add_the_same_see_whole_samples(void) {
  for (int round = 0; round < ROUNDS; round++) {
    pthread_t threads[THREADS];
    shared = new_cache(ROWS, 4 * MIB);
    ff_store_relaxed32(&wins, 0);
    for (intptr_t i = 0; i < THREADS; i++)
      REQUIRE(!pthread_create(&threads[i], NULL, add_everything, (void *)i));
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK_EQ(ff_load_relaxed32(&wrong), 0);
    CHECK_EQ(ff_load_relaxed32(&wins), ROWS);
    CHECK_EQ(number_of(&shared.header->entries), ROWS);
    ff_cache_close(&shared);
  }
}

/* -- deaths ---------------------------------------------------------------------------------- */

/* A process that dies before it publishes, in the middle of its data or behind it. */
static void die_with(ff_cache *cache, int64_t row, size_t bytes) {
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (!child) {
    uint64_t place;
    if (!ff_cache_take(cache, ENTRY + WORDS * 8, "", &place))
      memset(ff_cache_at(cache, place), 0xff, bytes);
    raise(SIGKILL);
  }
  int status;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  CHECK(!ff_cache_find(cache, row));
}

static void who_dies_before_publishing_loses_its_room_only(void) {
  ff_cache cache = new_cache(10, MIB);
  add(&cache, 0, NOTE);
  uint64_t before = number_of(&cache.header->used);
  die_with(&cache, 1, 0);
  die_with(&cache, 1, 100);
  die_with(&cache, 1, ENTRY + WORDS * 8);
  CHECK_EQ(number_of(&cache.header->used), before + 3 * (ENTRY + WORDS * 8));
  CHECK_EQ(add(&cache, 1, NOTE), 0);
  CHECK(is_there(&cache, 0) && is_there(&cache, 1));
  CHECK_EQ(number_of(&cache.header->entries), 2);
  ff_cache_close(&cache);
}

int main(void) {
  watchdog_start();
  RUN(what_is_added_is_found);
  RUN(the_first_to_publish_wins);
  RUN(rows_that_do_not_exist_are_refused);
  RUN(the_budget_holds);
  RUN(a_smaller_one_fits_where_a_larger_one_did_not);
  RUN(a_budget_without_room_for_the_table_is_refused);
  RUN(what_is_no_cache_is_refused);
  RUN(pages_come_as_they_are_written);
  RUN(more_than_the_headroom_is_refused);
  RUN(it_stops_growing_when_memory_becomes_short);
  RUN(rows_that_are_there_are_copied);
  RUN(samples_that_look_different_are_left_out);
  RUN(threads_that_add_the_same_see_whole_samples);
  RUN(who_dies_before_publishing_loses_its_room_only);
  return check_report("test_cache");
}
