/* Which operation of MLX's asks for memory, by the return addresses on the stack. */
#ifndef MLXTOP_CALL_SITE_H
#define MLXTOP_CALL_SITE_H

#include <stdint.h>

struct functions;

enum { NO_OPERATION = 0, MOST_OPERATIONS = 4096 };

/* Before the first trace: where MLX's code is, and its functions. */
void call_site_set_up(uint64_t start, uint64_t end, uint64_t load_address, const struct functions *functions);

/* The number of the innermost operation on the stack, NO_OPERATION outside of one. Where an operation's function has
   left the stack by a jump to one that serves it, that one counts.
   Call it as `call_site_operation(CALLER_FRAME, __builtin_return_address(0))` in a function that is not inlined. */
uint32_t call_site_operation(void *frame, void *address);

/* The name of the operation with that number. */
const char *call_site_name(uint32_t operation);

#if defined(__x86_64__)
#define CALLER_FRAME __builtin_dwarf_cfa()
#else
#define CALLER_FRAME __builtin_frame_address(0)
#endif

/* In a fork's child: no other thread is at it there. */
void call_site_forget(void);

/* How many walks were made again in full and compared, and how many of these gave another answer. */
void call_site_checks(uint64_t *made, uint64_t *different);

#endif
