/* Device memory. Its addresses come from a range of the address space that nobody can touch, so
 * that host code which takes one for a pointer crashes; the bytes lie elsewhere.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "state.h"

#define RESERVED ((size_t)64 << 30)
#define ALIGNMENT 512u
#define MAX_ALLOCATIONS 4096

static struct allocation {
  CUdeviceptr address;
  size_t bytes;
  int device;
  unsigned char *memory;
} allocations[MAX_ALLOCATIONS];
static int n_allocations;

static CUdeviceptr reserved, next_address;

static bool reserve(void) {
  if (reserved) return true;
  void *range = mmap(NULL, RESERVED, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return false;
  next_address = reserved = (uintptr_t)range;
  return true;
}

bool is_device_range(const void *pointer, size_t bytes) {
  uintptr_t at = (uintptr_t)pointer;
  return reserved && at < reserved + RESERVED && reserved < at + bytes;
}

static struct allocation *find(CUdeviceptr address, size_t bytes) {
  for (struct allocation *a = allocations; a < allocations + n_allocations; a++)
    if (address >= a->address && address + bytes <= a->address + a->bytes) return a;
  return NULL;
}

static struct allocation *first_over(CUdeviceptr address, size_t bytes) {
  for (struct allocation *a = allocations; a < allocations + n_allocations; a++)
    if (address < a->address + a->bytes && a->address < address + bytes) return a;
  return NULL;
}

/* Addresses are used again as late as can be, and never touch each other: a copy to freed memory,
 * or over an end, is refused. 0: the range is full. */
static CUdeviceptr take_address(size_t bytes) {
  size_t room = (bytes / ALIGNMENT + 2) * ALIGNMENT;
  if (room > RESERVED) return 0;
  bool wrapped = false;
  for (const struct allocation *taken;;) {
    if (next_address + room > reserved + RESERVED) {
      if (wrapped) return 0;
      next_address = reserved;
      wrapped = true;
    }
    if (!(taken = first_over(next_address, room))) break;
    next_address = taken->address + (taken->bytes / ALIGNMENT + 2) * ALIGNMENT;
  }
  CUdeviceptr address = next_address;
  next_address += room;
  return address;
}

CUresult device_allocate(CUdeviceptr *address, size_t bytes, int device) {
  if (!address || !bytes) return CUDA_ERROR_INVALID_VALUE;
  if (n_allocations == MAX_ALLOCATIONS || device_used(device) + bytes > state.memory || !reserve())
    return CUDA_ERROR_OUT_OF_MEMORY;
  struct allocation new = {take_address(bytes), bytes, device, NULL};
  if (!new.address || !(new.memory = malloc(bytes))) return CUDA_ERROR_OUT_OF_MEMORY;
  memset(new.memory, SIM_POISON, bytes);
  allocations[n_allocations++] = new;
  *address = new.address;
  return CUDA_SUCCESS;
}

/* Waits for the work that uses the memory, as the real one does. */
CUresult device_free(CUdeviceptr address) {
  struct allocation *found;
  for (;;) {
    found = find(address, 1);
    if (!found || found->address != address) return CUDA_ERROR_INVALID_VALUE;
    if (!device_range_in_use(address, found->bytes)) break;
    state_wait();
  }
  order_forget(address, found->bytes);
  free(found->memory);
  *found = allocations[--n_allocations];
  return CUDA_SUCCESS;
}

unsigned char *device_bytes_at(CUdeviceptr address, size_t bytes) {
  struct allocation *found = find(address, bytes);
  return found ? found->memory + (address - found->address) : NULL;
}

size_t device_used(int device) {
  size_t used = 0;
  for (int i = 0; i < n_allocations; i++)
    if (device < 0 || allocations[i].device == device) used += allocations[i].bytes;
  return used;
}

int64_t device_allocations(void) { return n_allocations; }

void device_reset(void) {
  for (int i = 0; i < n_allocations; i++) free(allocations[i].memory);
  n_allocations = 0;
}
