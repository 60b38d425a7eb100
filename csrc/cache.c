#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena.h"

#define FF_CACHE_MAGIC 0x3148434143464646ull /* "FFFCACH1" */
#define LOOK_EVERY (16ull << 20)             /* bytes between two looks at the headroom */
#define PAGE 4096u
#define ROWS_EARLY 4
#define EARLY_LINES 4

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14; older headers lack the name */
#endif

static uint64_t aligned(uint64_t bytes) {
  return (bytes + FF_CACHE_ALIGN - 1) / FF_CACHE_ALIGN * FF_CACHE_ALIGN;
}

uint64_t ff_cache_overhead(uint64_t items) {
  return sizeof(ff_cache_header) + aligned(items * sizeof(ff_a64));
}

/* -- making and mapping -------------------------------------------------------------------- */

static int write_header(int fd, uint64_t items, uint64_t bytes) {
  ff_cache_header header = {.magic = FF_CACHE_MAGIC, .items = items, .bytes = bytes};
  ff_store_relaxed64(&header.used, ff_cache_overhead(items));
  ssize_t written = pwrite(fd, &header, sizeof header, 0);
  return written == (ssize_t)sizeof header ? 0 : -EIO;
}

/* A signal may interrupt it; nothing is lost by beginning again. */
static int allocate(int fd, uint64_t bytes) {
  int rc;
  do rc = posix_fallocate(fd, 0, (off_t)bytes);
  while (rc == EINTR);
  return -rc;
}

int ff_cache_create(uint64_t items, uint64_t bytes, const char *root, int *fd) {
  if (items > bytes / sizeof(ff_a64) || ff_cache_overhead(items) > bytes) return -EINVAL;
  if (bytes > ff_headroom(root)) return -ENOMEM;
  *fd = memfd_create("fastfeed-cache", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (*fd < 0) return -errno;
  int rc = ftruncate(*fd, (off_t)bytes) ? -errno : allocate(*fd, ff_cache_overhead(items));
  if (!rc) rc = write_header(*fd, items, bytes);
  if (!rc && fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) rc = -errno;
  if (rc) close(*fd);
  return rc;
}

static bool is_cache(const ff_cache_header *header, uint64_t bytes) {
  return bytes >= sizeof *header && header->magic == FF_CACHE_MAGIC && header->bytes == bytes
         && header->items <= bytes / sizeof(ff_a64) && ff_cache_overhead(header->items) <= bytes;
}

static uint64_t whole_pages(const ff_cache *cache) {
  uint64_t used = ff_load_relaxed64(&cache->header->used), bytes = cache->header->bytes;
  return (used < bytes ? used : bytes) / PAGE * PAGE;
}

/* Not ff_memory_map(): that allocates every page, and most of a budget may never be needed. */
int ff_cache_open(int fd, ff_cache *cache) {
  struct stat status;
  if (fstat(fd, &status)) return -errno;
  uint64_t bytes = (uint64_t)status.st_size;
  void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) return -errno;
  if (!is_cache(base, bytes)) {
    munmap(base, bytes);
    return -EPROTO;
  }
  cache->header = base;
  cache->table = (ff_a64 *)(cache->header + 1);
  cache->first = ff_cache_overhead(cache->header->items);
  ff_store_relaxed64(&cache->unchecked, LOOK_EVERY); /* look before the first entry */
  ff_store_relaxed64(&cache->mapped, whole_pages(cache));
  return 0;
}

void ff_cache_close(ff_cache *cache) {
  if (cache->header) munmap(cache->header, cache->header->bytes);
  cache->header = NULL;
}

/* -- writing ------------------------------------------------------------------------------- */

/* What others have written would cost this process a fault for every few pages, and all of them in
 * the second epoch, when nothing else takes time. An improvement only: old kernels refuse it. */
static void map_growth(ff_cache *cache) {
  uint64_t from = ff_load_relaxed64(&cache->mapped), to = whole_pages(cache);
  if (to > from) madvise(ff_cache_at(cache, from), to - from, MADV_POPULATE_READ);
  ff_store_relaxed64(&cache->mapped, to);
}

/* Pages are allocated as they are written, and there is no safety net below a memfd. */
static bool has_memory(ff_cache *cache, uint64_t bytes, const char *root) {
  uint64_t unchecked = ff_add_relaxed64(&cache->unchecked, bytes) + bytes;
  if (unchecked < LOOK_EVERY) return true;
  if (ff_headroom(root) < LOOK_EVERY + bytes) return false; /* the next one looks again */
  ff_store_relaxed64(&cache->unchecked, 0);
  map_growth(cache);
  return true;
}

int ff_cache_take(ff_cache *cache, uint64_t bytes, const char *root, uint64_t *offset) {
  uint64_t limit = cache->header->bytes;
  if (bytes > limit || aligned(bytes) > limit - cache->first) return -EFBIG;
  bytes = aligned(bytes);
  uint64_t used = ff_load_relaxed64(&cache->header->used);
  if (used > limit || bytes > limit - used) return -ENOSPC; /* smaller ones may still fit */
  if (!has_memory(cache, bytes, root)) return -ENOMEM;
  *offset = ff_add_relaxed64(&cache->header->used, bytes);
  return *offset <= limit && bytes <= limit - *offset ? 0 : -ENOSPC; /* others were faster */
}

int ff_cache_publish(ff_cache *cache, int64_t row, uint64_t offset) {
  if (row < 0 || (uint64_t)row >= cache->header->items) return -ERANGE;
  /* SYNC cached: release. Everything written at `offset`, and the note that it names, comes before
   * this. Without it another worker could find the place and copy what was there before: zeros. */
  if (!ff_swap_if_release64(&cache->table[row], 0, offset)) return -EEXIST;
  ff_add_relaxed64(&cache->header->entries, 1);
  return 0;
}

/* -- reading ------------------------------------------------------------------------------- */

const ff_cache_entry *ff_cache_find(const ff_cache *cache, int64_t row) {
  if (row < 0 || (uint64_t)row >= cache->header->items) return NULL;
  /* SYNC cached: acquire. The entry is read through the place that was found. */
  uint64_t offset = ff_load_acquire64(&cache->table[row]);
  return offset ? (const ff_cache_entry *)ff_cache_at(cache, offset) : NULL;
}

void ff_cache_count(ff_cache *cache, uint64_t hits, uint64_t misses) {
  if (hits) ff_add_relaxed64(&cache->header->hits, hits);
  if (misses) ff_add_relaxed64(&cache->header->misses, misses);
}

static void copy_sample(const ff_cache_entry *entry, const ff_cache_column *columns,
                        size_t n_columns, size_t row) {
  const char *data = (const char *)(entry + 1);
  for (size_t c = 0; c < n_columns; c++)
    memcpy(columns[c].to + row * columns[c].stride, data + columns[c].offset, columns[c].bytes);
}

/* Entries lie anywhere: without this each row begins with two waits for memory, one after the other.
 * The processor sees the rest of a row coming by itself. */
static void fetch_early(const ff_cache *cache, int64_t row) {
  const char *entry = (const char *)ff_cache_find(cache, row);
  if (!entry) return;
  for (size_t line = 0; line < EARLY_LINES; line++)
    __builtin_prefetch(entry + line * FF_CACHE_ALIGN);
}

/* Workers write a note each, so equal ones lie in several places: the last that was equal is
 * remembered, which saves nearly every comparison. */
size_t ff_cache_gather(ff_cache *cache, const int64_t *rows, size_t count, const void *note,
                       uint64_t note_bytes, const ff_cache_column *columns, size_t n_columns,
                       uint8_t *done) {
  uint64_t equal = 0;
  size_t copied = 0;
  for (size_t i = 0; i < count; i++) {
    if (i + ROWS_EARLY < count) fetch_early(cache, rows[i + ROWS_EARLY]);
    const ff_cache_entry *entry = ff_cache_find(cache, rows[i]);
    done[i] = entry && entry->note_bytes == note_bytes
              && (entry->note == equal || !memcmp(ff_cache_at(cache, entry->note), note, note_bytes));
    if (!done[i]) continue;
    equal = entry->note;
    copy_sample(entry, columns, n_columns, i);
    copied++;
  }
  ff_cache_count(cache, copied, 0);
  return copied;
}
