#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tarsier::server {

// What is wrong with a dashboard of Grafana, found without Grafana.

/// A query of a panel with its variables filled in, which a server can be asked.
struct DashboardQuery {
  std::string place;  ///< `panel 3 "Memory", query A`
  std::string expression;
  bool is_optional = false;  ///< Having no data is a usual answer.
};

struct DashboardReport {
  std::string title;
  std::vector<std::string> problems;  ///< Grafana would show an error or something else.
  std::vector<std::string> findings;  ///< It works, and readers will stumble.
  std::vector<DashboardQuery> queries;
};

/// Reads a dashboard in Grafana's classic form: its structure, its data sources, and every
/// expression with the parser of queries.
DashboardReport check_dashboard(std::string_view json);

/// An expression as Grafana would send it: `$__rate_interval` is 5m, `$__interval` 1m, `$__range`
/// 1h. A variable that is all of a matcher's value matches everything, elsewhere it is 1.
std::string fill_variables(std::string_view expression);

}  // namespace tarsier::server
