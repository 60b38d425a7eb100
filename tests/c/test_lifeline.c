/* A worker that is stuck ends when its parent dies or closes the socket, and not before. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "lifeline.h"

/* A worker that never comes back from its work; ends by its lifeline alone. */
static _Noreturn void be_stuck(int parent_pidfd, int socket, int started) {
  if (ff_lifeline_start(parent_pidfd, socket)) _exit(1);
  if (write(started, "x", 1) != 1) _exit(2);
  for (;;) pause();
}

static void wait_for_byte(int fd) {
  char byte;
  REQUIRE(read(fd, &byte, 1) == 1);
}

static int exit_code(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void a_closed_socket_ends_the_worker(void) {
  int sockets[2], started[2];
  REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) && !pipe(started));
  pid_t child = fork();
  REQUIRE(child >= 0);
  if (!child) {
    close(sockets[0]);
    be_stuck(-1, sockets[1], started[1]);
  }
  close(sockets[1]);
  wait_for_byte(started[0]);
  REQUIRE(write(sockets[0], "data", 4) == 4); /* a message is no hang-up */
  CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
  close(sockets[0]);
  CHECK_EQ(exit_code(child), FF_EXIT_ORPHANED);
  close(started[0]);
  close(started[1]);
}

/* This process watches from above: its child is the parent, its grandchild the worker. The worker
 * holds the parent's pidfd only; its end is seen by the pipe that only it still has. */
static void a_killed_parent_ends_the_worker(void) {
  int started[2], alive[2];
  char byte;
  REQUIRE(!pipe(started) && !pipe(alive));
  pid_t parent = fork();
  REQUIRE(parent >= 0);
  if (!parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (pidfd < 0 || fork()) {
      close(alive[1]);
      for (;;) pause();
    }
    close(alive[0]);
    be_stuck(pidfd, -1, started[1]);
  }
  close(alive[1]);
  wait_for_byte(started[0]);
  kill(parent, SIGKILL);
  CHECK_EQ(exit_code(parent), -SIGKILL);
  CHECK_EQ(read(alive[0], &byte, 1), 0);
  close(alive[0]);
  close(started[0]);
  close(started[1]);
}

/* A child of the worker would keep running, and holding what it inherited. */
static void what_the_worker_has_started_ends_with_it(void) {
  int sockets[2], started[2], alive[2];
  char byte;
  REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) && !pipe(started) && !pipe(alive));
  pid_t worker = fork();
  REQUIRE(worker >= 0);
  if (!worker) {
    close(sockets[0]);
    if (setpgid(0, 0)) _exit(3);
    if (!fork())
      for (;;) pause();
    be_stuck(-1, sockets[1], started[1]);
  }
  close(alive[1]); /* now the worker and its child have it */
  close(sockets[1]);
  wait_for_byte(started[0]);
  close(sockets[0]);
  CHECK_EQ(exit_code(worker), FF_EXIT_ORPHANED);
  CHECK_EQ(read(alive[0], &byte, 1), 0);
  close(alive[0]);
  close(started[0]);
  close(started[1]);
}

int main(void) {
  watchdog_start();
  RUN(a_closed_socket_ends_the_worker);
  RUN(a_killed_parent_ends_the_worker);
  RUN(what_the_worker_has_started_ends_with_it);
  return check_report("test_lifeline");
}
