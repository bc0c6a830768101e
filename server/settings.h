#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "query/api.h"
#include "query/engine.h"
#include "server/config.h"
#include "server/flags.h"
#include "server/http_server.h"
#include "tsdb/options.h"

namespace tarsier::server {

// What the command line and the configuration file mean for each room. Pure but for reading files.

/// Where users reach this server.
struct ExternalUrl {
  std::string scheme = "http";
  std::string authority;  ///< `host:port`, the port left out when it is the scheme's own.
  std::string prefix;     ///< Of every route: "" or "/p".
  std::string path;       ///< Where a browser finds us below the authority: "" or "/p".
};
/// From --web.external-url and --web.route-prefix; `port` is the one really listened on.
Result<ExternalUrl> external_url(const Flags& flags, const std::string& port);

/// Reads --config.file. Without the flag a missing file means `default_config(own_address)`.
Result<Config> load_config(const Flags& flags, FileSystem& files, const std::string& own_address);

HttpServerOptions http_server_options(const Flags& flags);
tsdb::Options storage_options(const Flags& flags, const StorageConfig& config);
query::EngineOptions engine_options(const Flags& flags, const GlobalConfig& config);
/// Of answers of range queries: what is said, else less where memory is limited.
std::uint64_t result_cache_bytes(const Flags& flags);
query::ApiOptions query_api_options(const Flags& flags);
/// `127.0.0.1:9090` for an address that means every interface, else the address itself.
std::string loopback_of(const std::string& address);
/// What comes after the last colon.
std::string port_of(const std::string& address);
std::string host_name();
/// For ConfigSources.
std::optional<std::string> environment_variable(const std::string& name);

}  // namespace tarsier::server
