#include "copy.h"

#include <errno.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define LINE 64u

static void stream_lines(uint8_t *to, const uint8_t *from, size_t bytes) {
  for (size_t i = 0; i < bytes; i += LINE) {
    const __m128i *source = (const __m128i *)(from + i);
    __m128i *target = (__m128i *)(to + i);
    __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1);
    __m128i c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
}

/* Streaming stores are not ordered by the release of the publication; this instruction does it. */
static void drain_streams(void) { _mm_sfence(); }

#else

#define LINE 64u
static void stream_lines(uint8_t *to, const uint8_t *from, size_t bytes) {
  memcpy(to, from, bytes);
}
static void drain_streams(void) {}

#endif

/* No drain: callers drain once at the end. */
static void copy_part(uint8_t *to, const uint8_t *from, size_t bytes) {
  size_t head = (size_t)(-(uintptr_t)to % LINE);
  size_t body = (bytes - head) / LINE * LINE;
  memcpy(to, from, head);
  stream_lines(to + head, from + head, body);
  memcpy(to + head + body, from + head + body, bytes - head - body);
}

void ff_copy(void *to, const void *from, size_t bytes) {
  if (bytes < FF_STREAM_FROM) {
    memcpy(to, from, bytes);
    return;
  }
  copy_part(to, from, bytes);
  drain_streams();
}

int ff_gather(void *to, const void *from, size_t row_bytes, int64_t n_rows, const int64_t *rows,
              size_t count) {
  uint8_t *target = to;
  /* Short rows gain nothing from streaming: each would end in two half lines. */
  int stream = row_bytes >= 16 * LINE && row_bytes * count >= FF_STREAM_FROM;
  int rc = 0;
  for (size_t i = 0; i < count; i++, target += row_bytes) {
    if (rows[i] < 0 || rows[i] >= n_rows) {
      rc = -ERANGE;
      break;
    }
    const uint8_t *row = (const uint8_t *)from + (size_t)rows[i] * row_bytes;
    if (stream)
      copy_part(target, row, row_bytes);
    else
      memcpy(target, row, row_bytes);
  }
  if (stream) drain_streams(); /* after a bad row too: the slot goes to another worker next */
  return rc;
}
