/* The upload thread itself, and what it shares with upload.c. Nobody else needs this. */
#ifndef FASTFEED_UPLOADING_H
#define FASTFEED_UPLOADING_H

#include <pthread.h>
#include <sys/types.h>

#include "bounce.h"
#include "places.h"
#include "upload.h"

/* A copy on its way. */
typedef struct ff_copying {
  ff_buffer *buffer;
  ff_segment *segment; /* of the slot that it reads; NULL: it was read already */
  uint64_t sequence;   /* of the ticket */
  uint32_t slot;
  struct ff_copying *next;
} ff_copying;

struct ff_uploader {
  ff_ring ring;
  ff_device *device;
  const ff_cuda *cuda;
  ff_pool *pool;
  ff_upload_plan plan;
  ff_cu_stream stream;
  pid_t owner;
  pthread_t thread;
  ff_a32 stopping;
  ff_a32 failed;
  ff_a32 starved;
  ff_a32 spilled; /* one was passed on, and the consumer is not done with it: `in_hand` is his */
  ff_a64 skip_below;
  ff_a64 slot_bytes; /* of the newest segment; 0: there is none yet */
  ff_a64 uploads, bytes, host_copies;
  pthread_mutex_t lock; /* of `error` */
  ff_cuda_error error;
  ff_places places;
  ff_arrivals arrivals; /* the thread puts, the consumer takes */
  /* The consumer's own. */
  bool took_spilled;
  uint32_t heard; /* of the arrivals' bell, when it last returned to its caller */
  /* The thread's own. */
  ff_copying *copies, **copies_end;
  ff_buffer *in_hand;  /* for the next batch */
  ff_batch late;       /* taken, but too large for what was in hand */
  uint64_t late_bytes; /* that it needs; 0: there is none */
  uint32_t told;       /* the consumer has been woken since the ring's `ready` was this */
  int64_t nap_ns;      /* how long it sleeps next when there is no room */
  ff_bounce bounce;
};

/* The body of the thread; `uploader` is an ff_uploader. */
void *ff_uploading_run(void *uploader);

#endif
