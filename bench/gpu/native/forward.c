/* A driver for FASTFEED_CUDA_LIBRARY: counts fastfeed's calls and passes them on.
 *
 * The real driver's file is named by BENCH_REAL_DRIVER, else it is libcuda.so.1. All parameters of
 * these functions are integers and pointers, at most six of them, so each can be passed on without
 * knowing how many there are: on x86-64 and 64-bit Arm they travel in registers.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "calls.h"
#include "cuda.h" /* fastfeed's: FF_CUDA_FUNCTIONS */

typedef int function(long, long, long, long, long, long);

static function *find(const char *symbol) {
  static void *driver;
  if (!driver) {
    const char *file = getenv("BENCH_REAL_DRIVER");
    driver = dlopen(file ? file : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  }
  function *found = driver ? (function *)dlsym(driver, symbol) : NULL;
  if (!found) {
    fprintf(stderr, "%s: %s\n", symbol, dlerror());
    abort();
  }
  return found;
}

#define FORWARD(name, symbol, parameters)                                             \
  EXPORT int forward_##name(long a, long b, long c, long d, long e, long f) __asm__(symbol); \
  int forward_##name(long a, long b, long c, long d, long e, long f) {                \
    static function *real;                                                            \
    if (!real) real = find(symbol);                                                   \
    count_call(symbol);                                                               \
    return real(a, b, c, d, e, f);                                                    \
  }
FF_CUDA_FUNCTIONS(FORWARD)
