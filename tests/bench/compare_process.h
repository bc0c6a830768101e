#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace tarsier::bench {

/// A server under test. Dies with this object, and with this program however that ends. Its output
/// goes to a file.
class Process final {
 public:
  static Result<Process> start(const std::vector<std::string>& command,
                               const std::string& output_path);
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();  ///< SIGKILL, and waits.

  bool is_running();
  /// Asks it to stop (SIGTERM), waits, and kills it when it takes longer than 60 s.
  void stop();
  void kill();
  double cpu_seconds() const;  ///< User and system, of all its threads.
  struct Memory {
    std::uint64_t anonymous_bytes = 0;  ///< RssAnon + RssShmem.
    std::uint64_t file_bytes = 0;       ///< RssFile.
  };
  Memory memory() const;
  /// Waits until it has used next to no CPU for 4 s, at most `seconds_max`. False if it never was
  /// idle.
  bool wait_idle(double seconds_max) const;

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

/// Runs a command to its end, at most 10 s, and gives the first line it wrote.
std::string first_line_of(const std::vector<std::string>& command);
/// A TCP port on 127.0.0.1 nobody listens on at this moment.
int free_port();
/// Sum of the sizes of all files below.
std::uint64_t directory_bytes(const std::string& directory);
double monotonic_seconds();
void sleep_ms(int ms);

}  // namespace tarsier::bench
