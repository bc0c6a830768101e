#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/protobuf_reader.h"
#include "base/result.h"
#include "ingest/exposition/entry.h"
#include "ingest/exposition/label_section.h"
#include "ingest/exposition/packed_section.h"
#include "tsdb/exemplar.h"
#include "tsdb/histogram.h"

namespace tarsier::ingest {

/// Which parts of a histogram the protobuf parser gives.
struct HistogramParts {
  bool native = false;                 ///< Native histograms, where exposed.
  bool classic_beside_native = false;  ///< The classic parts, too, where both are exposed.
};

/// Reads the protobuf exposition: MetricFamily messages of io.prometheus.client, each behind its
/// length as a uvarint. Entry by entry like the parsers of text, and with the same rules of use;
/// a metric becomes the series that the text format would have: summaries and classic histograms
/// `_count`, `_sum`, then quantiles or buckets. Sections are packed ones in `arena`, so series that
/// are known cost no parsing. Borrows body and arena; works off one metric at a time.
class ProtobufParser final {
 public:
  ProtobufParser(std::string_view body, HistogramParts parts, SectionArena& arena)
      : body_(body), parts_(parts), arena_(arena) {}

  EntryKind next();

  const ExposedSample& sample() const { return sample_; }        ///< kSeries, kHistogram.
  const ExposedMetadata& metadata() const { return metadata_; }  ///< kType, kHelp, kUnit.
  /// After kHistogram, to be moved from; counts agree with spans only once validated.
  tsdb::AnyHistogram& histogram() { return histogram_; }
  /// Of the last kSeries or kHistogram. Without a time of their own they have kMinTimestamp.
  std::span<const tsdb::Exemplar> exemplars() const { return exemplars_; }
  /// After kError: kInvalid or kCorruption with what was found where.
  const Status& status() const { return status_; }

  Status labels(const ExposedSample& sample, ExposedLabels& out) const {
    return out.parse_packed(sample.section);
  }
  /// The HELP text of the last kHelp.
  std::string help() const { return std::string(metadata_.text); }

 private:
  /// A sample of the current metric that next() has yet to give.
  struct Pending {
    std::string_view suffix;
    std::string_view label;  // "le", "quantile" or none, with `bound`.
    double bound = 0;
    double value = 0;
    std::string_view exemplar;  // The message; empty is none.
    bool counts = false;        // Grows from zero since the start time.
  };

  Status read_family();
  Status read_metric(std::string_view message);
  Status read_labels(std::string_view pair);
  Status read_counter(std::string_view message);
  Status read_simple(std::string_view message);
  Status read_summary(std::string_view message);
  Status read_histogram(std::string_view message);
  Status read_start(std::string_view timestamp);
  Status add_exemplar(std::string_view message);
  EntryKind give_metadata();
  EntryKind give_pending();
  EntryKind fail(Status status);
  Status damaged(std::string_view what) const;

  const std::string_view body_;
  const HistogramParts parts_;
  SectionArena& arena_;
  std::size_t at_ = 0;         // Behind the current family.
  std::size_t family_at_ = 0;  // Where it begins, for messages.

  // The current family.
  std::string_view name_;
  std::string_view help_;
  std::string_view unit_;
  tsdb::MetricType type_ = tsdb::MetricType::kUnknown;
  std::uint64_t wire_type_ = 0;
  ProtobufReader family_{{}};    // Its metrics are yet to come.
  unsigned metadata_given_ = 3;  // Of type, help and unit.

  // The current metric.
  std::string labels_;  // Packed.
  std::int64_t time_ms_ = 0;
  std::int64_t start_ms_ = 0;
  bool has_start_ = false;
  bool has_native_ = false;
  bool is_beside_native_ = false;
  std::vector<Pending> pending_;
  std::size_t pending_at_ = 0;
  std::vector<tsdb::Exemplar> native_exemplars_;

  std::string section_;  // Scratch.
  ExposedSample sample_;
  ExposedMetadata metadata_;
  tsdb::AnyHistogram histogram_;
  std::vector<tsdb::Exemplar> exemplars_;
  Status status_;
};

}  // namespace tarsier::ingest
