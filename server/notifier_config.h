#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "alerting/notifier_config.h"
#include "base/result.h"
#include "server/config.h"
#include "server/config_reader.h"

namespace tarsier::server {

/// Reads Alertmanager's configuration tree, strictly, as far as it is acted upon; the rest is an
/// error that names it. `path` is where the tree stands: "notifier", or "" for a file of its own.
/// What has the wrong shape goes to `problems`; kInvalid with the place for what makes no sense.
Result<alerting::NotifierConfig> read_notifier(const YamlNode& node, const std::string& path,
                                               const ConfigSources& sources, Problems& problems);

/// The same for a file: kInvalid names it. Of a whole configuration the section `notifier` is read.
Result<alerting::NotifierConfig> parse_notifier_config(std::string_view text,
                                                       const ConfigSources& sources);

/// The section `notifier`, or the file that `notifier_config_file` names; null when there is
/// neither.
Result<std::shared_ptr<const alerting::NotifierConfig>> read_notifier_section(
    MapReader& top, const ConfigSources& sources);

/// One way to be told, of one receiver. `globals` are the defaults of the section `global`.
struct NotifierGlobals {
  TextOrFile slack_api_url;
  TextOrFile slack_app_token;
  std::string slack_app_url = "https://slack.com/api/chat.postMessage";
  std::string pagerduty_url = "https://events.pagerduty.com/v2/enqueue";
  HttpClientConfig http;
};
Result<alerting::ReceiverConfig> read_receiver(const YamlNode& node, const std::string& path,
                                               const NotifierGlobals& globals,
                                               const ConfigSources& sources, Problems& problems);

/// A tree as YAML again: secrets masked, keys that older amtools do not know as comments.
std::string shown_notifier_yaml(const YamlNode& node);

}  // namespace tarsier::server
