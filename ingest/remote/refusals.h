#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tarsier::ingest {

/// What of one request was not stored, for the answer and the log: the sender drops the batch, so
/// this text is all its owner gets to see.
class Refusals final {
 public:
  /// `sample_count` samples of one series were refused for the same reason.
  void add(std::string_view reason, std::string_view series, std::size_t sample_count);

  bool empty() const { return series_count_ == 0; }
  std::size_t sample_count() const { return sample_count_; }
  /// Whether another series would still be named: if not, describing it is waste.
  bool names_another() const { return lines_.size() < kBytesMax; }

  /// The first refusal comes first, with the totals in the same line: senders log the first line.
  std::string text(std::size_t samples_in_request) const;

 private:
  static constexpr std::size_t kBytesMax = 900;  // Senders read the first 1024.

  std::string first_;
  std::string lines_;
  std::size_t sample_count_ = 0;
  std::size_t series_count_ = 0;
};

}  // namespace tarsier::ingest
