/* Copies into slots. Whoever publishes after one of these needs no further store fence. */
#ifndef FASTFEED_COPY_H
#define FASTFEED_COPY_H

#include <stddef.h>
#include <stdint.h>

/* From this size on, stores go around the cache: the batch would not stay in it anyway, and
 * reading each destination line first costs half of the bandwidth. */
#define FF_STREAM_FROM (1u << 20)

void ff_copy(void *to, const void *from, size_t bytes);

/* to[i] = from[rows[i]] for rows of `row_bytes`. -ERANGE if a row is not in [0, n_rows):
 * nothing beyond the array is read. */
int ff_gather(void *to, const void *from, size_t row_bytes, int64_t n_rows, const int64_t *rows,
              size_t count);

#endif
