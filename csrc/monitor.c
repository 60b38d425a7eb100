#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "thread.h"

struct ff_monitor {
  ff_ring ring;
  uint32_t max_retries;
  pid_t owner;
  int doorbell; /* eventfd: the set of descriptors has changed, or it is time to end */
  bool ending;
  ff_a32 deaths;
  pthread_t thread;
  pthread_mutex_t lock; /* of the two tables, `ending` */
  int *fds;             /* [n_workers], -1 where nobody is watched */
  bool *died;           /* [n_workers], reported by ff_monitor_next_death() */
  /* The thread's own: what it polls (the doorbell first), and whose descriptors those are. */
  struct pollfd *polled; /* [n_workers + 1] */
  uint32_t *owners;      /* [n_workers + 1] */
};

static void ring_doorbell(ff_monitor *monitor) {
  uint64_t one = 1;
  while (write(monitor->doorbell, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

static void clear_doorbell(ff_monitor *monitor) {
  uint64_t count;
  while (read(monitor->doorbell, &count, sizeof count) < 0 && errno == EINTR) {
  }
}

static void bury(ff_monitor *monitor, uint32_t worker) {
  /* All under the lock: who is told of this death by ff_monitor_next_death() starts a new worker
   * of the same number, and reclaim must not take that one's tickets for the dead one's. */
  pthread_mutex_lock(&monitor->lock);
  close(monitor->fds[worker]);
  monitor->fds[worker] = -1;
  monitor->died[worker] = true;
  /* Count first: reclaim's wake-up must find the count changed, or the parent would sleep on. */
  ff_add_seq32(&monitor->deaths, 1); /* SYNC death: release */
  ff_ring_reclaim(&monitor->ring, worker, monitor->max_retries);
  pthread_mutex_unlock(&monitor->lock);
}

/* Number of descriptors to poll; 0 when it is time to end. Only those in use are listed: poll
 * refuses a list longer than the limit of open files, which the table may well be. */
static uint32_t collect(ff_monitor *monitor) {
  uint32_t count = 0;
  monitor->polled[count++] = (struct pollfd){.fd = monitor->doorbell, .events = POLLIN};
  pthread_mutex_lock(&monitor->lock);
  for (uint32_t i = 0; i < monitor->ring.header->n_workers; i++) {
    if (monitor->fds[i] < 0) continue;
    monitor->owners[count] = i;
    monitor->polled[count++] = (struct pollfd){.fd = monitor->fds[i], .events = POLLIN};
  }
  if (monitor->ending) count = 0;
  pthread_mutex_unlock(&monitor->lock);
  return count;
}

static void *watch(void *argument) {
  ff_monitor *monitor = argument;
  uint32_t count;
  while ((count = collect(monitor))) {
    if (poll(monitor->polled, count, -1) < 0) continue; /* EINTR */
    if (monitor->polled[0].revents) clear_doorbell(monitor);
    for (uint32_t i = 1; i < count; i++)
      if (monitor->polled[i].revents) bury(monitor, monitor->owners[i]);
  }
  return NULL;
}

static void release(ff_monitor *monitor) {
  for (uint32_t i = 0; monitor->fds && i < monitor->ring.header->n_workers; i++)
    if (monitor->fds[i] >= 0) close(monitor->fds[i]);
  if (monitor->doorbell >= 0) close(monitor->doorbell);
  pthread_mutex_destroy(&monitor->lock);
  free(monitor->fds);
  free(monitor->died);
  free(monitor->polled);
  free(monitor->owners);
  free(monitor);
}

static int allocate(ff_monitor *monitor, uint32_t n_workers) {
  monitor->fds = malloc(n_workers * sizeof *monitor->fds);
  monitor->died = calloc(n_workers, sizeof *monitor->died);
  monitor->polled = calloc(n_workers + 1, sizeof *monitor->polled);
  monitor->owners = calloc(n_workers + 1, sizeof *monitor->owners);
  for (uint32_t i = 0; monitor->fds && i < n_workers; i++) monitor->fds[i] = -1;
  return monitor->fds && monitor->died && monitor->polled && monitor->owners ? 0 : -ENOMEM;
}

int ff_monitor_start(const ff_ring *ring, uint32_t max_retries, ff_monitor **result) {
  ff_monitor *monitor = calloc(1, sizeof *monitor);
  if (!monitor) return -ENOMEM;
  monitor->ring = *ring;
  monitor->max_retries = max_retries;
  monitor->owner = getpid();
  pthread_mutex_init(&monitor->lock, NULL);
  monitor->doorbell = eventfd(0, EFD_CLOEXEC);
  int rc = monitor->doorbell < 0 ? -errno : allocate(monitor, ring->header->n_workers);
  if (!rc) rc = ff_thread_start(&monitor->thread, watch, monitor);
  if (rc)
    release(monitor);
  else
    *result = monitor;
  return rc;
}

int ff_monitor_watch(ff_monitor *monitor, uint32_t worker, int fd) {
  pthread_mutex_lock(&monitor->lock);
  int rc = monitor->fds[worker] >= 0 ? -EBUSY : 0;
  if (!rc) monitor->fds[worker] = fd;
  pthread_mutex_unlock(&monitor->lock);
  ring_doorbell(monitor);
  return rc;
}

const ff_a32 *ff_monitor_deaths(const ff_monitor *monitor) { return &monitor->deaths; }

int ff_monitor_next_death(ff_monitor *monitor) {
  int worker = -EAGAIN;
  pthread_mutex_lock(&monitor->lock);
  for (uint32_t i = 0; worker < 0 && i < monitor->ring.header->n_workers; i++)
    if (monitor->died[i]) worker = (int)i;
  if (worker >= 0) monitor->died[worker] = false;
  pthread_mutex_unlock(&monitor->lock);
  return worker;
}

void ff_monitor_stop(ff_monitor *monitor) {
  if (monitor->owner != getpid()) return; /* a fork has the books, but no such thread */
  pthread_mutex_lock(&monitor->lock);
  monitor->ending = true;
  pthread_mutex_unlock(&monitor->lock);
  ring_doorbell(monitor);
  pthread_join(monitor->thread, NULL);
  release(monitor);
}
