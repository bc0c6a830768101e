#include "tsdb/head/batch_records.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "tsdb/wal/commit_group.h"

namespace tarsier::tsdb {

void encode_batch(const HeadBatch& batch, WalCompression compression,
                  std::deque<std::string>& plain, std::deque<EncodedRecord>& out) {
  const auto add = [&] { out.emplace_back().encode(as_bytes(plain.back()), compression); };
  for (std::size_t i = 0; i < batch.run_count(); ++i) {
    const HeadBatch::Run run = batch.run(i);
    const auto samples = std::span(batch.samples).subspan(run.samples_begin, run.sample_count);
    if (!samples.empty()) {
      encode_samples(samples, plain.emplace_back());
      add();
    }
    const auto histograms =
        std::span(batch.histograms).subspan(run.histograms_begin, run.histogram_count);
    if (histograms.empty()) continue;
    for (const RecordType type :
         {RecordType::kHistograms, RecordType::kCustomHistograms, RecordType::kFloatHistograms,
          RecordType::kCustomFloatHistograms}) {
      const bool has_any = std::any_of(
          histograms.begin(), histograms.end(),
          [&](const RefHistogram& one) { return record_type_of(one.histogram) == type; });
      if (!has_any) continue;
      encode_histograms(histograms, type, plain.emplace_back());
      add();
    }
  }
  if (!batch.exemplars.empty()) {
    encode_exemplars(batch.exemplars, plain.emplace_back());
    add();
  }
  if (out.size() < 2 || out.size() > kCommitGroupRecordsMax) return;
  encode_commit_group(out.size(), plain.emplace_back());
  out.emplace_front().encode(as_bytes(plain.back()), WalCompression::kNone);
}

}  // namespace tarsier::tsdb
