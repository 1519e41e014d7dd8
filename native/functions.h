/* MLX's functions by address, and what their mangled names say. */
#ifndef MLXTOP_FUNCTIONS_H
#define MLXTOP_FUNCTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "symbols.h"

struct function {
  uint64_t start, end;
  const char *mangled;
};

struct functions {
  struct symbols symbols;
  struct function *all;
  size_t count;
};

enum function_kind {
  FUNCTION_OTHER,
  /* `X::eval_cpu`, `X::eval_gpu`, or `X::eval`, which both call. */
  FUNCTION_OPERATION,
  /* What calls an operation, or runs a part of one on a stream's thread: the end of the search. */
  FUNCTION_RUNNER,
};

/* Reads the library's file, which stays mapped: names are read from it. 0, or -1 where it has no symbols. */
int functions_read(struct functions *functions, const char *path);

/* The functions that hold the code at `address`: `*count` of them, where several are alike and share it. */
const struct function *functions_find(const struct functions *functions, uint64_t address, size_t *count);

/* What a function is, and its name: `fast::RMSNorm` of an operation; of another function `copy_cpu()`, or `Exp` where
   it is a template made for that operation. Empty where the name says nothing. */
enum function_kind function_name(const char *mangled, char *name, size_t room);

void functions_free(struct functions *functions);

#endif
