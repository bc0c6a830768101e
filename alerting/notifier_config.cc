#include "alerting/notifier_config.h"

#include <algorithm>

#include "alerting/notifier/notification.h"

namespace tarsier::alerting {
namespace {

bool collect(const Route& route, const tsdb::Labels& labels, std::vector<const Route*>& out) {
  if (!route.matches(labels)) return false;
  bool taken = false;
  for (const Route& child : route.children) {
    if (!collect(child, labels, out)) continue;
    taken = true;
    if (!child.goes_on) break;
  }
  if (!taken) out.push_back(&route);
  return true;
}

}  // namespace

std::string_view integration_kind_name(IntegrationKind kind) {
  switch (kind) {
    case IntegrationKind::kWebhook: return "webhook";
    case IntegrationKind::kSlack: return "slack";
    case IntegrationKind::kPagerduty: return "pagerduty";
  }
  return "webhook";
}

const std::string& IntegrationConfig::text(std::string_view name) const {
  static const std::string kEmpty;
  const auto found = texts.find(name);
  return found == texts.end() ? kEmpty : found->second;
}

bool Route::matches(const tsdb::Labels& labels) const {
  return std::all_of(matchers.begin(), matchers.end(), [&](const tsdb::Matcher& matcher) {
    return matcher.matches(labels.get(matcher.name()));
  });
}

const ReceiverConfig* NotifierConfig::receiver(std::string_view name) const {
  for (const ReceiverConfig& candidate : receivers) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

std::optional<TemplateProblem> find_template_problem(const NotifierConfig& config) {
  const Result<NotificationTemplates> templates = NotificationTemplates::create(config.templates);
  if (!templates.ok()) return TemplateProblem{std::nullopt, templates.status()};
  for (std::size_t i = 0; i < config.receivers.size(); ++i) {
    for (const IntegrationConfig& c : config.receivers[i].integrations) {
      std::vector<std::string_view> texts = {c.url.text};
      for (const auto& [name, text] : c.texts) texts.push_back(text);
      for (const auto& [name, text] : c.details) texts.push_back(text);
      if (c.payload) {
        c.payload->for_each_template([&](std::string_view text) { texts.push_back(text); });
      }
      for (const auto* sets : {&c.fields, &c.actions, &c.images, &c.links}) {
        for (const TextSet& set : *sets) {
          for (const auto& [name, text] : set) texts.push_back(text);
        }
      }
      for (const std::string_view text : texts) {
        Status status = templates->check(text);
        if (!status.ok()) return TemplateProblem{i, std::move(status)};
      }
    }
  }
  return std::nullopt;
}

std::vector<const Route*> matching_routes(const Route& root, const tsdb::Labels& labels) {
  std::vector<const Route*> out;
  collect(root, labels, out);
  return out;
}

std::string matchers_text(const std::vector<tsdb::Matcher>& matchers) {
  std::string out = "{";
  for (const tsdb::Matcher& matcher : matchers) {
    if (out.size() > 1) out += ',';
    out += matcher.to_string();
  }
  return out + "}";
}

}  // namespace tarsier::alerting
