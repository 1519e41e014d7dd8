/* What a trace keeps: the live buffers, sums by site, compositions of peaks, the last events. All of it lies in the
   mapped file. Any thread may call; nothing here allocates or waits but for a few instructions of another thread. */
#ifndef MLXTOP_STORE_H
#define MLXTOP_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "trace_file.h"

struct store_options {
  const char *path;
  uint64_t events;
  uint64_t min_size;
  const char *mlx;
  const char *command;
  size_t command_size;
};

#define NO_ROOM UINT32_MAX

/* Creates the file, whole on the disk, and starts empty. NULL, or a sentence that says what failed. */
const char *store_open(const struct store_options *options);

/* `bytes` more were alive already when the trace began. */
void store_add_before(int64_t bytes);

/* Closes the file. Whoever is still writing writes to memory that nobody reads. */
void store_close(void);

/* In a fork's child: forgets the file of a trace that is on, which is the parent's, and who held locks. */
void store_forget(int is_on);

struct trace_header *store_header(void);
uint64_t store_now(void);

/* How many buffers were allocated since the trace began, and how many of those are alive. */
uint64_t store_allocations(void);
uint64_t store_buffers(void);

/* The number of this thread, from 1 on, and how many there are. */
uint32_t store_thread(void);
uint32_t store_threads(void);

/* The text's id, NO_ROOM where the file is full of texts. A site with NO_ROOM is the one of all that have none. */
uint32_t store_string(const char *text, size_t size);
uint32_t store_site(uint32_t operation, uint32_t context);
/* Has the processor fetch what the next call needs of this buffer, while the caller does other work. */
void store_expect(uint64_t address);
/* `peak` is what MLX says its peak is, 0 where that is not of this trace. */
void store_allocated(uint64_t address, uint64_t size, uint32_t site, uint64_t peak);
void store_freed(uint64_t address, uint64_t size);
void store_event(enum event_kind kind, uint64_t address, uint64_t size, uint32_t site);

/* Keeps what is alive, if it is the peak and was not kept yet. */
void store_keep_peak(void);

#endif
