/* What mlxtop calls of macOS's libSystem, for tests on Linux. Layouts: <sys/resource.h>, <sys/sysctl.h>,
   <mach/vm_statistics.h>, <mach/thread_info.h>. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024ull * 1024)
#define MORE (96 * MIB)

struct rusage_info_v0 {
  uint8_t uuid[16];
  uint64_t user, system, idle_wakeups, interrupt_wakeups, pageins, wired, resident, footprint, start, exit;
};

int proc_pid_rusage(int pid, int flavor, struct rusage_info_v0 *info) {
  char path[64];
  unsigned long long all, resident = 0;
  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  FILE *file = flavor == 0 ? fopen(path, "re") : NULL;
  int found = file ? fscanf(file, "%llu %llu", &all, &resident) : 0;
  if (file) fclose(file);
  if (found != 2) return errno = ESRCH, -1;
  memset(info, 0, sizeof *info);
  info->resident = resident * (uint64_t)sysconf(_SC_PAGESIZE);
  info->footprint = info->resident ? info->resident + MORE : 0;
  return 0;
}

static int fill(const void *value, size_t size, void *out, size_t *room) {
  if (out == NULL) return *room = size, 0;
  if (*room < size) return errno = ENOMEM, -1;
  memcpy(out, value, size);
  return *room = size, 0;
}

int sysctlbyname(const char *name, void *out, size_t *room, void *in, size_t in_size) {
  struct { uint64_t total, avail, used; uint32_t pagesize; int encrypted; } swap =
      {2048 * MIB, 1536 * MIB, 512 * MIB, 16384, 1};
  const char *said = getenv("MLXTOP_TESTS_MAC_PRESSURE");
  int pressure = said ? atoi(said) : 1, wired = 0;
  uint64_t memory = 128 * 1024 * MIB;
  if (in != NULL || in_size != 0) return errno = EPERM, -1;
  if (!strcmp(name, "vm.swapusage")) return fill(&swap, sizeof swap, out, room);
  if (!strcmp(name, "kern.memorystatus_vm_pressure_level")) return fill(&pressure, sizeof pressure, out, room);
  if (!strcmp(name, "iogpu.wired_limit_mb")) return fill(&wired, sizeof wired, out, room);
  if (!strcmp(name, "hw.memsize")) return fill(&memory, sizeof memory, out, room);
  if (!strcmp(name, "kern.osproductversion")) return fill("15.5", 5, out, room);
  if (!strcmp(name, "kern.osversion")) return fill("24F74", 6, out, room);
  return errno = ENOENT, -1;
}

/* MAP_ANON is 0x1000 there and MAP_ANONYMOUS 0x20 here. */
void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset) {
  if (flags == 0x1002 && fd == -1) flags = 0x22;
  return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

uint32_t mach_task_self_ = 515;

uint32_t mach_host_self(void) { return 1; }

int host_statistics64(uint32_t host, int flavor, uint32_t *out, uint32_t *count) {
  if (host != 1 || flavor != 4) return 4; /* KERN_INVALID_ARGUMENT; 4 is HOST_VM_INFO64 */
  memset(out, 0, *count * 4);
  out[0] = 100000; /* free */
  out[1] = 200000; /* active */
  out[2] = 300000; /* inactive */
  out[3] = 400000; /* wired */
  if (*count > 32) out[32] = 50000; /* in the compressor */
  return 0;
}

/* A port is the place in a list of threads that asked for one. */
static pthread_t threads[4096];
static uint32_t used = 0;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

uint32_t pthread_mach_thread_np(pthread_t thread) {
  pthread_mutex_lock(&lock);
  uint32_t at = 0;
  while (at < used && threads[at] != thread) at++;
  if (at == used && used < 4096) threads[used++] = thread;
  pthread_mutex_unlock(&lock);
  return at + 1;
}

int thread_info(uint32_t port, int flavor, int32_t *out, uint32_t *count) {
  clockid_t clock;
  struct timespec now;
  if (flavor != 3 || *count < 10 || port == 0 || port > used) return 4;
  if (pthread_getcpuclockid(threads[port - 1], &clock) || clock_gettime(clock, &now)) return 37;
  memset(out, 0, 40);
  out[0] = (int32_t)now.tv_sec; /* user_time, then system_time: seconds and microseconds */
  out[1] = (int32_t)(now.tv_nsec / 1000);
  *count = 10;
  return 0;
}
