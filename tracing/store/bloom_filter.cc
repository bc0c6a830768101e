#include "tracing/store/bloom_filter.h"

#include <cstddef>

namespace tarsier::tracing {
namespace {

constexpr std::uint64_t kBitsPerMember = 10;
constexpr unsigned kProbes = 6;

/// Calls `visit(byte, mask)` for each probe until it says no.
template <typename Visit>
bool for_each_probe(std::uint64_t hash, std::size_t bytes, Visit visit) {
  const std::uint64_t step = (hash >> 17) | (hash << 47) | 1;
  for (unsigned i = 0; i < kProbes; ++i, hash += step) {
    const std::uint64_t bit = hash % (bytes * 8);
    if (!visit(static_cast<std::size_t>(bit / 8), static_cast<unsigned char>(1U << (bit % 8)))) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::uint64_t filter_hash(std::string_view member) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, then the finaliser of SplitMix64.
  for (const char c : member) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

std::string build_filter(const std::vector<std::uint64_t>& hashes) {
  std::string out((hashes.size() * kBitsPerMember + 7) / 8, '\0');
  for (const std::uint64_t hash : hashes) {
    for_each_probe(hash, out.size(), [&](std::size_t byte, unsigned char mask) {
      out[byte] = static_cast<char>(static_cast<unsigned char>(out[byte]) | mask);
      return true;
    });
  }
  return out;
}

bool filter_may_hold(std::string_view filter, std::uint64_t hash) {
  if (filter.empty()) return false;
  return for_each_probe(hash, filter.size(), [&](std::size_t byte, unsigned char mask) {
    return (static_cast<unsigned char>(filter[byte]) & mask) != 0;
  });
}

}  // namespace tarsier::tracing
