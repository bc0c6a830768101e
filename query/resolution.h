#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace tarsier::query {

/// How far a query's answer may rest on rows of downsampled storage in place of samples that are
/// kept: `max_source_resolution`. Where samples are gone rows always serve.
struct ResolutionWish {
  enum class Mode : unsigned char {
    kExact,  ///< The default: where the answer is the one of the samples.
    kAuto,   ///< Also where step and window are much longer than the rows'.
    kUpTo,   ///< Rows up to `max` and nothing else.
  };
  Mode mode = Mode::kExact;
  Duration max{0};
};

/// "" is the default; "auto"; "raw" is 0; a duration. kInvalid says what is wrong.
Result<ResolutionWish> parse_resolution_wish(std::string_view text);

/// `raw,5m,1h`: what a response says of the resolutions that served it.
std::string resolution_list(const std::vector<Duration>& resolutions);

}  // namespace tarsier::query
