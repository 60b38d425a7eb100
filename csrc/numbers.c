#include "numbers.h"

#define GOLDEN 0x9E3779B97F4A7C15ull

/* SplitMix64 (Steele et al., "Fast splittable pseudorandom number generators", OOPSLA'14):
 * consecutive inputs give outputs that share nothing. */
static uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ x >> 27) * 0x94D049BB133111EBull;
  return x ^ x >> 31;
}

void ff_twister_seed(uint32_t words[FF_TWISTER_WORDS], uint64_t seed, uint64_t epoch,
                     uint64_t index, uint64_t stream) {
  uint64_t key = mix(mix(seed * GOLDEN + epoch * 0xBF58476D1CE4E5B9ull + index + 1) + stream);
  for (uint32_t i = 0; i < FF_TWISTER_WORDS; i += 2) {
    uint64_t pair = mix(key += GOLDEN);
    words[i] = (uint32_t)pair;
    words[i + 1] = (uint32_t)(pair >> 32);
  }
  words[0] |= 1u << 31; /* a twister of zeros alone would stay there */
}
