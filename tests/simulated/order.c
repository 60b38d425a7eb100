/* Whether operations on the same device memory are ordered: by their stream, by events, or by the
 * program having waited. It is decided when an operation is enqueued, from what the program has
 * said and not from what happens to be over, so that luck hides nothing. What one thread of the
 * program has learned counts for all of them.
 */
#include <string.h>

#include "state.h"

#define MAX_USES 4096

static const char *const names[] = {"copy", "read-back", "reading kernel", "writing kernel"};

/* Of device memory, by operations that a later one may still have to be ordered after. */
static struct use {
  op_kind kind;
  bool writes;
  CUdeviceptr address;
  size_t bytes;
  int stream;
  uint64_t position;
} uses[MAX_USES];
static int n_uses;

moment moment_of(CUstream stream) {
  moment now = stream->after;
  now.of[stream - state.streams] = stream->enqueued;
  return now;
}

void moment_add(moment *to, const moment *more) {
  for (int i = 0; i < MAX_STREAMS; i++)
    if (to->of[i] < more->of[i]) to->of[i] = more->of[i];
}

static void report(const struct use *late, const struct use *early) {
  violation("%s of %zu bytes at %#llx on stream %d, after %s of %zu bytes at %#llx on stream %d: "
            "no event orders them", names[late->kind], late->bytes, late->address, late->stream,
            names[early->kind], early->bytes, early->address, early->stream);
}

/* Who is ordered after `new` is so after `old` as well: `old` need not be kept. */
static bool stands_for(const struct use *new, const struct use *old) {
  return (new->writes || !old->writes) && old->address >= new->address &&
         old->address + old->bytes <= new->address + new->bytes;
}

static void check(const struct use *new, const moment *after) {
  int kept = 0;
  for (int i = 0; i < n_uses; i++) {
    const struct use *old = &uses[i];
    bool ordered = old->position <= after->of[old->stream];
    bool meet = ranges_meet(new->address, new->bytes, old->address, old->bytes);
    if (!ordered && meet && (new->writes || old->writes)) report(new, old);
    bool over = old->position <= state.host.of[old->stream];
    if (!over && !(ordered && stands_for(new, old))) uses[kept++] = *old;
  }
  n_uses = kept;
}

/* Before it is appended to the stream. */
void order_op(CUstream stream, const op_t *op) {
  moment_add(&stream->after, &state.host);
  if (!op->bytes) return;
  struct use new = {op->kind, op->writes, op->address, op->bytes, (int)(stream - state.streams),
                    stream->enqueued + 1};
  moment after = moment_of(stream);
  check(&new, &after);
  if (n_uses == MAX_USES) memmove(uses, uses + 1, (size_t)--n_uses * sizeof uses[0]);
  uses[n_uses++] = new;
}

/* The memory is freed: nothing uses it any more. */
void order_forget(CUdeviceptr address, size_t bytes) {
  int kept = 0;
  for (int i = 0; i < n_uses; i++)
    if (!ranges_meet(uses[i].address, uses[i].bytes, address, bytes)) uses[kept++] = uses[i];
  n_uses = kept;
}

void order_reset(void) { n_uses = 0; }
