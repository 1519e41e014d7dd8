#define _GNU_SOURCE
#include "call_site.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sched.h>
#include <string.h>
#include <unwind.h>

#include "functions.h"

/* A full unwinding takes microseconds. What it found is kept by return address: the function's place in the
   stack is always as far from its callee's, but for functions whose frames vary. These are known by the check
   that each return address must be one that a full unwinding has seen; where it is not, one is made.
   One walk in CHECK_EVERY is made both ways, and a frame that differs is never trusted again. */

enum { KNOWN_SIZE = 8192, PROBES = 16, DEEPEST = 40, OURS = 8, CHECK_EVERY = 1024, LONGEST_NAME = 160 };
enum { VARIES = 0 };

/* What a return address says: an operation, the end of the search, or to go on upwards. */
enum meaning { GO_ON, OPERATION, RUNNER, OUTSIDE };

struct known {
  _Atomic uint64_t address;
  /* The size of the frame, the meaning, the number of the name: 32, 16 and 16 bits. */
  _Atomic uint64_t value;
};

struct finding {
  enum meaning meaning;
  uint32_t name;
};

static struct known known[KNOWN_SIZE];
static char *names[MOST_OPERATIONS];
static _Atomic uint32_t name_count = 1;
static atomic_flag learning = ATOMIC_FLAG_INIT;
static uint64_t code_start, code_end, load;
static const struct functions *functions;
static _Atomic uint64_t checks, differences;

/* A thread's own stack. A coroutine's lies elsewhere: there each walk is made in full. */
struct stack {
  uint64_t start, end;
  uint32_t is_known, walks;
};

static _Thread_local struct stack own_stack;

void call_site_set_up(uint64_t start, uint64_t end, uint64_t load_address, const struct functions *all) {
  code_start = start;
  code_end = end;
  load = load_address;
  functions = all;
}

const char *call_site_name(uint32_t operation) { return names[operation]; }

void call_site_checks(uint64_t *made, uint64_t *different) {
  *made = atomic_load(&checks);
  *different = atomic_load(&differences);
}

void call_site_forget(void) { atomic_flag_clear(&learning); }

static void find_stack(struct stack *stack) {
  stack->is_known = 1;
#ifdef __APPLE__
  stack->end = (uint64_t)pthread_get_stackaddr_np(pthread_self());
  stack->start = stack->end - pthread_get_stacksize_np(pthread_self());
#else
  void *base = NULL;
  size_t size = 0;
  pthread_attr_t attributes;
  int error = errno;
  if (!pthread_getattr_np(pthread_self(), &attributes)) {
    if (!pthread_attr_getstack(&attributes, &base, &size)) {
      stack->start = (uint64_t)base;
      stack->end = stack->start + size;
    }
    pthread_attr_destroy(&attributes);
  }
  errno = error;
#endif
}

static struct known *slot(uint64_t address, int insert) {
  uint64_t at = (address * 0x9e3779b97f4a7c15u) >> 51;
  for (int i = 0; i < PROBES; i++) {
    struct known *one = &known[(at + (uint64_t)i) % KNOWN_SIZE];
    uint64_t there = atomic_load_explicit(&one->address, memory_order_acquire);
    if (there == address || (!there && insert)) return one;
    if (!there) return NULL;
  }
  return NULL;
}

static uint64_t packed(uint64_t size, struct finding finding) {
  return size << 32 | (uint64_t)finding.meaning << 16 | finding.name;
}

static struct finding unpacked(uint64_t value) {
  return (struct finding){(enum meaning)((value >> 16) & 0xffff), (uint32_t)(value & 0xffff)};
}

/* With `learning` held. */
static uint32_t number_of(const char *name) {
  uint32_t count = atomic_load(&name_count);
  for (uint32_t i = 1; i < count; i++)
    if (!strcmp(names[i], name)) return i;
  if (!*name || count == MOST_OPERATIONS || !(names[count] = strdup(name))) return 0;
  atomic_store(&name_count, count + 1);
  return count;
}

/* Functions that are alike have one code: whoever is there may be any of them. */
static enum function_kind describe(const struct function *function, size_t count, char *name) {
  enum function_kind kind = FUNCTION_OTHER;
  for (size_t i = 0; i < count; i++) {
    char one[LONGEST_NAME];
    enum function_kind its = function_name(function[i].mangled, one, sizeof one);
    if (its > kind) kind = its;
    size_t used = strlen(name);
    if (strstr(name, one)) continue;
    if (used + strlen(" or ") + strlen(one) >= LONGEST_NAME) {
      strcpy(name, "several operations");
      break;
    }
    if (used) strcat(name, " or ");
    strcat(name, one);
  }
  return kind;
}

static struct finding finding_at(uint64_t address) {
  if (address < code_start || address >= code_end) return (struct finding){OUTSIDE, 0};
  size_t count;
  char name[LONGEST_NAME] = "";
  const struct function *function = functions_find(functions, address - 1 - load, &count);
  switch (describe(function, count, name)) {
    case FUNCTION_OPERATION: return (struct finding){OPERATION, number_of(name)};
    case FUNCTION_RUNNER: return (struct finding){RUNNER, 0};
    default: return (struct finding){GO_ON, number_of(name)};
  }
}

/* The whole walk, by the unwinder that exceptions use. */

struct walk {
  uint64_t first, last_frame;
  int begun, depth;
  struct known *last;
  uint32_t helper;
  struct finding found;
};

static void note_size(struct known *one, uint64_t size) {
  uint64_t value = atomic_load(&one->value);
  if (size >= 1 << 20 || (value >> 32 && value >> 32 != size)) size = VARIES;
  atomic_store(&one->value, packed(size, unpacked(value)));
}

/* With `learning` held. NULL where there is no more room. */
static struct known *learn(uint64_t address) {
  struct known *one = slot(address, 1);
  if (one && !atomic_load(&one->address)) {
    atomic_store(&one->value, packed(VARIES, finding_at(address)));
    atomic_store_explicit(&one->address, address, memory_order_release);
  }
  return one;
}

static _Unwind_Reason_Code visit(struct _Unwind_Context *context, void *argument) {
  struct walk *walk = argument;
  uint64_t address = (uint64_t)_Unwind_GetIP(context), frame = (uint64_t)_Unwind_GetCFA(context);
  if (!walk->begun && address != walk->first) return ++walk->depth < OURS ? _URC_NO_REASON : _URC_END_OF_STACK;
  if (!walk->begun) walk->depth = 0;
  if (walk->last) note_size(walk->last, frame - walk->last_frame);
  walk->begun = 1;
  walk->last_frame = frame;
  walk->last = learn(address);
  walk->found = walk->last ? unpacked(atomic_load(&walk->last->value)) : finding_at(address);
  if (walk->found.meaning != GO_ON || ++walk->depth == DEEPEST) return _URC_END_OF_STACK;
  if (walk->found.name) walk->helper = walk->found.name;
  return _URC_NO_REASON;
}

static uint32_t answer(struct finding found, uint32_t helper) {
  return found.meaning == OPERATION ? found.name : found.meaning == RUNNER ? helper : NO_OPERATION;
}

static uint32_t walk_in_full(uint64_t address) {
  struct walk walk = {.first = address, .found = {OUTSIDE, 0}};
  while (atomic_flag_test_and_set_explicit(&learning, memory_order_acquire)) sched_yield();
  _Unwind_Backtrace(visit, &walk);
  atomic_flag_clear_explicit(&learning, memory_order_release);
  return answer(walk.found, walk.helper);
}

/* The frame that called the one at `frame`, 0 where that is not known. */
static uint64_t next_frame(uint64_t frame, uint64_t size, const struct stack *stack) {
#if defined(__x86_64__)
  uint64_t next = frame + size;
  return size == VARIES || next > stack->end || next % 8 ? 0 : next;
#elif defined(__aarch64__) && defined(__APPLE__)
  /* Apple's calling convention chains all frames: the caller's frame, then the return address. */
  (void)size;
  uint64_t next = *(uint64_t *)frame;
  return next <= frame || next + 16 > stack->end || next % 8 ? 0 : next;
#else
  (void)frame;
  (void)stack;
  (void)size;
  return 0;
#endif
}

static uint64_t return_address(uint64_t frame) {
#if defined(__x86_64__)
  return *(uint64_t *)(frame - 8);
#else
  return *(uint64_t *)(frame + 8);
#endif
}

/* -1 where something on the way is not known. */
static int64_t walk_by_what_is_known(uint64_t frame, uint64_t address, const struct stack *stack) {
  if (frame < stack->start || frame >= stack->end) return -1;
  uint32_t helper = NO_OPERATION;
  for (int depth = 0; depth < DEEPEST; depth++) {
    struct known *one = slot(address, 0);
    if (!one) return -1;
    uint64_t value = atomic_load_explicit(&one->value, memory_order_acquire);
    struct finding found = unpacked(value);
    if (found.meaning != GO_ON) return answer(found, helper);
    if (found.name) helper = found.name;
    frame = next_frame(frame, value >> 32, stack);
    if (!frame) return -1;
    address = return_address(frame);
  }
  return -1;
}

uint32_t call_site_operation(void *frame, void *address) {
  struct stack *stack = &own_stack;
  if (!stack->is_known) find_stack(stack);
  int64_t found = walk_by_what_is_known((uint64_t)frame, (uint64_t)address, stack);
  if (found < 0) {
    found = walk_in_full((uint64_t)address);
  } else if (++stack->walks % CHECK_EVERY == 0) {
    int64_t again = walk_in_full((uint64_t)address);
    atomic_fetch_add(&checks, 1);
    if (again != found) atomic_fetch_add(&differences, 1);
    found = again;
  }
  return (uint32_t)found;
}
