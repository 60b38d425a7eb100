/* Memory on the GPU's side of a machine with several memory nodes.
 *
 * The pages of a memfd lie where the policy of the thread that allocates them says. So the arena is
 * made between ff_numa_prefer() and ff_numa_default(), in one thread.
 */
#ifndef FASTFEED_NUMA_H
#define FASTFEED_NUMA_H

#include <stdint.h>

/* Nodes with memory; 1 where the kernel tells nothing. `root` as for ff_headroom(). */
uint32_t ff_numa_nodes(const char *root);
/* The node next to the PCI device `bus` ("0000:3B:00.0"); -1: the kernel does not know. */
int ff_numa_node_of(const char *root, const char *bus);

/* Pages that this thread allocates lie on `node` if there is room, from now on. -EBUSY: it has a
 * policy already (numactl), which its user has chosen. Else what the kernel said. */
int ff_numa_prefer(int node);
/* As before. Only after ff_numa_prefer() returned 0. */
int ff_numa_default(void);

#endif
