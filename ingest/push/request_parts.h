#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/http.h"
#include "base/result.h"

// What the doors for pushed samples have in common.

namespace tarsier::ingest {

using PushLabels = std::vector<std::pair<std::string, std::string>>;

/// Replaces the body by what it was before gzip or zstd. kLimit beyond `size_max` bytes.
Status unpack_push(HttpRequest& request, std::size_t size_max);

/// The labels in a path such as `/metrics/job/a/instance@base64/Yg`, in its order; none if it has
/// no `/metrics/`. kInvalid if it is not pairs of a label and a value.
Result<PushLabels> push_path_labels(std::string_view raw_path);

}  // namespace tarsier::ingest
