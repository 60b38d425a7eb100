#include "numa.h"

#include <ctype.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define MOST_NODES 1024u /* the kernel's own limit */
#define BITS (8 * sizeof(unsigned long))

/* The first line of a file; false: there is none. */
static bool read_line(const char *root, const char *path, char *line, int bytes) {
  char name[PATH_BYTES];
  if (snprintf(name, sizeof name, "%s%s", root, path) >= (int)sizeof name) return false;
  FILE *file = fopen(name, "re");
  if (!file) return false;
  bool read = fgets(line, bytes, file);
  fclose(file);
  return read;
}

/* Of a list such as "0-1,4". */
static uint32_t count(const char *list) {
  uint32_t nodes = 0, first, last;
  int length;
  while (sscanf(list, "%u%n", &first, &length) == 1) {
    list += length;
    last = first;
    if (sscanf(list, "-%u%n", &last, &length) == 1) list += length;
    if (last < first || last >= MOST_NODES) return 0;
    nodes += last - first + 1;
    if (*list == ',') list++;
  }
  return nodes;
}

uint32_t ff_numa_nodes(const char *root) {
  char line[256];
  if (!read_line(root, "/sys/devices/system/node/has_memory", line, sizeof line)) return 1;
  uint32_t nodes = count(line);
  return nodes ? nodes : 1;
}

int ff_numa_node_of(const char *root, const char *bus) {
  char path[128], line[32];
  int node = -1;
  int length = snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", bus);
  if (length >= (int)sizeof path) return -1;
  for (char *c = path; *c; c++) *c = (char)tolower(*c); /* the driver writes 3B, the kernel 3b */
  if (!read_line(root, path, line, sizeof line) || sscanf(line, "%d", &node) != 1) return -1;
  return node;
}

static int set_policy(int mode, const unsigned long *nodes) {
  long rc = syscall(SYS_set_mempolicy, mode, nodes, nodes ? MOST_NODES + 1 : 0);
  return rc < 0 ? -errno : 0;
}

int ff_numa_prefer(int node) {
  unsigned long nodes[MOST_NODES / BITS] = {0};
  int mode = MPOL_DEFAULT;
  if (node < 0 || node >= (int)MOST_NODES) return -EINVAL;
  if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0) < 0) return -errno;
  if (mode != MPOL_DEFAULT) return -EBUSY;
  nodes[(size_t)node / BITS] = 1ul << (size_t)node % BITS;
  return set_policy(MPOL_PREFERRED, nodes);
}

int ff_numa_default(void) { return set_policy(MPOL_DEFAULT, NULL); }
