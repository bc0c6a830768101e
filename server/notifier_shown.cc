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

/// Keys that older amtools refuse: ours, and what Alertmanager learned late.
bool is_own_key(std::string_view key) {
  constexpr std::string_view kOwn[] = {"signature_secret_files",
                                       "quote_receiver_name",
                                       "timeout",
                                       "payload",
                                       "app_token",
                                       "app_token_file",
                                       "app_url",
                                       "slack_app_token",
                                       "slack_app_token_file",
                                       "slack_app_url"};
  return std::find(std::begin(kOwn), std::end(kOwn), key) != std::end(kOwn);
}

void show(std::string& out, const YamlNode& node, int depth);

std::string shown_scalar(const YamlNode& node) {
  return node.is_plain ? node.text : yaml_scalar(node.text);
}

/// Behind a key or a dash: a scalar on the same line, anything else below.
void show_value(std::string& out, const YamlNode& node, int depth) {
  const bool is_empty = node.items.empty() && node.entries.empty();
  switch (node.kind) {
    case YamlNode::Kind::kNull: out += " null\n"; return;
    case YamlNode::Kind::kScalar: out += " " + shown_scalar(node) + "\n"; return;
    case YamlNode::Kind::kSequence: out += is_empty ? " []\n" : "\n"; break;
    case YamlNode::Kind::kMap: out += is_empty ? " {}\n" : "\n"; break;
  }
  show(out, node, depth);
}

void show(std::string& out, const YamlNode& node, int depth) {
  const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
  for (const YamlNode& item : node.items) {
    out += indent + "-";
    show_value(out, item, depth + 1);
  }
  for (const YamlEntry& entry : node.entries) {
    if (is_own_key(entry.first.text)) continue;
    out += indent + yaml_scalar(entry.first.text) + ":";
    if (is_secret_key(entry.first.text) && entry.second.kind == YamlNode::Kind::kScalar) {
      out += " <secret>\n";
    } else {
      show_value(out, entry.second, depth + 1);
    }
  }
}

}  // namespace

std::string shown_notifier_yaml(const YamlNode& node) {
  std::string out;
  show(out, node, 0);
  return out;
}

}  // namespace tarsier::server
