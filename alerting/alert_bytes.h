#pragma once

#include <string>

#include "alerting/alert.h"
#include "base/bytes.h"
#include "base/result.h"
#include "tsdb/labels.h"

namespace tarsier::alerting {

// How the files of this room write what alerts consist of: FORMAT.md, "labels" and "annotations".

void put_labels(std::string& out, const tsdb::Labels& labels);
/// kCorruption unless names increase strictly and no value is empty.
Result<tsdb::Labels> read_labels(ByteReader& in);

void put_annotations(std::string& out, const Annotations& annotations);
/// What is cut off shows in the reader.
Annotations read_annotations(ByteReader& in);

}  // namespace tarsier::alerting
