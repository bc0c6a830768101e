#include "ingest/exposition/protobuf.h"

#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/protobuf_reader.h"
#include "base/quote.h"
#include "base/utf8.h"
#include "ingest/exposition/number.h"
#include "ingest/histogram_wire.h"

namespace tarsier::ingest {
namespace {

using Field = ProtobufReader;

// MetricType on the wire.
constexpr std::uint64_t kCounter = 0;
constexpr std::uint64_t kGauge = 1;
constexpr std::uint64_t kSummary = 2;
constexpr std::uint64_t kUntyped = 3;
constexpr std::uint64_t kHistogram = 4;
constexpr std::uint64_t kGaugeHistogram = 5;

constexpr std::uint32_t kMetricField = 4;  // Of a MetricFamily.

/// Of one metric: more is an attack on our memory.
constexpr std::size_t kPartsMax = 100'000;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kQuotedBytesMax = 200;

tsdb::MetricType type_of_wire(std::uint64_t wire) {
  switch (wire) {
    case kCounter: return tsdb::MetricType::kCounter;
    case kGauge: return tsdb::MetricType::kGauge;
    case kSummary: return tsdb::MetricType::kSummary;
    case kHistogram: return tsdb::MetricType::kHistogram;
    case kGaugeHistogram: return tsdb::MetricType::kGaugeHistogram;
    default: return tsdb::MetricType::kUnknown;
  }
}

/// Which field of a Metric holds the value of a family of this type.
std::uint32_t value_field(std::uint64_t wire_type) {
  switch (wire_type) {
    case kCounter: return 3;
    case kGauge: return 2;
    case kSummary: return 4;
    case kUntyped: return 5;
    default: return 7;
  }
}

/// A google.protobuf.Timestamp in milliseconds; false if it is damaged or beyond all time.
bool read_timestamp(std::string_view message, std::int64_t& ms) {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  Field fields(message);
  while (fields.next()) {
    if (fields.field() != 1 && fields.field() != 2) continue;
    if (fields.type() != Field::kVarint) return false;
    (fields.field() == 1 ? seconds : nanos) = static_cast<std::int64_t>(fields.number());
  }
  constexpr std::int64_t kSecondsMax = std::int64_t{1} << 50;
  if (!fields.ok() || seconds > kSecondsMax || seconds < -kSecondsMax) return false;
  if (nanos < 0 || nanos >= 1'000'000'000) return false;
  ms = seconds * 1000 + nanos / 1'000'000;
  return true;
}

/// Two texts, 1 and 2, as in LabelPair.
bool read_pair(std::string_view message, std::string_view& name, std::string_view& value) {
  Field fields(message);
  while (fields.next()) {
    if (fields.field() != 1 && fields.field() != 2) continue;
    if (fields.type() != Field::kBytes) return false;
    (fields.field() == 1 ? name : value) = fields.bytes();
  }
  return fields.ok();
}

/// A Bucket of a classic histogram; the count as a float goes first where there is one.
struct WireBucket {
  double count = 0;
  double bound = 0;
  std::string_view exemplar;
};
bool read_bucket(std::string_view message, WireBucket& out) {
  double count_float = 0;
  std::uint64_t count = 0;
  Field fields(message);
  while (fields.next()) {
    Field::Type wanted = Field::kFixed64;
    if (fields.field() == 1) wanted = Field::kVarint;
    if (fields.field() == 3) wanted = Field::kBytes;
    if (fields.field() > 4) continue;
    if (fields.type() != wanted) return false;
    switch (fields.field()) {
      case 1: count = fields.number(); break;
      case 2: out.bound = fields.real(); break;
      case 3: out.exemplar = fields.bytes(); break;
      default: count_float = fields.real(); break;
    }
  }
  out.count = count_float > 0 ? count_float : static_cast<double>(count);
  return fields.ok();
}

/// A Histogram message with both its faces.
struct WireParts {
  std::uint64_t count = 0;
  double count_float = 0;
  double sum = 0;
  std::uint64_t zero_count = 0;
  double zero_count_float = 0;
  tsdb::BucketLayout layout;
  std::vector<std::int64_t> positive_deltas;
  std::vector<std::int64_t> negative_deltas;
  std::vector<double> positive_counts;
  std::vector<double> negative_counts;
  std::vector<std::string_view> buckets;
  std::vector<std::string_view> exemplars;
  std::string_view start;

  bool is_native() const {
    return !layout.positive_spans.empty() || !layout.negative_spans.empty() ||
           layout.zero_threshold > 0 || zero_count > 0 || zero_count_float > 0;
  }
  bool is_float() const { return count_float > 0 || zero_count_float > 0; }
};

bool read_part(const Field& field, WireParts& out) {
  const bool is_varint = field.type() == Field::kVarint;
  const bool is_real = field.type() == Field::kFixed64;
  const bool is_bytes = field.type() == Field::kBytes;
  switch (field.field()) {
    case 1: out.count = field.number(); return is_varint;
    case 2: out.sum = field.real(); return is_real;
    case 3:
      out.buckets.push_back(field.bytes());
      return is_bytes && out.buckets.size() <= kPartsMax;
    case 4: out.count_float = field.real(); return is_real;
    case 5:
      out.layout.schema = static_cast<std::int32_t>(unzigzag(field.number()));
      return is_varint;
    case 6: out.layout.zero_threshold = field.real(); return is_real;
    case 7: out.zero_count = field.number(); return is_varint;
    case 8: out.zero_count_float = field.real(); return is_real;
    case 9: return is_bytes && read_bucket_span(field.bytes(), out.layout.negative_spans);
    case 10: return read_bucket_deltas(field, out.negative_deltas);
    case 11: return read_bucket_reals(field, out.negative_counts);
    case 12: return is_bytes && read_bucket_span(field.bytes(), out.layout.positive_spans);
    case 13: return read_bucket_deltas(field, out.positive_deltas);
    case 14: return read_bucket_reals(field, out.positive_counts);
    case 15: out.start = field.bytes(); return is_bytes;
    case 16:
      out.exemplars.push_back(field.bytes());
      return is_bytes && out.exemplars.size() <= kPartsMax;
    default: return true;
  }
}

/// An empty native histogram is told by one span of nothing, which storage has no use for.
void drop_marker_span(std::vector<tsdb::BucketSpan>& spans) {
  if (spans.size() == 1 && spans[0] == tsdb::BucketSpan{}) spans.clear();
}

tsdb::AnyHistogram native_histogram(WireParts& parts, tsdb::CounterResetHint hint) {
  drop_marker_span(parts.layout.positive_spans);
  drop_marker_span(parts.layout.negative_spans);
  if (parts.is_float()) {
    tsdb::FloatHistogram out;
    out.layout = std::move(parts.layout);
    out.hint = hint;
    out.count = parts.count_float;
    out.zero_count = parts.zero_count_float;
    out.sum = parts.sum;
    out.positive_counts = std::move(parts.positive_counts);
    out.negative_counts = std::move(parts.negative_counts);
    return out;
  }
  tsdb::IntegerHistogram out;
  out.layout = std::move(parts.layout);
  out.hint = hint;
  out.count = parts.count;
  out.zero_count = parts.zero_count;
  out.sum = parts.sum;
  out.positive_deltas = std::move(parts.positive_deltas);
  out.negative_deltas = std::move(parts.negative_deltas);
  return out;
}

}  // namespace

EntryKind ProtobufParser::next() {
  for (;;) {
    if (metadata_given_ < 3) {
      const EntryKind kind = give_metadata();
      if (kind != EntryKind::kComment) return kind;
      continue;
    }
    if (has_native_ || pending_at_ < pending_.size()) return give_pending();
    if (family_.next()) {  // Read once already, so there is no damage left to find.
      if (family_.field() != kMetricField) continue;
      if (Status status = read_metric(family_.bytes()); !status.ok()) {
        return fail(std::move(status));
      }
      continue;
    }
    if (at_ == body_.size()) return EntryKind::kEnd;
    if (Status status = read_family(); !status.ok()) return fail(std::move(status));
  }
}

/// kComment: there is nothing to tell.
EntryKind ProtobufParser::give_metadata() {
  metadata_ = {.family = name_, .type = type_, .text = {}};
  switch (metadata_given_++) {
    case 0: return EntryKind::kType;
    case 1: metadata_.text = help_; return help_.empty() ? EntryKind::kComment : EntryKind::kHelp;
    default: metadata_.text = unit_; return unit_.empty() ? EntryKind::kComment : EntryKind::kUnit;
  }
}

EntryKind ProtobufParser::give_pending() {
  sample_ = {};
  sample_.type = type_;
  sample_.time_ms = time_ms_;
  sample_.has_time = time_ms_ != 0;
  section_.clear();
  if (has_native_) {
    has_native_ = false;
    append_packed(section_, name_);
    section_ += labels_;
    sample_.section = arena_.keep(section_);
    sample_.has_start = has_start_;
    sample_.start_ms = start_ms_;
    exemplars_ = std::exchange(native_exemplars_, {});
    sample_.has_exemplar = !exemplars_.empty();
    return EntryKind::kHistogram;
  }
  const Pending& one = pending_[pending_at_++];
  exemplars_.clear();
  std::size_t name_bytes = name_.size() + one.suffix.size();
  for (; name_bytes >= 0x80; name_bytes >>= 7) {
    section_ += static_cast<char>((name_bytes & 0x7F) | 0x80);
  }
  section_ += static_cast<char>(name_bytes);
  section_ += name_;
  section_ += one.suffix;
  section_ += labels_;
  if (!one.label.empty()) {
    append_packed(section_, one.label);
    append_packed(section_, one.bound == kInfinity ? "+Inf" : format_openmetrics_number(one.bound));
  }
  sample_.section = arena_.keep(section_);
  sample_.value = one.value;
  sample_.is_beside_native = is_beside_native_;
  sample_.has_start = has_start_ && one.counts;
  sample_.start_ms = start_ms_;
  if (!one.exemplar.empty()) {
    if (Status status = add_exemplar(one.exemplar); !status.ok()) return fail(std::move(status));
    sample_.has_exemplar = true;
  }
  return EntryKind::kSeries;
}

Status ProtobufParser::read_family() {
  family_at_ = at_;
  const char* p = body_.data() + at_;
  const char* const end = body_.data() + body_.size();
  std::uint64_t size = 0;
  if (!ProtobufReader::read_varint(p, end, size) || size > static_cast<std::uint64_t>(end - p)) {
    return damaged("the length of a MetricFamily");
  }
  const std::string_view message(p, static_cast<std::size_t>(size));
  at_ = static_cast<std::size_t>(p - body_.data()) + message.size();
  name_ = help_ = unit_ = {};
  wire_type_ = kCounter;
  Field fields(message);
  while (fields.next()) {
    if (fields.field() == 3) {
      if (fields.type() != Field::kVarint) return damaged("a MetricFamily");
      wire_type_ = fields.number();
      continue;
    }
    if (fields.field() > 5) continue;
    if (fields.type() != Field::kBytes) return damaged("a MetricFamily");
    switch (fields.field()) {
      case 1: name_ = fields.bytes(); break;
      case 2: help_ = fields.bytes(); break;
      case kMetricField: break;
      default: unit_ = fields.bytes(); break;
    }
  }
  if (!fields.ok()) return damaged("a MetricFamily");
  if (name_.empty() || !is_valid_utf8(name_)) {
    return invalid(fmt::format("invalid metric name {} in the MetricFamily at byte {}",
                               quote(name_.substr(0, kQuotedBytesMax)), family_at_));
  }
  if (wire_type_ > kGaugeHistogram) {
    return invalid(fmt::format("unknown metric type {} for metric {}", wire_type_,
                               quote(name_.substr(0, kQuotedBytesMax))));
  }
  if (!is_valid_utf8(help_)) {
    return invalid(fmt::format("help text {} is not a valid utf8 string",
                               quote(help_.substr(0, kQuotedBytesMax))));
  }
  type_ = type_of_wire(wire_type_);
  metadata_given_ = 0;
  family_ = Field(message);
  return {};
}

Status ProtobufParser::read_metric(std::string_view message) {
  labels_.clear();
  time_ms_ = 0;
  has_start_ = false;
  is_beside_native_ = false;
  pending_.clear();
  pending_at_ = 0;
  std::string_view value;
  const std::uint32_t wanted = value_field(wire_type_);
  Field fields(message);
  while (fields.next()) {
    if (fields.field() == 6) {
      if (fields.type() != Field::kVarint) return damaged("a Metric");
      time_ms_ = static_cast<std::int64_t>(fields.number());
      continue;
    }
    if (fields.field() > 7) continue;
    if (fields.type() != Field::kBytes) return damaged("a Metric");
    if (fields.field() == 1) TRY(read_labels(fields.bytes()));
    if (fields.field() == wanted) value = fields.bytes();
  }
  if (!fields.ok()) return damaged("a Metric");
  switch (wire_type_) {
    case kCounter: return read_counter(value);
    case kSummary: return read_summary(value);
    case kHistogram:
    case kGaugeHistogram: return read_histogram(value);
    default: return read_simple(value);
  }
}

Status ProtobufParser::read_labels(std::string_view pair) {
  std::string_view name;
  std::string_view value;
  if (!read_pair(pair, name, value)) return damaged("a LabelPair");
  append_packed(labels_, name);
  append_packed(labels_, value);
  return {};
}

Status ProtobufParser::read_counter(std::string_view message) {
  Pending one{.counts = true};
  Field fields(message);
  while (fields.next()) {
    if (fields.field() > 3) continue;
    if (fields.type() != (fields.field() == 1 ? Field::kFixed64 : Field::kBytes)) {
      return damaged("a Counter");
    }
    if (fields.field() == 1) one.value = fields.real();
    if (fields.field() == 2) one.exemplar = fields.bytes();
    if (fields.field() == 3) TRY(read_start(fields.bytes()));
  }
  if (!fields.ok()) return damaged("a Counter");
  pending_.push_back(one);
  return {};
}

Status ProtobufParser::read_simple(std::string_view message) {
  Pending one;
  Field fields(message);
  while (fields.next()) {
    if (fields.field() != 1) continue;
    if (fields.type() != Field::kFixed64) return damaged("a Gauge");
    one.value = fields.real();
  }
  if (!fields.ok()) return damaged("a Gauge");
  pending_.push_back(one);
  return {};
}

Status ProtobufParser::read_summary(std::string_view message) {
  pending_.push_back({.suffix = "_count", .counts = true});
  pending_.push_back({.suffix = "_sum", .counts = true});
  Field fields(message);
  while (fields.next()) {
    Field::Type wanted = Field::kBytes;
    if (fields.field() == 1) wanted = Field::kVarint;
    if (fields.field() == 2) wanted = Field::kFixed64;
    if (fields.field() > 4) continue;
    if (fields.type() != wanted) return damaged("a Summary");
    switch (fields.field()) {
      case 1: pending_[0].value = static_cast<double>(fields.number()); break;
      case 2: pending_[1].value = fields.real(); break;
      case 3: {
        Pending quantile{.label = "quantile"};
        Field parts(fields.bytes());
        while (parts.next()) {
          if (parts.field() > 2) continue;
          if (parts.type() != Field::kFixed64) return damaged("a Quantile");
          (parts.field() == 1 ? quantile.bound : quantile.value) = parts.real();
        }
        if (!parts.ok()) return damaged("a Quantile");
        pending_.push_back(quantile);
        if (pending_.size() > kPartsMax) return damaged("a Summary");
        break;
      }
      default: TRY(read_start(fields.bytes())); break;
    }
  }
  return fields.ok() ? Status() : damaged("a Summary");
}

Status ProtobufParser::read_histogram(std::string_view message) {
  WireParts parts;
  Field fields(message);
  while (fields.next()) {
    if (!read_part(fields, parts)) return damaged("a Histogram");
  }
  if (!fields.ok()) return damaged("a Histogram");
  if (!parts.start.empty()) TRY(read_start(parts.start));
  const double count = parts.count_float > 0 ? parts.count_float : static_cast<double>(parts.count);
  const double sum = parts.sum;
  const bool counts = wire_type_ == kHistogram;
  has_native_ = parts.is_native() && parts_.native;
  const bool has_classic = !has_native_ || (parts_.classic_beside_native && !parts.buckets.empty());
  is_beside_native_ = has_native_ && has_classic;
  if (has_classic) {
    pending_.push_back({.suffix = "_count", .value = count, .counts = counts});
    pending_.push_back({.suffix = "_sum", .value = sum, .counts = counts});
  }
  bool has_infinite = false;
  native_exemplars_.clear();
  exemplars_.clear();
  for (const std::string_view text : parts.buckets) {
    WireBucket bucket;
    if (!read_bucket(text, bucket)) return damaged("a Bucket");
    has_infinite = has_infinite || bucket.bound == kInfinity;
    if (has_classic) {
      pending_.push_back({.suffix = "_bucket",
                          .label = "le",
                          .bound = bucket.bound,
                          .value = bucket.count,
                          .exemplar = bucket.exemplar,
                          .counts = counts});
    }
    if (has_native_ && !bucket.exemplar.empty()) TRY(add_exemplar(bucket.exemplar));
  }
  if (has_classic && !has_infinite) {
    pending_.push_back({.suffix = "_bucket",
                        .label = "le",
                        .bound = kInfinity,
                        .value = count,
                        .exemplar = {},
                        .counts = counts});
  }
  if (!has_native_) return {};
  // Those of the histogram itself go first; the buckets' are for clients that have no others.
  if (!parts.exemplars.empty()) {
    exemplars_.clear();
    for (const std::string_view text : parts.exemplars) TRY(add_exemplar(text));
  }
  for (tsdb::Exemplar& exemplar : exemplars_) {
    if (exemplar.t != kMinTimestamp) native_exemplars_.push_back(std::move(exemplar));
  }
  histogram_ = native_histogram(
      parts, counts ? tsdb::CounterResetHint::kUnknown : tsdb::CounterResetHint::kGauge);
  return {};
}

Status ProtobufParser::read_start(std::string_view timestamp) {
  if (!read_timestamp(timestamp, start_ms_)) return damaged("a start timestamp");
  has_start_ = start_ms_ != 0;
  return {};
}

Status ProtobufParser::add_exemplar(std::string_view message) {
  tsdb::Exemplar out;
  out.t = kMinTimestamp;
  std::vector<tsdb::LabelView> labels;
  Field fields(message);
  while (fields.next()) {
    if (fields.field() > 3) continue;
    if (fields.type() != (fields.field() == 2 ? Field::kFixed64 : Field::kBytes)) {
      return damaged("an Exemplar");
    }
    if (fields.field() == 1) {
      tsdb::LabelView& label = labels.emplace_back();
      if (!read_pair(fields.bytes(), label.name, label.value)) return damaged("an Exemplar");
    }
    if (fields.field() == 2) out.value = fields.real();
    if (fields.field() == 3 && !read_timestamp(fields.bytes(), out.t.ms)) {
      return damaged("an Exemplar");
    }
  }
  if (!fields.ok()) return damaged("an Exemplar");
  out.labels = tsdb::Labels::from_views(std::move(labels));
  exemplars_.push_back(std::move(out));
  return {};
}

Status ProtobufParser::damaged(std::string_view what) const {
  return invalid(
      fmt::format("protobuf: {} is damaged, in the MetricFamily at byte {}", what, family_at_));
}

EntryKind ProtobufParser::fail(Status status) {
  status_ = std::move(status);
  return EntryKind::kError;
}

}  // namespace tarsier::ingest
