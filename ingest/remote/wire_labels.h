#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/relabel.h"
#include "tsdb/labels.h"

namespace tarsier::ingest {

/// Reads the labels of one TimeSeries message, wherever in it they are. The views borrow from
/// `series`. kCorruption when a Label message is damaged.
Status read_wire_labels(std::string_view series, std::vector<tsdb::LabelView>& out);

/// The rules a pushed series must keep: `__name__` there and valid, every name valid and there
/// once, every value UTF-8. Order is free and an empty value is an absent label: both are put
/// right. kInvalid in the words Prometheus' users know.
Result<tsdb::Labels> check_labels(std::vector<tsdb::LabelView> labels, NameValidation validation);

/// The labels for a message to people, whatever is wrong with them: at most `size_max` bytes, valid
/// UTF-8.
std::string describe_labels(const std::vector<tsdb::LabelView>& labels, std::size_t size_max);

}  // namespace tarsier::ingest
