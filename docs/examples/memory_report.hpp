// Prints a program's memory for `mlxtop follow`: ten lines a second, and one for each phase and mark.
// Compiled and run by mlxtop's tests: MLX 0.32's C++ library on Linux, CPU backend. C++20.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "mlx/memory.h"

class MemoryReport {
 public:
  explicit MemoryReport(std::chrono::milliseconds every = std::chrono::milliseconds(100))
      : thread_([this, every](std::stop_token stop) {
          std::unique_lock lock(mutex_);
          do line();
          while (!wake_.wait_for(lock, stop, every, [] { return false; }) && !stop.stop_requested());
        }) {}

  void phase(const std::string& name) {
    std::lock_guard lock(mutex_);
    phase_ = name;
    line();
  }

  void mark(const std::string& name) {
    std::lock_guard lock(mutex_);
    line(",\"mark\":\"" + quoted(name) + "\"");
  }

 private:
  void line(const std::string& more = "") {
    using namespace mlx::core;
    std::chrono::duration<double> now = std::chrono::steady_clock::now().time_since_epoch();
    std::printf("mlxtop {\"active\":%zu,\"cache\":%zu,\"peak\":%zu,\"phase\":\"%s\",\"t\":%.6f%s}\n",
                get_active_memory(), get_cache_memory(), get_peak_memory(), quoted(phase_).c_str(), now.count(),
                more.c_str());
    std::fflush(stdout);
  }

  static std::string quoted(const std::string& text) {
    std::string out;
    for (char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out;
  }

  std::string phase_ = "start";
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // the last member: it begins when the others are there
};
