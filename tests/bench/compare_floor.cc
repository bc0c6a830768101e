#include "tests/bench/compare_floor.h"

#include <time.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/compression.h"
#include "base/keyed_hash.h"
#include "base/protobuf_reader.h"
#include "tests/support/fleet.h"

namespace tarsier::bench {
namespace {

double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct KeepHash {
  std::size_t operator()(std::uint64_t hash) const { return hash; }
};

}  // namespace

double measure_floor(std::size_t series_count) {
  testing::Fleet fleet({.series_count = series_count});
  fleet.step();
  std::vector<std::string> bodies;
  for (std::size_t i = 0; i < fleet.size(); i += 2000) {
    bodies.push_back(fleet.write_body(i, std::min<std::size_t>(2000, fleet.size() - i)));
  }
  const KeyedHash hash(draw_hash_key());
  std::unordered_map<std::uint64_t, double, KeepHash> table;
  std::string message;
  double best = 1e9;
  for (int round = 0; round < 6; ++round) {  // The first fills the table.
    const double begin = cpu_seconds();
    for (const std::string& body : bodies) {
      CHECK(snappy_decompress(as_bytes(body), std::size_t{1} << 26, message).ok());
      for (ProtobufReader request(message); request.next();) {
        const char* labels_end = nullptr;
        double value = 0;
        for (ProtobufReader series(request.bytes()); series.next();) {
          if (series.field() == 1) {
            for (ProtobufReader label(series.bytes()); label.next();) {
            }
            labels_end = series.bytes().data() + series.bytes().size();
          } else {
            for (ProtobufReader sample(series.bytes()); sample.next();) {
              if (sample.field() == 1) value = sample.real();
            }
          }
        }
        const std::string_view run(request.bytes().data(),
                                   static_cast<std::size_t>(labels_end - request.bytes().data()));
        table[hash.hash(run).low] += value;
      }
    }
    if (round > 0) best = std::min(best, cpu_seconds() - begin);
  }
  return best / static_cast<double>(fleet.size()) * 1e6;
}

}  // namespace tarsier::bench
