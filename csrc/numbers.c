#include "numbers.h"

uint64_t ff_item_seed(uint64_t seed, uint64_t epoch, uint64_t index) {
  return ff_mix64(seed * FF_GOLDEN + epoch * 0xBF58476D1CE4E5B9ull + index + 1);
}

void ff_twister_seed(uint32_t words[FF_TWISTER_WORDS], uint64_t seed, uint64_t epoch,
                     uint64_t index, uint64_t stream) {
  uint64_t key = ff_mix64(ff_item_seed(seed, epoch, index) + stream);
  for (uint32_t i = 0; i < FF_TWISTER_WORDS; i += 2) {
    uint64_t pair = ff_mix64(key += FF_GOLDEN);
    words[i] = (uint32_t)pair;
    words[i + 1] = (uint32_t)(pair >> 32);
  }
  words[0] |= 1u << 31; /* a twister of zeros alone would stay there */
}
