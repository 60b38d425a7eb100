/* Device memory for batches, and when it may be written again.
 *
 * A buffer leaves ff_pool_take() with one user. Whoever hands it to a stream says so with
 * ff_buffer_hand_to(), which has that stream wait (the host does not) until the bytes are there.
 * When the last user is gone an event is recorded on each of those streams, and only what waits
 * for all these events may write into the buffer again. That is done on the device: the next
 * upload's stream is told to wait.
 *
 * A user whose streams nobody knows (JAX computes on streams of its own) uses it "anywhere": such
 * a buffer is written again only after all that the device had to do when it became free is done.
 * The thread that needs the buffer waits for that, not the one that trains.
 *
 * Any thread may retain, hand over and release, without the GIL. Buffers outlive the owner of their
 * pool: a batch that the user keeps stays valid. Functions return 0, a negative errno or a result
 * of the driver's, which `error` explains.
 */
#ifndef FASTFEED_BUFFER_H
#define FASTFEED_BUFFER_H

#include "atomic.h"
#include "cuda.h"
#include "dlpack.h"

typedef struct ff_pool ff_pool;
typedef struct ff_buffer ff_buffer;

/* Buffers of one device. There are `usual` of them before one is used again, and more only while
 * more are in use. `fixed`: exactly `usual`, which take turns, at the same addresses for ever.
 * -ENOMEM. */
int ff_pool_open(ff_device *device, uint32_t usual, bool fixed, ff_pool **pool);
/* The owner is done with it. What is free goes now, what is in use with the last of its users. */
void ff_pool_close(ff_pool *pool);

ff_device *ff_pool_device(const ff_pool *pool);
/* Rung when a fixed buffer becomes free, and by whoever else wants the thread that takes to look. */
ff_a32 *ff_pool_bell(ff_pool *pool);
/* Buffers that exist, and the bytes that they take. */
void ff_pool_size(ff_pool *pool, uint32_t *buffers, uint64_t *bytes);
/* Buffers that have a user. For the owner. */
uint32_t ff_pool_in_use(const ff_pool *pool);

/* A buffer of at least `bytes`, which `stream` may write to: it has been told to wait for all
 * former uses. -EAGAIN: the fixed one whose turn it is has still a user, or the device cannot be
 * waited for while somebody captures a graph. -EMSGSIZE: the fixed ones are smaller. In the
 * device's context. Any thread. */
int ff_pool_take(ff_pool *pool, uint64_t bytes, ff_cu_stream stream, ff_buffer **buffer,
                 ff_cuda_error *error);

/* The buffer in which `pointer` points, with one user more; NULL: none that is in use. The caller
 * must have a tensor over it. */
ff_buffer *ff_pool_find(ff_pool *pool, ff_cu_pointer pointer);

ff_cu_pointer ff_buffer_pointer(const ff_buffer *buffer);
uint64_t ff_buffer_bytes(const ff_buffer *buffer);
ff_pool *ff_buffer_pool(const ff_buffer *buffer);
void ff_buffer_retain(ff_buffer *buffer);
void ff_buffer_release(ff_buffer *buffer);

/* What was put into `stream` so far writes the buffer's bytes. In the device's context. */
int ff_buffer_written_by(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error);
/* Are the bytes there? 0, FF_CU_NOT_READY or what went wrong. In the device's context. */
int ff_buffer_has_arrived(ff_buffer *buffer, ff_cuda_error *error);
/* Wait on the host until they are. */
int ff_buffer_wait(ff_buffer *buffer, ff_cuda_error *error);

/* `stream` will read the bytes: it waits for them, and the buffer for it. Handles as in DLPack: 1
 * is the legacy default stream, 2 the thread's default stream. It must not be destroyed before the
 * buffer's last user is gone. For a stream that is being captured the host waits. */
int ff_buffer_hand_to(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error);
/* Streams that nobody can name will read the bytes. */
void ff_buffer_is_used_anywhere(ff_buffer *buffer);

/* Copy bytes to the host, as soon as they are there. Waits. */
int ff_buffer_read(ff_buffer *buffer, uint64_t offset, void *to, size_t bytes,
                   ff_cuda_error *error);

/* A DLPack tensor over bytes of a buffer, a user of its own. NULL: no memory. */
DLManagedTensor *ff_buffer_dlpack(ff_buffer *buffer, uint64_t offset, DLDataType dtype,
                                  int32_t ndim, const int64_t *shape);

/* Pools that still exist; tests end by asserting that none does. */
uint32_t ff_pools_alive(void);

#endif
