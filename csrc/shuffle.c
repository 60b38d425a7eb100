#include "shuffle.h"

#include "numbers.h"

/* Two halves of three bits: with less, not every order of a few items comes up alike. */
#define FEWEST_BITS 6u

static uint32_t bits_for(uint64_t n) {
  uint32_t bits = FEWEST_BITS;
  while (bits < 64 && (n - 1) >> bits) bits++;
  return bits;
}

void ff_shuffle_init(ff_shuffle *shuffle, uint64_t n, uint64_t seed, uint64_t epoch) {
  uint32_t bits = bits_for(n);
  uint64_t key = ff_mix64(ff_mix64(seed) + epoch);
  shuffle->n = n;
  shuffle->low_bits = bits / 2;
  shuffle->high_bits = bits - bits / 2;
  for (uint32_t i = 0; i < FF_SHUFFLE_ROUNDS; i++) shuffle->keys[i] = ff_mix64(key += FF_GOLDEN);
}

/* Each pair of rounds changes one half by what the other is, and then the other. */
static uint64_t permute(const ff_shuffle *shuffle, uint64_t number) {
  uint64_t low_mask = ((uint64_t)1 << shuffle->low_bits) - 1;
  uint64_t high_mask = ((uint64_t)1 << shuffle->high_bits) - 1;
  uint64_t low = number & low_mask, high = number >> shuffle->low_bits;
  for (uint32_t i = 0; i < FF_SHUFFLE_ROUNDS; i += 2) {
    high ^= ff_mix64(low + shuffle->keys[i]) & high_mask;
    low ^= ff_mix64(high + shuffle->keys[i + 1]) & low_mask;
  }
  return high << shuffle->low_bits | low;
}

uint64_t ff_shuffle_at(const ff_shuffle *shuffle, uint64_t position) {
  do position = permute(shuffle, position);
  while (position >= shuffle->n); /* a permutation leads back: this ends at the latest where it began */
  return position;
}

void ff_shuffle_rows(const ff_shuffle *shuffle, uint64_t start, uint64_t count, int64_t *items) {
  uint64_t position = start % shuffle->n;
  for (uint64_t i = 0; i < count; i++) {
    items[i] = (int64_t)ff_shuffle_at(shuffle, position);
    if (++position == shuffle->n) position = 0;
  }
}
