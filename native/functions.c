#include "functions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char NAMESPACE[] = "N3mlx4core";
static const char *const METHODS[] = {"8eval_cpu", "8eval_gpu", "4evalERK"};
static const char *const RUNNERS[] = {
    "_ZN3mlx4core3cpu4evalERNS0_5arrayE",
    "_ZN3mlx4core3gpu4evalERNS0_5arrayE",
    "_ZN3mlx4core9scheduler12StreamThread9thread_fnEv",
};
static const char OPERATION_ARGUMENT[] = "6detail";

/* A name in a mangled one: its length in digits, then itself. NULL where there is none. */
static const char *identifier(const char *at, const char **name, size_t *length) {
  char *after;
  if (*at < '1' || *at > '9') return NULL;
  *length = strtoul(at, &after, 10);
  if (strlen(after) < *length) return NULL;
  *name = after;
  return after + *length;
}

static void append(char *text, size_t room, const char *part, size_t length) {
  size_t used = strlen(text);
  snprintf(text + used, room - used, "%s%.*s", used ? "::" : "", (int)length, part);
}

/* The classes around the method that ends at `end`. */
static void class_name(const char *at, const char *end, char *name, size_t room) {
  const char *part;
  size_t length;
  while (at && at < end && (at = identifier(at, &part, &length))) append(name, room, part, length);
}

/* `binary_op_cpu<detail::Add>` is made for Add; `copy_cpu` serves several operations. */
static void helper_name(const char *at, char *name, size_t room) {
  const char *part = NULL, *next;
  size_t length = 0;
  while ((next = identifier(at, &part, &length))) at = next;
  const char *argument = *at == 'I' ? strstr(at, OPERATION_ARGUMENT) : NULL;
  if (argument && identifier(argument + sizeof OPERATION_ARGUMENT - 1, &part, &length))
    snprintf(name, room, "%.*s", (int)length, part);
  else if (part) snprintf(name, room, "%.*s()", (int)length, part);
}

enum function_kind function_name(const char *mangled, char *name, size_t room) {
  name[0] = 0;
  for (size_t i = 0; i < sizeof RUNNERS / sizeof *RUNNERS; i++)
    if (!strcmp(mangled, RUNNERS[i])) return FUNCTION_RUNNER;
  const char *begin = strstr(mangled, NAMESPACE);
  if (!begin) return FUNCTION_OTHER;
  begin += sizeof NAMESPACE - 1;
  for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
    const char *method = strstr(begin, METHODS[i]);
    if (!method || method == begin) continue;
    class_name(begin, method, name, room);
    return FUNCTION_OPERATION;
  }
  /* Part of how work is handed on, not of the work. */
  if (!strncmp(begin, "9scheduler", 10) || !strncmp(begin, "9allocator", 10)) return FUNCTION_OTHER;
  helper_name(begin, name, room);
  return FUNCTION_OTHER;
}

/* The table */

struct adding {
  struct function *all;
  size_t count, capacity;
};

static void add(void *context, const char *name, uint64_t address, uint64_t size) {
  struct adding *adding = context;
  if (adding->count == adding->capacity) {
    size_t capacity = adding->capacity ? adding->capacity * 2 : 16384;
    struct function *all = realloc(adding->all, capacity * sizeof *all);
    if (!all) return;
    adding->all = all;
    adding->capacity = capacity;
  }
  adding->all[adding->count++] = (struct function){address, size ? address + size : 0, name};
}

static int by_start(const void *a, const void *b) {
  uint64_t x = ((const struct function *)a)->start, y = ((const struct function *)b)->start;
  return (x > y) - (x < y);
}

int functions_read(struct functions *functions, const char *path) {
  struct adding adding = {0};
  if (symbols_open(&functions->symbols, path)) return -1;
  if (symbols_visit(&functions->symbols, add, &adding)) {
    symbols_close(&functions->symbols);
    return -1;
  }
  qsort(adding.all, adding.count, sizeof *adding.all, by_start);
  /* Mach-O gives no sizes: a function ends where the next one begins. */
  uint64_t next = UINT64_MAX;
  for (size_t i = adding.count; i-- > 0;) {
    struct function *one = &adding.all[i];
    if (i + 1 < adding.count && one[1].start > one->start) next = one[1].start;
    if (!one->end) one->end = next;
  }
  functions->all = adding.all;
  functions->count = adding.count;
  return 0;
}

const struct function *functions_find(const struct functions *functions, uint64_t address, size_t *count) {
  size_t low = 0, high = functions->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (functions->all[middle].start > address) high = middle;
    else low = middle + 1;
  }
  *count = 0;
  if (!low || address >= functions->all[low - 1].end) return NULL;
  const struct function *first = &functions->all[low - 1];
  for (*count = 1; first > functions->all && first[-1].start == first->start; first--) ++*count;
  return first;
}

void functions_free(struct functions *functions) {
  free(functions->all);
  symbols_close(&functions->symbols);
  *functions = (struct functions){0};
}
