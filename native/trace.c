#include "trace.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "call_site.h"
#include "library.h"
#include "store.h"

#ifdef __arm64e__
#error "Pointers to tables of functions are signed there."
#endif

/* MLX's allocator is an object whose functions are looked up in a table. The table is copied, four entries are
   replaced, and the object is pointed to the copy: one write, that any thread sees whole.

   The entries are in the order of the class in mlx/allocator.h, which has not changed from MLX 0.26 to 0.32. It is
   looked up, not believed: each entry must be the function of that name by the library's own symbols. */

enum { MALLOC, FREE, SIZE, MAKE_BUFFER, RELEASE };
enum { ABOVE = 2, MOST_ENTRIES = 32, FUNCTIONS = 8, FUNCTIONS_BEFORE_0_30 = 6 };
enum { THREADS = 512, SHARED = THREADS - 1, LOOKS_A_TURN = 64 };
static const uint64_t LONGEST_NS = 200000000, SETTLES_WITHIN_NS = 20000000;

typedef void *malloc_function(void *allocator, size_t size, uint64_t more);
typedef void free_function(void *allocator, void *buffer);
typedef size_t size_function(void *allocator, void *buffer);
typedef void *make_function(void *allocator, void *memory, size_t size);

static struct library library;
static int is_read;
static void **object;
static void **own_table;
static size_t entry_count;
static void *table[ABOVE + MOST_ENTRIES];
static malloc_function *own_malloc;
static free_function *own_free, *own_release;
static size_function *own_size;
static make_function *own_make_buffer;

/* The trace that runs, counted from 1; 0 where none does. */
static _Atomic uint32_t running;
static uint32_t traces;
/* Held by who looks at MLX, starts a trace, stops one or compares its sums. */
static atomic_flag changing = ATOMIC_FLAG_INIT;

static void lock(void) {
  while (atomic_flag_test_and_set_explicit(&changing, memory_order_acquire)) sched_yield();
}

static void unlock(void) { atomic_flag_clear_explicit(&changing, memory_order_release); }

/* Of each thread how often it went into a traced function, and how often it left one. The last place is shared by
   all threads that found none of their own. */
static struct crossings {
  _Atomic uint32_t in, out;
} __attribute__((aligned(64))) crossings[THREADS];

/* What MLX's peak was when the trace began: that is none of ours. */
static size_t peak_before;

/* Text ids of the operations: they are put into a trace when they first occur. */
static _Atomic uint32_t operation_texts[MOST_OPERATIONS];
/* The step under way on this thread: its text in the file of the trace that it began in. */
static _Thread_local struct {
  uint32_t text, trace;
} step;

static uint32_t text_of(uint32_t operation) {
  if (operation == NO_OPERATION) return 0;
  uint32_t text = atomic_load_explicit(&operation_texts[operation], memory_order_relaxed);
  if (!text) {
    const char *name = call_site_name(operation);
    text = store_string(name, strlen(name));
    atomic_store(&operation_texts[operation], text);
  }
  return text;
}

static void *at(uint64_t relative) { return (void *)(library.load_address + relative); }
static size_t active_memory(void) { return ((size_t(*)(void))at(library.active_memory))(); }
static size_t peak_memory(void) { return ((size_t(*)(void))at(library.peak_memory))(); }

/* These stand in MLX's table. Exceptions of MLX's pass through them. */

struct inside {
  struct crossings *crossings;
  uint32_t trace;
};

static struct inside go_in(void) {
  uint32_t thread = store_thread();
  struct crossings *mine = &crossings[thread < SHARED ? thread : SHARED];
  atomic_fetch_add(&mine->in, 1);
  return (struct inside){mine, atomic_load(&running)};
}

/* Whoever stops a trace, or compares sums, waits for those inside. Exceptions leave this way, too.
   Where nobody else counts, a plain write does not wait for those before it. */
static void go_out(struct inside *inside) {
  _Atomic uint32_t *out = &inside->crossings->out;
  if (inside->crossings == &crossings[SHARED]) atomic_fetch_add(out, 1);
  else atomic_store_explicit(out, atomic_load_explicit(out, memory_order_relaxed) + 1, memory_order_release);
}

#define INSIDE __attribute__((cleanup(go_out))) struct inside inside = go_in()

static int is_on(void) { return atomic_load(&running) != 0; }

/* The trace may have ended meanwhile, and another have begun, which knows the buffer as one from before. */
static int is_still_on(const struct inside *inside) { return inside->trace && inside->trace == atomic_load(&running); }

static void note(void *buffer, uint32_t operation, uint32_t trace) {
  /* MLX counts before we do: where threads allocate at once, only its peak is exact. */
  size_t peak = peak_memory();
  store_allocated((uint64_t)buffer, own_size(object, buffer), store_site(text_of(operation), step.trace == trace ? step.text : 0),
                  peak == peak_before ? 0 : peak);
}

static __attribute__((noinline)) void *traced_malloc(void *allocator, size_t size, uint64_t more) {
  INSIDE;
  void *buffer = own_malloc(allocator, size, more);
  if (inside.trace) store_expect((uint64_t)buffer);
  if (buffer && is_still_on(&inside)) note(buffer, call_site_operation(CALLER_FRAME, __builtin_return_address(0)), inside.trace);
  return buffer;
}

static __attribute__((noinline)) void *traced_make_buffer(void *allocator, void *memory, size_t size) {
  INSIDE;
  void *buffer = own_make_buffer(allocator, memory, size);
  if (buffer && is_still_on(&inside)) note(buffer, call_site_operation(CALLER_FRAME, __builtin_return_address(0)), inside.trace);
  return buffer;
}

/* Noted before it is done: after it another thread may get the same address. */
static void traced_free(void *allocator, void *buffer) {
  INSIDE;
  if (inside.trace) store_expect((uint64_t)buffer);
  if (buffer && inside.trace) store_freed((uint64_t)buffer, own_size(object, buffer));
  own_free(allocator, buffer);
}

static void traced_release(void *allocator, void *buffer) {
  INSIDE;
  if (inside.trace) store_expect((uint64_t)buffer);
  if (buffer && inside.trace) store_freed((uint64_t)buffer, own_size(object, buffer));
  own_release(allocator, buffer);
}

/* Finding MLX's functions */

static int is_one_of(const struct candidates *candidates, void *entry) {
  for (int i = 0; i < candidates->count; i++)
    if (at(candidates->addresses[i]) == entry) return 1;
  return 0;
}

static int has_buffers_of_others(void) { return library.make_buffer.count || library.release.count; }

static int is_table_as_expected(void **entries) {
  size_t count = library_table_size(&library, entries);
  if (count < (has_buffers_of_others() ? RELEASE : SIZE) + 1 || count > MOST_ENTRIES) return 0;
  if (!is_one_of(&library.malloc, entries[MALLOC]) || !is_one_of(&library.free, entries[FREE]) ||
      !is_one_of(&library.size, entries[SIZE]))
    return 0;
  return !has_buffers_of_others() || (is_one_of(&library.make_buffer, entries[MAKE_BUFFER]) &&
                                      is_one_of(&library.release, entries[RELEASE]));
}

static const char *read_library(void) {
  if (library_locate(&library)) return "MLX's library is not loaded.";
  if (library_read(&library, library.path)) return "MLX's library has no symbol table.";
  if (library_is_the_loaded_one(&library)) return NULL;
  functions_free(&library.functions);
  library = (struct library){0};
  return "MLX was replaced on the disk since this program began: start it again.";
}

static const char *refusal(void) {
  const char *failed = is_read ? NULL : read_library();
  if (failed) return failed;
  is_read = 1;
  if (library.has_other_ways) return "MLX's CUDA allocator hands out memory by ways that cannot be seen.";
  if (library_functions(&library) != (has_buffers_of_others() ? FUNCTIONS : FUNCTIONS_BEFORE_0_30))
    return "This version of MLX has another allocator than those that mlxtop knows.";
  if (!object) object = ((void **(*)(void))at(library.allocator))();
  void **entries = *object;
  if (entries == table + ABOVE) return NULL;
  if (!is_table_as_expected(entries)) return "MLX's allocator is not as this version of mlxtop knows it.";
  own_table = entries;
  entry_count = library_table_size(&library, entries);
  return NULL;
}

const char *mlxtop_trace_refusal(void) {
  lock();
  const char *refused = refusal();
  unlock();
  return refused;
}

int mlxtop_trace_inspect(const char *path, uint64_t *operations, uint64_t *functions) {
  struct library other = {0};
  int result = library_read(&other, path);
  *operations = 0;
  for (size_t i = 0; i < other.functions.count; i++) {
    char name[160];
    *operations += function_name(other.functions.all[i].mangled, name, sizeof name) == FUNCTION_OPERATION;
  }
  *functions = (uint64_t)library_functions(&other);
  functions_free(&other.functions);
  return result;
}

/* Starting and stopping */

static void fill_table(void) {
  memcpy(table, own_table - ABOVE, (ABOVE + entry_count) * sizeof *table);
  own_malloc = (malloc_function *)own_table[MALLOC];
  own_free = (free_function *)own_table[FREE];
  own_size = (size_function *)own_table[SIZE];
  table[ABOVE + MALLOC] = (void *)traced_malloc;
  table[ABOVE + FREE] = (void *)traced_free;
  if (!has_buffers_of_others()) return;
  own_make_buffer = (make_function *)own_table[MAKE_BUFFER];
  own_release = (free_function *)own_table[RELEASE];
  table[ABOVE + MAKE_BUFFER] = (void *)traced_make_buffer;
  table[ABOVE + RELEASE] = (void *)traced_release;
}

static void point_to(void **entries) { __atomic_store_n((void ***)object, entries, __ATOMIC_SEQ_CST); }

static uint32_t threads_seen(void) {
  uint32_t seen = store_threads() + 1;
  return seen < THREADS ? seen : THREADS;
}

/* Whether every thread is outside, and was where `before` was filled if that is given. */
static int all_outside(uint32_t *counts, const uint32_t *before) {
  for (uint32_t i = 0; i < threads_seen(); i++) {
    /* In this order: who leaves after the first look has gone in before the second. */
    uint32_t out = atomic_load(&crossings[i].out);
    counts[i] = atomic_load(&crossings[i].in);
    if (counts[i] != out || (before && counts[i] != before[i])) return 0;
  }
  return 1;
}

/* Most often at once. Not for ever: a thread may be stopped where it is. */
static int wait_for_all(void) {
  uint32_t counts[THREADS];
  uint64_t began = store_now();
  while (!all_outside(counts, NULL)) {
    if (store_now() - began > LONGEST_NS) return 0;
    sched_yield();
  }
  return 1;
}

static int settle(int64_t *difference) {
  uint32_t before[THREADS] = {0}, after[THREADS];
  *difference = 0;
  if (!is_on()) return 0;
  uint64_t began = store_now();
  for (int i = 1; store_now() - began < SETTLES_WITHIN_NS; i++) {
    if (all_outside(before, NULL)) {
      int64_t active = (int64_t)active_memory(), ours = atomic_load(&store_header()->active);
      if (all_outside(after, before)) {
        *difference = active - ours;
        store_add_before(*difference);
        return 1;
      }
    }
    if (i % LOOKS_A_TURN == 0) sched_yield();
  }
  return 0;
}

int mlxtop_trace_settle(int64_t *difference) {
  lock();
  int settled = settle(difference);
  unlock();
  return settled;
}

static void forget_in_child(void) {
  unlock();
  int was_on = is_on();
  atomic_store(&running, 0);
  if (was_on) point_to(own_table);
  memset(crossings, 0, sizeof crossings);
  store_forget(was_on);
  call_site_forget();
}

static const char *start(const struct store_options *options) {
  static int watches_forks;
  if (!own_table) return "MLX's allocator was not looked at.";
  if (is_on()) return "A trace is running already.";
  if (!wait_for_all()) return "A thread of the program has not left the last trace yet: try it again.";
  if (!own_malloc) {
    call_site_set_up(library.code_start, library.code_end, library.load_address, &library.functions);
    fill_table();
  }
  if (!watches_forks) watches_forks = !pthread_atfork(NULL, NULL, forget_in_child);
  if (!watches_forks) return "There is no memory left.";
  const char *failed = store_open(options);
  if (failed) return failed;
  for (int i = 0; i < MOST_OPERATIONS; i++) atomic_store(&operation_texts[i], 0);
  peak_before = peak_memory();
  atomic_store(&running, ++traces);
  point_to(table + ABOVE);
  settle(&(int64_t){0});
  return NULL;
}

const char *mlxtop_trace_start(
    const char *path, uint64_t events, uint64_t min_size, const char *mlx, const char *command, size_t command_size) {
  struct store_options options = {path, events, min_size, mlx, command, command_size};
  lock();
  const char *failed = start(&options);
  unlock();
  return failed;
}

static void stop(struct trace_counters *last) {
  if (!is_on()) return;
  point_to(own_table);
  mlxtop_trace_read(last);
  atomic_store(&running, 0);
  wait_for_all();
  store_close();
}

void mlxtop_trace_stop(struct trace_counters *last) {
  lock();
  stop(last);
  unlock();
}

int mlxtop_trace_is_on(void) { return is_on(); }

void mlxtop_trace_read(struct trace_counters *counters) {
  INSIDE;
  memset(counters, 0, sizeof *counters);
  if (!inside.trace) return;
  const struct trace_header *header = store_header();
  counters->active = atomic_load(&header->active);
  counters->peak = atomic_load(&header->peak);
  counters->buffers = (int64_t)store_buffers();
  counters->events = atomic_load(&header->ring_written);
  counters->lost = atomic_load(&header->lost);
  counters->allocations = store_allocations();
  call_site_checks(&counters->walks_checked, &counters->walks_different);
}

/* Steps */

uint32_t mlxtop_trace_text(const char *text, size_t size) {
  INSIDE;
  return inside.trace ? store_string(text, size) : 0;
}

uint64_t mlxtop_trace_begin(uint32_t text, uint64_t number) {
  INSIDE;
  uint32_t before = step.trace == inside.trace ? step.text : 0;
  step.text = text;
  step.trace = inside.trace;
  if (inside.trace) store_event(EVENT_STEP_BEGINS, number, 0, text);
  return number << 32 | before;
}

void mlxtop_trace_end(uint64_t begun) {
  INSIDE;
  /* Of another trace than the one that the step began in, nothing is known. */
  step.text = step.trace == inside.trace ? (uint32_t)begun : 0;
  step.trace = inside.trace;
  if (inside.trace) store_event(EVENT_STEP_ENDS, begun >> 32, 0, 0);
}

void mlxtop_trace_phase(uint32_t text) {
  INSIDE;
  if (inside.trace) store_event(EVENT_PHASE, 0, 0, text);
}
