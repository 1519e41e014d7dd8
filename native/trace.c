#include "trace.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "call_site.h"
#include "library.h"
#include "store.h"

/* MLX's allocator is an object whose functions are looked up in a table. The table is copied, five entries are
   replaced, and the object is pointed to the copy: one write, that any thread sees whole.

   The entries are in the order of the class in mlx/allocator.h, which has not changed from MLX 0.26 to 0.32. It is
   looked up, not believed: each entry must be the function of that name by the library's own symbols. */

enum { MALLOC, FREE, SIZE, MAKE_BUFFER, RELEASE, DESTROY, DELETE, ENTRIES };
enum { ABOVE = 2, FUNCTIONS = 8 };

typedef void *malloc_function(void *allocator, size_t size, uint64_t more);
typedef void free_function(void *allocator, void *buffer);
typedef size_t size_function(void *allocator, void *buffer);
typedef void *make_function(void *allocator, void *memory, size_t size);

static struct library library;
static int is_read;
static void **object;
static void **own_table;
static void *table[ABOVE + ENTRIES];
static malloc_function *own_malloc;
static free_function *own_free, *own_release;
static size_function *own_size;
static make_function *own_make_buffer;
static _Atomic int is_on;
/* What MLX's peak was when the trace began: that is none of ours. */
static size_t peak_before;

/* Text ids of the operations: they are put into a trace when they first occur. */
static _Atomic uint32_t operation_texts[MOST_OPERATIONS];
static _Thread_local uint32_t context;

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

static void note(void *buffer, uint32_t operation) {
  /* MLX counts before we do: where threads allocate at once, only its peak is exact. */
  size_t peak = peak_memory();
  store_allocated((uint64_t)buffer, own_size(object, buffer), store_site(text_of(operation), context),
                  peak == peak_before ? 0 : peak);
}

static __attribute__((noinline)) void *traced_malloc(void *allocator, size_t size, uint64_t more) {
  void *buffer = own_malloc(allocator, size, more);
  if (buffer && atomic_load_explicit(&is_on, memory_order_relaxed))
    note(buffer, call_site_operation(CALLER_FRAME, __builtin_return_address(0)));
  return buffer;
}

static __attribute__((noinline)) void *traced_make_buffer(void *allocator, void *memory, size_t size) {
  void *buffer = own_make_buffer(allocator, memory, size);
  if (buffer && atomic_load_explicit(&is_on, memory_order_relaxed))
    note(buffer, call_site_operation(CALLER_FRAME, __builtin_return_address(0)));
  return buffer;
}

/* Before MLX's own: after it another thread may get the same address. */
static void note_end(void *buffer) {
  if (buffer && atomic_load_explicit(&is_on, memory_order_relaxed))
    store_freed((uint64_t)buffer, own_size(object, buffer));
}

static void traced_free(void *allocator, void *buffer) {
  note_end(buffer);
  own_free(allocator, buffer);
}

static void traced_release(void *allocator, void *buffer) {
  note_end(buffer);
  own_release(allocator, buffer);
}

/* Finding MLX's functions */

static int is_one_of(const struct candidates *candidates, void *entry) {
  for (int i = 0; i < candidates->count; i++)
    if (at(candidates->addresses[i]) == entry) return 1;
  return 0;
}

static int is_table_as_expected(void **entries) {
  return is_one_of(&library.malloc, entries[MALLOC]) && is_one_of(&library.free, entries[FREE]) &&
         is_one_of(&library.size, entries[SIZE]) && is_one_of(&library.make_buffer, entries[MAKE_BUFFER]) &&
         is_one_of(&library.release, entries[RELEASE]);
}

const char *mlxtop_trace_refusal(void) {
  if (!is_read && library_locate(&library)) return "MLX's library is not loaded.";
  if (!is_read && library_read(&library, library.path)) return "MLX's library has no symbol table.";
  is_read = 1;
  if (library.has_other_ways) return "MLX's CUDA allocator hands out memory by ways that cannot be seen.";
  if (library_functions(&library) != FUNCTIONS)
    return "This version of MLX has another allocator than those that mlxtop knows.";
  if (!object) object = ((void **(*)(void))at(library.allocator))();
  void **entries = *object;
  if (entries == table + ABOVE) return NULL;
  if (!is_table_as_expected(entries)) return "MLX's allocator is not as this version of mlxtop knows it.";
  own_table = entries;
  return NULL;
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
  memcpy(table, own_table - ABOVE, sizeof table);
  own_malloc = (malloc_function *)own_table[MALLOC];
  own_free = (free_function *)own_table[FREE];
  own_size = (size_function *)own_table[SIZE];
  own_make_buffer = (make_function *)own_table[MAKE_BUFFER];
  own_release = (free_function *)own_table[RELEASE];
  table[ABOVE + MALLOC] = (void *)traced_malloc;
  table[ABOVE + FREE] = (void *)traced_free;
  table[ABOVE + MAKE_BUFFER] = (void *)traced_make_buffer;
  table[ABOVE + RELEASE] = (void *)traced_release;
}

static void point_to(void **entries) { __atomic_store_n((void ***)object, entries, __ATOMIC_SEQ_CST); }

/* What MLX has more than we have counted. Other threads may be between MLX's count and ours: most often none is. */
static int64_t difference(void) {
  enum { LOOKS = 65 };
  int64_t seen[LOOKS], best = 0;
  int most = 0;
  for (int i = 0; i < LOOKS; i++) {
    seen[i] = (int64_t)active_memory() - atomic_load(&store_header()->active);
    if (i % 8 == 7) sched_yield();
  }
  for (int i = 0; i < LOOKS; i++) {
    int alike = 0;
    for (int k = 0; k < LOOKS; k++) alike += seen[k] == seen[i];
    if (alike > most) {
      most = alike;
      best = seen[i];
    }
  }
  return best;
}

/* Whether a buffer of a known size is seen to come and to go, with MLX's sums and ours alike. */
static int sums_agree(void) {
  enum { KNOWN = 64 };
  int64_t allocations = atomic_load(&store_header()->buffers);
  malloc_function *allocate = (malloc_function *)((void **)*object)[MALLOC];
  free_function *end = (free_function *)((void **)*object)[FREE];
  void *buffer = allocate(object, KNOWN, 0);
  if (!buffer) return 0;
  int seen = atomic_load(&store_header()->buffers) != allocations && own_size(object, buffer) >= KNOWN;
  int alike = difference() == 0;
  end(object, buffer);
  return seen && alike && difference() == 0;
}

static void forget_in_child(void) {
  if (!atomic_load(&is_on)) return;
  atomic_store(&is_on, 0);
  point_to(own_table);
  store_forget();
  call_site_forget();
}

const char *mlxtop_trace_start(
    const char *path, uint64_t events, uint64_t min_size, const char *mlx, const char *command, size_t command_size) {
  static int watches_forks;
  struct store_options options = {path, events, min_size, mlx, command, command_size};
  if (!own_table) return "MLX's allocator was not looked at.";
  if (atomic_load(&is_on)) return "A trace is running already.";
  if (!own_malloc) {
    call_site_set_up(library.code_start, library.code_end, library.load_address, &library.functions);
    fill_table();
  }
  const char *failed = store_open(&options);
  if (failed) return failed;
  for (int i = 0; i < MOST_OPERATIONS; i++) atomic_store(&operation_texts[i], 0);
  if (!watches_forks) watches_forks = !pthread_atfork(NULL, NULL, forget_in_child);
  peak_before = peak_memory();
  atomic_store(&is_on, 1);
  point_to(table + ABOVE);
  store_begin_with(difference());
  for (int tries = 0; tries < 3; tries++)
    if (sums_agree()) return NULL;
  mlxtop_trace_stop(&(struct trace_counters){0});
  return "The sums of MLX's allocations could not be followed.";
}

void mlxtop_trace_stop(struct trace_counters *last) {
  if (!atomic_load(&is_on)) return;
  point_to(own_table);
  mlxtop_trace_read(last);
  atomic_store(&is_on, 0);
  store_close();
}

int mlxtop_trace_is_on(void) { return atomic_load(&is_on); }

void mlxtop_trace_read(struct trace_counters *counters) {
  const struct trace_header *header = store_header();
  memset(counters, 0, sizeof *counters);
  if (!atomic_load(&is_on)) return;
  counters->active = atomic_load(&header->active);
  counters->peak = atomic_load(&header->peak);
  counters->buffers = atomic_load(&header->buffers);
  counters->events = atomic_load(&header->ring_written);
  counters->lost = atomic_load(&header->lost);
  counters->allocations = store_allocations();
  call_site_checks(&counters->walks_checked, &counters->walks_different);
}

/* Steps */

uint32_t mlxtop_trace_text(const char *text, size_t size) {
  return atomic_load(&is_on) ? store_string(text, size) : 0;
}

uint32_t mlxtop_trace_begin(uint32_t now, uint64_t step) {
  uint32_t before = context;
  context = now;
  if (atomic_load(&is_on)) store_event(EVENT_STEP_BEGINS, step, 0, now);
  return before;
}

void mlxtop_trace_end(uint32_t before, uint64_t step) {
  context = before;
  if (atomic_load(&is_on)) store_event(EVENT_STEP_ENDS, step, 0, 0);
}

void mlxtop_trace_phase(uint32_t text) {
  if (atomic_load(&is_on)) store_event(EVENT_PHASE, 0, 0, text);
}
