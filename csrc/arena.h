/* Shared memory: one anonymous memfd per mapping, sized only after a look at what is free.
 *
 * A memfd has no name, so a kill -9 leaves nothing behind, and no size limit like /dev/shm. It has
 * no safety net either: filling one beyond the memory makes the kernel end innocent processes.
 * Hence ff_headroom(). Functions return 0 or a negative errno.
 */
#ifndef FASTFEED_ARENA_H
#define FASTFEED_ARENA_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that may still be used: the least of MemAvailable and what every memory cgroup above this
 * process leaves, times 0.8. `root` is "" for the real files; tests pass a folder with fakes. */
uint64_t ff_headroom(const char *root);

/* Make a memfd of `bytes`, its pages allocated, its size sealed; `fd` is close-on-exec.
 * -ENOMEM: more than the headroom; also if the headroom shrinks while pages are allocated. */
int ff_memory_create(const char *name, uint64_t bytes, const char *root, int *fd);

/* Map a whole memfd for reading and writing, its pages ready to be written. */
int ff_memory_map(int fd, void **base, uint64_t *bytes);
/* The same without the pages: each is made ready when it is touched, or by ff_memory_populate(). */
int ff_memory_map_lazily(int fd, void **base, uint64_t *bytes);
/* Make pages ready all at once: a seventh of what it takes page by page. An improvement only: a
 * kernel that refuses it lets them be touched one by one. */
void ff_memory_populate(void *base, uint64_t bytes);
/* Map one for reading only, page by page as they are read. For who only looks. */
int ff_memory_look_at(int fd, const void **base, uint64_t *bytes);
/* Keep the mapping from children that this process forks. For workers: a child of theirs could
 * still write into a slot after the worker was declared dead. */
int ff_memory_keep_private(void *base, uint64_t bytes);
void ff_memory_unmap(void *base, uint64_t bytes);

#endif
