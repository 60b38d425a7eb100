/* What the files of the simulated driver share. One mutex guards all of it: a function without a
 * comment about locking is called with that mutex held.
 */
#ifndef FASTFEED_SIMULATED_STATE_H
#define FASTFEED_SIMULATED_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "simulated.h"

#define MAX_DEVICES 8
#define MAX_STREAMS 128
#define MAX_EVENTS (1 << 13)
#define MAX_FUNCTIONS 40
#define MAX_DEPTH 16

struct CUctx_st {
  int device;
  unsigned retained;
  CUresult error; /* sticky: of a copy that failed */
};

typedef enum { COPY, READ_BACK, KERNEL_READ, KERNEL_ADD, RECORD, WAIT } op_kind;

/* What lies in a stream's queue. Its first op is the one that executes. */
typedef struct op {
  struct op *next;
  op_kind kind;
  unsigned microseconds;
  /* Device memory that it uses. */
  CUdeviceptr address;
  unsigned char *device; /* where the bytes of `address` lie */
  size_t bytes;
  bool writes, poisoned;
  /* COPY */
  const unsigned char *source;
  unsigned char *staged; /* the copy of a pageable source */
  bool reading;          /* the source, without the mutex */
  bool lost;             /* the source is gone */
  CUresult fails;
  /* READ_BACK, KERNEL_READ, KERNEL_ADD */
  unsigned char *target;
  uint64_t *checksum;
  uint8_t value;
  /* RECORD, WAIT */
  CUevent event;
  uint64_t record;
  CUstream awaited;
  uint64_t position;
} op_t;

/* A position in each stream: all up to there is over. */
typedef struct {
  uint64_t of[MAX_STREAMS];
} moment;

typedef enum { UNUSED, BLOCKING, NON_BLOCKING, LEGACY, PER_THREAD } stream_kind;

/* A destroyed stream's place is used again only when its thread has ended, and its counts go on, so
 * that positions in it stay true. */
struct CUstream_st {
  stream_kind kind;
  bool live, running, closing, stalled;
  uint64_t owner;       /* PER_THREAD */
  uint64_t captured_by; /* thread; 0: no capture */
  CUcontext context;
  op_t *first, *last;
  uint64_t enqueued, completed;
  moment after; /* what its next op comes after, in other streams */
};

struct CUevent_st {
  bool live, captured;
  unsigned lies; /* queries to be answered "not ready" although it is */
  CUcontext context;
  uint64_t record; /* number of the last one; 0: never */
  CUstream stream; /* of the last record, and its position there */
  uint64_t position;
  uint64_t completed_at; /* on state.clock; 0: not yet */
  moment after;          /* what is over when it is complete */
};

struct state {
  uint64_t random;
  uint64_t epoch; /* which sim_reset() we are in, so that threads forget what they had before */
  bool initialised;
  bool forked; /* the driver does not work in the child of a fork */
  bool stalled;
  int devices, version;
  size_t memory;
  unsigned slowness;
  int copies_until_failure;
  CUresult copy_failure;
  bool releases_report;
  struct CUctx_st contexts[MAX_DEVICES];
  struct CUstream_st streams[MAX_STREAMS];
  struct CUevent_st events[MAX_EVENTS];
  uint64_t records;
  uint64_t clock;    /* counts completed records */
  uint64_t host_saw; /* of these, what the program knows to be complete */
  moment host;       /* what it knows to be over */
};
extern struct state state;

/* What a thread has for itself. */
struct thread {
  uint64_t epoch, number;
  CUcontext stack[MAX_DEPTH];
  int depth;
  int capture_mode;
  int64_t calls[MAX_FUNCTIONS];
};

/* state.c */
void state_lock(void);
void state_unlock(void);
void state_wait(void);
void state_announce(void);
void state_sleep(unsigned microseconds); /* without the mutex meanwhile */
void state_defaults(uint64_t seed);
uint32_t state_random(uint32_t limit);
struct thread *this_thread(void);

/* calls.c: what every entry point begins and ends with */
CUresult enter(const char *function); /* takes the mutex, whatever it returns */
CUresult leave(CUresult status);      /* gives it back */
CUresult leave_release(CUresult status);
void calls_reset(void);

/* contexts.c */
CUcontext current_context(void);

/* violations.c */
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
void violations_reset(void);

/* order.c */
moment moment_of(CUstream stream); /* after all that is enqueued */
void moment_add(moment *to, const moment *more);
void order_op(CUstream stream, const op_t *op);
void order_forget(CUdeviceptr address, size_t bytes);
void order_reset(void);

/* overlap.c */
bool ranges_meet(uint64_t a, size_t a_bytes, uint64_t b, size_t b_bytes);
bool device_range_in_use(CUdeviceptr address, size_t bytes);
void abandon_sources(const void *base, size_t bytes, const char *call);

/* hostmemory.c */
typedef enum { PAGEABLE, PINNED, MIXED } host_kind;
host_kind host_memory_kind(const void *pointer, size_t bytes);
CUresult host_register(void *pointer, size_t bytes);
CUresult host_unregister(void *pointer);
CUresult host_allocate(void **pointer, size_t bytes);
CUresult host_free(void *pointer);
void host_reset(void);
int64_t host_count(bool allocated);
int64_t host_registered_bytes(void);

/* devicememory.c */
CUresult device_allocate(CUdeviceptr *address, size_t bytes, int device);
CUresult device_free(CUdeviceptr address);
unsigned char *device_bytes_at(CUdeviceptr address, size_t bytes); /* NULL: not all allocated */
bool is_device_range(const void *pointer, size_t bytes);
size_t device_used(int device); /* -1: of all */
int64_t device_allocations(void);
void device_reset(void);

/* streams.c */
CUresult stream_create(CUstream *stream, stream_kind kind);
CUresult stream_resolve(CUstream handle, CUstream *stream);
CUresult stream_enqueue(CUstream stream, op_t op);
void stream_wait_until(CUstream stream, uint64_t position);
void stream_wait(CUstream stream);
void streams_end_all(void);

/* operations.c */
void op_run(CUstream stream, op_t *op);
uint64_t checksum_of(const unsigned char *bytes, size_t size);

/* events.c */
CUevent event_find(CUevent handle); /* NULL: not live */
void event_completed(CUevent event, uint64_t record);
bool capture_forbids(void);

#endif
