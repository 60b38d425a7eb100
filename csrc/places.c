#include "places.h"

#include <errno.h>
#include <stdlib.h>

void ff_places_open(ff_places *places) {
  pthread_mutex_init(&places->lock, NULL);
  places->first = NULL;
}

void ff_places_close(ff_places *places) {
  while (places->first) ff_places_forget(places, places->first->number);
  pthread_mutex_destroy(&places->lock);
}

int ff_places_add(ff_places *places, uint32_t number, ff_segment *segment, bool pinned) {
  ff_place *place = malloc(sizeof *place);
  if (!place) return -ENOMEM;
  ff_segment_hold(segment);
  pthread_mutex_lock(&places->lock);
  *place = (ff_place){number, pinned, segment, places->first};
  places->first = place;
  pthread_mutex_unlock(&places->lock);
  return 0;
}

void ff_places_forget(ff_places *places, uint32_t number) {
  pthread_mutex_lock(&places->lock);
  ff_place **link = &places->first;
  while (*link && (*link)->number != number) link = &(*link)->next;
  ff_place *found = *link;
  if (found) *link = found->next;
  pthread_mutex_unlock(&places->lock);
  if (found) ff_segment_close(found->segment);
  free(found);
}

ff_place ff_places_find(ff_places *places, uint32_t number) {
  ff_place found = {0};
  pthread_mutex_lock(&places->lock);
  for (const ff_place *each = places->first; each; each = each->next)
    if (each->number == number) found = *each;
  pthread_mutex_unlock(&places->lock);
  return found;
}
