#pragma once

#include <cstdint>
#include <cstdlib>

namespace tarsier::testing {

/// TARSIER_SEED repeats a failure or widens a search.
inline std::uint32_t seed_or(std::uint32_t fixed) {
  const char* text = std::getenv("TARSIER_SEED");
  return text != nullptr ? static_cast<std::uint32_t>(std::strtoull(text, nullptr, 10)) : fixed;
}

}  // namespace tarsier::testing
