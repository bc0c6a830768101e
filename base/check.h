#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tarsier {

/// Prints `file:line: CHECK failed: condition: detail` to stderr and aborts. Only CHECK calls it.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               std::string_view detail);

}  // namespace tarsier

/// States what only a bug can break; always compiled in. User input, disk contents and the network
/// must never be able to fail a CHECK. The optional second argument is a string that gives the
/// values; it is evaluated only on failure.
#define CHECK(condition, ...)                                                            \
  do {                                                                                   \
    if (!(condition)) [[unlikely]] {                                                     \
      ::tarsier::check_failed(__FILE__, __LINE__, #condition, std::string(__VA_ARGS__)); \
    }                                                                                    \
  } while (false)

/// CHECK for loops over single samples: compiled in unless NDEBUG is set.
#ifdef NDEBUG
#define DCHECK(condition, ...) \
  do {                         \
    if (false) {               \
      (void)(condition);       \
    }                          \
  } while (false)
#else
#define DCHECK(condition, ...) CHECK(condition __VA_OPT__(, ) __VA_ARGS__)
#endif
