#pragma once

#include <memory>

#include "tsdb/head/head.h"
#include "tsdb/matcher.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// A view of the head from the generation it was in when the querier was made. What selections see
/// is fixed when they are made: a series' samples strictly increase in time, so remembering the
/// newest time of each selected series, all under one hold of the commit lock, is a snapshot of
/// whole commits. Selections made together are of one moment (docs/decisions/0004).
std::unique_ptr<Querier> make_head_querier(const Head& head, TimeRange range);
/// The slots of `generation` that pass all `matchers`, with or without samples.
Result<std::vector<Slot>> select_slots(const HeadGeneration& generation,
                                       const std::vector<Matcher>& matchers);

}  // namespace tarsier::tsdb
