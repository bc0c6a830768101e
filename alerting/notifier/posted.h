#pragma once

#include "alerting/alert.h"
#include "alerting/silence.h"
#include "base/json_reader.h"
#include "base/result.h"

namespace tarsier::alerting {

// What clients post to Alertmanager's API, version 2. kInvalid says what is missing.

/// Times that are not there, or Go's zero, are 0.
Result<Alert> read_posted_alert(const JsonValue& object);
Result<Silence> read_posted_silence(const JsonValue& object);

}  // namespace tarsier::alerting
