#include "state.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "../c/random.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

struct state state;

void state_lock(void) { pthread_mutex_lock(&mutex); }
void state_unlock(void) { pthread_mutex_unlock(&mutex); }
void state_wait(void) { pthread_cond_wait(&changed, &mutex); }
void state_announce(void) { pthread_cond_broadcast(&changed); }

void state_sleep(unsigned microseconds) {
  struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000l};
  state_unlock();
  nanosleep(&time, NULL);
  state_lock();
}

uint32_t state_random(uint32_t limit) { return random_below(&state.random, limit); }

void state_defaults(uint64_t seed) {
  bool forked = state.forked;
  uint64_t epoch = state.epoch;
  memset(&state, 0, sizeof state); /* too large to be assigned: that would be on the stack */
  state.random = seed;
  state.epoch = epoch + 1;
  state.forked = forked;
  state.devices = 2;
  state.version = 13000;
  state.memory = (size_t)1 << 30;
  state.slowness = 200;
  for (int i = 0; i < MAX_DEVICES; i++) state.contexts[i].device = i;
}

struct thread *this_thread(void) {
  static uint64_t threads;
  static _Thread_local struct thread self;
  uint64_t number = self.number ? self.number : ++threads;
  if (self.epoch != state.epoch) self = (struct thread){.epoch = state.epoch, .number = number};
  return &self;
}

/* The child of a fork has none of the threads that the streams are: its calls fail, as with CUDA,
 * and nothing in it may wait for a stream. */
static void in_child(void) {
  pthread_mutex_init(&mutex, NULL);
  pthread_cond_init(&changed, NULL);
  state.forked = true;
  for (int i = 0; i < MAX_STREAMS; i++) state.streams[i].running = false;
}

__attribute__((constructor)) static void start(void) {
  pthread_atfork(state_lock, state_unlock, in_child);
  state_defaults(0);
}
