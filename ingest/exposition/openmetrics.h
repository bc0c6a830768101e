#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "ingest/exposition/entry.h"
#include "ingest/exposition/label_section.h"

namespace tarsier::ingest {

/// Reads OpenMetrics 1.0 text entry by entry for a scrape, as Prometheus does: a strict reader of
/// the line grammar (one blank between tokens, `# EOF` at the end), but lenient about semantics,
/// which `openmetrics_rules.h` checks. Same promises and rules of use as TextParser.
class OpenMetricsParser final {
 public:
  explicit OpenMetricsParser(std::string_view body)
      : body_(body), p_(body.data()), end_(body.data() + body.size()) {}

  EntryKind next();

  const ExposedSample& sample() const { return sample_; }        ///< After kSeries.
  const ExposedExemplar& exemplar() const { return exemplar_; }  ///< If sample().has_exemplar.
  const ExposedLabels& exemplar_labels() const { return exemplar_labels_; }
  const ExposedMetadata& metadata() const { return metadata_; }  ///< After kType, kHelp, kUnit.
  /// After kError: kInvalid with line number, what was expected and what stands there.
  const Status& status() const { return status_; }
  /// Where the last entry begins, for messages of whoever finds fault with it.
  const char* entry_begin() const { return line_; }

  /// Parses the labels of `sample`, which this parser gave (not only the last).
  Status labels(const ExposedSample& sample, ExposedLabels& out) const;
  /// The HELP text of the last kHelp, unescaped.
  std::string help() const;

 private:
  EntryKind read_metadata();
  EntryKind read_sample();
  /// From the blank before `# {` to the end of the line.
  EntryKind read_exemplar(const char* p);
  /// A blank and a number in front of it, moving `p` behind them. False: status_ is set.
  bool read_number(const char*& p, std::string_view expected, double& value);
  bool read_time(const char*& p, std::int64_t& time_ms);
  EntryKind end_line(const char* p);
  EntryKind fail(Status status);
  EntryKind fail_sample(std::string_view expected, const char* at);

  std::string_view body_;
  const char* p_;
  const char* end_;
  const char* line_ = nullptr;  // Where the current entry begins.
  tsdb::MetricType type_ = tsdb::MetricType::kUnknown;
  ExposedSample sample_;
  ExposedExemplar exemplar_;
  ExposedLabels exemplar_labels_;
  ExposedMetadata metadata_;
  Status status_;
};

}  // namespace tarsier::ingest
