#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP (16ull << 20) /* allocate this much between two looks at the headroom */
#define PATH_BYTES 4096

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older headers lack the name */
#endif

/* -- headroom ------------------------------------------------------------------------------ */

/* First number in the file, or after `key` at the start of a line. UINT64_MAX: none ("max"). */
static uint64_t read_number(const char *root, const char *path, const char *key) {
  char name[PATH_BYTES], line[256];
  uint64_t value = UINT64_MAX;
  size_t length = strlen(key);
  if (snprintf(name, sizeof name, "%s%s", root, path) >= (int)sizeof name) return value;
  FILE *file = fopen(name, "re");
  if (!file) return value;
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, key, length)) continue;
    if (sscanf(line + length, " %lu", &value) != 1) value = UINT64_MAX;
    break;
  }
  fclose(file);
  return value;
}

static uint64_t read_in(const char *root, const char *folder, const char *file, const char *key) {
  char path[PATH_BYTES];
  if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path) return UINT64_MAX;
  return read_number(root, path, key);
}

static uint64_t subtract(uint64_t limit, uint64_t used) {
  if (limit == UINT64_MAX || used == UINT64_MAX) return UINT64_MAX;
  return limit > used ? limit - used : 0;
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* What one version of cgroups calls its files, and our group in /proc/self/cgroup. */
typedef struct {
  const char *mount, *group, *limit, *used, *cache;
} cgroup_names;

static const cgroup_names version_1 = {"/sys/fs/cgroup/memory", ":memory:", "memory.limit_in_bytes",
                                       "memory.usage_in_bytes", "total_inactive_file"};
static const cgroup_names version_2 = {"/sys/fs/cgroup", "0::", "memory.max", "memory.current",
                                       "inactive_file"};

/* Page cache that the kernel would give back counts as used by the cgroup, but is free for us. */
static uint64_t group_leaves(const char *root, const char *folder, const cgroup_names *names) {
  uint64_t used = read_in(root, folder, names->used, "");
  uint64_t cache = read_in(root, folder, "memory.stat", names->cache);
  if (cache != UINT64_MAX) used = subtract(used, cache);
  return subtract(read_in(root, folder, names->limit, ""), used);
}

/* `folder` becomes that of our group, or the mount where /proc does not tell. */
static void find_group(const char *root, const cgroup_names *names, char folder[PATH_BYTES]) {
  char name[PATH_BYTES], line[PATH_BYTES / 2];
  snprintf(folder, PATH_BYTES, "%s", names->mount);
  if (snprintf(name, sizeof name, "%s/proc/self/cgroup", root) >= (int)sizeof name) return;
  FILE *file = fopen(name, "re");
  if (!file) return;
  while (fgets(line, sizeof line, file)) {
    const char *group = strstr(line, names->group);
    if (!group) continue;
    line[strcspn(line, "\n")] = 0;
    snprintf(folder, PATH_BYTES, "%s%s", names->mount, group + strlen(names->group));
    break;
  }
  fclose(file);
}

/* A limit may be set on any group above ours: look at each, from the inner to the mount. In a
 * container the path is often one that only the host can see; then the mount is our group. */
static uint64_t groups_leave(const char *root, const cgroup_names *names) {
  char folder[PATH_BYTES];
  uint64_t free_bytes = UINT64_MAX;
  find_group(root, names, folder);
  for (;;) {
    free_bytes = least(free_bytes, group_leaves(root, folder, names));
    char *slash = strrchr(folder, '/');
    if (slash < folder + strlen(names->mount)) return free_bytes;
    *slash = 0;
  }
}

uint64_t ff_headroom(const char *root) {
  uint64_t kib = read_number(root, "/proc/meminfo", "MemAvailable:");
  uint64_t free_bytes = kib == UINT64_MAX ? kib : kib * 1024;
  free_bytes = least(free_bytes, groups_leave(root, &version_2));
  free_bytes = least(free_bytes, groups_leave(root, &version_1));
  return free_bytes == UINT64_MAX ? free_bytes : free_bytes / 10 * 8;
}

/* -- memfd --------------------------------------------------------------------------------- */

/* In steps, with a look before each: another job may have taken the memory meanwhile. A signal
 * makes some kernels give the step back; a short step gets done between two ticks of a timer. */
static int allocate(int fd, uint64_t bytes, const char *root) {
  for (uint64_t done = 0, step; done < bytes;) {
    step = least(STEP, bytes - done);
    if (ff_headroom(root) < step) return -ENOMEM;
    int rc = posix_fallocate(fd, (off_t)done, (off_t)step);
    if (rc == EINTR) continue;
    if (rc) return -rc;
    done += step;
  }
  return 0;
}

int ff_memory_create(const char *name, uint64_t bytes, const char *root, int *fd) {
  if (!bytes) return -EINVAL;
  if (bytes > ff_headroom(root)) return -ENOMEM;
  *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (*fd < 0) return -errno;
  int rc = ftruncate(*fd, (off_t)bytes) ? -errno : allocate(*fd, bytes, root);
  if (!rc && fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) rc = -errno;
  if (rc) close(*fd);
  return rc;
}

int ff_memory_map_lazily(int fd, void **base, uint64_t *bytes) {
  struct stat status;
  if (fstat(fd, &status)) return -errno;
  *bytes = (uint64_t)status.st_size;
  *base = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return *base == MAP_FAILED ? -errno : 0;
}

void ff_memory_populate(void *base, uint64_t bytes) { madvise(base, bytes, MADV_POPULATE_WRITE); }

int ff_memory_map(int fd, void **base, uint64_t *bytes) {
  int rc = ff_memory_map_lazily(fd, base, bytes);
  if (!rc) ff_memory_populate(*base, *bytes);
  return rc;
}

int ff_memory_look_at(int fd, const void **base, uint64_t *bytes) {
  struct stat status;
  if (fstat(fd, &status)) return -errno;
  *bytes = (uint64_t)status.st_size;
  *base = mmap(NULL, *bytes, PROT_READ, MAP_SHARED, fd, 0);
  return *base == MAP_FAILED ? -errno : 0;
}

int ff_memory_keep_private(void *base, uint64_t bytes) {
  return madvise(base, bytes, MADV_DONTFORK) ? -errno : 0;
}

void ff_memory_unmap(void *base, uint64_t bytes) { munmap(base, bytes); }
