#include "query/resolution.h"

#include "base/api.h"
#include "base/duration.h"

namespace tarsier::query {

Result<ResolutionWish> parse_resolution_wish(std::string_view text) {
  if (text.empty()) return ResolutionWish{};
  if (text == "auto") return ResolutionWish{ResolutionWish::Mode::kAuto, {}};
  if (text == "raw") return ResolutionWish{ResolutionWish::Mode::kUpTo, {}};
  const Duration max = TRY(parse_api_duration(text));
  if (max < Duration{}) return invalid("negative resolutions are not accepted");
  return ResolutionWish{ResolutionWish::Mode::kUpTo, max};
}

std::string resolution_list(const std::vector<Duration>& resolutions) {
  std::string list;
  for (const Duration resolution : resolutions) {
    if (!list.empty()) list += ',';
    list += resolution == Duration{} ? "raw" : format_duration(resolution);
  }
  return list;
}

}  // namespace tarsier::query
