#pragma once

#include <cstddef>

namespace tarsier::bench {

/// What a plain C++ program pays for the same requests and nothing else: Snappy, a walk of the
/// protobuf, a hash of the labels, one look-up in a table of all series. CPU s per million samples.
/// Ingest figures scale with the machine; this is the machine's.
double measure_floor(std::size_t series_count);

}  // namespace tarsier::bench
