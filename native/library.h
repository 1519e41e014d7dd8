/* MLX's library in this process: its allocator, its counters, its functions. */
#ifndef MLXTOP_LIBRARY_H
#define MLXTOP_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "functions.h"

/* A function may be there for more than one class. */
struct candidates {
  uint64_t addresses[8];
  int count;
};

struct library {
  char path[4096];
  uint64_t load_address, code_start, code_end;
  /* What of it in memory says which file it came from: the headers. */
  const void *headers;
  size_t headers_size;
  struct functions functions;
  /* Addresses relative to `load_address`; 0 where there is no such function. */
  uint64_t allocator, active_memory, peak_memory;
  struct candidates malloc, free, size, make_buffer, release;
  /* Memory is handed out by other means, too. */
  int has_other_ways;
};

/* Reads the symbols of the file at `path`. 0, or -1 where it has none. */
int library_read(struct library *library, const char *path);

/* How many of the eight functions that a trace needs were found. Before MLX 0.30 there were six. */
int library_functions(const struct library *library);

/* Whether the file that was read is the one that was loaded: another version may have been installed meanwhile. */
int library_is_the_loaded_one(const struct library *library);

/* How many functions the class has whose table of functions is at `table`; 0 where no class's is. */
size_t library_table_size(const struct library *library, void *const *table);

/* Finds MLX's library among those that this process has loaded, and its file. 0, or -1 where it has none. */
int library_locate(struct library *library);

#endif
