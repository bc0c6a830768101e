#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tarsier {

/// What needs no escape anywhere in a URL, beside letters and digits (RFC 3986).
inline constexpr std::string_view kUrlUnreserved = "-_.~";

/// Appends `text` with every byte but letters, digits and those of `also_plain` as %XX.
void append_percent_encoded(std::string& out, std::string_view text,
                            std::string_view also_plain = kUrlUnreserved);
std::string percent_encoded(std::string_view text, std::string_view also_plain = kUrlUnreserved);

/// `%41` to `A`; nothing when a `%` is not followed by two hex digits.
std::optional<std::string> percent_decode(std::string_view text);
/// The same where a `+` is a blank: in forms and queries.
std::optional<std::string> form_decode(std::string_view text);

}  // namespace tarsier
