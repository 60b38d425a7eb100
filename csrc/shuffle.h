/* A random order of n items that is computed point by point: no list, whatever n is, and any
 * process that knows (seed, epoch) has the same one.
 *
 * A Feistel network permutes the smallest power of two that holds n (Luby and Rackoff, "How to
 * construct pseudorandom permutations", 1988); what falls outside of n is permuted again until it
 * falls inside (cycle walking: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
 * That takes less than two rounds of it on average, from 64 items on.
 */
#ifndef FASTFEED_SHUFFLE_H
#define FASTFEED_SHUFFLE_H

#include <stdint.h>

#define FF_SHUFFLE_ROUNDS 8u

typedef struct {
  uint64_t n;
  uint64_t keys[FF_SHUFFLE_ROUNDS];
  uint32_t low_bits, high_bits; /* the two halves of a number */
} ff_shuffle;

/* `n` is 1 or more. */
void ff_shuffle_init(ff_shuffle *shuffle, uint64_t n, uint64_t seed, uint64_t epoch);
/* The item at a position below n. */
uint64_t ff_shuffle_at(const ff_shuffle *shuffle, uint64_t position);
/* The items at positions `start`, `start + 1`, ...; after the last position comes the first. */
void ff_shuffle_rows(const ff_shuffle *shuffle, uint64_t start, uint64_t count, int64_t *items);

#endif
