/* Headroom from fake limit files, and memfds of a few pages: no test uses up real memory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena.h"
#include "fakes.h"

#define MIB (1ull << 20)
#define PAGE 4096
#define STEP (16 * MIB) /* of arena.c */

static void available(uint64_t bytes) {
  char text[128];
  snprintf(text, sizeof text, "MemTotal: 999999999 kB\nMemAvailable: %llu kB\nBuffers: 1 kB\n",
           (unsigned long long)bytes / 1024);
  write_file("/proc/meminfo", text);
}

static uint64_t four_fifths(uint64_t bytes) { return bytes / 10 * 8; }

static void headroom_is(uint64_t bytes) { CHECK_EQ(ff_headroom(root), four_fifths(bytes)); }

/* -- headroom ------------------------------------------------------------------------------- */

static void headroom_is_four_fifths_of_what_is_available(void) {
  begin();
  CHECK_EQ(ff_headroom(root), UINT64_MAX); /* nothing known: no limit */
  available(1000 * MIB);
  headroom_is(1000 * MIB);
  end();
  CHECK(ff_headroom("") > 0 && ff_headroom("") < UINT64_MAX); /* the real one */
}

static void version_2_groups_limit_it_at_any_level(void) {
  begin();
  available(1000 * MIB);
  write_file("/proc/self/cgroup", "1:name=systemd:/else\n0::/outer/inner\n");
  headroom_is(1000 * MIB);
  write_file("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write_file("/sys/fs/cgroup/outer/inner/memory.current", "1048576\n");
  headroom_is(1000 * MIB);
  write_file("/sys/fs/cgroup/outer/memory.max", "104857600\n"); /* 100 MiB */
  write_file("/sys/fs/cgroup/outer/memory.current", "31457280\n");
  headroom_is(70 * MIB);
  write_file("/sys/fs/cgroup/outer/inner/memory.max", "11534336\n"); /* 11 MiB, 1 in use */
  headroom_is(10 * MIB);
  write_file("/sys/fs/cgroup/memory.max", "5242880\n"); /* a container sees its own as the root */
  write_file("/sys/fs/cgroup/memory.current", "0\n");
  headroom_is(5 * MIB);
  end();
}

static void page_cache_of_the_group_counts_as_free(void) {
  begin();
  available(1000 * MIB);
  write_file("/proc/self/cgroup", "0::/\n");
  write_file("/sys/fs/cgroup/memory.max", "104857600\n");
  write_file("/sys/fs/cgroup/memory.current", "62914560\n");
  headroom_is(40 * MIB);
  write_file("/sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 20971520\nactive_file 9\n");
  headroom_is(60 * MIB);
  write_file("/sys/fs/cgroup/memory.current", "209715200\n"); /* above its limit */
  CHECK_EQ(ff_headroom(root), 0);
  end();
}

static void version_1_groups_limit_it_at_any_level(void) {
  begin();
  available(1000 * MIB);
  write_file("/proc/self/cgroup", "9:cpu:/x\n4:memory:/outer/inner\n0::/\n");
  write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  write_file("/sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n");
  headroom_is(1000 * MIB);
  write_file("/sys/fs/cgroup/memory/outer/memory.limit_in_bytes", "104857600\n");
  write_file("/sys/fs/cgroup/memory/outer/memory.usage_in_bytes", "52428800\n");
  headroom_is(50 * MIB);
  write_file("/sys/fs/cgroup/memory/outer/memory.stat",
             "inactive_file 1\ntotal_inactive_file 10485760\n");
  headroom_is(60 * MIB);
  write_file("/sys/fs/cgroup/memory/outer/inner/memory.limit_in_bytes", "3145728\n");
  write_file("/sys/fs/cgroup/memory/outer/inner/memory.usage_in_bytes", "1048576\n");
  headroom_is(2 * MIB);
  end();
}

static void damaged_files_set_no_limit(void) {
  begin();
  available(1000 * MIB);
  write_file("/proc/self/cgroup", "no colon at all\n\n4:memory\n0::");
  write_file("/sys/fs/cgroup/memory.max", "");
  write_file("/sys/fs/cgroup/memory.current", "lots\n");
  headroom_is(1000 * MIB);
  end();
}

/* -- memfds --------------------------------------------------------------------------------- */

static int count_descriptors(void) {
  int count = 0;
  DIR *folder = opendir("/proc/self/fd");
  REQUIRE(folder);
  while (readdir(folder)) count++;
  closedir(folder);
  return count;
}

/* arena.c's posix_fallocate, so that a test may act between two steps of an allocation. */
static int (*before_fallocate)(off_t offset);

int posix_fallocate(int fd, off_t offset, off_t bytes) {
  int rc = before_fallocate ? before_fallocate(offset) : 0;
  if (rc) return rc;
  return syscall(SYS_fallocate, fd, 0, offset, bytes) ? errno : 0;
}

static void more_than_the_headroom_is_refused(void) {
  int fd = -1, before = count_descriptors();
  begin();
  available(10 * MIB);
  CHECK_EQ(ff_memory_create("test", four_fifths(10 * MIB) + 1, root, &fd), -ENOMEM);
  CHECK_EQ(ff_memory_create("test", UINT64_MAX, root, &fd), -ENOMEM);
  CHECK_EQ(ff_memory_create("test", 0, root, &fd), -EINVAL);
  CHECK_EQ(count_descriptors(), before);
  CHECK_EQ(ff_memory_create("test", four_fifths(10 * MIB), root, &fd), 0);
  close(fd);
  end();
}

static int another_job_takes_it(off_t offset) {
  if (offset > 0) available(1 * MIB);
  return 0;
}

static void headroom_that_shrinks_on_the_way_is_noticed(void) {
  int fd = -1, before = count_descriptors();
  begin();
  available(100 * MIB);
  before_fallocate = another_job_takes_it;
  CHECK_EQ(ff_memory_create("test", 3 * STEP, root, &fd), -ENOMEM);
  before_fallocate = NULL;
  CHECK_EQ(count_descriptors(), before);
  end();
}

static int interruptions;
static int interrupt_twice(off_t offset) {
  (void)offset;
  return interruptions++ < 2 ? EINTR : 0;
}

static void a_signal_during_allocation_does_no_harm(void) {
  int fd = -1;
  struct stat status;
  before_fallocate = interrupt_twice;
  CHECK_EQ(ff_memory_create("test", 2 * PAGE, "", &fd), 0);
  before_fallocate = NULL;
  CHECK_EQ(interruptions, 3);
  CHECK(!fstat(fd, &status) && status.st_blocks * 512 == 2 * PAGE);
  close(fd);
}

static void a_new_memfd_is_allocated_sealed_and_private_to_us(void) {
  int fd = -1;
  struct stat status;
  REQUIRE(ff_memory_create("test", 5 * PAGE, "", &fd) == 0);
  REQUIRE(!fstat(fd, &status));
  CHECK_EQ(status.st_size, 5 * PAGE);
  CHECK_EQ(status.st_blocks * 512, 5 * PAGE);
  CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  CHECK(ftruncate(fd, PAGE) < 0 && errno == EPERM);
  CHECK(ftruncate(fd, 9 * PAGE) < 0 && errno == EPERM);
  close(fd);
}

static void two_mappings_show_the_same_bytes(void) {
  int fd = -1;
  void *one = NULL, *two = NULL;
  uint64_t bytes = 0;
  REQUIRE(ff_memory_create("test", 3 * PAGE, "", &fd) == 0);
  REQUIRE(ff_memory_map(fd, &one, &bytes) == 0);
  CHECK_EQ(bytes, 3 * PAGE);
  REQUIRE(ff_memory_map(fd, &two, &bytes) == 0);
  close(fd); /* the mappings stay */
  memset(one, 0x37, 3 * PAGE);
  CHECK(one != two && !memcmp(one, two, 3 * PAGE));
  ff_memory_unmap(one, bytes);
  CHECK_EQ(((char *)two)[PAGE], 0x37);
  ff_memory_unmap(two, bytes);
  CHECK_EQ(ff_memory_map(fd, &one, &bytes), -EBADF);
}

/* mincore() says ENOMEM of pages that are not mapped. */
static bool child_has(void *page) {
  int status = 0;
  pid_t child = fork();
  REQUIRE(child >= 0);
  unsigned char resident;
  if (!child) _exit(mincore(page, PAGE, &resident) ? errno == ENOMEM ? 1 : 2 : 0);
  REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) < 2);
  return WEXITSTATUS(status) == 0;
}

static void children_inherit_a_mapping_unless_it_is_kept_private(void) {
  int fd = -1;
  void *base = NULL;
  uint64_t bytes = 0;
  REQUIRE(ff_memory_create("test", PAGE, "", &fd) == 0);
  REQUIRE(ff_memory_map(fd, &base, &bytes) == 0);
  CHECK(child_has(base));
  CHECK_EQ(ff_memory_keep_private(base, bytes), 0);
  CHECK(!child_has(base));
  ff_memory_unmap(base, bytes);
  close(fd);
}

int main(void) {
  watchdog_start();
  RUN(headroom_is_four_fifths_of_what_is_available);
  RUN(version_2_groups_limit_it_at_any_level);
  RUN(page_cache_of_the_group_counts_as_free);
  RUN(version_1_groups_limit_it_at_any_level);
  RUN(damaged_files_set_no_limit);
  RUN(more_than_the_headroom_is_refused);
  RUN(headroom_that_shrinks_on_the_way_is_noticed);
  RUN(a_signal_during_allocation_does_no_harm);
  RUN(a_new_memfd_is_allocated_sealed_and_private_to_us);
  RUN(two_mappings_show_the_same_bytes);
  RUN(children_inherit_a_mapping_unless_it_is_kept_private);
  return check_report("test_arena");
}
