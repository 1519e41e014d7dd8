#include "symbols.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Both formats are read on both systems: a Mac's library is looked at in tests on Linux. */

static int has(const struct symbols *image, uint64_t offset, uint64_t size) {
  return offset <= image->size && size <= image->size - offset;
}

static const char *name_at(const struct symbols *image, uint64_t strings, uint64_t strings_size, uint64_t index) {
  if (index >= strings_size || !has(image, strings, strings_size)) return NULL;
  const char *name = (const char *)image->bytes + strings + index;
  return memchr(name, 0, strings_size - index) ? name : NULL;
}

/* ELF: the fields used, as the System V ABI lays them out. */

struct elf_header {
  uint8_t ident[16];
  uint16_t type, machine;
  uint32_t version;
  uint64_t entry, program_offset, section_offset;
  uint32_t flags;
  uint16_t header_size, program_size, program_count, section_size, section_count, names_index;
};

struct elf_section {
  uint32_t name, type;
  uint64_t flags, address, offset, size;
  uint32_t link, info;
  uint64_t align, entry_size;
};

struct elf_symbol {
  uint32_t name;
  uint8_t info, other;
  uint16_t section;
  uint64_t value, size;
};

enum { ELF_SYMBOL_TABLE = 2, ELF_OBJECT = 1, ELF_FUNCTION = 2 };

static int visit_elf(const struct symbols *image, symbol_visitor *visit, void *context) {
  const struct elf_header *header = (const void *)image->bytes;
  if (!has(image, 0, sizeof *header) || header->section_size != sizeof(struct elf_section)) return -1;
  uint64_t table = header->section_offset;
  if (!has(image, table, (uint64_t)header->section_count * sizeof(struct elf_section))) return -1;
  const struct elf_section *sections = (const void *)(image->bytes + table);
  for (int i = 0; i < header->section_count; i++) {
    const struct elf_section *at = &sections[i];
    if (at->type != ELF_SYMBOL_TABLE || at->link >= header->section_count) continue;
    if (!has(image, at->offset, at->size)) return -1;
    const struct elf_section *strings = &sections[at->link];
    const struct elf_symbol *symbols = (const void *)(image->bytes + at->offset);
    for (uint64_t n = 0; n < at->size / sizeof *symbols; n++) {
      const char *name = name_at(image, strings->offset, strings->size, symbols[n].name);
      int kind = symbols[n].info & 15;
      if (name && symbols[n].section && (kind == ELF_FUNCTION || kind == ELF_OBJECT))
        visit(context, name, symbols[n].value, symbols[n].size);
    }
    return 0;
  }
  return -1;
}

/* Mach-O: the fields used, as <mach-o/loader.h> and <mach-o/nlist.h> lay them out. */

enum { MACHO_MAGIC = 0xfeedfacf, MACHO_SYMBOLS = 2, MACHO_SEGMENT = 0x19, MACHO_KIND = 0x0e, MACHO_IN_SECTION = 0x0e };

struct macho_header {
  uint32_t magic, cpu, subtype, type, command_count, commands_size, flags, reserved;
};

struct macho_command {
  uint32_t kind, size;
};

struct macho_symbols {
  struct macho_command command;
  uint32_t symbols, count, strings, strings_size;
};

struct macho_segment {
  struct macho_command command;
  char name[16];
  uint64_t address, size, offset, file_size;
};

struct macho_symbol {
  uint32_t name;
  uint8_t type, section;
  uint16_t description;
  uint64_t value;
};

static int visit_macho(const struct symbols *image, symbol_visitor *visit, void *context) {
  const struct macho_header *header = (const void *)image->bytes;
  const struct macho_symbols *table = NULL;
  uint64_t offset = sizeof *header, text = 0;
  for (uint32_t i = 0; i < header->command_count; i++) {
    const struct macho_command *command = (const void *)(image->bytes + offset);
    if (!has(image, offset, sizeof *command) || !has(image, offset, command->size) || !command->size) return -1;
    const struct macho_segment *segment = (const void *)command;
    if (command->kind == MACHO_SYMBOLS) table = (const void *)command;
    if (command->kind == MACHO_SEGMENT && !strcmp(segment->name, "__TEXT")) text = segment->address;
    offset += command->size;
  }
  if (!table || !has(image, table->symbols, (uint64_t)table->count * sizeof(struct macho_symbol))) return -1;
  const struct macho_symbol *symbols = (const void *)(image->bytes + table->symbols);
  for (uint32_t n = 0; n < table->count; n++) {
    const char *name = name_at(image, table->strings, table->strings_size, symbols[n].name);
    if (!name || (symbols[n].type & 0xe0) || (symbols[n].type & MACHO_KIND) != MACHO_IN_SECTION) continue;
    /* C++ names have an underscore more there. */
    visit(context, name[0] == '_' ? name + 1 : name, symbols[n].value - text, 0);
  }
  return 0;
}

int symbols_open(struct symbols *symbols, const char *path) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return -1;
  struct stat status;
  void *bytes = MAP_FAILED;
  if (!fstat(file, &status) && status.st_size > (off_t)sizeof(struct macho_header)) {
    symbols->size = (size_t)status.st_size;
    bytes = mmap(NULL, symbols->size, PROT_READ, MAP_PRIVATE, file, 0);
  }
  close(file);
  if (bytes == MAP_FAILED) return -1;
  symbols->bytes = bytes;
  return 0;
}

int symbols_visit(const struct symbols *symbols, symbol_visitor *visit, void *context) {
  if (!memcmp(symbols->bytes, "\177ELF\2\1", 6)) return visit_elf(symbols, visit, context);
  if (*(const uint32_t *)symbols->bytes == MACHO_MAGIC) return visit_macho(symbols, visit, context);
  return -1;
}

void symbols_close(struct symbols *symbols) {
  if (symbols->bytes) munmap((void *)symbols->bytes, symbols->size);
  *symbols = (struct symbols){0};
}
