#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "base/http.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {

// How version 2 of Alertmanager's API answers: plain JSON, without Prometheus' envelope.

HttpResponse v2_response(const std::function<void(JsonWriter&)>& write);
/// What is wrong, as one JSON string.
HttpResponse v2_failure(int status, std::string_view text);
/// With the status that the code of an error asks for.
HttpResponse v2_failure(const Status& status);

void write_v2_labels(JsonWriter& json, const tsdb::Labels& labels);

/// The matchers of a parameter that may be there several times: `filter`.
Result<std::vector<tsdb::Matcher>> v2_matchers(const HttpRequest& request, std::string_view name);

}  // namespace tarsier::alerting
