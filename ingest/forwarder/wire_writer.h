#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "tsdb/appender.h"
#include "tsdb/exemplar.h"
#include "tsdb/histogram.h"
#include "tsdb/labels.h"

namespace tarsier::ingest {

/// A series as it goes out: relabelled, with external labels.
struct ForwardSeries {
  tsdb::Labels labels;
  std::string wire_labels;  ///< Its Label messages of version 1.0, ready to be copied.
  tsdb::Metadata metadata;  ///< For 2.0.
};

/// One sample, histogram or exemplar on its way out.
struct ForwardEntry {
  const ForwardSeries* series = nullptr;
  std::uint64_t read = 0;  ///< Number of the batch it was read with.
  Timestamp t;
  double v = 0;
  std::unique_ptr<const tsdb::AnyHistogram> histogram;  ///< If it is one.
  std::unique_ptr<const tsdb::Exemplar> exemplar;       ///< If it is one.
};

/// The Label messages of a series or exemplar of version 1.0.
std::string encode_wire_labels(const tsdb::Labels& labels);
/// A WriteRequest (1.0) or a Request (2.0), not compressed.
std::string encode_write_request_1(std::span<const ForwardEntry> entries);
std::string encode_write_request_2(std::span<const ForwardEntry> entries);
/// A WriteRequest of metadata alone.
std::string encode_metadata_request(
    std::span<const std::pair<std::string, tsdb::Metadata>> metadata);

}  // namespace tarsier::ingest
