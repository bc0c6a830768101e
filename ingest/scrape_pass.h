#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ingest/exposition/custom_buckets.h"
#include "ingest/exposition/entry.h"
#include "ingest/exposition/label_section.h"
#include "ingest/exposition/packed_section.h"
#include "ingest/family_cache.h"
#include "ingest/sample_labels.h"
#include "ingest/scrape_cache.h"
#include "ingest/scrape_context.h"
#include "ingest/scrape_request.h"
#include "ingest/start_zeroes.h"

namespace tarsier::ingest {

/// What was found in one body and what became of it.
struct ScrapeTotals {
  std::uint64_t scraped = 0;       ///< Samples exposed.
  std::uint64_t added = 0;         ///< Samples left by metric relabelling.
  std::uint64_t series_added = 0;  ///< Samples stored for series the target did not have before.
  std::uint64_t out_of_order = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t out_of_bounds = 0;
  std::uint64_t exemplars_out_of_order = 0;
  /// Classic histograms that could not be converted: they are left out.
  std::uint64_t histograms_not_converted = 0;
  /// New series the head had no room for. What it has goes on, so the scrape is good.
  std::uint64_t series_refused = 0;
  bool is_over_sample_limit = false;
  bool is_over_label_limit = false;
  bool is_over_bucket_limit = false;
  std::string refused_example;  ///< One series of which a sample was refused.
};

/// One reading of one body into one appender: the loop every scraped sample goes through. Lines are
/// taken in batches, so that hashing and appending work on many at a time; a known series is found
/// by the hash of its bytes, and only an unknown one is parsed, relabelled and resolved. Made for
/// one scrape; one thread. Everything it borrows must outlive it.
class ScrapePass final {
 public:
  ScrapePass(const ScrapeContext& context, const ScrapeConfig& config,
             const tsdb::Labels& target_labels, ScrapeCache& cache, FamilyCache& families,
             tsdb::Appender& appender, Timestamp time, HistogramPolicy histograms = {});

  /// Appends everything. After an error the caller must roll the appender back and call the caches'
  /// fail(); the totals are right up to the error. kLimit for the limits of section 3.7.
  Status run(ExpositionFormat format, std::string_view body);
  const ScrapeTotals& totals() const { return totals_; }

 private:
  static constexpr std::uint32_t kNoHistogram = UINT32_MAX;

  struct Line {
    ExposedSample sample;
    const FamilyCache::Family* family = nullptr;
    bool is_packed = false;                  // What the section is.
    std::uint32_t histogram = kNoHistogram;  // In histograms_: instead of the value.
    std::uint32_t exemplar = 0;              // The first one in exemplars_.
    std::uint32_t exemplar_count = 0;
  };
  /// A sample on its way into the appender.
  struct Pending {
    std::size_t line = 0;
    std::uint32_t entry = 0;
    bool is_new = false;
    bool is_tracked = false;
  };
  /// A histogram or exemplars on the way: after the samples of their batch.
  struct PendingHistogram {
    Pending pending;
    Timestamp t;
  };
  /// What to do with a sample whose series is not in the cache.
  enum class NewSeries : unsigned char { kDropped, kRefused, kResolved };

  template <typename Parser>
  Status read(Parser& parser);
  template <typename Parser>
  Status take_sample(Parser& parser, bool is_histogram);
  template <typename Parser>
  Result<bool> take_start(const Parser& parser, const ExposedSample& sample);
  template <typename Parser>
  Result<bool> take_classic(const Parser& parser, const Line& line);
  void finish_classic();
  bool may_flush() const;
  template <typename Parser>
  Status flush(const Parser& parser);
  template <typename Parser>
  Status queue_line(const Parser& parser, std::size_t line);
  template <typename Parser>
  Status append_pending(const Parser& parser);
  template <typename Parser>
  Status append_histogram(const Parser& parser, const PendingHistogram& pending);
  void append_exemplars(const Line& line, tsdb::SeriesRef series, Timestamp t);
  Result<bool> fits_limits(const Line& line);
  template <typename Parser>
  Result<NewSeries> add_series(const Parser& parser, const Line& line, const Hash128& hash,
                               std::uint32_t& entry);
  template <typename Parser>
  Status resolve_again(const Parser& parser, const Pending& pending);
  template <typename Parser>
  Status read_labels(const Parser& parser, const Line& line);
  void take_metadata(EntryKind kind, const ExposedMetadata& metadata, std::string_view help);
  void settle(const Pending& pending, tsdb::AppendOutcome outcome);
  void describe(const Line& line, tsdb::SeriesRef series, bool is_new);
  void note_refused(const Line& line);

  const ScrapeContext& context_;
  const ScrapeConfig& config_;
  const tsdb::Labels& target_labels_;
  ScrapeCache& cache_;
  FamilyCache& families_;
  tsdb::Appender& appender_;
  const Timestamp time_;
  const HistogramPolicy histogram_policy_;
  StartZeroes zeroes_;
  bool waits_for_starts_ = false;  // The format tells them after the samples.
  bool is_metric_open_ = false;    // Such a time may yet come.

  const FamilyCache::Family* family_ = nullptr;  // Whose metadata came last.
  std::uint64_t limited_count_ = 0;              // Samples the sample limit counts.
  ScrapeTotals totals_;

  // The batch. `series_` and `samples_` run parallel to `pending_`.
  std::vector<Line> lines_;
  std::vector<std::string_view> sections_;
  std::vector<Hash128> hashes_;
  std::vector<Pending> pending_;
  std::vector<tsdb::SeriesRef> series_;
  std::vector<tsdb::Sample> samples_;
  std::vector<tsdb::AppendOutcome> outcomes_;
  std::vector<PendingHistogram> pending_histograms_;
  std::vector<tsdb::AnyHistogram> histograms_;
  std::vector<tsdb::Exemplar> exemplars_;  // kMinTimestamp: without a time of their own.
  SectionArena arena_;

  CustomBuckets classic_;  // The classic histogram that is being read, if they are converted.
  const FamilyCache::Family* classic_family_ = nullptr;
  // Reused from series to series.
  ExposedLabels exposed_;
  ExposedLabels compared_;
  tsdb::LabelsBuilder labels_;
};

}  // namespace tarsier::ingest
