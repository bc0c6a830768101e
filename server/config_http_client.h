#pragma once

#include "base/http.h"
#include "base/result.h"
#include "server/config.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// Reads how a section wants its requests sent: credentials and `http_headers` are appended to
/// `headers`, credentials read from their files now. Whatever would send requests elsewhere or in
/// the open if it were ignored is refused. kInvalid with the place.
Status read_http_client(MapReader& map, const ConfigSources& sources, HttpHeaders& headers,
                        bool& follow_redirects);

}  // namespace tarsier::server
