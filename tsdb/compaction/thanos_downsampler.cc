#include "tsdb/compaction/thanos_downsampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"
#include "tsdb/chunk/xor_chunk.h"

namespace tarsier::tsdb {
namespace {

/// What the rule for the number of chunks takes samples to be apart.
constexpr Duration kAssumedInterval = minutes(1);
constexpr std::int64_t kRowsPerChunk = 140;

/// What has been seen of one window, and of the counter since the chunk began.
struct Window {
  std::uint64_t total = 0;  ///< Of all windows.
  std::uint64_t count = 0;
  double sum = 0;
  double min = 0;
  double max = 0;
  double counter = 0;
  double last = 0;

  void begin() {
    count = 0;
    sum = 0;
    min = std::numeric_limits<double>::max();
    max = -std::numeric_limits<double>::max();
  }
  void add(double v) {
    if (total == 0) {
      counter = v;
    } else {
      counter += v < last ? v : v - last;
    }
    last = v;
    sum += v;
    ++count;
    ++total;
    if (v < min) min = v;
    if (v > max) max = v;
  }
};

std::int64_t window_end(std::int64_t t, Duration resolution) {
  return t - t % resolution.ms + resolution.ms - 1;
}

/// Tells `row` every window and its end, which is never beyond the last sample. Returns the last.
template <typename Row>
std::int64_t walk_windows(std::span<const Sample> samples, Duration resolution, Row&& row) {
  Window window;
  std::int64_t end = -1;
  const std::int64_t last = samples.back().t.ms;
  for (const Sample& sample : samples) {
    if (sample.t.ms > end) {
      if (end != -1) row(end, window);
      window.begin();
      end = std::min(window_end(sample.t.ms, resolution), last);
    }
    window.add(sample.v);
  }
  row(end, window);
  return end;
}

/// How many chunks: so many that none has more than 140 rows on average.
std::int64_t chunk_count(std::int64_t first, std::int64_t last, Duration from, Duration to,
                         std::size_t samples) {
  const auto rows_max = static_cast<double>((last - first) / to.ms);
  const double full = static_cast<double>(samples) /
                      (static_cast<double>(last - first) / static_cast<double>(from.ms));
  const auto rows = static_cast<std::int64_t>(rows_max * (full > 1 ? 1 : full)) + 1;
  std::int64_t count = 1;
  while (rows / count > kRowsPerChunk) ++count;
  return count;
}

AggregateChunk chunk_of(std::span<const Sample> samples, Duration resolution) {
  AggregateChunk chunk;
  auto& [counts, sums, mins, maxs, counters] = chunk.entries;
  counters.push_back(samples.front());
  const std::int64_t last = walk_windows(samples, resolution, [&](std::int64_t t, const Window& w) {
    const Timestamp end{t};
    counts.push_back({end, static_cast<double>(w.count)});
    sums.push_back({end, w.sum});
    mins.push_back({end, w.min});
    maxs.push_back({end, w.max});
    counters.push_back({end, w.counter});
  });
  counters.push_back({Timestamp{last}, samples.back().v});
  chunk.min_time = counts.front().t;
  chunk.max_time = counts.back().t;
  return chunk;
}

/// Reads counters of neighbouring chunks as one that was never reset.
class CounterReader final {
 public:
  void read(std::span<const Sample> entry, std::vector<Sample>& out) {
    for (const Sample& sample : entry) {
      if (std::isnan(sample.v)) continue;
      if (!has_any_) {
        has_any_ = true;
        total_ = sample.v;
      } else if (sample.t > last_.t) {
        total_ += sample.v < last_.v ? sample.v : sample.v - last_.v;
      } else {
        // The same time once more: what the counter really was.
        if (sample.t == last_.t) last_.v = sample.v;
        continue;
      }
      last_ = sample;
      out.push_back({sample.t, total_});
    }
  }
  double last_value() const { return last_.v; }

 private:
  bool has_any_ = false;
  Sample last_{};
  double total_ = 0;
};

/// The samples of one entry of all chunks, as a reader of an XOR chunk takes them.
std::vector<Sample> gather(std::span<const AggregateChunk> chunks, AggregateChunk::Entry entry) {
  std::vector<Sample> all;
  for (const AggregateChunk& chunk : chunks) {
    for (const Sample& sample : chunk.entries[entry]) {
      if (!is_stale_marker(sample.v)) all.push_back(sample);
    }
  }
  return all;
}

AggregateChunk chunk_of(std::span<const AggregateChunk> chunks, Duration resolution) {
  AggregateChunk out;
  const auto note = [&](AggregateChunk::Entry entry, double Window::* field) {
    const std::vector<Sample> all = gather(chunks, entry);
    if (all.empty()) return;
    walk_windows(all, resolution, [&](std::int64_t t, const Window& w) {
      out.entries[entry].push_back({Timestamp{t}, w.*field});
    });
  };
  note(AggregateChunk::kCount, &Window::sum);
  note(AggregateChunk::kSum, &Window::sum);
  note(AggregateChunk::kMin, &Window::min);
  note(AggregateChunk::kMax, &Window::max);
  CounterReader reader;
  std::vector<Sample> counter;
  for (const AggregateChunk& chunk : chunks) {
    reader.read(chunk.entries[AggregateChunk::kCounter], counter);
  }
  std::vector<Sample>& counters = out.entries[AggregateChunk::kCounter];
  if (!counter.empty()) {
    counters.push_back(counter.front());
    const std::int64_t last = walk_windows(
        counter, resolution,
        [&](std::int64_t t, const Window& w) { counters.push_back({Timestamp{t}, w.counter}); });
    counters.push_back({Timestamp{last}, reader.last_value()});
  }
  const std::vector<Sample>& counts = out.entries[AggregateChunk::kCount];
  out.min_time = counts.front().t;
  out.max_time = counts.back().t;
  if (!counters.empty()) {  // The first stands before any window.
    out.min_time = std::min(out.min_time, counters[1].t);
    out.max_time = std::max(out.max_time, counters.back().t);
  }
  return out;
}

}  // namespace

std::vector<AggregateChunk> downsample_for_thanos(std::span<const Sample> samples,
                                                  Duration resolution) {
  std::vector<AggregateChunk> chunks;
  if (samples.empty()) return chunks;
  const std::int64_t count = chunk_count(samples.front().t.ms, samples.back().t.ms,
                                         kAssumedInterval, resolution, samples.size());
  const std::size_t batch_size = samples.size() / static_cast<std::size_t>(count) + 1;
  std::vector<Sample> batch;
  while (!samples.empty()) {
    std::size_t taken = std::min(batch_size, samples.size());
    const std::int64_t end = window_end(samples[taken - 1].t.ms, resolution);
    while (taken < samples.size() && samples[taken].t.ms <= end) ++taken;
    batch.clear();
    std::copy_if(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(taken),
                 std::back_inserter(batch), [](const Sample& s) { return !std::isnan(s.v); });
    samples = samples.subspan(taken);
    if (!batch.empty()) chunks.push_back(chunk_of(std::span<const Sample>(batch), resolution));
  }
  return chunks;
}

std::vector<AggregateChunk> downsample_further_for_thanos(std::span<const AggregateChunk> chunks,
                                                          Duration from, Duration resolution) {
  std::vector<AggregateChunk> out;
  if (chunks.empty()) return out;
  std::size_t rows = 0;
  for (const AggregateChunk& chunk : chunks) rows += chunk.row_count();
  const auto count = static_cast<std::size_t>(
      chunk_count(chunks.front().min_time.ms, chunks.back().max_time.ms, from, resolution, rows));
  const std::size_t batch_size = std::max<std::size_t>(chunks.size() / count, 1);
  while (!chunks.empty()) {
    const std::size_t taken = std::min(batch_size, chunks.size());
    out.push_back(chunk_of(chunks.first(taken), resolution));
    chunks = chunks.subspan(taken);
  }
  return out;
}

std::string encode_aggregate_chunk(const AggregateChunk& chunk) {
  std::string data;
  for (const std::vector<Sample>& entry : chunk.entries) {
    if (entry.empty()) {
      put_uvarint(data, 0);
      continue;
    }
    XorEncoder encoder;
    for (const Sample& sample : entry) encoder.append(sample);
    put_uvarint(data, encoder.bytes().size());
    data += static_cast<char>(ChunkEncoding::kXor);
    data += as_text(encoder.bytes());
  }
  return data;
}

}  // namespace tarsier::tsdb
