#include "query/histogram/json.h"

#include <vector>

#include "query/histogram/buckets.h"
#include "query/result_json.h"

namespace tarsier::query {
namespace {

void append_quoted(std::string& out, double v) {
  out += '"';
  append_sample_value(out, v);
  out += '"';
}

char rule_of(const Bucket& bucket) {
  if (bucket.has_lower) return bucket.has_upper ? '3' : '1';
  return bucket.has_upper ? '0' : '2';
}

}  // namespace

void append_histogram_json(std::string& out, const HistogramView& h) {
  out += "{\"count\":";
  append_quoted(out, h.count);
  out += ",\"sum\":";
  append_quoted(out, h.sum);
  thread_local std::vector<BucketPlace> places;
  list_buckets(h, places);
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Bucket bucket = bucket_at(*h.layout, places[i]);
    out += i == 0 ? ",\"buckets\":[[" : ",[";
    out += rule_of(bucket);
    for (const double v : {bucket.lower, bucket.upper, bucket.count}) {
      out += ',';
      append_quoted(out, v);
    }
    out += ']';
  }
  out += places.empty() ? "}" : "]}";
}

}  // namespace tarsier::query
