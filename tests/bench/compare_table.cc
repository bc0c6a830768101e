#include "tests/bench/compare_table.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include <fmt/format.h>

#include "tests/bench/compare_queries.h"

namespace tarsier::bench {
namespace {

using Value = std::optional<double>;

class Table final {
 public:
  Table(const std::vector<Peer>& peers, const std::vector<std::vector<Figures>>& rounds)
      : peers_(peers), rounds_(rounds) {}

  void header(std::string_view first) {
    out += fmt::format("\n| {} |", first);
    for (const Peer& peer : peers_) out += fmt::format(" {} |", peer.name());
    if (has_ratios()) {
      for (std::size_t p = 1; p < peers_.size(); ++p)
        out += fmt::format(" {} / {} |", peers_[0].name(), peers_[p].name());
    }
    out += "\n|---|";
    for (std::size_t i = 0; i < peers_.size() * 2 - (has_ratios() ? 1 : peers_.size()); ++i)
      out += "---:|";
    out += '\n';
  }

  /// The median of `value` over the rounds, by peer, with the ratio of the first peer to the
  /// others.
  void row(std::string_view name, int digits, const std::function<Value(const Figures&)>& value) {
    std::vector<Value> medians;
    for (std::size_t p = 0; p < peers_.size(); ++p) medians.push_back(median(p, value));
    out += fmt::format("| {} |", name);
    for (const Value& v : medians) out += v ? fmt::format(" {:.{}f} |", *v, digits) : " – |";
    for (std::size_t p = 1; has_ratios() && p < peers_.size(); ++p) {
      const bool known = medians[0] && medians[p] && *medians[p] != 0;
      out += known ? fmt::format(" {:.2f} |", *medians[0] / *medians[p]) : " – |";
    }
    out += '\n';
  }

  std::string out;

 private:
  /// Ratios are Tarsier's to the others.
  bool has_ratios() const { return peers_.size() > 1 && peers_[0].kind == Peer::Kind::kTarsier; }

  Value median(std::size_t peer, const std::function<Value(const Figures&)>& value) const {
    std::vector<double> values;
    for (const std::vector<Figures>& round : rounds_) {
      if (const Value v = value(round[peer])) values.push_back(*v);
    }
    if (values.empty()) return std::nullopt;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }

  const std::vector<Peer>& peers_;
  const std::vector<std::vector<Figures>>& rounds_;
};

Value whole(const std::optional<std::int64_t>& n) {
  return n ? Value(static_cast<double>(*n)) : std::nullopt;
}

double number(std::uint64_t n) { return static_cast<double>(n); }

/// Both servers must have answered everything: a mean over different queries compares nothing.
Value geometric_mean_ms(const std::vector<QueryFigure>& figures) {
  if (figures.empty()) return std::nullopt;
  double sum = 0;
  for (const QueryFigure& figure : figures) {
    if (!figure.error.empty()) return std::nullopt;
    sum += std::log(figure.seconds * 1000);
  }
  return std::exp(sum / static_cast<double>(figures.size()));
}

std::string query_name(const Query& query) {
  std::string text;
  for (const char c : query.text) {
    if (c == '|') text += '\\';  // It would end the cell.
    text += c;
  }
  if (query.kind == Query::Kind::kLabelValues) return fmt::format("values of `{}`", text);
  return query.kind == Query::Kind::kInstant
             ? fmt::format("`{}` instant", text)
             : fmt::format("`{}` step {} s", text, query.step_seconds);
}

void add_queries(Table& table, std::string_view title, const std::vector<Query>& queries,
                 const std::vector<std::vector<Figures>>& rounds, const std::vector<Peer>& peers,
                 std::vector<QueryFigure> Figures::* member) {
  if ((rounds[0][0].*member).empty() && (rounds[0].back().*member).empty()) return;
  table.header(title);
  table.row("geometric mean, ms", 2,
            [&](const Figures& f) { return geometric_mean_ms(f.*member); });
  std::string notes;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    table.row(query_name(queries[q]) + ", ms", 2, [&](const Figures& f) -> Value {
      if (q >= (f.*member).size() || !(f.*member)[q].error.empty()) return std::nullopt;
      return (f.*member)[q].seconds * 1000;
    });
    std::string counts;
    bool differ = false;
    std::optional<std::size_t> first;
    for (std::size_t p = 0; p < peers.size(); ++p) {
      const std::vector<QueryFigure>& figures = rounds.back()[p].*member;
      if (q >= figures.size()) continue;
      const QueryFigure& figure = figures[q];
      counts += fmt::format(" {} {}", peers[p].name(),
                            figure.error.empty() ? std::to_string(figure.count) : figure.error);
      differ |= !figure.error.empty() || (first && *first != figure.count);
      first = figure.count;
    }
    if (differ) notes += fmt::format("- {}: series returned:{}\n", query_name(queries[q]), counts);
  }
  if (!notes.empty()) table.out += "\nNot the same number of series:\n\n" + notes;
}

}  // namespace

std::string comparison_table(const std::vector<Peer>& peers, const Workload& workload,
                             const std::vector<std::vector<Figures>>& rounds, double floor,
                             const std::string& machine) {
  Table table(peers, rounds);
  table.out = fmt::format(
      "Machine: {}\n\nFleet: {} series, {} h at 15 s, {} series a request; medians of {} "
      "rounds.\n\n",
      machine, workload.series_count, workload.hours, workload.series_per_request, rounds.size());
  for (const Peer& peer : peers) {
    table.out += fmt::format("- {}: {}; {}; {} connections\n", peer.name(), peer.version(),
                             peer.durability(), peer.connections);
  }
  table.out += fmt::format(
      "\nWire floor (Snappy, walk, hash, one look-up in plain C++): {:.2f} CPU s per million "
      "samples.\n",
      floor);

  const double series = static_cast<double>(workload.series_count);
  const auto with_samples = [](const std::function<double(const Figures&)>& value) {
    return
        [value](const Figures& f) -> Value { return f.samples == 0 ? Value() : Value(value(f)); };
  };
  table.header("remote write");
  table.row("server CPU s per million samples, until idle", 2, with_samples([](const Figures& f) {
              return f.ingest_cpu_seconds / number(f.samples) * 1e6;
            }));
  table.row("thousand samples/s, sender on the same cores", 0, with_samples([](const Figures& f) {
              return number(f.samples) / f.ingest_seconds * 1e-3;
            }));
  table.row("anonymous memory, bytes per series", 0,
            with_samples([&](const Figures& f) { return number(f.anonymous_bytes) / series; }));
  table.row("file-backed memory, bytes per series", 0,
            with_samples([&](const Figures& f) { return number(f.file_bytes) / series; }));
  table.row("the same after the queries, anonymous", 0, [&](const Figures& f) {
    return f.general.empty() ? Value() : Value(number(f.anonymous_bytes_after_queries) / series);
  });
  table.row("disk without log, bytes per sample", 2, with_samples([](const Figures& f) {
              return number(f.disk_bytes) / number(f.samples);
            }));
  table.row("blocks with index, bytes per sample in them", 2, [](const Figures& f) {
    if (f.block_samples == 0) return Value();
    return Value(number(f.block_bytes) / number(f.block_samples));
  });
  table.row("write-ahead log, bytes per sample", 2,
            with_samples([](const Figures& f) { return number(f.log_bytes) / number(f.samples); }));
  table.row("acknowledged samples not found by queries", 0,
            [](const Figures& f) { return whole(f.missing_samples); });
  if (workload.with_crash) {
    table.row("acknowledged samples missing after kill -9", 0,
              [](const Figures& f) { return whole(f.crash_lost_samples); });
    table.row("seconds from start to a whole answer after it", 2,
              [](const Figures& f) { return f.crash_ready_seconds; });
  }
  add_queries(table, "general queries, 1 h", general_queries(), rounds, peers, &Figures::general);
  add_queries(table, "long queries, 6 h", long_queries(), rounds, peers, &Figures::lasting);
  return table.out;
}

}  // namespace tarsier::bench
