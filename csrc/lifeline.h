/* Ends this worker process when its parent is gone, with its process group if it leads one.
 *
 * A native thread polls, so that it works while Python code is stuck with the GIL. The kernel's
 * parent-death signal is no substitute: it fires when the *thread* that created the child ends,
 * and here the creator is a fork server anyway.
 */
#ifndef FASTFEED_LIFELINE_H
#define FASTFEED_LIFELINE_H

#define FF_EXIT_ORPHANED 113

/* `parent_pidfd`: becomes readable at the parent's death (-1: none). `socket`: its other end is
 * held by the parent, hangs up when it closes. Both stay the caller's and must stay open.
 * Returns 0 or a negative errno. */
int ff_lifeline_start(int parent_pidfd, int socket);

#endif
