/* A clock that runs FAST_CLOCK_SPEED times as fast as the real one since FAST_CLOCK_SINCE (Unix seconds), for a program it
   is preloaded into. Wall-clock time and waits for conditions follow it; timers of sockets and measured durations stay
   real. cc -shared -fPIC -O2 -o fast_clock.so fast_clock.c */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double since;
static double speed = 1;

__attribute__((constructor)) static void begin(void) {
  const char* since_text = getenv("FAST_CLOCK_SINCE");
  const char* speed_text = getenv("FAST_CLOCK_SPEED");
  if (since_text) since = atof(since_text);
  if (speed_text) speed = atof(speed_text);
}

static struct timespec real_time(clockid_t id) {
  struct timespec t;
  syscall(SYS_clock_gettime, id, &t);
  return t;
}

static double seconds_of(struct timespec t) { return (double)t.tv_sec + (double)t.tv_nsec / 1e9; }

static struct timespec timespec_of(double seconds) {
  struct timespec t;
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  return t;
}

static double fast_seconds(void) {
  const double real = seconds_of(real_time(CLOCK_REALTIME));
  return since + (real - since) * speed;
}

int clock_gettime(clockid_t id, struct timespec* out) {
  *out = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? timespec_of(fast_seconds()) : real_time(id);
  return 0;
}

int gettimeofday(struct timeval* out, void* zone) {
  (void)zone;
  const struct timespec t = timespec_of(fast_seconds());
  out->tv_sec = t.tv_sec;
  out->tv_usec = t.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) {
  const time_t t = (time_t)fast_seconds();
  if (out) *out = t;
  return t;
}

/* A wait of an hour lasts an hour of the fast clock. */
int pthread_cond_clockwait(pthread_cond_t* cond, pthread_mutex_t* mutex, clockid_t id, const struct timespec* until) {
  static int (*real)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const struct timespec*);
  if (!real) *(void**)&real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  const double now = id == CLOCK_REALTIME ? fast_seconds() : seconds_of(real_time(id));
  const struct timespec sooner =
      timespec_of(seconds_of(real_time(CLOCK_MONOTONIC)) + (seconds_of(*until) - now) / speed);
  return real(cond, mutex, CLOCK_MONOTONIC, &sooner);
}
