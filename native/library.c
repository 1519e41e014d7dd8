#define _GNU_SOURCE
#include "library.h"

#include <string.h>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#include <mach-o/getsect.h>
#else
#include <link.h>
#endif

static int ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && !strcmp(name + length - tail, end);
}

static void add(struct candidates *candidates, uint64_t address) {
  int room = sizeof candidates->addresses / sizeof *candidates->addresses;
  if (candidates->count < room) candidates->addresses[candidates->count++] = address;
}

/* One of an allocator's own functions, whatever the class is called: `…Allocator6mallocEm`. A name that was there
   before is `S1_` or `S0_` in a mangled name, by how deep the class lies. */
static void note_allocator(struct library *library, const char *name, uint64_t address) {
  if (strstr(name, "13CudaAllocator") || strstr(name, "12malloc_async")) library->has_other_ways = 1;
  const char *method = strstr(name, "Allocator");
  if (!method || (strncmp(name, "_ZN3mlx4core", 12) && strncmp(name, "_ZNK3mlx4core", 13))) return;
  method += strlen("Allocator");
  if (!strcmp(method, "6mallocEm")) add(&library->malloc, address);
  else if (!strcmp(method, "11make_bufferEPvm")) add(&library->make_buffer, address);
  else if (!ends_with(method, "6BufferE")) return;
  else if (!strncmp(method, "4freeE", 6)) add(&library->free, address);
  else if (!strncmp(method, "4sizeE", 6)) add(&library->size, address);
  else if (!strncmp(method, "7releaseE", 9)) add(&library->release, address);
}

int library_read(struct library *library, const char *path) {
  if (functions_read(&library->functions, path)) return -1;
  for (size_t i = 0; i < library->functions.count; i++) {
    const struct function *one = &library->functions.all[i];
    if (!strcmp(one->mangled, "_ZN3mlx4core9allocator9allocatorEv")) library->allocator = one->start;
    else if (!strcmp(one->mangled, "_ZN3mlx4core17get_active_memoryEv")) library->active_memory = one->start;
    else if (!strcmp(one->mangled, "_ZN3mlx4core15get_peak_memoryEv")) library->peak_memory = one->start;
    else note_allocator(library, one->mangled, one->start);
  }
  return 0;
}

int library_functions(const struct library *library) {
  return (library->allocator != 0) + (library->active_memory != 0) + (library->peak_memory != 0) +
         (library->malloc.count != 0) + (library->free.count != 0) + (library->size.count != 0) +
         (library->make_buffer.count != 0) + (library->release.count != 0);
}

size_t library_table_size(const struct library *library, void *const *table) {
  enum { ABOVE = 2 };
  size_t count;
  uint64_t address = (uint64_t)(table - ABOVE) - library->load_address;
  const struct function *found = functions_find(&library->functions, address, &count);
  if (!count || found->start != address || strncmp(found->mangled, "_ZTV", 4)) return 0;
  return (found->end - found->start) / sizeof *table - ABOVE;
}

/* The name that MLX's library has on this system; 0 where `path` is none of it. */
static int take_path(struct library *library, const char *path) {
#ifdef __APPLE__
  static const char *const NAME = "/libmlx.dylib";
#else
  static const char *const NAME = "/libmlx.so";
#endif
  if (!path || !ends_with(path, NAME) || strlen(path) >= sizeof library->path) return 0;
  strcpy(library->path, path);
  return 1;
}

#ifdef __APPLE__
int library_locate(struct library *library) {
  for (uint32_t i = 0; i < _dyld_image_count(); i++) {
    if (!take_path(library, _dyld_get_image_name(i))) continue;
    const struct mach_header_64 *image = (const void *)_dyld_get_image_header(i);
    if (!image) return -1;
    unsigned long size = 0;
    const uint8_t *code = getsectiondata(image, "__TEXT", "__text", &size);
    if (!code) return -1;
    library->load_address = (uint64_t)image;
    library->headers = image;
    library->headers_size = sizeof *image + image->sizeofcmds;
    library->code_start = (uint64_t)code;
    library->code_end = library->code_start + size;
    return 0;
  }
  return -1;
}

int library_is_the_loaded_one(const struct library *library) {
  /* The file's identity is one of the commands. */
  const struct symbols *file = &library->functions.symbols;
  return file->size >= library->headers_size && !memcmp(file->bytes, library->headers, library->headers_size);
}
#else
static int look(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct library *library = context;
  if (!take_path(library, info->dlpi_name)) return 0;
  library->load_address = info->dlpi_addr;
  library->headers = info->dlpi_phdr;
  library->headers_size = info->dlpi_phnum * sizeof(ElfW(Phdr));
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    library->code_start = info->dlpi_addr + part->p_vaddr;
    library->code_end = library->code_start + part->p_memsz;
  }
  return 1;
}

static int is_in_file(const struct symbols *file, uint64_t offset, const void *bytes, uint64_t size) {
  return offset <= file->size && size <= file->size - offset && !memcmp(file->bytes + offset, bytes, size);
}

int library_is_the_loaded_one(const struct library *library) {
  const struct symbols *file = &library->functions.symbols;
  uint64_t at = ((const ElfW(Ehdr) *)(const void *)file->bytes)->e_phoff;
  if (!is_in_file(file, at, library->headers, library->headers_size)) return 0;
  const ElfW(Phdr) *parts = library->headers;
  for (size_t i = 0; i < library->headers_size / sizeof *parts; i++) {
    /* The linker's number of this build is a note. */
    const void *loaded = (const void *)(library->load_address + parts[i].p_vaddr);
    if (parts[i].p_type == PT_NOTE && !is_in_file(file, parts[i].p_offset, loaded, parts[i].p_filesz)) return 0;
  }
  return 1;
}

int library_locate(struct library *library) {
  dl_iterate_phdr(look, library);
  return library->code_start ? 0 : -1;
}
#endif
