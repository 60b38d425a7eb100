/* Segments by the numbers that tickets name them by. Any thread. */
#ifndef FASTFEED_PLACES_H
#define FASTFEED_PLACES_H

#include <pthread.h>

#include "lease.h"

typedef struct ff_place {
  uint32_t number;
  bool pinned; /* a device may read it directly */
  ff_segment *segment;
  struct ff_place *next;
} ff_place;

typedef struct {
  pthread_mutex_t lock;
  ff_place *first;
} ff_places;

void ff_places_open(ff_places *places);
void ff_places_close(ff_places *places);
/* Holds the segment until it is forgotten. -ENOMEM. */
int ff_places_add(ff_places *places, uint32_t number, ff_segment *segment, bool pinned);
void ff_places_forget(ff_places *places, uint32_t number);
/* A copy of the entry; its `segment` is NULL where nobody knows the number. */
ff_place ff_places_find(ff_places *places, uint32_t number);

#endif
