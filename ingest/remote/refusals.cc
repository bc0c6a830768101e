#include "ingest/remote/refusals.h"

#include <fmt/format.h>

namespace tarsier::ingest {

void Refusals::add(std::string_view reason, std::string_view series, std::size_t sample_count) {
  if (series_count_ == 0) {
    first_ = fmt::format("{} for series {}", reason, series);
  } else if (names_another()) {
    lines_ += fmt::format("{} for series {}\n", reason, series);
  }
  ++series_count_;
  sample_count_ += sample_count;
}

std::string Refusals::text(std::size_t samples_in_request) const {
  return fmt::format("{}; refused {} of {} samples ({} series), stored the rest\n{}", first_,
                     sample_count_, samples_in_request, series_count_, lines_);
}

}  // namespace tarsier::ingest
