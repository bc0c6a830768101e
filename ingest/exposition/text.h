#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "ingest/exposition/entry.h"
#include "ingest/exposition/label_section.h"

namespace tarsier::ingest {

/// Reads the Prometheus text format (0.0.4, and 1.0.0 with quoted UTF-8 names) entry by entry, as
/// Prometheus really reads it: blanks and tabs as one likes, blank lines, missing last newline, odd
/// comments. Made for a body of which most series are known: next() delimits a sample's series and
/// reads its numbers, allocating nothing; the labels are parsed, and their syntax checked, only by
/// labels(). Borrows the body, which must outlive the parser and every view it gives. After kEnd or
/// kError, next() must not be called again. One thread at a time.
class TextParser final {
 public:
  explicit TextParser(std::string_view body)
      : body_(body), p_(body.data()), end_(body.data() + body.size()) {}

  EntryKind next();

  const ExposedSample& sample() const { return sample_; }        ///< After kSeries.
  const ExposedMetadata& metadata() const { return metadata_; }  ///< After kType and kHelp.
  /// After kError: kInvalid with line number, what was expected and what stands there.
  const Status& status() const { return status_; }

  /// Parses the labels of `sample`, which this parser gave (not only the last).
  Status labels(const ExposedSample& sample, ExposedLabels& out) const;
  /// The HELP text of the last kHelp, unescaped.
  std::string help() const;

 private:
  EntryKind read_comment();
  EntryKind read_sample();
  EntryKind fail(Status status);
  /// Fails at `at` of the current line, unless the line is wrong before: the first fault counts.
  EntryKind fail_sample(std::string_view expected, const char* at);

  std::string_view body_;
  const char* p_;
  const char* end_;
  const char* line_ = nullptr;  // Where the current entry begins.
  tsdb::MetricType type_ = tsdb::MetricType::kUnknown;
  ExposedSample sample_;
  ExposedMetadata metadata_;
  Status status_;
};

}  // namespace tarsier::ingest
