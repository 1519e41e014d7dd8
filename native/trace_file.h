/* The trace file, version 1: what lies where. docs/reference/trace-file.md says it in words. Little-endian. */
#ifndef MLXTOP_TRACE_FILE_H
#define MLXTOP_TRACE_FILE_H

#include <stdatomic.h>
#include <stdint.h>

enum { TRACE_VERSION = 1, HEADER_SIZE = 4096, CLOSED_CLEANLY = 1 };
enum { BEFORE_SITE = 0, OVERFLOW_SITE = 1, FIRST_SITE = 2 };
enum { PEAK_PAIR = 2 };

enum event_kind { EVENT_NONE, EVENT_ALLOCATED, EVENT_FREED, EVENT_STEP_BEGINS, EVENT_STEP_ENDS, EVENT_PHASE };

struct trace_header {
  char magic[8];
  uint32_t version, header_size;
  uint64_t file_size;
  _Atomic uint64_t flags;
  uint64_t pid;
  uint64_t origin_monotonic_ns, origin_wall_ns;
  uint64_t min_size;
  uint64_t strings_offset, strings_capacity;
  _Atomic uint64_t strings_used;
  uint64_t sites_offset, sites_capacity;
  _Atomic uint64_t sites_used;
  uint64_t live_offset, live_capacity;
  uint64_t peaks_offset, peaks_capacity;
  _Atomic uint64_t peaks_written;
  uint64_t peak_slot_size;
  uint64_t ring_offset, ring_capacity;
  _Atomic uint64_t ring_written;
  _Atomic int64_t active;
  _Atomic uint64_t peak;
  _Atomic int64_t before;
  uint64_t unused;
  _Atomic uint64_t allocations, allocated_bytes, frees;
  _Atomic uint64_t lost;
  _Atomic uint64_t peak_time_ns;
  char mlx[128];
  char command[3000];
  /* Since mlxtop 0.2: 0 in older files. */
  _Atomic int64_t most_buffers;
};

struct site {
  uint32_t operation, context;
  /* What is alive is the difference: that way each change adds to two sums only. */
  _Atomic uint64_t freed_bytes, freed_count, allocated_bytes, allocated_count;
  uint64_t reserved[3];
};

struct live_slot {
  uint64_t address, size, time_ns;
  uint32_t site, thread;
};

struct peak_site {
  int64_t bytes, buffers;
};

struct peak_slot {
  _Atomic uint64_t sequence;
  uint64_t time_ns, bytes, ring_written, site_count, step, reserved[2];
  struct peak_site sites[];
};

struct event {
  uint64_t time_ns, address, size;
  uint32_t site;
  uint16_t thread;
  /* Kind in the low byte, lap in the high one: written last, so that a torn event is known. */
  _Atomic uint16_t kind_and_lap;
};

_Static_assert(sizeof(struct trace_header) <= HEADER_SIZE, "the header has a page");
_Static_assert(sizeof(struct site) == 64, "as the format says");
_Static_assert(sizeof(struct live_slot) == 32, "as the format says");
_Static_assert(sizeof(struct event) == 32, "as the format says");
_Static_assert(sizeof(struct peak_slot) == 64, "as the format says");

#endif
