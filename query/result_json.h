#pragma once

#include <string>

#include "base/json_writer.h"
#include "query/value.h"
#include "tsdb/labels.h"

namespace tarsier::query {

// How query results look in the API: the exact text forms of Prometheus' JSON.

/// Appends a sample's value without quotes: the shortest decimal that reads back to the same bits;
/// with an exponent below 1e-6 and from 1e21 on; `NaN`, `+Inf`, `-Inf`, `-0`.
void append_sample_value(std::string& out, double v);
/// Appends seconds: no fraction when whole, else exactly three digits.
void append_sample_time(std::string& out, Timestamp t);
/// Writes a label set as an object.
void write_labels(JsonWriter& json, const tsdb::Labels& labels);
/// Appends the i-th element of a vector or matrix as an object.
void append_result_element(std::string& out, const QueryResult& result, std::size_t i);
/// Writes `"resultType": ..., "result": ...` into the object that is open. At most `series_max`
/// elements of a vector or matrix; 0 is no limit.
void write_result(JsonWriter& json, const QueryResult& result, std::size_t series_max);

}  // namespace tarsier::query
