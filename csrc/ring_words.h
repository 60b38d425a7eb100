/* How an entry's word is packed, and how entries are found. For the files of the ring alone. */
#ifndef FASTFEED_RING_WORDS_H
#define FASTFEED_RING_WORDS_H

#include "ring.h"

enum state { EMPTY, OPEN, FILLING, READY };

#define PARENT_SLEEPS 1u
#define ONE_PUBLICATION 2u

static inline uint64_t make_word(uint64_t sequence, uint32_t attempt, uint32_t owner_plus_1,
                                 enum state state) {
  return sequence << 24 | (uint64_t)attempt << 16 | (uint64_t)owner_plus_1 << 4 | state;
}
/* The low 40 bits: head and tail count on where this wraps. */
static inline uint64_t word_sequence(uint64_t word) { return word >> 24; }
static inline bool same_ticket(uint64_t word, uint64_t sequence) {
  return word_sequence(word) == word_sequence(sequence << 24);
}
static inline uint32_t word_attempt(uint64_t word) { return word >> 16 & 0xff; }
static inline uint32_t word_owner(uint64_t word) { return word >> 4 & 0xfff; }
static inline enum state word_state(uint64_t word) { return (enum state)(word & 0xf); }

static inline ff_entry *entry_at(const ff_ring *ring, uint64_t sequence) {
  return &ring->entries[sequence & (ring->header->n_entries - 1)];
}

#endif
