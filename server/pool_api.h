#pragma once

#include "base/http.h"
#include "server/config.h"

namespace tarsier::server {

// What people ask about one scrape pool. Functions of the configuration in force; any number of
// threads.

/// `scrape_pools/config`: the job as YAML, defaults included and secrets masked.
HttpResponse pool_config_response(const HttpRequest& request, const Config& config);
/// `targets/relabel_steps`: what each rule of the job makes of the labels given, a JSON object.
HttpResponse relabel_steps_response(const HttpRequest& request, const Config& config);

}  // namespace tarsier::server
