#include <algorithm>
#include <iterator>

#include "server/notifier_config.h"

namespace tarsier::server {
namespace {

bool is_secret_key(std::string_view key) {
  constexpr std::string_view kSecrets[] = {"password",      "credentials", "bearer_token",
                                           "client_secret", "api_url",     "slack_api_url",
                                           "routing_key",   "service_key", "key"};
  const bool is_known =
      std::find(std::begin(kSecrets), std::end(kSecrets), key) != std::end(kSecrets);
  return is_known || key.ends_with("_password") || key.ends_with("_secret") ||
         key.ends_with("_api_key") || key.ends_with("_token");
}

/// Keys that older amtools refuse: ours, and what Alertmanager learned late. They are shown as
/// comments.
bool is_new_key(std::string_view key, std::string_view parent) {
  if (parent == "details") return false;  // Its keys are the user's.
  constexpr std::string_view kNew[] = {"signature_secret_files",
                                       "quote_receiver_name",
                                       "timeout",
                                       "payload",
                                       "labels",
                                       "app_token",
                                       "app_token_file",
                                       "app_url",
                                       "slack_app_token",
                                       "slack_app_token_file",
                                       "slack_app_url"};
  return std::find(std::begin(kNew), std::end(kNew), key) != std::end(kNew);
}

/// Where a webhook is, without what may be its secret: `http://bridge:8080/<secret>`. A URL still,
/// which every amtool reads.
std::string masked_url(const std::string& url) {
  const std::size_t scheme = url.find("://");
  const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t path = std::min(url.find_first_of("/?#", host), url.size());
  const std::size_t at = url.rfind('@', path);
  const bool has_user = at != std::string::npos && at >= host;
  const std::string place =
      url.substr(0, host) + url.substr(has_user ? at + 1 : host, path - (has_user ? at + 1 : host));
  const bool has_path = path + 1 < url.size();
  return has_user || has_path ? place + "/<secret>" : url;
}

std::string shown_scalar(const YamlNode& node) {
  return node.is_plain ? node.text : yaml_scalar(node.text);
}

void show(std::string& out, const YamlNode& node, const std::string& indent,
          std::string_view parent);

/// Behind a key or a dash: a scalar on the same line, anything else below.
void show_value(std::string& out, const YamlNode& node, const std::string& indent,
                std::string_view parent) {
  const bool is_empty = node.items.empty() && node.entries.empty();
  switch (node.kind) {
    case YamlNode::Kind::kNull: out += " null\n"; return;
    case YamlNode::Kind::kScalar: out += " " + shown_scalar(node) + "\n"; return;
    case YamlNode::Kind::kSequence: out += is_empty ? " []\n" : "\n"; break;
    case YamlNode::Kind::kMap: out += is_empty ? " {}\n" : "\n"; break;
  }
  show(out, node, indent, parent);
}

/// `parent` is the key that the map, or the list it stands in, has.
void show(std::string& out, const YamlNode& node, const std::string& indent,
          std::string_view parent) {
  for (const YamlNode& item : node.items) {
    out += indent + "-";
    show_value(out, item, indent + "  ", parent);
  }
  for (const YamlEntry& entry : node.entries) {
    const auto& [key, value] = entry;
    const bool is_scalar = value.kind == YamlNode::Kind::kScalar;
    const bool is_comment = indent.find('#') == std::string::npos && is_new_key(key.text, parent);
    const std::string before = is_comment ? "# " + indent : indent;
    out += before + yaml_scalar(key.text) + ":";
    if (is_secret_key(key.text) && is_scalar) {
      out += " <secret>\n";
    } else if (key.text == "url" && parent == "webhook_configs" && is_scalar) {
      out += " " + yaml_scalar(masked_url(value.text)) + "\n";
    } else {
      show_value(out, value, before + "  ", key.text);
    }
  }
}

}  // namespace

std::string shown_notifier_yaml(const YamlNode& node) {
  std::string out;
  show(out, node, "", "");
  return out;
}

}  // namespace tarsier::server
