#pragma once

#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace tarsier::server {

/// Runs the unit tests of objectives in a file: described series are replayed, and the alerts that
/// fire must be those the file names, no more and no fewer.
///   slo_files: [slos.yml]
///   tests:
///   - name: an outage pages
///     interval: 15s
///     input_series:
///     - {series: 'requests{code="500"}', values: '0+0x480 0+5x40'}
///     alerts:
///     - {slo: checkout, severity: page, fired_at: 2h3m30s}
/// Gives what failed; an error where the file cannot be run.
Result<std::vector<std::string>> run_slo_tests(FileSystem& files, const std::string& path);

}  // namespace tarsier::server
