/* The random numbers that an item starts with. */
#ifndef FASTFEED_NUMBERS_H
#define FASTFEED_NUMBERS_H

#include <stdint.h>

#define FF_TWISTER_WORDS 624u

/* Fill the state of a Mersenne Twister from (seed, epoch, index). `stream` tells apart several
 * twisters that serve the same item. */
void ff_twister_seed(uint32_t words[FF_TWISTER_WORDS], uint64_t seed, uint64_t epoch,
                     uint64_t index, uint64_t stream);

#endif
