/* The random numbers that an item starts with. */
#ifndef FASTFEED_NUMBERS_H
#define FASTFEED_NUMBERS_H

#include <stdint.h>

#define FF_TWISTER_WORDS 624u

#define FF_GOLDEN 0x9E3779B97F4A7C15ull

/* SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", OOPSLA'14):
 * consecutive inputs give outputs that share nothing. */
static inline uint64_t ff_mix64(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ x >> 27) * 0x94D049BB133111EBull;
  return x ^ x >> 31;
}

/* One number from (seed, epoch, index). */
uint64_t ff_item_seed(uint64_t seed, uint64_t epoch, uint64_t index);
/* Fill the state of a Mersenne Twister from (seed, epoch, index). `stream` tells apart several
 * twisters that serve the same item. */
void ff_twister_seed(uint32_t words[FF_TWISTER_WORDS], uint64_t seed, uint64_t epoch,
                     uint64_t index, uint64_t stream);

#endif
