#pragma once

#include <span>
#include <string>
#include <vector>

#include "tsdb/db.h"

namespace tarsier::server {

/// `tarsier tsdb ...`: list, analyze, dump, dump-openmetrics, verify, repair,
/// export, import and create-blocks-from. Flags and output are promtool's where promtool has the command. Returns the
/// exit code.
int run_tsdb(std::span<const std::string> arguments);
/// What --help says of them, a line each.
std::string tsdb_usage();

enum class TableNumbers : unsigned char { kRaw, kHuman };
/// The table of `list`, with or without its headline.
std::string block_table(const std::vector<tsdb::BlockSummary>& blocks, TableNumbers numbers,
                        bool with_headline);
/// "2h0m0s", "1h46m0.501s", "15ms": as Go prints durations.
std::string go_duration(Duration duration);

// The commands that have a file of their own.

int run_tsdb_analyze(std::span<const std::string> arguments);
int run_tsdb_create_blocks(std::span<const std::string> arguments);
int run_tsdb_verify(std::span<const std::string> arguments);
int run_tsdb_repair(std::span<const std::string> arguments);
int run_tsdb_export(std::span<const std::string> arguments);
int run_tsdb_import(std::span<const std::string> arguments);
int run_tsdb_retention(std::span<const std::string> arguments);
/// The tiers of a data directory, a line each; nothing if none is sealed.
std::string tier_table(const std::string& path);

}  // namespace tarsier::server
