/* Page-locked host memory: registered, or allocated by cuMemHostAlloc. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state.h"

#define MAX_RANGES 4096

static struct range {
  unsigned char *base;
  size_t bytes;
  bool allocated;
} ranges[MAX_RANGES];
static int n_ranges;

static bool inside(const struct range *range, const unsigned char *pointer, size_t bytes) {
  return pointer >= range->base && pointer + bytes <= range->base + range->bytes;
}

static bool meets(const struct range *range, const unsigned char *pointer, size_t bytes) {
  return pointer < range->base + range->bytes && range->base < pointer + bytes;
}

/* A range that reaches over the edge of a registration is MIXED, even where the next one begins at
 * that edge: the driver promises nothing about those. */
host_kind host_memory_kind(const void *pointer, size_t bytes) {
  host_kind kind = PAGEABLE;
  for (int i = 0; i < n_ranges; i++) {
    if (inside(&ranges[i], pointer, bytes)) return PINNED;
    if (meets(&ranges[i], pointer, bytes)) kind = MIXED;
  }
  return kind;
}

static CUresult add(void *pointer, size_t bytes, bool allocated) {
  if (n_ranges == MAX_RANGES) return CUDA_ERROR_OUT_OF_MEMORY;
  ranges[n_ranges++] = (struct range){pointer, bytes, allocated};
  return CUDA_SUCCESS;
}

static bool is_mapped(unsigned char *pointer, size_t bytes) {
  enum { PAGES = 4096 };
  unsigned char residency[PAGES];
  size_t page = (size_t)sysconf(_SC_PAGESIZE), offset = (uintptr_t)pointer % page;
  unsigned char *at = pointer - offset;
  for (size_t left = bytes + offset, step; left; left -= step, at += step) {
    step = left < PAGES * page ? left : PAGES * page;
    if (mincore(at, step, residency)) return false;
  }
  return true;
}

CUresult host_register(void *pointer, size_t bytes) {
  if (!bytes || is_device_range(pointer, bytes) || !is_mapped(pointer, bytes))
    return CUDA_ERROR_INVALID_VALUE;
  if (host_memory_kind(pointer, bytes) != PAGEABLE)
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  return add(pointer, bytes, false);
}

static struct range *find(const void *pointer, bool allocated) {
  for (int i = 0; i < n_ranges; i++)
    if (ranges[i].base == pointer && ranges[i].allocated == allocated) return &ranges[i];
  return NULL;
}

/* Found again after abandon_sources(), which lets other calls in while it waits. */
static void drop(const void *pointer, bool allocated) {
  struct range *range = find(pointer, allocated);
  if (range) *range = ranges[--n_ranges];
}

CUresult host_unregister(void *pointer) {
  struct range *range = find(pointer, false);
  if (!range) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  abandon_sources(pointer, range->bytes, "cuMemHostUnregister");
  drop(pointer, false);
  return CUDA_SUCCESS;
}

CUresult host_allocate(void **pointer, size_t bytes) {
  if (!pointer || !bytes) return CUDA_ERROR_INVALID_VALUE;
  void *memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  memset(memory, SIM_POISON, bytes);
  *pointer = memory;
  return add(memory, bytes, true);
}

CUresult host_free(void *pointer) {
  struct range *range = find(pointer, true);
  if (!range) return CUDA_ERROR_INVALID_VALUE;
  size_t bytes = range->bytes;
  abandon_sources(pointer, bytes, "cuMemFreeHost");
  drop(pointer, true);
  munmap(pointer, bytes);
  return CUDA_SUCCESS;
}

void host_reset(void) {
  for (int i = 0; i < n_ranges; i++)
    if (ranges[i].allocated) munmap(ranges[i].base, ranges[i].bytes);
  n_ranges = 0;
}

int64_t host_count(bool allocated) {
  int64_t count = 0;
  for (int i = 0; i < n_ranges; i++) count += ranges[i].allocated == allocated;
  return count;
}

int64_t host_registered_bytes(void) {
  int64_t bytes = 0;
  for (int i = 0; i < n_ranges; i++)
    if (!ranges[i].allocated) bytes += (int64_t)ranges[i].bytes;
  return bytes;
}

static const struct range *range_at(const unsigned char *pointer) {
  for (int i = 0; i < n_ranges; i++)
    if (inside(&ranges[i], pointer, 1)) return &ranges[i];
  return NULL;
}

int sim_is_host_registered(const void *pointer, size_t bytes) {
  const unsigned char *at = pointer, *end = at + bytes;
  const struct range *range;
  state_lock();
  while (at < end && (range = range_at(at))) at = range->base + range->bytes;
  state_unlock();
  return bytes && at >= end;
}
