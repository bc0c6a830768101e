#pragma once

#include <cstddef>
#include <string_view>

namespace tarsier {

/// Bytes in the UTF-8 sequence `text` begins with, or 0 if it does not begin with a valid one
/// (overlong forms, surrogates and values above U+10FFFF are invalid).
std::size_t utf8_sequence_size(std::string_view text);
bool is_valid_utf8(std::string_view text);

}  // namespace tarsier
