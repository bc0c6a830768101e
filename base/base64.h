#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tarsier {

/// Standard alphabet, with padding (RFC 4648, section 4).
std::string encode_base64(std::string_view bytes);
/// Nothing when `text` is not base64 with its padding.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace tarsier
