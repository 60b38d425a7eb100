/* Starting threads of the core's own. */
#ifndef FASTFEED_THREAD_H
#define FASTFEED_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Signals belong to the main thread: Python would never see those that land here. */
static inline int ff_thread_start(pthread_t *thread, void *(*body)(void *), void *argument) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(thread, NULL, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -rc;
}

#endif
