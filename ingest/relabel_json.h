#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "base/json_writer.h"
#include "ingest/relabel.h"
#include "tsdb/labels.h"

namespace tarsier::ingest {

/// A rule as the API shows it: the fields of the configuration.
void write_relabel_rule_json(JsonWriter& out, const RelabelRule& rule);

/// The position of the rule that drops `labels`, if one does.
std::optional<std::size_t> dropping_rule(std::span<const RelabelRule> rules,
                                         const tsdb::Labels& labels);

}  // namespace tarsier::ingest
