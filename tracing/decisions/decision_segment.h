#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/time.h"
#include "tracing/decisions/packed_decision.h"

namespace tarsier::tracing {

/// The decisions of one stretch of time in memory: a hash table from fingerprints, open addressing,
/// at most two thirds full, 16 bytes a slot. The last decision on a trace counts. One thread at a
/// time.
class DecisionTable final {
 public:
  explicit DecisionTable(Timestamp begin) : begin_(begin) {}

  Timestamp begin() const { return begin_; }
  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot) + 64 * names_.size(); }

  void put(TraceFingerprint fingerprint, PackedDecision decision);
  std::optional<PackedDecision> find(TraceFingerprint fingerprint) const;

  /// The number of a policy in this segment; kPolicyNumberMax once there are too many.
  std::uint32_t number_of(std::string_view policy);
  /// Empty for 0 and for numbers nobody gave.
  std::string_view policy(std::uint32_t number) const;
  /// Gives `name` this number: while a log is read. kCorruption unless it is the next one.
  Status add_name(std::uint32_t number, std::string_view name);
  const std::vector<std::string>& names() const { return names_; }

  struct Entry {
    TraceFingerprint fingerprint;
    PackedDecision decision;
  };
  std::vector<Entry> sorted() const;

 private:
  struct Slot {
    std::uint64_t fingerprint = kFree;
    std::uint64_t bits = 0;
  };
  static constexpr std::uint64_t kFree = UINT64_MAX;
  void grow();

  const Timestamp begin_;
  std::vector<Slot> slots_;
  std::size_t size_ = 0;
  std::vector<std::string> names_;  // From number 1.
};

// Files (FORMAT.md, "Decision log"). While a segment is open its decisions are appended to a log;
// then they are written sorted, in pages that can be searched on disk, and the log goes.

inline constexpr std::size_t kDecisionBytes = 15;
inline constexpr std::size_t kDecisionPageBytes = 4096;

std::string encode_log_header(Timestamp begin);
void append_name_frame(std::string& out, std::uint32_t number, std::string_view name);
void append_decision_frame(std::string& out, const std::vector<DecisionTable::Entry>& entries);
/// Reads a log up to the first frame that is not whole: a torn tail is what a crash leaves.
/// kCorruption only if even the header is damaged. `whole_bytes` is where reading ended.
Result<std::unique_ptr<DecisionTable>> read_decision_log(std::string_view contents,
                                                         std::size_t& whole_bytes);

std::string encode_sealed_decisions(const DecisionTable& table);

/// A sealed segment on disk. Immutable; any number of threads.
class SealedDecisions final {
 public:
  /// Reads the footer; kCorruption when it is damaged.
  static Result<std::unique_ptr<SealedDecisions>> open(FileSystem& files, const std::string& path);

  Timestamp begin() const { return begin_; }
  std::uint64_t decision_count() const { return decision_count_; }
  std::uint64_t file_bytes() const { return file_bytes_; }
  std::string_view policy(std::uint32_t number) const;
  /// One or two page reads as a rule: fingerprints are spread evenly.
  Result<std::optional<PackedDecision>> find(FileSystem& files, TraceFingerprint fingerprint) const;
  /// Everything, as a table.
  Result<std::unique_ptr<DecisionTable>> load(FileSystem& files) const;

 private:
  SealedDecisions() = default;
  Status read_page(const ReadableFile& file, std::uint64_t page,
                   std::vector<DecisionTable::Entry>& out) const;

  std::string path_;
  Timestamp begin_;
  std::uint64_t decision_count_ = 0;
  std::uint64_t page_count_ = 0;
  std::uint64_t file_bytes_ = 0;
  std::vector<std::string> names_;
};

}  // namespace tarsier::tracing
