#define _GNU_SOURCE
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/param.h>
#include <sys/resource.h>
#ifdef __APPLE__
#include <sys/mount.h>
#else
#include <sys/vfs.h>
#endif
#include <time.h>
#include <unistd.h>

enum {
  STRINGS_SIZE = 4 << 20,
  SITE_COUNT = 4096,
  LIVE_COUNT = 1 << 21,
  STRIPES = 64,
  STRIPE_SIZE = LIVE_COUNT / STRIPES,
  SMALLEST_TABLE = 16,
  LARGEST_TABLE = STRIPE_SIZE / 2,
  PEAK_COUNT = 34,
  MIN_EVENTS = 1 << 10,
  MOST_EVENTS = 1 << 28,
  COPIES_AT_ONCE = 64,
  EVENTS_AHEAD = 4,
  FREES_BITS = 44,
};
_Static_assert(STRIPES * LARGEST_TABLE <= 1 << (64 - FREES_BITS), "their count has room");
static const uint64_t ONE_BUFFER = (uint64_t)1 << FREES_BITS;
static const uint64_t KEPT_STEP = 16 << 20;
static const uint64_t MAGIC = 0x4543415254584c4d;

/* A table of `size` slots, a power of two, of which `used` are taken. Each size has a place of its own, where the tables
   of all stripes lie one after the other: so few pages and lines of the processor's caches are in use. */
struct stripe {
  atomic_flag lock;
  uint32_t used, size;
} __attribute__((aligned(64)));

/* Site numbers by operation and context, open-addressed. */
struct site_key {
  _Atomic uint64_t key;
  _Atomic uint32_t site;
};

enum { SITE_KEYS = SITE_COUNT * 2 };

static uint8_t *base;
static uint64_t reserved;
static struct trace_header *header;
static struct site *sites;
static struct live_slot *live;
static struct event *ring;
static uint64_t ring_mask;
static unsigned ring_shift;
static struct stripe stripes[STRIPES];
static struct site_key site_keys[SITE_KEYS];
static atomic_flag adding = ATOMIC_FLAG_INIT, keeping = ATOMIC_FLAG_INIT;

/* Of the composition that was kept last, and of the last one of those that stay. */
static uint64_t kept_bytes, staying_bytes, sequence, turn;
static int64_t copied;
static _Atomic uint32_t peak_is_new;
static _Atomic uint64_t last_step;

/* Live buffers in the upper bits, frees in the lower ones: an event adds to one number only. A line of its own. */
static struct {
  _Atomic uint64_t buffers_and_frees;
} __attribute__((aligned(64))) counted;

static _Atomic uint32_t threads;
static _Thread_local uint32_t thread_number;

static void lock(atomic_flag *flag) {
  for (int spins = 0; atomic_flag_test_and_set_explicit(flag, memory_order_acquire); spins++)
    if (spins > 100) sched_yield();
}

static void unlock(atomic_flag *flag) { atomic_flag_clear_explicit(flag, memory_order_release); }

static uint64_t clock_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void raise_peak(uint64_t active, uint64_t time);

/* What Python's `time.monotonic()` counts, and on macOS Metal and Instruments. */
#ifdef __APPLE__
uint64_t store_now(void) { return clock_gettime_nsec_np(CLOCK_UPTIME_RAW); }
#else
uint64_t store_now(void) { return clock_ns(CLOCK_MONOTONIC); }
#endif

uint32_t store_thread(void) {
  if (!thread_number) thread_number = atomic_fetch_add(&threads, 1) + 1;
  return thread_number;
}

uint32_t store_threads(void) { return atomic_load(&threads); }

struct trace_header *store_header(void) { return header; }

struct sums {
  uint64_t allocations, bytes, frees;
};

/* Of all sites, so that an event has fewer sums to add to. */
static struct sums sum_up(void) {
  uint64_t sites_used = atomic_load(&header->sites_used);
  struct sums all = {.bytes = 0 - (uint64_t)atomic_load(&header->before)};
  for (uint64_t i = 0; i < sites_used; i++) {
    all.allocations += atomic_load_explicit(&sites[i].allocated_count, memory_order_relaxed);
    all.bytes += atomic_load_explicit(&sites[i].allocated_bytes, memory_order_relaxed);
    all.frees += atomic_load_explicit(&sites[i].freed_count, memory_order_relaxed);
  }
  return all;
}

uint64_t store_allocations(void) { return sum_up().allocations; }

uint64_t store_buffers(void) { return atomic_load(&counted.buffers_and_frees) >> FREES_BITS; }

static uint64_t frees(void) {
  return atomic_load_explicit(&counted.buffers_and_frees, memory_order_relaxed) & (ONE_BUFFER - 1);
}

/* The file */

static uint64_t page(uint64_t size) { return (size + 16383) & ~(uint64_t)16383; }

static uint64_t peak_slot_size(void) { return sizeof(struct peak_slot) + SITE_COUNT * sizeof(struct peak_site); }

static void lay_out(struct trace_header *plan, uint64_t events) {
  plan->strings_offset = page(HEADER_SIZE);
  plan->strings_capacity = STRINGS_SIZE;
  plan->sites_offset = plan->strings_offset + page(plan->strings_capacity);
  plan->sites_capacity = SITE_COUNT;
  plan->live_offset = plan->sites_offset + page(SITE_COUNT * sizeof(struct site));
  plan->live_capacity = LIVE_COUNT;
  plan->peaks_offset = plan->live_offset + page(LIVE_COUNT * sizeof(struct live_slot));
  plan->peaks_capacity = PEAK_COUNT;
  plan->peak_slot_size = peak_slot_size();
  plan->ring_offset = plan->peaks_offset + page(PEAK_COUNT * plan->peak_slot_size);
  plan->ring_capacity = MIN_EVENTS;
  while (plan->ring_capacity < events && plan->ring_capacity < MOST_EVENTS) plan->ring_capacity *= 2;
  plan->file_size = plan->ring_offset + page(plan->ring_capacity * sizeof(struct event));
}

/* A page of a server that does not answer stops the thread that touches it, or ends the program. */
static int is_far_away(int file) {
  struct statfs system;
  if (fstatfs(file, &system)) return 0;
#ifdef __APPLE__
  return !(system.f_flags & MNT_LOCAL);
#else
  /* NFS, SMB (three of them), AFS, Ceph, Lustre, GPFS, 9P, and FUSE, which may be any. */
  static const uint32_t FAR[] = {0x6969,     0x517b,     0xff534d42, 0xfe534d42, 0x5346414f,
                                 0x00c36400, 0x0bd00bd0, 0x47504653, 0x01021997, 0x65735546};
  for (size_t i = 0; i < sizeof FAR / sizeof *FAR; i++)
    if ((uint32_t)system.f_type == FAR[i]) return 1;
  return 0;
#endif
}

/* Whoever writes beyond it is sent a signal that ends the program. */
static int is_too_large(uint64_t size) {
  struct rlimit limit;
  return !getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size;
}

/* The disk's room is taken at once: a page that finds none later would end the program. */
static int take_room(int file, uint64_t size) {
#ifdef __APPLE__
  fstore_t room = {F_ALLOCATEALL, F_PEOFPOSMODE, 0, (off_t)size, 0};
  if (fcntl(file, F_PREALLOCATE, &room) == -1) return errno;
  return ftruncate(file, (off_t)size) ? errno : 0;
#else
  int error;
  do error = posix_fallocate(file, 0, (off_t)size);
  while (error == EINTR);
  return error;
#endif
}

/* Over the mapping of the last trace where it fits: somebody may still be writing there. */
static void *map(int file, uint64_t size) {
  int fits = base && size <= reserved;
  void *at = mmap(fits ? base : NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | (fits ? MAP_FIXED : 0), file, 0);
  if (at == MAP_FAILED) return NULL;
  base = at;
  if (!fits) reserved = size;
  return at;
}

/* Each page of a file costs its first writer a microsecond and more: those of the events are paid for at the start. */
static void touch_events(const struct trace_header *plan) {
#ifdef MADV_POPULATE_WRITE
  madvise(base + plan->ring_offset, plan->file_size - plan->ring_offset, MADV_POPULATE_WRITE);
#else
  (void)plan;
#endif
}

static void start_empty(const struct store_options *options, const struct trace_header *plan) {
  header = (void *)base;
  memcpy(header, plan, sizeof *plan);
  header->version = TRACE_VERSION;
  header->header_size = HEADER_SIZE;
  header->pid = (uint64_t)getpid();
  header->origin_monotonic_ns = store_now();
  header->origin_wall_ns = clock_ns(CLOCK_REALTIME);
  header->min_size = options->min_size;
  header->strings_used = 4;
  header->sites_used = FIRST_SITE;
  strncpy(header->mlx, options->mlx, sizeof header->mlx - 1);
  size_t most = sizeof header->command - 2;
  memcpy(header->command, options->command, options->command_size < most ? options->command_size : most);
  sites = (void *)(base + plan->sites_offset);
  live = (void *)(base + plan->live_offset);
  ring = (void *)(base + plan->ring_offset);
  ring_mask = plan->ring_capacity - 1;
  ring_shift = (unsigned)__builtin_ctzll(plan->ring_capacity);
  memset(stripes, 0, sizeof stripes);
  for (int i = 0; i < STRIPES; i++) stripes[i].size = SMALLEST_TABLE;
  memset(site_keys, 0, sizeof site_keys);
  atomic_store(&counted.buffers_and_frees, 0);
  kept_bytes = staying_bytes = sequence = turn = 0;
  copied = -(int64_t)SITE_COUNT * COPIES_AT_ONCE;
  atomic_store(&peak_is_new, 0);
  /* Who reads this reads the rest. */
  __atomic_store_n((uint64_t *)(void *)header->magic, MAGIC, __ATOMIC_RELEASE);
}

const char *store_open(const struct store_options *options) {
  struct trace_header plan = {0};
  lay_out(&plan, options->events);
  /* Nobody may write there but who has it open: a file that is cut short would end the program. */
  int file = open(options->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
  if (file < 0) return errno == EEXIST ? "The file exists already." : "The file cannot be created there.";
  const char *failed = NULL;
  if (is_far_away(file)) failed = "Its place is on a network or in FUSE, which may stop the program: choose a local disk.";
  else if (is_too_large(plan.file_size)) failed = "This program may not write a file of that size (ulimit -f).";
  else if (take_room(file, plan.file_size)) failed = "The disk has no room for the trace.";
  else if (!map(file, plan.file_size)) failed = "The file cannot be mapped into memory.";
  close(file);
  if (failed) unlink(options->path);
  else touch_events(&plan), start_empty(options, &plan);
  return failed;
}

void store_add_before(int64_t bytes) {
  if (!bytes) return;
  atomic_fetch_add(&header->before, bytes);
  atomic_fetch_add(&sites[BEFORE_SITE].allocated_bytes, (uint64_t)bytes);
  int64_t active = atomic_fetch_add(&header->active, bytes) + bytes;
  if (active > 0) raise_peak((uint64_t)active, store_now());
}

/* Fresh memory of nobody's takes the place of the file. */
static void let_go(void) {
  if (base) mmap(base, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

void store_close(void) {
  store_keep_peak();
  struct sums all = sum_up();
  atomic_store(&header->allocations, all.allocations);
  atomic_store(&header->allocated_bytes, all.bytes);
  atomic_store(&header->frees, all.frees);
  atomic_fetch_or(&header->flags, CLOSED_CLEANLY);
  let_go();
}

void store_forget(int is_on) {
  if (is_on) let_go();
  for (int i = 0; i < STRIPES; i++) atomic_flag_clear(&stripes[i].lock);
  atomic_flag_clear(&adding);
  atomic_flag_clear(&keeping);
}

/* Strings and sites */

uint32_t store_string(const char *text, size_t size) {
  uint64_t needed = (4 + size + 3) & ~(uint64_t)3;
  lock(&adding);
  uint64_t at = header->strings_used;
  int fits = at + needed <= header->strings_capacity;
  if (fits) {
    uint8_t *entry = base + header->strings_offset + at;
    memcpy(entry + 4, text, size);
    *(uint32_t *)entry = (uint32_t)size;
    atomic_store_explicit(&header->strings_used, at + needed, memory_order_release);
  }
  unlock(&adding);
  return fits ? (uint32_t)at : NO_ROOM;
}

static uint32_t add_site(struct site_key *entry, uint64_t key) {
  lock(&adding);
  uint32_t number = OVERFLOW_SITE;
  uint64_t there = atomic_load(&entry->key);
  if (there == key) {
    number = atomic_load(&entry->site);
  } else if (there) {
    number = 0;
  } else if (header->sites_used < SITE_COUNT) {
    number = (uint32_t)header->sites_used;
    sites[number].operation = (uint32_t)(key >> 32) & ~(1u << 31);
    sites[number].context = (uint32_t)key;
    atomic_store(&entry->site, number);
    atomic_store_explicit(&entry->key, key, memory_order_release);
    atomic_store_explicit(&header->sites_used, number + 1u, memory_order_release);
  }
  unlock(&adding);
  return number;
}

uint32_t store_site(uint32_t operation, uint32_t context) {
  if (operation == NO_ROOM || context == NO_ROOM) return OVERFLOW_SITE;
  /* Both empty is a site, too: 1 << 63 keeps its key from 0. */
  uint64_t key = (uint64_t)operation << 32 | context | (uint64_t)1 << 63;
  uint64_t at = (key * 0x9e3779b97f4a7c15u) >> 32;
  for (uint64_t i = 0; i < SITE_KEYS; i++) {
    struct site_key *entry = &site_keys[(at + i) % SITE_KEYS];
    uint64_t there = atomic_load_explicit(&entry->key, memory_order_acquire);
    if (there == key) return atomic_load(&entry->site);
    if (!there) {
      uint32_t number = add_site(entry, key);
      /* 0: another thread's site was put here meanwhile. */
      if (number) return number;
    }
  }
  return OVERFLOW_SITE;
}

/* Live buffers: each stripe is a table of its own, probed one by one. It grows when it is nearly full. */

static uint64_t hash(uint64_t address) { return (address >> 4) * 0x9e3779b97f4a7c15u; }

static struct stripe *stripe_of(uint64_t hashed) { return &stripes[hashed >> 58]; }

static uint32_t size_of(const struct stripe *stripe) { return __atomic_load_n(&stripe->size, __ATOMIC_RELAXED); }

static struct live_slot *table_of(const struct stripe *stripe, uint32_t size) {
  return live + (STRIPES + (stripe - stripes)) * size;
}

static uint64_t home(uint64_t hashed, uint32_t size) { return (hashed >> 40) & (size - 1); }

void store_expect(uint64_t address) {
  uint64_t hashed = hash(address);
  struct stripe *stripe = stripe_of(hashed);
  uint32_t size = size_of(stripe);
  __builtin_prefetch(table_of(stripe, size) + home(hashed, size), 1);
}

static void put(struct live_slot *table, uint32_t size, const struct live_slot *slot) {
  uint64_t i = home(hash(slot->address), size);
  while (table[i].address) i = (i + 1) & (size - 1);
  table[i] = *slot;
}

/* Whoever reads the file meanwhile sees a buffer twice rather than never. */
static void grow(struct stripe *stripe) {
  uint32_t size = stripe->size;
  struct live_slot *old = table_of(stripe, size), *new = table_of(stripe, 2 * size);
  for (uint32_t i = 0; i < size; i++)
    if (old[i].address) put(new, 2 * size, &old[i]);
  __atomic_store_n(&stripe->size, 2 * size, __ATOMIC_RELAXED);
  atomic_thread_fence(memory_order_release);
  memset(old, 0, size * sizeof *old);
}

static int insert(const struct live_slot *slot) {
  struct stripe *stripe = stripe_of(hash(slot->address));
  lock(&stripe->lock);
  if (stripe->used >= stripe->size / 8 * 7 && stripe->size < LARGEST_TABLE) grow(stripe);
  int fits = stripe->used < stripe->size / 8 * 7;
  if (fits) {
    put(table_of(stripe, stripe->size), stripe->size, slot);
    stripe->used++;
  }
  unlock(&stripe->lock);
  return fits;
}

/* Closes the gap at `hole`, so that no later entry is cut off from where its search begins. */
static void close_gap(struct live_slot *table, uint32_t size, uint64_t hole) {
  uint64_t mask = size - 1;
  for (uint64_t i = (hole + 1) & mask; table[i].address; i = (i + 1) & mask) {
    uint64_t first = home(hash(table[i].address), size);
    if (((i - first) & mask) < ((i - hole) & mask)) continue;
    table[hole] = table[i];
    hole = i;
  }
  table[hole].address = 0;
}

/* The site of a buffer that is freed, and its size. BEFORE_SITE for one that is not known. */
static uint32_t take_out(uint64_t address, uint64_t *size) {
  uint64_t hashed = hash(address);
  struct stripe *stripe = stripe_of(hashed);
  uint32_t site = BEFORE_SITE;
  lock(&stripe->lock);
  struct live_slot *table = table_of(stripe, stripe->size);
  uint64_t i = home(hashed, stripe->size);
  while (table[i].address && table[i].address != address) i = (i + 1) & (stripe->size - 1);
  if (table[i].address) {
    site = table[i].site;
    *size = table[i].size;
    close_gap(table, stripe->size, i);
    stripe->used--;
  }
  unlock(&stripe->lock);
  return site;
}

/* Events */

static void write_event(uint64_t time, enum event_kind kind, uint64_t address, uint64_t size, uint32_t site) {
  uint64_t number = atomic_fetch_add_explicit(&header->ring_written, 1, memory_order_relaxed);
  struct event *event = &ring[number & ring_mask];
  atomic_store_explicit(&event->kind_and_lap, EVENT_NONE, memory_order_relaxed);
  atomic_thread_fence(memory_order_release);
  /* A thread that was left behind by a whole lap may write here at the same time. */
  __atomic_store_n(&event->time_ns, time, __ATOMIC_RELAXED);
  __atomic_store_n(&event->address, address, __ATOMIC_RELAXED);
  __atomic_store_n(&event->size, size, __ATOMIC_RELAXED);
  __atomic_store_n(&event->site, site, __ATOMIC_RELAXED);
  __atomic_store_n(&event->thread, (uint16_t)store_thread(), __ATOMIC_RELAXED);
  uint16_t lap = (uint16_t)((number >> ring_shift) & 255);
  atomic_store_explicit(&event->kind_and_lap, (uint16_t)((unsigned)kind | (unsigned)lap << 8), memory_order_release);
  __builtin_prefetch(&ring[(number + EVENTS_AHEAD) & ring_mask], 1);
}

void store_event(enum event_kind kind, uint64_t address, uint64_t size, uint32_t site) {
  if (kind == EVENT_STEP_BEGINS) atomic_store_explicit(&last_step, address, memory_order_relaxed);
  write_event(store_now(), kind, address, size, site == NO_ROOM ? 0 : site);
}

/* Peaks */

static int64_t difference(const _Atomic uint64_t *allocated, const _Atomic uint64_t *freed) {
  return (int64_t)(atomic_load_explicit(allocated, memory_order_relaxed) - atomic_load_explicit(freed, memory_order_relaxed));
}

static struct peak_site alive(const struct site *site) {
  return (struct peak_site){difference(&site->allocated_bytes, &site->freed_bytes),
                            difference(&site->allocated_count, &site->freed_count)};
}

static void copy_to(struct peak_slot *slot, uint64_t count) {
  uint64_t bytes = 0;
  atomic_store(&slot->sequence, 0);
  atomic_thread_fence(memory_order_release);
  for (uint64_t i = 0; i < count; i++) {
    slot->sites[i] = alive(&sites[i]);
    bytes += (uint64_t)slot->sites[i].bytes;
  }
  slot->bytes = bytes;
  slot->time_ns = atomic_load(&header->peak_time_ns);
  slot->ring_written = atomic_load(&header->ring_written);
  slot->site_count = count;
  slot->step = atomic_load_explicit(&last_step, memory_order_relaxed);
  atomic_store_explicit(&slot->sequence, ++sequence, memory_order_release);
}

static struct peak_slot *peak_slot(uint64_t number) {
  return (void *)(base + header->peaks_offset + number * header->peak_slot_size);
}

static void keep(uint64_t count) {
  kept_bytes = atomic_load(&header->peak);
  copy_to(peak_slot(turn++ % PEAK_PAIR), count);
  if (kept_bytes < staying_bytes + staying_bytes / 100 + KEPT_STEP) return;
  staying_bytes = kept_bytes;
  uint64_t number = atomic_load(&header->peaks_written);
  copy_to(peak_slot(PEAK_PAIR + number % (PEAK_COUNT - PEAK_PAIR)), count);
  atomic_store(&header->peaks_written, number + 1);
}

/* Copying costs as much as there are sites: on average it is done once in half as many frees, and for each large rise.
   Where no peak was for long, some may follow upon another. */
static int is_worth_keeping(uint64_t count) {
  int64_t sites_of_frees = (int64_t)frees() * 2;
  int64_t least = sites_of_frees - (int64_t)count * COPIES_AT_ONCE;
  if (copied < least) copied = least;
  if (copied > sites_of_frees && atomic_load(&header->peak) < kept_bytes + kept_bytes / 100 + KEPT_STEP) return 0;
  copied += (int64_t)count;
  return 1;
}

static void keep_peak(int always) {
  if (atomic_flag_test_and_set_explicit(&keeping, memory_order_acquire)) return;
  uint64_t count = atomic_load(&header->sites_used);
  if (atomic_exchange(&peak_is_new, 0) && (always || is_worth_keeping(count))) keep(count);
  unlock(&keeping);
}

void store_keep_peak(void) { keep_peak(1); }

/* Allocations */

static void raise_peak(uint64_t active, uint64_t time) {
  uint64_t peak = atomic_load_explicit(&header->peak, memory_order_relaxed);
  while (active > peak)
    if (atomic_compare_exchange_weak(&header->peak, &peak, active)) {
      atomic_store_explicit(&header->peak_time_ns, time, memory_order_relaxed);
      atomic_store_explicit(&peak_is_new, 1, memory_order_release);
      return;
    }
}

static void add_buffer(void) {
  uint64_t before = atomic_fetch_add_explicit(&counted.buffers_and_frees, ONE_BUFFER, memory_order_relaxed);
  int64_t count = (int64_t)(before >> FREES_BITS) + 1;
  int64_t most = atomic_load_explicit(&header->most_buffers, memory_order_relaxed);
  while (count > most && !atomic_compare_exchange_weak(&header->most_buffers, &most, count)) {}
}

void store_allocated(uint64_t address, uint64_t size, uint32_t number, uint64_t peak) {
  uint64_t time = store_now();
  struct live_slot slot = {address, size, time, number, store_thread()};
  if (insert(&slot)) {
    add_buffer();
  } else {
    /* When it is freed, nobody will know whose it was: it counts as one from before. */
    atomic_fetch_add(&header->lost, 1);
    number = BEFORE_SITE;
  }
  struct site *site = &sites[number];
  atomic_fetch_add_explicit(&site->allocated_bytes, size, memory_order_relaxed);
  atomic_fetch_add_explicit(&site->allocated_count, 1, memory_order_relaxed);
  int64_t active = atomic_fetch_add_explicit(&header->active, (int64_t)size, memory_order_relaxed) + (int64_t)size;
  if (active > (int64_t)peak) peak = (uint64_t)active;
  raise_peak(peak, time);
  if (size >= header->min_size) write_event(time, EVENT_ALLOCATED, address, size, number);
}

void store_freed(uint64_t address, uint64_t size) {
  if (atomic_load_explicit(&peak_is_new, memory_order_acquire)) keep_peak(0);
  uint32_t number = take_out(address, &size);
  struct site *site = &sites[number];
  atomic_fetch_add_explicit(&site->freed_bytes, size, memory_order_relaxed);
  atomic_fetch_add_explicit(&site->freed_count, 1, memory_order_relaxed);
  uint64_t its = number == BEFORE_SITE ? 0 : ONE_BUFFER;
  atomic_fetch_add_explicit(&counted.buffers_and_frees, 1 - its, memory_order_relaxed);
  atomic_fetch_sub_explicit(&header->active, (int64_t)size, memory_order_relaxed);
  if (size >= header->min_size) write_event(store_now(), EVENT_FREED, address, size, number);
}
