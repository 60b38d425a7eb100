#include "watchdog.h"

#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of `suspect`, `watched` */
static const char *suspect = "start";
static const ff_ring *watched;
static ff_a32 movements;
static sem_t watching;

static void print_ring(const ff_ring *ring) {
  const ff_header *header = ring->header;
  fprintf(stderr, "head %" PRIu64 " tail %" PRIu64 " work %u sleepers %u ready %u running %u\n",
          ff_load_relaxed64(&header->head), ff_load_relaxed64(&header->tail),
          ff_load_relaxed32(&header->work), ff_load_relaxed32(&header->sleepers),
          ff_load_relaxed32(&header->ready), ff_load_relaxed32(&header->running));
  static const char *const states[4] = {"EMPTY", "OPEN", "FILLING", "READY"};
  for (uint32_t i = 0; i < header->n_entries; i++) {
    uint64_t word = ff_load_relaxed64(&ring->entries[i].word);
    fprintf(stderr, "entry %u: %s ticket %" PRIu64 " attempt %u owner+1 %u\n", i,
            states[word & 3], word >> 24, (unsigned)(word >> 16 & 0xff),
            (unsigned)(word >> 4 & 0xfff));
  }
}

static void bite(void) {
  pthread_mutex_lock(&lock);
  fprintf(stderr, "watchdog: nothing moved for %d s in %s\n", WATCHDOG_SECONDS, suspect);
  if (watched) print_ring(watched);
  abort();
}

static void *watch(void *unused) {
  uint32_t seen = ff_load_relaxed32(&movements);
  sem_post(&watching);
  for (int idle = 0; idle < WATCHDOG_SECONDS; idle++) {
    sleep(1);
    uint32_t now = ff_load_relaxed32(&movements);
    if (now != seen) idle = 0;
    seen = now;
  }
  bite();
  return unused;
}

void watchdog_start(void) {
  pthread_t thread;
  sigset_t all, before;
  if (sem_init(&watching, 0, 0)) abort();
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (pthread_create(&thread, NULL, watch, NULL)) abort();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_detach(thread);
  /* A thread that begins allocates, under the address sanitizer. A test that forked meanwhile would
   * hand its child a locked allocator: the first thing allocated there would wait for ever. */
  while (sem_wait(&watching)) continue; /* EINTR */
}

void watchdog_pat(void) { ff_add_relaxed32(&movements, 1); }

void watchdog_now(const char *name) {
  pthread_mutex_lock(&lock);
  suspect = name;
  pthread_mutex_unlock(&lock);
  watchdog_pat();
}

void watchdog_ring(const ff_ring *ring) {
  pthread_mutex_lock(&lock);
  watched = ring;
  pthread_mutex_unlock(&lock);
}
