#include "server/config_thanos.h"

#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "base/quote.h"
#include "server/config_fields.h"
#include "server/config_http_client.h"
#include "server/yaml.h"

// `objstore` has the keys of Thanos' --objstore.config, so that one file serves both.

namespace tarsier::server {
namespace {

constexpr std::uint64_t kPartBytesMin = std::uint64_t{5} << 20;  // S3 refuses smaller ones.
constexpr std::uint64_t kPartBytesMax = std::uint64_t{512} << 20;

Status read_lookup(MapReader& map, S3Config& s3) {
  std::string lookup = "auto";
  map.read("bucket_lookup_type", lookup);
  if (lookup == "auto" || lookup.empty()) {
    s3.in_path = !s3.endpoint.ends_with("amazonaws.com");
  } else if (lookup == "path") {
    s3.in_path = true;
  } else if (lookup == "virtual-hosted") {
    s3.in_path = false;
  } else {
    return invalid_at(*map.find("bucket_lookup_type"),
                      fmt::format("unsupported bucket_lookup_type {}, want auto, path or "
                                  "virtual-hosted",
                                  quote(lookup)));
  }
  return {};
}

Result<S3Config> read_s3(const YamlNode& node, const std::string& path,
                         const ConfigSources& sources, Problems& problems) {
  MapReader map(node, path, problems);
  S3Config s3;
  map.read("endpoint", s3.endpoint);
  map.read("bucket", s3.bucket);
  map.read("region", s3.region);
  map.read("access_key", s3.access_key);
  map.read("secret_key", s3.secret_key);
  map.read("session_token", s3.session_token);
  map.read("insecure", s3.insecure);
  map.read("part_size", s3.part_bytes);
  TRY(read_lookup(map, s3));
  for (const char* name :
       {"aws_sdk_auth", "disable_dualstack", "put_user_metadata", "trace", "list_objects_version",
        "send_content_md5", "disable_multipart", "max_retries"}) {
    map.ignore(name, kNotYet);
  }
  bool is_old = false;
  map.read("signature_version2", is_old);
  if (is_old) return invalid_at(*map.find("signature_version2"), "only version 4 is supported");
  if (const YamlNode* encryption = map.find("sse_config")) {
    return invalid_at(*encryption, "sse_config is not supported; set it for the bucket");
  }
  auto http = std::make_shared<HttpClientConfig>();
  if (const YamlNode* section = map.find("http_config")) {
    MapReader reader(*section, map.path_of("http_config"), problems);
    http->tls = TRY(read_tls_client(reader, "tls_config", sources));
    bool is_unverified = http->tls.insecure_skip_verify;
    reader.read("insecure_skip_verify", is_unverified);
    http->tls.insecure_skip_verify = is_unverified;
    for (const char* name :
         {"idle_conn_timeout", "response_header_timeout", "tls_handshake_timeout",
          "expect_continue_timeout", "max_idle_conns", "max_idle_conns_per_host",
          "max_conns_per_host", "disable_compression"}) {
      reader.ignore(name, kNotYet);
    }
    reader.finish();
    s3.http = std::move(http);
  }
  map.finish();
  if (s3.bucket.empty()) return invalid_at(node, "no s3 bucket in config file");
  if (s3.endpoint.empty()) return invalid_at(node, "no s3 endpoint in config file");
  if (s3.endpoint.find("://") != std::string::npos) {
    return invalid_at(*map.find("endpoint"), "endpoint must be host[:port], without a scheme");
  }
  if (s3.part_bytes < kPartBytesMin || s3.part_bytes > kPartBytesMax) {
    return invalid_at(*map.find("part_size"), "part_size must be between 5 MiB and 512 MiB");
  }
  if (s3.access_key.empty() != s3.secret_key.empty()) {
    return invalid_at(node, "access_key and secret_key must be given both or not at all");
  }
  if (s3.access_key.empty() && sources.environment) {
    s3.access_key = sources.environment("AWS_ACCESS_KEY_ID").value_or("");
    s3.secret_key = sources.environment("AWS_SECRET_ACCESS_KEY").value_or("");
    s3.session_token = sources.environment("AWS_SESSION_TOKEN").value_or("");
  }
  return s3;
}

Status read_objstore(const YamlNode& node, const std::string& path, const ConfigSources& sources,
                     Problems& problems, ThanosConfig& out) {
  static const YamlNode kNothing;
  MapReader map(node, path, problems);
  std::string type;
  map.read("type", type);
  map.read("prefix", out.prefix);
  const YamlNode* config = map.find("config");
  if (ascii_lower(type) == "filesystem") {
    MapReader reader(config ? *config : kNothing, map.path_of("config"), problems);
    reader.read("directory", out.directory);
    reader.finish();
    if (out.directory.empty()) return invalid_at(node, "missing directory for filesystem bucket");
    out.directory = resolve_path(out.directory, sources);
  } else if (ascii_lower(type) == "s3") {
    out.kind = ThanosConfig::Kind::kS3;
    out.s3 = TRY(read_s3(config ? *config : kNothing, map.path_of("config"), sources, problems));
  } else {
    return invalid_at(node, fmt::format("bucket with type {} is not supported, want S3 or "
                                        "FILESYSTEM; a sidecar ships to the others",
                                        type));
  }
  map.finish();
  while (out.prefix.starts_with('/')) out.prefix.erase(0, 1);
  while (out.prefix.ends_with('/')) out.prefix.pop_back();
  if (!out.prefix.empty()) out.prefix += '/';
  return {};
}

Status read_objstore_file(const ConfigSources& sources, MapReader& map, ThanosConfig& out) {
  const YamlNode& at = *map.find("objstore_config_file");
  out.objstore_file = resolve_path(out.objstore_file, sources);
  if (!sources.files) return {};
  const auto text = read_file(*sources.files, out.objstore_file, kConfigBytesMax);
  if (!text.ok()) return invalid_at(at, text.status().message());
  const auto root = parse_yaml(*text);
  if (!root.ok()) {
    return invalid_at(at, fmt::format("{}: yaml: {}", out.objstore_file, root.status().message()));
  }
  ConfigSources inner = sources;
  inner.file = out.objstore_file;
  Problems problems;
  Status status = read_objstore(*root, "", inner, problems, out);
  if (!problems.empty()) status = invalid(problems.to_string());
  return std::move(status).with_prefix(out.objstore_file);
}

}  // namespace

bool ThanosConfig::is_same_bucket(const ThanosConfig& other) const {
  return kind == other.kind && directory == other.directory && prefix == other.prefix &&
         s3.endpoint == other.s3.endpoint && s3.bucket == other.s3.bucket &&
         s3.access_key == other.s3.access_key && s3.secret_key == other.s3.secret_key;
}

Result<std::shared_ptr<const ThanosConfig>> read_thanos(MapReader& top, const Config& config,
                                                        const ConfigSources& sources) {
  std::shared_ptr<const ThanosConfig> none;
  const YamlNode* node = top.find("thanos");
  if (!node) return none;
  MapReader map(*node, "thanos", top.problems());
  ThanosConfig out;
  std::string hash;
  map.read("hash_func", hash);
  if (!hash.empty() && hash != "SHA256") {
    return invalid_at(*map.find("hash_func"), fmt::format("unsupported hash_func {}", quote(hash)));
  }
  out.has_hashes = !hash.empty();
  map.read("objstore_config_file", out.objstore_file);
  const YamlNode* objstore = map.find("objstore");
  if ((objstore != nullptr) == !out.objstore_file.empty()) {
    return invalid_at(*node, "thanos needs one of objstore and objstore_config_file");
  }
  TRY(objstore ? read_objstore(*objstore, "thanos.objstore", sources, top.problems(), out)
               : read_objstore_file(sources, map, out));
  map.finish();
  if (config.global.external_labels.empty()) {
    return invalid_at(*node,
                      "no external labels configured, uniquely identifying external labels must be "
                      "configured to ship blocks");
  }
  return std::make_shared<const ThanosConfig>(std::move(out));
}

void render_thanos(Emitter& out, const ThanosConfig& thanos) {
  out.line(0, "thanos:");
  if (thanos.has_hashes) out.line(1, "hash_func: SHA256");
  if (!thanos.objstore_file.empty()) {
    out.field(1, "objstore_config_file", std::string_view(thanos.objstore_file));
    return;
  }
  out.line(1, "objstore:");
  const bool is_directory = thanos.kind == ThanosConfig::Kind::kDirectory;
  out.line(2, is_directory ? "type: FILESYSTEM" : "type: S3");
  out.text(2, "prefix", thanos.prefix);
  out.line(2, "config:");
  if (is_directory) {
    out.text(3, "directory", thanos.directory);
    return;
  }
  const S3Config& s3 = thanos.s3;
  out.text(3, "endpoint", s3.endpoint);
  out.text(3, "bucket", s3.bucket);
  out.text(3, "region", s3.region);
  out.text(3, "access_key", s3.access_key);
  if (!s3.secret_key.empty()) out.field(3, "secret_key", kSecret);
  if (!s3.session_token.empty()) out.field(3, "session_token", kSecret);
  out.field(3, "insecure", s3.insecure);
  out.field(3, "bucket_lookup_type", std::string_view(s3.in_path ? "path" : "virtual-hosted"));
  out.limit(3, "part_size", s3.part_bytes);
}

}  // namespace tarsier::server
