#pragma once

#include <string>
#include <vector>

#include "alerting/alert.h"
#include "base/bytes.h"
#include "base/result.h"

namespace tarsier::alerting {

// What waits for an Alertmanager that does not answer, as a file: FORMAT.md.

std::string encode_queue(const std::vector<Alert>& alerts);
/// kCorruption when the bytes are not such a file; `encode_queue` publishes whole files only.
Result<std::vector<Alert>> decode_queue(Bytes file);

}  // namespace tarsier::alerting
