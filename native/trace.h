/* mlxtop's trace of MLX's allocations: what the Python side calls, by ctypes. No Python API is used here.

   A sentence that is returned says why something cannot be done; NULL stands for success. */
#ifndef MLXTOP_TRACE_H
#define MLXTOP_TRACE_H

#include <stddef.h>
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

struct trace_counters {
  int64_t active;
  uint64_t peak;
  int64_t buffers;
  uint64_t allocations, events, lost, walks_checked, walks_different;
};

/* Why the MLX that this process has loaded cannot be traced. Changes nothing. */
EXPORTED const char *mlxtop_trace_refusal(void);

/* Starts; `mlxtop_trace_settle` says afterwards whether the sums are MLX's. `mlx` names MLX's version and backend, `command` is `command_size` bytes with a 0 after each argument. */
EXPORTED const char *mlxtop_trace_start(
    const char *path, uint64_t events, uint64_t min_size, const char *mlx, const char *command, size_t command_size);

/* Compares MLX's sum with ours at a moment when no thread is in between. `*difference` is what MLX had more, and what
   counts from now on as allocated before. 0 where there was no such moment soon. */
EXPORTED int mlxtop_trace_settle(int64_t *difference);

/* Puts back MLX's own functions and closes the file. */
EXPORTED void mlxtop_trace_stop(struct trace_counters *last);

EXPORTED int mlxtop_trace_is_on(void);
EXPORTED void mlxtop_trace_read(struct trace_counters *counters);

/* The id of a text in the trace, 0 where it has no room. */
EXPORTED uint32_t mlxtop_trace_text(const char *text, size_t size);

/* A step of this thread begins, of which `text` tells the line. Returns what its end needs: its number's lower half, and
   in 32 bits the text before. */
EXPORTED uint64_t mlxtop_trace_begin(uint32_t text, uint64_t number);
EXPORTED void mlxtop_trace_end(uint64_t begun);
EXPORTED void mlxtop_trace_phase(uint32_t text);

/* For tests: what is found in a library's file: the operations, and how many of the eight functions needed. */
EXPORTED int mlxtop_trace_inspect(const char *path, uint64_t *operations, uint64_t *functions);

#endif
