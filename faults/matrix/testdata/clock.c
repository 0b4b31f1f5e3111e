/* A server whose wall clock can be stepped: gettimeofday with an offset, in
 * microseconds, that another process writes to the file RELOCK_CLOCK; behind it
 * a number of calls, and the offset that counts once they have been made. The
 * monotonic clock is left alone. For LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static volatile struct {
  int64_t offset, calls, next;
} *step;

__attribute__((constructor)) static void open_offset(void) {
  const char *path = getenv("RELOCK_CLOCK");
  int fd = path ? open(path, O_RDWR) : -1;
  if (fd < 0) return;
  void *p = mmap(NULL, sizeof *step, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (p != MAP_FAILED) step = p;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz) {
  int r = syscall(SYS_gettimeofday, tv, tz);
  if (r == 0 && step) {
    if (step->calls > 0 && --step->calls == 0) step->offset = step->next;
    int64_t us = tv->tv_sec * 1000000LL + tv->tv_usec + step->offset;
    tv->tv_sec = us / 1000000;
    tv->tv_usec = us % 1000000;
  }
  return r;
}
