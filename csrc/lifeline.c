#include "lifeline.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "thread.h"

static void *hold(void *argument) {
  struct pollfd *ends = argument;
  /* A negative descriptor is skipped by poll. Interrupted or spurious: wait again. */
  while (poll(ends, 2, -1) <= 0 || !(ends[0].revents || ends[1].revents)) {
  }
  /* What the user's code has started in this process goes with it, if we lead a group of our own:
   * the other processes of any other group are none of our business. It may clean up. */
  if (getpgrp() == getpid()) {
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
  }
  _exit(FF_EXIT_ORPHANED);
}

int ff_lifeline_start(int parent_pidfd, int socket) {
  struct pollfd *ends = calloc(2, sizeof *ends);
  if (!ends) return -ENOMEM;
  ends[0] = (struct pollfd){.fd = parent_pidfd, .events = POLLIN};
  ends[1] = (struct pollfd){.fd = socket, .events = POLLRDHUP};
  pthread_t thread;
  int rc = ff_thread_start(&thread, hold, ends);
  if (rc)
    free(ends);
  else
    pthread_detach(thread);
  return rc;
}
