#include "ingest/remote/read_answer.h"

#include <algorithm>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/protobuf_reader.h"
#include "base/protobuf_writer.h"
#include "ingest/remote/wire_labels.h"
#include "ingest/remote/wire_values.h"
#include "tsdb/encoded_chunk.h"
#include "tsdb/mixed_merge.h"

namespace tarsier::ingest {
namespace {

constexpr std::uint64_t kSamples = 0;
constexpr std::uint64_t kStreamedChunks = 1;
constexpr std::size_t kChecksumBytes = 4;

std::uint64_t matcher_type(tsdb::MatchOp op) {
  switch (op) {
    case tsdb::MatchOp::kEqual: return 0;
    case tsdb::MatchOp::kNotEqual: return 1;
    case tsdb::MatchOp::kRegex: return 2;
    case tsdb::MatchOp::kNotRegex: return 3;
  }
  return 0;
}

Result<tsdb::Labels> read_labels(std::string_view series) {
  std::vector<tsdb::LabelView> views;
  TRY(read_wire_labels(series, views));
  std::sort(views.begin(), views.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  tsdb::LabelsBuilder builder;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (i > 0 && views[i].name == views[i - 1].name) {
      return corruption(fmt::format("label \"{}\" is there twice", views[i].name));
    }
    builder.set(views[i].name, views[i].value);
  }
  return builder.build();
}

/// Counts what is taken.
class Budget final {
 public:
  explicit Budget(std::uint64_t samples_max) : left_(samples_max), max_(samples_max) {}
  Status take(std::uint64_t samples) {
    if (samples > left_) return limit_exceeded(fmt::format("more than {} samples", max_));
    left_ -= samples;
    return {};
  }

 private:
  std::uint64_t left_;
  const std::uint64_t max_;
};

/// A TimeSeries.
Result<RemoteSeries> read_series(std::string_view message, TimeRange range, Budget& budget) {
  RemoteSeries out;
  out.labels = TRY(read_labels(message));
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.type() != ProtobufReader::kBytes) continue;
    if (fields.field() == 2) {
      tsdb::Sample sample;
      if (!decode_sample(fields.bytes(), sample)) return corruption("a damaged Sample");
      if (!range.contains(sample.t)) continue;
      TRY(budget.take(1));
      out.floats.push_back(sample.t, sample.v);
    } else if (fields.field() == 4) {
      const WireHistogram histogram = TRY(read_wire_histogram(fields.bytes()));
      if (!range.contains(histogram.t)) continue;
      const auto* const integer = std::get_if<tsdb::IntegerHistogram>(&histogram.histogram);
      const tsdb::FloatHistogram as_float =
          integer ? tsdb::to_float(*integer) : std::get<tsdb::FloatHistogram>(histogram.histogram);
      TRY(budget.take(1 + as_float.positive_counts.size() + as_float.negative_counts.size()));
      out.histograms.push_back(histogram.t, as_float);
    }
  }
  if (!fields.ok()) return corruption("a damaged TimeSeries");
  return out;
}

/// A Chunk of a ChunkedSeries.
Status read_chunk(std::string_view message, TimeRange range, Budget& budget, RemoteSeries& out) {
  ProtobufReader fields(message);
  std::uint64_t encoding = 0;
  std::string_view data;
  while (fields.next()) {
    if (fields.field() == 3 && fields.type() == ProtobufReader::kVarint) encoding = fields.number();
    if (fields.field() == 4 && fields.type() == ProtobufReader::kBytes) data = fields.bytes();
  }
  if (!fields.ok()) return corruption("a damaged Chunk");
  if (encoding > 255) return corruption(fmt::format("a chunk of unknown type {}", encoding));
  const std::size_t before = out.floats.size();
  const std::size_t before_histograms = out.histograms.size();
  const std::size_t before_buckets = out.histograms.buckets.size();
  TRY(tsdb::decode_transfer_chunk(static_cast<std::uint8_t>(encoding), as_bytes(data), range,
                                  out.floats, out.histograms));
  return budget.take(out.floats.size() - before + out.histograms.size() - before_histograms +
                     out.histograms.buckets.size() - before_buckets);
}

/// A ChunkedSeries. Of one that is in several frames this is a part.
Result<RemoteSeries> read_chunked_series(std::string_view message, TimeRange range,
                                         Budget& budget) {
  RemoteSeries out;
  out.labels = TRY(read_labels(message));
  tsdb::MixedMerge merge(out.floats, out.histograms);  // Chunks may overlap.
  ProtobufReader fields(message);
  while (fields.next()) {
    if (fields.field() != 2 || fields.type() != ProtobufReader::kBytes) continue;
    TRY(read_chunk(fields.bytes(), range, budget, out));
    merge.add_source();
  }
  merge.finish();
  if (!fields.ok()) return corruption("a damaged ChunkedSeries");
  return out;
}

/// Parts of one series: its frames, or what was several series before a label was left out.
RemoteSeries united(std::span<const RemoteSeries> parts) {
  RemoteSeries out;
  out.labels = parts.front().labels;
  tsdb::MixedMerge merge(out.floats, out.histograms);
  for (const RemoteSeries& part : parts) {
    out.floats.times_ms.insert(out.floats.times_ms.end(), part.floats.times_ms.begin(),
                               part.floats.times_ms.end());
    out.floats.values.insert(out.floats.values.end(), part.floats.values.begin(),
                             part.floats.values.end());
    for (std::size_t i = 0; i < part.histograms.size(); ++i) {
      out.histograms.push_back(Timestamp{part.histograms.times_ms[i]}, part.histograms.at(i));
    }
    merge.add_source();
  }
  merge.finish();
  return out;
}

bool is_ascending(const std::vector<std::int64_t>& times) {
  return std::adjacent_find(times.begin(), times.end(), [](auto a, auto b) { return b <= a; }) ==
         times.end();
}

}  // namespace

std::string encode_read_request(const std::vector<tsdb::Matcher>& matchers,
                                const tsdb::SelectHints& hints) {
  std::string query;
  ProtobufWriter fields(query);
  fields.integer(1, hints.range.min.ms);
  fields.integer(2, hints.range.max.ms);
  for (const tsdb::Matcher& matcher : matchers) {
    std::string one;
    ProtobufWriter writer(one);
    writer.varint(1, matcher_type(matcher.op()));
    writer.bytes(2, matcher.name());
    writer.bytes(3, matcher.value());
    fields.bytes(3, one);
  }
  std::string hint;
  ProtobufWriter told(hint);
  told.integer(1, hints.step.ms);
  told.bytes(2, hints.function);
  told.integer(3, hints.range.min.ms);
  told.integer(4, hints.range.max.ms);
  told.integer(7, hints.window.ms);
  fields.bytes(4, hint);
  std::string out;
  ProtobufWriter request(out);
  request.bytes(1, query);
  request.varint(2, kStreamedChunks);
  request.varint(2, kSamples);
  return out;
}

Result<std::vector<RemoteSeries>> read_sampled_answer(std::string_view message, TimeRange range,
                                                      const ReadAnswerLimits& limits) {
  Budget budget(limits.samples_max);
  std::vector<RemoteSeries> out;
  ProtobufReader results(message);
  int result_count = 0;
  while (results.next()) {
    if (results.field() != 1 || results.type() != ProtobufReader::kBytes) continue;
    if (++result_count > 1) return corruption("responses: want 1, got more");
    ProtobufReader series(results.bytes());
    while (series.next()) {
      if (series.field() != 1 || series.type() != ProtobufReader::kBytes) continue;
      out.push_back(TRY(read_series(series.bytes(), range, budget)));
    }
    if (!series.ok()) return corruption("a damaged QueryResult");
  }
  if (!results.ok()) return corruption("a damaged ReadResponse");
  return out;
}

Result<std::vector<RemoteSeries>> read_chunked_answer(std::string_view frames, TimeRange range,
                                                      const ReadAnswerLimits& limits) {
  Budget budget(limits.samples_max);
  std::vector<RemoteSeries> out;
  const char* p = frames.data();
  const char* const end = p + frames.size();
  while (p != end) {
    std::uint64_t size = 0;
    if (!ProtobufReader::read_varint(p, end, size)) return corruption("a damaged frame");
    if (size > limits.frame_bytes_max) {
      return limit_exceeded(fmt::format("message size exceeded the limit {} bytes; got: {} bytes",
                                        limits.frame_bytes_max, size));
    }
    if (static_cast<std::uint64_t>(end - p) < size + kChecksumBytes) {
      return corruption("the answer ends within a frame");
    }
    const std::uint32_t checksum = ByteReader(as_bytes(std::string_view(p, kChecksumBytes))).be32();
    const std::string_view message(p + kChecksumBytes, static_cast<std::size_t>(size));
    p = message.data() + message.size();
    if (crc32c(as_bytes(message)) != checksum) return corruption("a frame with a wrong checksum");
    ProtobufReader fields(message);
    while (fields.next()) {
      if (fields.field() != 1 || fields.type() != ProtobufReader::kBytes) continue;
      out.push_back(TRY(read_chunked_series(fields.bytes(), range, budget)));
    }
    if (!fields.ok()) return corruption("a damaged ChunkedReadResponse");
  }
  return out;
}

Status tidy_answer(std::vector<RemoteSeries>& series, const std::vector<std::string>& left_out) {
  std::erase_if(series, [](const RemoteSeries& one) {
    return one.floats.size() == 0 && one.histograms.empty();
  });
  for (RemoteSeries& one : series) {
    if (!is_ascending(one.floats.times_ms) || !is_ascending(one.histograms.times_ms)) {
      return corruption("the samples of a series are out of order");
    }
    if (left_out.empty()) continue;
    tsdb::LabelsBuilder builder(one.labels);
    for (const std::string& name : left_out) builder.remove(name);
    one.labels = builder.build();
  }
  std::stable_sort(series.begin(), series.end(), [](const RemoteSeries& a, const RemoteSeries& b) {
    return a.labels < b.labels;
  });
  std::vector<RemoteSeries> merged;
  for (std::size_t i = 0; i < series.size();) {
    std::size_t end = i + 1;
    while (end < series.size() && series[end].labels == series[i].labels) ++end;
    merged.push_back(end == i + 1 ? std::move(series[i])
                                  : united(std::span(series).subspan(i, end - i)));
    i = end;
  }
  series = std::move(merged);
  return {};
}

}  // namespace tarsier::ingest
