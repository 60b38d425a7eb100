/* Counts the driver calls of a thread through CUPTI's callbacks, whoever makes them: fastfeed,
 * PyTorch, CuPy. No header of CUDA is needed; these are CUPTI's published types and numbers.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

#include "calls.h"

enum { DRIVER_API = 1, SYNCHRONIZE = 4 }; /* CUpti_CallbackDomain */
enum { STREAM_SYNCHRONIZED = 1, CONTEXT_SYNCHRONIZED = 2 };

/* The beginning of CUpti_CallbackData. */
typedef struct {
  int site; /* 0: the call begins */
  const char *function_name;
} callback_data;

typedef void callback(void *context, int domain, uint32_t id, const void *data);

static void on_call(void *context, int domain, uint32_t id, const void *data) {
  (void)context;
  const callback_data *call = data;
  if (domain == DRIVER_API && call->site == 0) count_call(call->function_name);
  if (domain == SYNCHRONIZE && id == STREAM_SYNCHRONIZED) count_call("[host waited for a stream]");
  if (domain == SYNCHRONIZE && id == CONTEXT_SYNCHRONIZED)
    count_call("[host waited for the context]");
}

/* 0, or CUPTI's error; -1: the library or a function is not there. */
EXPORT int cupti_start(const char *library) {
  void *handle = dlopen(library, RTLD_NOW), *subscriber = NULL;
  if (!handle) {
    fprintf(stderr, "%s\n", dlerror());
    return -1;
  }
  int (*subscribe)(void **, callback *, void *);
  int (*enable)(uint32_t, void *, int);
  *(void **)&subscribe = dlsym(handle, "cuptiSubscribe");
  *(void **)&enable = dlsym(handle, "cuptiEnableDomain");
  if (!subscribe || !enable) return -1;
  int rc = subscribe(&subscriber, on_call, NULL);
  if (!rc) rc = enable(1, subscriber, DRIVER_API);
  if (!rc) rc = enable(1, subscriber, SYNCHRONIZE);
  return rc;
}
