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
    unsigned long size = 0;
    const uint8_t *code = getsectiondata(image, "__TEXT", "__text", &size);
    if (!code) return -1;
    library->load_address = (uint64_t)image;
    library->code_start = (uint64_t)code;
    library->code_end = library->code_start + size;
    return 0;
  }
  return -1;
}
#else
static int look(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size;
  struct library *library = context;
  if (!take_path(library, info->dlpi_name)) return 0;
  library->load_address = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    library->code_start = info->dlpi_addr + part->p_vaddr;
    library->code_end = library->code_start + part->p_memsz;
  }
  return 1;
}

int library_locate(struct library *library) {
  dl_iterate_phdr(look, library);
  return library->code_start ? 0 : -1;
}
#endif
