/* The functions of a library, read from the symbol table of its file (ELF or Mach-O, 64 bits). */
#ifndef MLXTOP_SYMBOLS_H
#define MLXTOP_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct symbols {
  const uint8_t *bytes;
  size_t size;
};

/* A symbol of `size` bytes (0 where the table does not say) at `address`, relative to where the library is loaded. */
typedef void symbol_visitor(void *context, const char *name, uint64_t address, uint64_t size);

/* Maps the file, until `symbols_close`: names lie in it. Both return 0, or -1 where it cannot be read or has none. */
int symbols_open(struct symbols *symbols, const char *path);
int symbols_visit(const struct symbols *symbols, symbol_visitor *visit, void *context);

void symbols_close(struct symbols *symbols);

#endif
