#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/http_client_config.h"
#include "base/time.h"

namespace tarsier::ingest {

/// One entry of `remote_read`: a store that is asked for what ours may not have.
struct RemoteReadConfig {
  std::string url;
  std::string name;
  Duration remote_timeout = minutes(1);
  /// Asked only about selectors with all of these as equality matchers.
  std::vector<std::pair<std::string, std::string>> required_matchers;
  bool read_recent = false;  ///< Asked for what our own storage covers, too.
  /// Our external labels are added to what is asked and taken off what comes.
  bool filter_external_labels = true;
  std::uint64_t chunked_read_limit = 50'000'000;  ///< Bytes of one frame of an answer.
  HttpClientConfig http;                          ///< Configured headers too.
  bool operator==(const RemoteReadConfig&) const = default;
};

}  // namespace tarsier::ingest
