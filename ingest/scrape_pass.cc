#include "ingest/scrape_pass.h"

#include <algorithm>
#include <array>

#include "ingest/exposition/openmetrics.h"
#include "ingest/exposition/text.h"
#include "ingest/metric_family.h"

namespace tarsier::ingest {
namespace {

/// Lines per batch: enough to hash and append in bulk, few enough to stay in the first-level cache.
constexpr std::size_t kBatchLines = 128;

std::string_view help_text(const TextParser& parser, std::string& buffer) {
  if (parser.metadata().text.find('\\') == std::string_view::npos) return parser.metadata().text;
  return buffer = parser.help();
}

std::string_view help_text(const OpenMetricsParser& parser, std::string& buffer) {
  if (parser.metadata().text.find('\\') == std::string_view::npos) return parser.metadata().text;
  return buffer = parser.help();
}

/// The bare metric name in front of a section; empty if it is quoted.
std::string_view bare_name(std::string_view section) {
  return section.substr(0, section.find_first_of("{ \t"));
}

}  // namespace

ScrapePass::ScrapePass(const ScrapeContext& context, const ScrapeConfig& config,
                       const tsdb::Labels& target_labels, ScrapeCache& cache, FamilyCache& families,
                       tsdb::Appender& appender, Timestamp time)
    : context_(context),
      config_(config),
      target_labels_(target_labels),
      cache_(cache),
      families_(families),
      appender_(appender),
      time_(time) {
  lines_.reserve(kBatchLines);
  sections_.reserve(kBatchLines);
  hashes_.resize(kBatchLines);
  pending_.reserve(kBatchLines);
  series_.reserve(kBatchLines);
  samples_.reserve(kBatchLines);
  outcomes_.resize(kBatchLines);
}

Status ScrapePass::run(ExpositionFormat format, std::string_view body) {
  if (format == ExpositionFormat::kProtobuf) {
    return invalid("the target answered in the protobuf format, which is not supported");
  }
  Status status;
  if (format == ExpositionFormat::kOpenMetrics) {
    OpenMetricsParser parser(body);
    status = read(parser);
  } else {
    TextParser parser(body);
    status = read(parser);
  }
  totals_.is_over_label_limit = status.code() == Code::kLimit;
  if (status.ok() && totals_.is_over_sample_limit) return limit_exceeded("sample limit exceeded");
  return status;
}

template <typename Parser>
Status ScrapePass::read(Parser& parser) {
  std::string help;
  for (;;) {
    const EntryKind kind = parser.next();
    switch (kind) {
      case EntryKind::kSeries:
        lines_.push_back({parser.sample(), family_});
        if (lines_.size() == kBatchLines) TRY(flush(parser));
        break;
      case EntryKind::kType:
      case EntryKind::kUnit: take_metadata(kind, parser.metadata(), {}); break;
      case EntryKind::kHelp: take_metadata(kind, parser.metadata(), help_text(parser, help)); break;
      case EntryKind::kComment: break;
      case EntryKind::kEnd: return flush(parser);
      case EntryKind::kError:
        TRY(flush(parser));  // What stands before the fault counts, and may be a fault itself.
        return parser.status();
    }
  }
}

void ScrapePass::take_metadata(EntryKind kind, const ExposedMetadata& metadata,
                               std::string_view help) {
  switch (kind) {
    case EntryKind::kType: family_ = families_.set_type(metadata.family, metadata.type); break;
    case EntryKind::kHelp: family_ = families_.set_help(metadata.family, help); break;
    default: family_ = families_.set_unit(metadata.family, metadata.text); break;
  }
}

template <typename Parser>
Status ScrapePass::flush(const Parser& parser) {
  sections_.clear();
  for (const Line& line : lines_) sections_.push_back(line.sample.section);
  context_.hash.hash_batch(sections_, std::span(hashes_).first(sections_.size()));
  for (std::size_t line = 0; line < lines_.size(); ++line) TRY(queue_line(parser, line));
  TRY(append_pending(parser));
  lines_.clear();
  return {};
}

template <typename Parser>
Status ScrapePass::queue_line(const Parser& parser, std::size_t line) {
  const ExposedSample& sample = lines_[line].sample;
  ++totals_.scraped;
  totals_.exemplars += sample.has_exemplar ? 1 : 0;
  std::uint32_t entry = cache_.find(hashes_[line]);
  const bool is_new = entry == ScrapeCache::kNone;
  if (is_new) {
    const NewSeries outcome = TRY(add_series(parser, lines_[line], hashes_[line], entry));
    if (outcome != NewSeries::kDropped) ++totals_.added;
    if (outcome != NewSeries::kResolved) return {};
    cache_.mark_seen(entry);
  } else {
    const bool is_first = cache_.mark_seen(entry);
    if (cache_[entry].is_dropped) return {};
    ++totals_.added;
    if (!is_first && !(sample.has_time && config_.honor_timestamps)) {
      ++totals_.duplicates;
      note_refused(sample.section);
      return {};
    }
    if (config_.sample_limit != 0 && ++limited_count_ > config_.sample_limit) {
      totals_.is_over_sample_limit = true;
      return {};
    }
    if (lines_[line].family != nullptr && lines_[line].family->has_changed) {
      describe(lines_[line], cache_[entry].series, false);
    }
  }

  const bool has_own_time = sample.has_time && config_.honor_timestamps;
  const Timestamp t = has_own_time ? Timestamp{sample.time_ms} : time_;
  if (t > time_ + context_.future_max) {
    ++totals_.out_of_bounds;
    note_refused(sample.section);
    return {};
  }
  pending_.push_back({.line = line,
                      .entry = entry,
                      .is_new = is_new,
                      .is_tracked = !has_own_time || config_.track_timestamps_staleness});
  series_.push_back(cache_[entry].series);
  samples_.push_back({t, sample.value});
  return {};
}

template <typename Parser>
Result<ScrapePass::NewSeries> ScrapePass::add_series(const Parser& parser, const Line& line,
                                                     const Hash128& hash, std::uint32_t& entry) {
  TRY(parser.labels(line.sample, exposed_));
  if (!TRY(make_sample_labels(exposed_, target_labels_, config_, labels_))) {
    entry = cache_.insert(hash);
    cache_[entry].is_dropped = true;
    cache_.mark_seen(entry);
    return NewSeries::kDropped;
  }
  if (config_.sample_limit != 0 && ++limited_count_ > config_.sample_limit) {
    totals_.is_over_sample_limit =
        true;  // Reading goes on for the totals, but nothing more is created.
    return NewSeries::kRefused;
  }
  const Result<tsdb::SeriesRef> series = appender_.resolve(labels_.build());
  if (!series.ok()) {
    if (series.status().code() != Code::kLimit) return series.status();
    ++totals_.series_refused;
    note_refused(line.sample.section);
    return NewSeries::kRefused;
  }
  entry = cache_.insert(hash);
  cache_[entry].series = *series;
  describe(line, *series, true);
  return NewSeries::kResolved;
}

template <typename Parser>
Status ScrapePass::append_pending(const Parser& parser) {
  const auto outcomes = std::span(outcomes_).first(pending_.size());
  appender_.append_batch(series_, samples_, outcomes);
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    if (outcomes[i] == tsdb::AppendOutcome::kUnknownSeries) {
      outcomes[i] = TRY(append_again(parser, pending_[i], samples_[i]));
    }
    settle(pending_[i], outcomes[i]);
  }
  pending_.clear();
  series_.clear();
  samples_.clear();
  return {};
}

/// The head has dropped a series the cache still knows: it is parsed and made again.
template <typename Parser>
Result<tsdb::AppendOutcome> ScrapePass::append_again(const Parser& parser, const Pending& pending,
                                                     tsdb::Sample sample) {
  const Line& line = lines_[pending.line];
  TRY(parser.labels(line.sample, exposed_));
  TRY(make_sample_labels(exposed_, target_labels_, config_, labels_));
  const tsdb::SeriesRef series = TRY(appender_.resolve(labels_.build()));
  cache_[pending.entry].series = series;
  describe(line, series, true);
  return appender_.append(series, sample);
}

void ScrapePass::settle(const Pending& pending, tsdb::AppendOutcome outcome) {
  switch (outcome) {
    case tsdb::AppendOutcome::kAppended:
    case tsdb::AppendOutcome::kIgnored:
      if (pending.is_tracked) cache_[pending.entry].is_tracked = true;
      if (pending.is_new && !totals_.is_over_sample_limit) ++totals_.series_added;
      return;
    case tsdb::AppendOutcome::kDuplicate: ++totals_.duplicates; break;
    case tsdb::AppendOutcome::kOutOfOrder: ++totals_.out_of_order; break;
    case tsdb::AppendOutcome::kOutOfBounds:
    case tsdb::AppendOutcome::kTooOld:
    case tsdb::AppendOutcome::kInvalid:  // Of histograms only.
    case tsdb::AppendOutcome::kUnknownSeries: ++totals_.out_of_bounds; break;
  }
  note_refused(lines_[pending.line].sample.section);
}

void ScrapePass::describe(const Line& line, tsdb::SeriesRef series, bool is_new) {
  const FamilyCache::Family* const family = line.family;
  if (family == nullptr) return;
  const std::string_view name =
      is_new ? labels_.get(tsdb::kMetricName) : bare_name(line.sample.section);
  if (is_in_family(name, family->name, family->metadata.type)) {
    appender_.set_metadata(series, family->metadata);
  }
}

void ScrapePass::note_refused(std::string_view section) {
  constexpr std::size_t kShownBytesMax = 200;
  if (totals_.refused_example.empty()) {
    totals_.refused_example = section.substr(0, kShownBytesMax);
  }
}

}  // namespace tarsier::ingest
