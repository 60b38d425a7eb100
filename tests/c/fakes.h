/* A folder with fakes of what the kernel tells in files: its path is `root`. */
#ifndef FASTFEED_FAKES_H
#define FASTFEED_FAKES_H

#include <stdarg.h>
#include <string.h>

#include "check.h"

static char root[64];

static inline void run(const char *format, ...) {
  char command[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(command, sizeof command, format, arguments);
  va_end(arguments);
  REQUIRE(system(command) == 0);
}

static inline void write_file(const char *path, const char *text) {
  char name[256];
  run("mkdir -p \"$(dirname '%s%s')\"", root, path);
  snprintf(name, sizeof name, "%s%s", root, path);
  FILE *file = fopen(name, "w");
  REQUIRE(file);
  fputs(text, file);
  fclose(file);
}

static inline void begin(void) {
  snprintf(root, sizeof root, "%s", "/tmp/fastfeed-test-XXXXXX");
  REQUIRE(mkdtemp(root));
}

static inline void end(void) { run("rm -r '%s'", root); }

#endif
