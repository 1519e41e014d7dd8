/* Threads that take and give back memory of MLX's allocator, as MLX's own C++ does. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef void *take_function(void *allocator, size_t size, uint64_t more);
typedef void give_function(void *allocator, void *buffer);

struct job {
  void ***allocator;
  uint64_t pairs, largest;
  uint32_t seed;
};

enum { HELD = 256 };

/* The table is looked up each time, as it is in C++. */
static void *take(void ***allocator, size_t size) {
  void **table = __atomic_load_n(allocator, __ATOMIC_RELAXED);
  return ((take_function *)table[0])(allocator, size, 0);
}

static void give(void ***allocator, void *buffer) {
  void **table = __atomic_load_n(allocator, __ATOMIC_RELAXED);
  ((give_function *)table[1])(allocator, buffer);
}

static void *work(void *argument) {
  struct job *job = argument;
  void *held[HELD] = {0};
  for (uint64_t i = 0; i < job->pairs; i++) {
    job->seed = job->seed * 1664525 + 1013904223;
    void **place = &held[job->seed >> 24];
    if (*place) give(job->allocator, *place);
    *place = take(job->allocator, 1 + (job->seed >> 4) % job->largest);
  }
  for (int i = 0; i < HELD; i++)
    if (held[i]) give(job->allocator, held[i]);
  return NULL;
}

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Seconds of processor time that `threads` threads took for `pairs` allocations each, at most 64 threads. */
double stress(void *(*find)(void), int threads, uint64_t pairs, uint64_t largest) {
  pthread_t ids[64];
  struct job jobs[64];
  double began = processor_seconds();
  for (int i = 0; i < threads; i++) {
    jobs[i] = (struct job){find(), pairs, largest, (uint32_t)i + 1};
    pthread_create(&ids[i], NULL, work, &jobs[i]);
  }
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
  return processor_seconds() - began;
}
