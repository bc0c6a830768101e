#pragma once

#include <string_view>

#include "base/result.h"
#include "ingest/exposition/label_section.h"
#include "ingest/scrape_config.h"
#include "tsdb/labels.h"

namespace tarsier::ingest {

/// Makes the labels a scraped series is stored under: what was exposed, with the target's labels
/// merged in (`honor_labels` says who wins), after metric relabelling. False: relabelling dropped
/// it. An error fails the scrape: a label twice, no name, an invalid name, a limit (kLimit).
/// `labels` is replaced.
Result<bool> make_sample_labels(const ExposedLabels& exposed, const tsdb::Labels& target_labels,
                                const ScrapeConfig& config, tsdb::LabelsBuilder& labels);

}  // namespace tarsier::ingest
