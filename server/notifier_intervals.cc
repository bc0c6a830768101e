#include "server/notifier_intervals.h"

#include <fmt/format.h>

#include "base/quote.h"

namespace tarsier::server {

using alerting::TimeInterval;

namespace {

template <typename Range, typename Parse>
Status read_ranges(MapReader& map, std::string_view name, const Parse& parse,
                   std::vector<Range>& out) {
  const YamlNode* list = map.find_list(name);
  if (list == nullptr) return {};
  for (const YamlNode& item : list->items) {
    const Result<Range> range = parse(read_text(item, map.path_of(name), map.problems()));
    if (!range.ok()) return invalid_at(item, range.status().message());
    out.push_back(*range);
  }
  return {};
}

Result<TimeInterval> read_interval(const YamlNode& node, const std::string& path,
                                   const ConfigSources& sources, Problems& problems) {
  MapReader map(node, path, problems);
  TimeInterval out;
  if (const YamlNode* list = map.find_list("times")) {
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      MapReader time(list->items[i], fmt::format("{}.times[{}]", path, i), problems);
      std::string start;
      std::string end;
      time.read("start_time", start);
      time.read("end_time", end);
      time.finish();
      if (start.empty() || end.empty()) {
        return invalid_at(list->items[i], "both start and end times must be provided");
      }
      const Result<int> begin_minute = alerting::parse_minute_of_day(start);
      const Result<int> end_minute = alerting::parse_minute_of_day(end);
      if (!begin_minute.ok()) return invalid_at(list->items[i], begin_minute.status().message());
      if (!end_minute.ok()) return invalid_at(list->items[i], end_minute.status().message());
      if (*begin_minute >= *end_minute) {
        return invalid_at(list->items[i], "start time cannot be equal or greater than end time");
      }
      out.times.push_back({*begin_minute, *end_minute});
    }
  }
  TRY(read_ranges(map, "weekdays", alerting::parse_weekday_range, out.weekdays));
  TRY(read_ranges(map, "days_of_month", alerting::parse_day_of_month_range, out.days_of_month));
  TRY(read_ranges(map, "months", alerting::parse_month_range, out.months));
  TRY(read_ranges(map, "years", alerting::parse_year_range, out.years));
  std::string location;
  map.read("location", location);
  if (!location.empty() && sources.files != nullptr) {
    Result<alerting::TimeZone> zone = alerting::TimeZone::load(*sources.files, location);
    if (!zone.ok()) return invalid_at(*map.find("location"), zone.status().message());
    out.zone = *zone;
  }
  map.finish();
  return out;
}

}  // namespace

Status read_time_intervals(MapReader& top, std::string_view name, const ConfigSources& sources,
                           std::map<std::string, std::vector<TimeInterval>, std::less<>>& out) {
  Problems& problems = top.problems();
  const YamlNode* list = top.find_list(name);
  if (list == nullptr) return {};
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", top.path_of(name), i);
    MapReader map(list->items[i], path, problems);
    std::string interval_name;
    map.read("name", interval_name);
    if (interval_name.empty()) {
      return invalid_at(list->items[i], "missing name in time interval");
    }
    if (out.contains(interval_name)) {
      return invalid_at(list->items[i],
                        fmt::format("time interval {} is not unique", quote(interval_name)));
    }
    std::vector<TimeInterval>& intervals = out[interval_name];
    if (const YamlNode* inner = map.find_list("time_intervals")) {
      for (std::size_t k = 0; k < inner->items.size(); ++k) {
        intervals.push_back(TRY(read_interval(
            inner->items[k], fmt::format("{}.time_intervals[{}]", path, k), sources, problems)));
      }
    }
    map.finish();
  }
  return {};
}

}  // namespace tarsier::server
