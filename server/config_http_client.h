#pragma once

#include <string>

#include "base/http_client_config.h"
#include "base/result.h"
#include "server/config.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// Reads how a section wants its requests sent: the fields of `map` that a scrape job, a discovery,
/// a remote store and an Alertmanager have in common. Files are named, not read: a missing one
/// makes requests fail, not the configuration. kInvalid with the place.
Result<HttpClientConfig> read_http_client(MapReader& map, const ConfigSources& sources);

/// `tls_config` on its own, where a section has only that.
Result<TlsClientConfig> read_tls_client(MapReader& map, std::string_view name,
                                        const ConfigSources& sources);

/// A path of the configuration file, relative to that file's directory.
std::string resolve_path(const std::string& path, const ConfigSources& sources);

/// "TLS12" and the like.
Result<TlsVersion> parse_tls_version(std::string_view text);
std::string_view tls_version_name(TlsVersion version);

}  // namespace tarsier::server
