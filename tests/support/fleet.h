#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "tsdb/labels.h"
#include "tsdb/sample.h"

namespace tarsier::testing {

struct FleetOptions {
  std::size_t series_count = 10'000;
  std::uint64_t seed = 1;
  Timestamp start{1'700'000'000'000};  ///< Of the first scrape of the target without an offset.
  Duration interval = seconds(15);
};

/// A fleet of machines as a benchmark needs it: node_exporter, cadvisor, kube-state-metrics and
/// HTTP services, in units of about 2,600 series of which 44 % are histogram buckets. Values are
/// what such metrics are: integer counters, counters of hundredths and of nanoseconds, page-sized
/// and two-decimal gauges, noisy durations, constants; 30 % of the HTTP handlers are idle. Every
/// target has its own offset and one timestamp per scrape, a tenth of the scrapes are up to 5 ms
/// off. A function of its options alone: whoever asks for scrape n of a series gets the same
/// sample.
///
/// Scrapes are made in order by step(). A fleet can be split over several senders: the parts
/// together are the whole, whatever their number. One thread at a time.
class Fleet final {
 public:
  explicit Fleet(const FleetOptions& options, std::size_t part = 0, std::size_t part_count = 1);

  std::size_t size() const { return series_.size(); }  ///< Series of this part.
  /// Sorted `(name, value)` pairs of one series.
  tsdb::Labels labels(std::size_t i) const;

  /// The next scrape of every target: samples()[i] is then the sample of series i.
  void step();
  std::span<const tsdb::Sample> samples() const { return samples_; }
  std::size_t scrape_count() const { return scrape_count_; }  ///< Calls of step() so far.

  /// The current samples of series [first, first + count) as a WriteRequest 1.0, neither framed nor
  /// compressed. Replaces `out`.
  void write_request(std::size_t first, std::size_t count, std::string& out) const;
  /// The same, Snappy-compressed: a body to POST.
  std::string write_body(std::size_t first, std::size_t count) const;

 private:
  friend class FleetBuilder;

  enum class Shape : unsigned char {
    kConstant,     // value
    kCounter,      // Whole numbers, `rate` a second.
    kHundredths,   // Seconds counted by the kernel: 0.01 steps.
    kNanoseconds,  // Seconds counted by cgroups: 1e-9 steps.
    kPages,        // A gauge of bytes in 4 KiB pages, wandering by `rate` of its value.
    kTwoDecimals,  // A gauge such as load.
    kNoise,        // A duration measured anew each time, about `value`.
    kBucketFirst,  // Of a classic histogram: cumulative over the buckets before it.
    kBucket,
    kNoisySum,  // A sum of durations: grows by noise.
  };
  struct Series {
    Shape shape;
    double value;
    double rate;
  };
  struct Target {
    std::size_t first;  // Index of its first series.
    std::int64_t offset_ms;
    std::uint64_t random;  // State of its own generator.
  };

  void step_target(const Target& target, std::size_t end, std::uint64_t& random);

  const FleetOptions options_;
  std::vector<Series> series_;
  std::vector<Target> targets_;
  std::vector<tsdb::Sample> samples_;
  /// Label fields of all series as they stand on the wire, back to back; series i begins at
  /// `label_begins_[i]`.
  std::string wire_labels_;
  std::vector<std::size_t> label_begins_;
  std::size_t scrape_count_ = 0;
};

}  // namespace tarsier::testing
