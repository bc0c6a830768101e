#pragma once

#include <cstddef>
#include <span>

#include "base/bytes.h"

namespace tarsier {

/// Decodes the elements of a Snappy block (what follows its length) into exactly `out`. False if
/// they are damaged or make more or less; `out` is undefined then. Tuned for what log records and
/// remote-write requests are made of: literals and copies of a few bytes, each moved as whole words
/// while there is room behind them. About twice as fast on those as the library we compress with.
/// Source: the format description of Snappy (format_description.txt).
bool decode_snappy_elements(Bytes input, std::span<std::byte> out);

}  // namespace tarsier
