#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/payload.h"
#include "alerting/time_interval.h"
#include "base/http_client_config.h"
#include "base/result.h"
#include "base/time.h"
#include "tsdb/labels.h"
#include "tsdb/matcher.h"

namespace tarsier::alerting {

enum class IntegrationKind : unsigned char { kWebhook, kSlack, kPagerduty };
/// "webhook", "slack", "pagerduty".
std::string_view integration_kind_name(IntegrationKind kind);

/// A button or menu below a Slack message, a field in it, a link or picture of an incident: names
/// with templates.
using TextSet = std::vector<std::pair<std::string, std::string>>;

/// One way a receiver is told: a webhook, a Slack channel, a PagerDuty service.
struct IntegrationConfig {
  IntegrationKind kind = IntegrationKind::kWebhook;
  bool send_resolved = true;
  std::shared_ptr<const HttpClientConfig> http;
  TextOrFile url;                ///< Where to post; a template.
  Duration timeout{0};           ///< Of one attempt; 0: the notifier's.
  std::uint64_t alerts_max = 0;  ///< In one message; 0 is no limit. Webhooks only.
  /// Files with a `whsec_...` secret each: requests are signed with all of them. Webhooks only.
  std::vector<std::string> signing_secret_files;
  bool quotes_receiver = true;  ///< `web\.hook`, as Alertmanager writes it. Webhooks only.
  std::shared_ptr<const PayloadValue> payload;  ///< Instead of version 4; may be null. Webhooks.

  TextOrFile routing_key;  ///< PagerDuty's Events API v2.
  TextOrFile service_key;  ///< Its v1, when it is set.
  std::map<std::string, std::string, std::less<>>
      texts;                             ///< Templates by field: `title`, `severity`.
  std::vector<TextSet> fields;           ///< Slack's.
  std::vector<TextSet> actions;          ///< Slack's.
  std::vector<TextSet> images;           ///< PagerDuty's.
  std::vector<TextSet> links;            ///< PagerDuty's.
  TextSet details;                       ///< PagerDuty's, sorted by name.
  std::vector<std::string> markdown_in;  ///< Slack's `mrkdwn_in`.
  bool short_fields = false;
  bool link_names = false;

  const std::string& text(std::string_view name) const;
  bool is_pagerduty_v1() const { return service_key.is_set(); }
};

struct ReceiverConfig {
  std::string name;
  std::vector<IntegrationConfig> integrations;
  tsdb::Labels labels;  ///< For filters of the API; with `name`.
};

/// One node of the routing tree, with everything inherited filled in.
struct Route {
  std::string receiver;
  std::vector<tsdb::Matcher> matchers;
  bool goes_on = false;  ///< `continue`: siblings behind it are asked too.
  std::vector<std::string> group_by;
  bool group_by_all = false;  ///< `group_by: ['...']`
  Duration group_wait = seconds(30);
  Duration group_interval = minutes(5);
  Duration repeat_interval = hours(4);
  std::vector<std::string> mute_time_intervals;
  std::vector<std::string> active_time_intervals;
  std::map<std::string, std::string> route_labels;  ///< Templates: what messages say as route labels.
  std::vector<Route> children;
  /// The matchers from the root down, `{}/{severity="page"}`: the beginning of group keys.
  std::string key;

  bool matches(const tsdb::Labels& labels) const;
};

struct InhibitRule {
  std::vector<tsdb::Matcher> source;
  std::vector<tsdb::Matcher> target;
  std::vector<std::string> equal;
};

/// Alertmanager's configuration as far as it is acted upon. Plain data, immutable once made.
struct NotifierConfig {
  Duration resolve_timeout = minutes(5);  ///< For alerts posted without an end.
  Route root;
  std::vector<ReceiverConfig> receivers;
  std::vector<InhibitRule> inhibit_rules;
  std::map<std::string, std::vector<TimeInterval>, std::less<>> time_intervals;
  /// Names with texts: definitions for the templates above.
  std::vector<std::pair<std::string, std::string>> templates;
  std::string shown;  ///< The configuration as YAML, secrets masked: for /api/v2/status.

  const ReceiverConfig* receiver(std::string_view name) const;
};

/// What is wrong with the templates of a configuration: those of a receiver (its index), or the
/// definitions of its template files.
struct TemplateProblem {
  std::optional<std::size_t> receiver;
  Status status;
};
std::optional<TemplateProblem> find_template_problem(const NotifierConfig& config);

/// Every route that gets an alert with these labels: depth first, the first matching child of a
/// node unless it goes on, the node itself when no child matches. REQUIRES: the root matches all.
std::vector<const Route*> matching_routes(const Route& root, const tsdb::Labels& labels);

/// `{a="b", c=~"d"}` as keys and Alertmanager's texts write matchers: joined by commas only.
std::string matchers_text(const std::vector<tsdb::Matcher>& matchers);

}  // namespace tarsier::alerting
