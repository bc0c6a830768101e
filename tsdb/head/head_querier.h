#pragma once

#include <memory>

#include "tsdb/head/head.h"
#include "tsdb/querier.h"

namespace tarsier::tsdb {

/// A view of the head from the generation it was in when the querier was made. What a selection
/// sees is fixed when it is made: a series' samples strictly increase in time, so remembering the
/// newest time of each selected series, all under one hold of the commit lock, is a snapshot of
/// whole commits. Two selections of one querier may be a commit apart (docs/decisions/0004).
std::unique_ptr<Querier> make_head_querier(const Head& head, TimeRange range);

}  // namespace tarsier::tsdb
