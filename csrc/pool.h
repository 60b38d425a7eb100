/* The insides of buffer.h, for pool.c (making, taking, destroying) and buffer.c (users). */
#ifndef FASTFEED_POOL_H
#define FASTFEED_POOL_H

#include <pthread.h>

#include "buffer.h"

#define MOST_STREAMS 8u /* beyond which a buffer counts as used anywhere */

typedef struct {
  ff_cu_stream stream;
  ff_cu_event left; /* recorded when the buffer's last user went; made at first use, then kept */
} ff_use;

struct ff_buffer {
  ff_pool *pool;
  ff_cu_pointer pointer;
  uint64_t bytes;
  ff_cu_event written;
  ff_a32 users;
  ff_a32 arrived; /* `written` was seen to be complete */
  /* Under the pool's lock while there are users: */
  ff_use uses[MOST_STREAMS];
  uint32_t n_uses;
  uint32_t n_events; /* of `uses`, that were made */
  bool anywhere;
  /* Under the pool's lock: */
  bool is_free;
  uint64_t freed; /* which one of the pool's releases this was */
  ff_buffer *next; /* in the list of free ones */
  ff_buffer *next_of_all;
};

struct ff_pool {
  ff_device *device;
  const ff_cuda *cuda;
  uint32_t usual;
  bool fixed;
  ff_a32 holders; /* the owner, and every buffer in use */
  ff_a32 bell;
  pthread_mutex_t lock; /* of all below */
  ff_buffer *free, **free_end; /* the longest free first; its uses are the most likely to be over */
  uint32_t n_free;
  ff_buffer *all;
  ff_buffer **turns; /* [usual]; fixed ones are in no list */
  uint64_t turn;
  uint64_t releases;
  uint64_t settled; /* the device was idle after so many releases */
  uint32_t buffers;
  uint64_t bytes;
};

/* A buffer whose last user is gone. */
void ff_pool_put_back(ff_pool *pool, ff_buffer *buffer);

#endif
