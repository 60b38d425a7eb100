/* Memory nodes from folders of fakes, and the policy of a thread as the kernel tells it. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fakes.h"
#include "numa.h"

#define BUS "0000:3B:00.0"

static void nodes_are_those_with_memory(void) {
  static const struct {
    const char *list;
    uint32_t nodes;
  } lists[] = {{"0\n", 1}, {"0-1\n", 2}, {"0,2\n", 2}, {"0-1,4,6-7\n", 5}, {"1", 1},
               {"\n", 1}, {"garbage\n", 1}, {"3-1\n", 1}, {"0-99999999\n", 1}};
  begin();
  CHECK_EQ(ff_numa_nodes(root), 1); /* no such file */
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    write_file("/sys/devices/system/node/has_memory", lists[i].list);
    CHECK_EQ(ff_numa_nodes(root), lists[i].nodes);
  }
  end();
  CHECK(ff_numa_nodes("") >= 1); /* the real one */
}

static void a_device_has_the_node_that_the_kernel_says(void) {
  char far[300];
  begin();
  CHECK_EQ(ff_numa_node_of(root, BUS), -1);
  write_file("/sys/bus/pci/devices/0000:3b:00.0/numa_node", "1\n");
  CHECK_EQ(ff_numa_node_of(root, BUS), 1);
  CHECK_EQ(ff_numa_node_of(root, "0000:3b:00.0"), 1);
  CHECK_EQ(ff_numa_node_of(root, "0000:3C:00.0"), -1);
  write_file("/sys/bus/pci/devices/0000:3b:00.0/numa_node", "-1\n");
  CHECK_EQ(ff_numa_node_of(root, BUS), -1);
  write_file("/sys/bus/pci/devices/0000:3b:00.0/numa_node", "what\n");
  CHECK_EQ(ff_numa_node_of(root, BUS), -1);
  memset(far, 'a', sizeof far - 1);
  far[sizeof far - 1] = 0;
  CHECK_EQ(ff_numa_node_of(root, far), -1);
  end();
}

static int mode(void) {
  int now = -1;
  REQUIRE(!syscall(SYS_get_mempolicy, &now, NULL, 0, NULL, 0));
  return now;
}

static void a_thread_prefers_a_node_for_a_while(void) {
  unsigned long nodes[16] = {0};
  CHECK_EQ(ff_numa_prefer(-1), -EINVAL);
  CHECK_EQ(ff_numa_prefer(1024), -EINVAL);
  int rc = ff_numa_prefer(0);
  if (rc == -ENOSYS || rc == -EPERM) return; /* containers may forbid it; then nothing changes */
  REQUIRE(rc == 0);
  CHECK_EQ(mode(), MPOL_PREFERRED);
  REQUIRE(!syscall(SYS_get_mempolicy, NULL, nodes, 1025, NULL, 0));
  CHECK_EQ(nodes[0], 1);
  CHECK_EQ(ff_numa_prefer(0), -EBUSY); /* a policy that is there stays */
  CHECK_EQ(ff_numa_default(), 0);
  CHECK_EQ(mode(), MPOL_DEFAULT);
  CHECK(ff_numa_prefer(1000) < 0); /* there is no such node */
  CHECK_EQ(mode(), MPOL_DEFAULT);
}

int main(void) {
  watchdog_start();
  RUN(nodes_are_those_with_memory);
  RUN(a_device_has_the_node_that_the_kernel_says);
  RUN(a_thread_prefers_a_node_for_a_while);
  return check_report("test_numa");
}
