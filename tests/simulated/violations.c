/* Keeps what no correct program does, for the test that asks. */
#include <stdarg.h>
#include <stdio.h>

#include "state.h"

#define MAX_TEXTS 64

static int count;
static char texts[MAX_TEXTS][256];

void violation(const char *format, ...) {
  if (count < MAX_TEXTS) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(texts[count], sizeof texts[count], format, arguments);
    va_end(arguments);
  }
  count++;
}

void violations_reset(void) { count = 0; }

int sim_violations(void) {
  state_lock();
  int seen = count;
  state_unlock();
  return seen;
}

const char *sim_violation_text(int i) {
  return i >= 0 && i < MAX_TEXTS && i < sim_violations() ? texts[i] : NULL;
}
