#pragma once

#include <memory>
#include <string>
#include <vector>

#include "alerting/alert_labelling.h"
#include "alerting/backtest.h"
#include "alerting/slo_runner.h"
#include "base/http.h"

namespace tarsier::alerting {

// What /api/tarsier/v1/slos* and /api/tarsier/v1/backtest answer. Pure.

/// All objectives, or those of the parameter `service`. Their alerts have the ids of `labelling`.
HttpResponse slos_response(const HttpRequest& request,
                           const std::vector<std::shared_ptr<const SloStatus>>& all,
                           const AlertLabelling& labelling);
/// One, with what its tiers do; null: 404.
HttpResponse slo_response(const std::shared_ptr<const SloStatus>& slo, std::string_view id,
                          const AlertLabelling& labelling);
/// One objective or rule that was replayed.
struct NamedBacktest {
  std::string id;
  BacktestResult result;
  std::vector<TierForecast> forecast;  ///< Of an objective.
};
/// One is told as it is, several as a list `backtests`.
HttpResponse backtests_response(const Result<std::vector<NamedBacktest>>& all);

}  // namespace tarsier::alerting
