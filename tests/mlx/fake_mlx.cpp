// A library of MLX's shape: its allocator, its counters, and operations that ask for memory. Sizes are told, not taken.
// Compiled as libmlx.so. What is defined makes another MLX of it: ORDER_DIFFERS, ANOTHER_CLASS, ALLOCATES_ASIDE,
// WITHOUT_MAKE_BUFFER (as before 0.30), MORE_FUNCTIONS.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <pthread.h>
#include <sched.h>
#include <stdexcept>
#include <string>

namespace mlx::core {

namespace allocator {

class Buffer {
  void* ptr_;

 public:
  explicit Buffer(void* ptr) : ptr_(ptr) {}
  void* ptr() const { return ptr_; }
};

class Allocator {
 public:
#ifdef ORDER_DIFFERS
  virtual void free(Buffer buffer) = 0;
  virtual Buffer malloc(size_t size) = 0;
#else
  virtual Buffer malloc(size_t size) = 0;
  virtual void free(Buffer buffer) = 0;
#endif
  virtual size_t size(Buffer buffer) const = 0;
#ifndef WITHOUT_MAKE_BUFFER
  virtual Buffer make_buffer(void* ptr, size_t size);
  virtual void release(Buffer buffer);
#endif
#ifdef MORE_FUNCTIONS
  virtual int more() { return 1; }
  virtual int still_more() { return 42; }
#endif
  virtual ~Allocator() = default;
};

#ifndef WITHOUT_MAKE_BUFFER
Buffer Allocator::make_buffer(void*, size_t) { return Buffer{nullptr}; }
void Allocator::release(Buffer) {}
#endif

Allocator& allocator();

} // namespace allocator

using allocator::Buffer;

#ifdef ANOTHER_CLASS
#define CLASS StrangeAllocator
#else
#define CLASS CommonAllocator
#endif

// No lock of the system's: a sanitizer would take it for what keeps the trace in order.
static char busy;
static void lock() {
  while (__atomic_test_and_set(&busy, __ATOMIC_ACQUIRE)) sched_yield();
}
static void unlock() { __atomic_clear(&busy, __ATOMIC_RELEASE); }
// A child of MLX's own would hang where a fork meets its lock: not what is tried here.
__attribute__((constructor)) static void free_in_child() { pthread_atfork(lock, unlock, unlock); }

static size_t active, peak;
static constexpr size_t LIMIT = size_t(1) << 40;

class CLASS : public allocator::Allocator {
  static void* make(size_t size) {
    if (size > LIMIT) throw std::runtime_error("[metal::malloc] Resource limit (1) exceeded.");
    auto* header = static_cast<size_t*>(std::malloc(sizeof(size_t)));
    *header = size;
    lock();
    active += size;
    if (active > peak) peak = active;
    unlock();
    return header;
  }
  static void end(void* buffer) {
    if (!buffer) return;
    lock();
    active -= *static_cast<size_t*>(buffer);
    unlock();
    std::free(buffer);
  }

 public:
  Buffer malloc(size_t size) override;
  void free(Buffer buffer) override;
  size_t size(Buffer buffer) const override;
#ifndef WITHOUT_MAKE_BUFFER
  Buffer make_buffer(void* ptr, size_t size) override;
  void release(Buffer buffer) override;
#endif
};

Buffer CLASS::malloc(size_t size) { return Buffer{make(size)}; }
void CLASS::free(Buffer buffer) { end(buffer.ptr()); }
size_t CLASS::size(Buffer buffer) const { return buffer.ptr() ? *static_cast<size_t*>(buffer.ptr()) : 0; }
#ifndef WITHOUT_MAKE_BUFFER
Buffer CLASS::make_buffer(void*, size_t size) { return Buffer{make(size)}; }
void CLASS::release(Buffer buffer) { end(buffer.ptr()); }
#endif

#ifdef ALLOCATES_ASIDE
void* malloc_async(size_t size) { return std::malloc(size); }
#endif

allocator::Allocator& allocator::allocator() {
  static CLASS one;
  return one;
}

size_t get_active_memory() {
  lock();
  size_t now = active;
  unlock();
  return now;
}

size_t get_peak_memory() {
  lock();
  size_t now = peak;
  unlock();
  return now;
}

void reset_peak_memory() {
  lock();
  peak = 0;
  unlock();
}

// Operations

struct Primitive {
  size_t size;
  virtual void* eval_cpu() = 0;
  virtual ~Primitive() = default;
};

struct array {
  Primitive* primitive;
  void* data;
};

#define NOINLINE __attribute__((noinline))
NOINLINE void* take(size_t size) {
  Buffer buffer = allocator::allocator().malloc(size);
  asm volatile("");
  return buffer.ptr();
}

// An operation that leaves the stack for this: a jump is all that is left of the call.
NOINLINE void* copy_cpu(size_t size) {
  void* taken = take(size);
  asm volatile("");
  return taken;
}

#define OPERATION(NAME) struct NAME : Primitive { void* eval_cpu() override; }
OPERATION(Add);
OPERATION(Outer);
OPERATION(Tail);
OPERATION(Aligned);
OPERATION(Varying);
namespace fast { OPERATION(RMSNorm); }

NOINLINE void* Add::eval_cpu() {
  void* taken = take(size);
  asm volatile("");
  return taken;
}

NOINLINE void* fast::RMSNorm::eval_cpu() {
  void* taken = take(size);
  asm volatile("");
  return taken;
}

// The inner one's memory is the inner one's.
NOINLINE void* Outer::eval_cpu() {
  fast::RMSNorm inner;
  inner.size = size;
  void* taken = inner.eval_cpu();
  asm volatile("");
  return taken;
}

NOINLINE void* Tail::eval_cpu() { return copy_cpu(size); }

// Frames that are not always of one size.
NOINLINE void* Aligned::eval_cpu() {
  alignas(64) volatile char room[64] = {1};
  void* taken = take(size + room[1]);
  asm volatile("" ::"r"(room) : "memory");
  return taken;
}

NOINLINE void* Varying::eval_cpu() {
  auto* room = static_cast<volatile char*>(__builtin_alloca(size % 7 * 48 + 16));
  room[0] = 0;
  void* taken = take(size + room[0]);
  asm volatile("" ::"r"(room) : "memory");
  return taken;
}

namespace cpu {
NOINLINE void eval(array& arr) {
  arr.data = arr.primitive->eval_cpu();
  asm volatile("");
}
} // namespace cpu

} // namespace mlx::core

// What a program calls.

using namespace mlx::core;

template <typename T>
static void* run(size_t size) {
  T operation;
  operation.size = size;
  array arr{&operation, nullptr};
  cpu::eval(arr);
  return arr.data;
}

extern "C" {

enum { OPERATIONS = 6 };
void* fake_run(int operation, size_t size) {
  switch (operation) {
    case 0: return run<Add>(size);
    case 1: return run<Outer>(size);
    case 2: return run<Tail>(size);
    case 3: return run<Aligned>(size);
    case 4: return run<Varying>(size);
    default: return take(size);
  }
}

void fake_free(void* buffer) { allocator::allocator().free(Buffer{buffer}); }

// 1 where the exception of MLX's arrived.
int fake_fail(size_t size) {
  try {
    fake_run(0, size);
  } catch (const std::runtime_error& error) {
    return std::string(error.what()).find("exceeded") != std::string::npos;
  }
  return 0;
}

#ifndef WITHOUT_MAKE_BUFFER
void* fake_make_buffer(size_t size) { return allocator::allocator().make_buffer(nullptr, size).ptr(); }
void fake_release(void* buffer) { allocator::allocator().release(Buffer{buffer}); }
#else
void* fake_make_buffer(size_t) { return nullptr; }
void fake_release(void*) {}
#endif

#ifdef MORE_FUNCTIONS
int fake_more() { return allocator::allocator().still_more(); }
#else
int fake_more() { return 42; }
#endif

// The table of functions that the allocator has now.
void* fake_table() { return *reinterpret_cast<void**>(&allocator::allocator()); }
}
