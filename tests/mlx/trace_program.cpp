// A program that uses the fake MLX and traces itself: each part by name. Prints what a test compares.
// With a sanitizer it is the program that the sanitizer watches.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <string>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

extern "C" {
#define EXPORTED
struct trace_counters {
  int64_t active;
  uint64_t peak;
  int64_t buffers;
  uint64_t allocations, events, lost, walks_checked, walks_different;
};
const char* mlxtop_trace_refusal(void);
const char* mlxtop_trace_start(const char*, uint64_t, uint64_t, const char*, const char*, size_t);
int mlxtop_trace_settle(int64_t*);
void mlxtop_trace_stop(trace_counters*);
int mlxtop_trace_is_on(void);
void mlxtop_trace_read(trace_counters*);
uint32_t mlxtop_trace_text(const char*, size_t);
uint64_t mlxtop_trace_begin(uint32_t, uint64_t);
void mlxtop_trace_end(uint64_t);
void* fake_run(int, size_t);
void fake_free(void*);
int fake_fail(size_t);
void* fake_make_buffer(size_t);
void fake_release(void*);
int fake_more();
void* fake_table();
}
namespace mlx::core {
size_t get_active_memory();
size_t get_peak_memory();
void reset_peak_memory();
}
using namespace mlx::core;

static std::string folder;
static int files;

static void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("failed: %s\n", what);
  std::fflush(stdout);
  _exit(3);
}
#define CHECK(condition) check(condition, #condition)

static void start(uint64_t events = 4096) {
  std::string path = folder + "/" + std::to_string(getpid()) + "." + std::to_string(files++);
  const char* refused = mlxtop_trace_refusal();
  if (refused) {
    std::printf("%s\n", refused);
    std::exit(0);
  }
  const char* failed = mlxtop_trace_start(path.c_str(), events, 0, "0.0 fake", "program\0", 8);
  if (failed) std::printf("%s\n", failed);
  CHECK(!failed);
}

static trace_counters counters() {
  trace_counters now;
  mlxtop_trace_read(&now);
  return now;
}

static void sums_agree() {
  CHECK(counters().active == (int64_t)get_active_memory());
}

static void stop() {
  trace_counters last;
  mlxtop_trace_stop(&last);
  CHECK(!mlxtop_trace_is_on());
}

static int done;
static bool is_done() { return __atomic_load_n(&done, __ATOMIC_ACQUIRE); }

// Allocates and frees by all operations, and in steps, until it is told to end or for `rounds`.
static void churn(uint32_t seed, long rounds) {
  std::vector<void*> held(64);
  for (long i = 0; rounds ? i < rounds : !is_done(); i++) {
    seed = seed * 1664525 + 1013904223;
    void*& place = held[seed >> 26];
    if (place) fake_free(place);
    uint64_t begun = 0;
    bool in_a_step = i % 16 < 8;
    if (in_a_step) begun = mlxtop_trace_begin(mlxtop_trace_text("work\n/a.py:1 f", 14), (uint64_t)i);
    place = fake_run((int)(seed >> 8) % 6, seed % 5000);
    if (in_a_step) mlxtop_trace_end(begun);
    if (i % 50 == 0) CHECK(fake_fail((size_t)1 << 50));
    // As programs do, they compute meanwhile.
    if (i % 64 == 0) usleep(200);
    if (i % 20 == 0)
      if (void* buffer = fake_make_buffer(100)) fake_release(buffer);
  }
  for (void* buffer : held)
    if (buffer) fake_free(buffer);
}

static void* churning(void* seed) {
  churn((uint32_t)(uintptr_t)seed, 0);
  return nullptr;
}

static std::vector<pthread_t> threads;
static void begin_threads(int count) {
  __atomic_store_n(&done, 0, __ATOMIC_RELEASE);
  threads.resize((size_t)count);
  for (int i = 0; i < count; i++) pthread_create(&threads[(size_t)i], nullptr, churning, (void*)(uintptr_t)(i + 1));
}
static void end_threads() {
  __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
}

static void operations() {
  void* before = fake_run(5, 1000);
  void* table = fake_table();
  start();
  CHECK(fake_table() != table && fake_more() == 42);
  sums_agree();
  std::vector<void*> kept;
  // More than once: then the walks are those by what is known.
  for (int round = 0; round < 40; round++)
    for (int operation = 0; operation < 6; operation++)
      kept.push_back(fake_run(operation, 100 + (size_t)round));
  CHECK(fake_fail((size_t)1 << 50));
  sums_agree();
  CHECK(counters().buffers == 240);
  kept.push_back(fake_run(0, (size_t)5 << 30));
  sums_agree();
  CHECK(counters().peak == get_peak_memory());
  reset_peak_memory();
  fake_free(kept.back()), kept.pop_back();
  kept.push_back(fake_run(0, 1));
  CHECK(counters().peak > (size_t)5 << 30);
  fake_free(nullptr);
  fake_free(before);
  sums_agree();
  stop();
  CHECK(fake_table() == table);
  for (void* buffer : kept) fake_free(buffer);
  CHECK(get_active_memory() == 0);
}

// Where a moment to compare was found among busy threads, the sums are MLX's from then on.
static bool settles() {
  int64_t difference;
  for (int i = 0; i < 100; i++, usleep(1000))
    if (mlxtop_trace_settle(&difference)) return true;
  return false;
}

// Traces begin and end while threads are at it.
static void again(int times) {
  begin_threads(3);
  for (int i = 0; i < times; i++) {
    if (i) stop();
    start(i % 2 ? 4096 : 200000);
    usleep(2000);
  }
  bool settled = settles();
  usleep(5000);
  end_threads();
  if (settled) sums_agree();
  CHECK(counters().walks_different == 0);
  stop();
}

static void forks(int times) {
  begin_threads(3);
  start();
  for (int i = 0; i < times; i++) {
    pid_t child = fork();
    if (!child) {
      CHECK(!mlxtop_trace_is_on());
      void* one = fake_run(i % 6, 10);
      start();
      size_t before = get_active_memory();
      void* two = fake_run(i % 6, 20);
      CHECK(get_active_memory() == before + 20);
      sums_agree();
      fake_free(one), fake_free(two);
      sums_agree();
      stop();
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (i % 5 == 4) stop(), start();
  }
  end_threads();
}

// The program ends while its threads are at it.
static void leave() {
  begin_threads(4);
  start();
  usleep(2000);
  std::exit(0);
}

static void* on_a_small_stack(void*) {
  churn(7, 3000);
  return nullptr;
}

static void small_stacks() {
  start();
  // No more than what this program needs without a trace.
  for (size_t size : {24 << 10, 32 << 10, 64 << 10}) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, size);
    pthread_t thread;
    CHECK(!pthread_create(&thread, &attributes, on_a_small_stack, nullptr));
    pthread_join(thread, nullptr);
  }
  sums_agree();
  stop();
}

// Coroutines: a stack elsewhere, with nothing readable above it.
static ucontext_t of_main, of_coroutine;
static void coroutine() {
  for (;;) {
    churn(9, 200);
    swapcontext(&of_coroutine, &of_main);
  }
}

static void coroutines() {
  start();
  churn(8, 500);
  size_t page = 4096, size = 16 * page;
  char* room = (char*)mmap(nullptr, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(room + page, size, PROT_READ | PROT_WRITE);
  getcontext(&of_coroutine);
  of_coroutine.uc_stack.ss_sp = room + page;
  of_coroutine.uc_stack.ss_size = size;
  makecontext(&of_coroutine, coroutine, 0);
  for (int i = 0; i < 3; i++) swapcontext(&of_main, &of_coroutine);
  sums_agree();
  stop();
}

// More live buffers, texts and sites than a trace has room for.
static void full() {
  start();
  std::string text(4000, 'x');
  for (int i = 0; i < 6000; i++) {
    text.replace(0, 6, std::to_string(100000 + i));
    uint64_t begun = mlxtop_trace_begin(mlxtop_trace_text(text.data(), i < 5000 ? 8 : text.size()), (uint64_t)i);
    fake_free(fake_run(i % 6, 10));
    mlxtop_trace_end(begun);
  }
  sums_agree();
  std::vector<void*> held;
  for (int i = 0; i < 1100000; i++) held.push_back(fake_run(5, 1));
  CHECK(counters().lost > 0);
  sums_agree();
  for (void* buffer : held) fake_free(buffer);
  sums_agree();
  CHECK(counters().active == 0 && counters().buffers == 0);
  stop();
}

// Another version is installed over the one that runs.
static void replaced(const char* library, const char* by) {
  CHECK(!std::rename(by, library));
  start();
}

int main(int count, char** arguments) {
  CHECK(count >= 3);
  folder = arguments[1];
  int times = count > 3 ? std::atoi(arguments[3]) : 20;
  std::string part = arguments[2];
  if (part == "operations") operations();
  else if (part == "again") again(times);
  else if (part == "forks") forks(times);
  else if (part == "leave") leave();
  else if (part == "small") small_stacks();
  else if (part == "coroutines") coroutines();
  else if (part == "full") full();
  else if (part == "replaced" && count == 5) replaced(arguments[3], arguments[4]);
  else return 2;
  std::printf("done\n");
}
