#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"
#include "tsdb/querier.h"
#include "tsdb/sample.h"

namespace tarsier::ingest {

/// A ReadRequest of one query that takes chunks in frames, or else samples.
std::string encode_read_request(const std::vector<tsdb::Matcher>& matchers,
                                const tsdb::SelectHints& hints);

/// One series of an answer, its samples in time order.
struct RemoteSeries {
  tsdb::Labels labels;
  tsdb::SampleColumns floats;
  tsdb::HistogramColumns histograms;
};

struct ReadAnswerLimits {
  std::uint64_t frame_bytes_max = 50'000'000;
  std::uint64_t samples_max = 50'000'000;
};

/// The series of a ReadResponse (decompressed) to one query: samples within `range` only, as they
/// came. kCorruption says what is damaged, kLimit that there is more than is taken.
Result<std::vector<RemoteSeries>> read_sampled_answer(std::string_view message, TimeRange range,
                                                      const ReadAnswerLimits& limits);
/// The same of frames of ChunkedReadResponses: length, checksum, message.
Result<std::vector<RemoteSeries>> read_chunked_answer(std::string_view frames, TimeRange range,
                                                      const ReadAnswerLimits& limits);

/// Makes of an answer what a selection is: without the labels called `left_out`, sorted, each label
/// set once with all its samples, no series without samples.
Status tidy_answer(std::vector<RemoteSeries>& series, const std::vector<std::string>& left_out);

}  // namespace tarsier::ingest
