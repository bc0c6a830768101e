#include "query/result_stream.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/json_writer.h"
#include "query/resolution.h"
#include "query/result_json.h"
#include "query/statistics_json.h"

namespace tarsier::query {
namespace {

/// Stands for the result's elements in its frame: no JSON text holds this byte.
constexpr char kElements = '\x01';
constexpr std::size_t kPieceBytes = std::size_t{64} << 10;
/// Points beyond which an answer is streamed; about 20 bytes each.
constexpr std::size_t kPointsAtOnce = 20'000;

std::size_t point_count(const QueryResult& result) {
  // Labels weigh like some ten points.
  std::size_t count = 10 * (result.vector.size() + result.matrix.size());
  for (const MatrixSeries& series : result.matrix) count += series.point_count();
  return count;
}

/// Everything around the elements.
HttpResponse frame_of(const QueryResult& result, const ResultFrame& frame, bool with_elements) {
  HttpResponse response = api_success(
      [&](JsonWriter& json) {
        json.begin_object();
        if (with_elements) {
          write_result(json, result, frame.series_max);
        } else {
          json.field("resultType", result_type_name(result.type)).key("result");
          json.begin_array().raw(std::string_view(&kElements, 1)).end_array();
        }
        if (frame.has_statistics) {
          json.key("stats");
          write_statistics(json, result.statistics, frame.queued_seconds);
        }
        json.end_object();
      },
      frame.notes);
  const std::vector<Duration>& resolutions = result.statistics.resolutions;
  if (!resolutions.empty()) {
    response.headers.emplace_back("X-Tarsier-Source-Resolution", resolution_list(resolutions));
  }
  return response;
}

class ResultBody final : public BodyStream, public std::enable_shared_from_this<ResultBody> {
 public:
  ResultBody(QueryResult result, std::size_t count, std::string tail, Submit submit)
      : result_(std::move(result)),
        count_(count),
        tail_(std::move(tail)),
        submit_(std::move(submit)) {}

  void next(std::function<void(Result<std::string>)> done) override {
    const auto make = [self = shared_from_this(), done = std::move(done)] { done(self->piece()); };
    if (submit_ == nullptr || !submit_(make)) make();
  }

 private:
  std::string piece() {
    std::string out;
    while (next_ < count_ && out.size() < kPieceBytes) {
      if (next_ > 0) out += ',';
      append_result_element(out, result_, next_);
      // What was sent need not be kept.
      if (result_.type == ResultType::kMatrix) {
        result_.matrix[next_] = MatrixSeries();
      } else {
        result_.vector[next_] = VectorElement();
      }
      ++next_;
    }
    if (next_ == count_) out += std::exchange(tail_, {});
    return out;
  }

  QueryResult result_;
  const std::size_t count_;
  std::string tail_;
  const Submit submit_;
  std::size_t next_ = 0;
};

}  // namespace

HttpResponse result_response(QueryResult result, const ResultFrame& frame, const Submit& submit) {
  if (point_count(result) <= kPointsAtOnce) return frame_of(result, frame, true);
  HttpResponse response = frame_of(result, frame, false);
  const std::size_t middle = response.body.find(kElements);
  std::string tail = response.body.substr(middle + 1);
  response.body.resize(middle);
  std::size_t count =
      result.type == ResultType::kMatrix ? result.matrix.size() : result.vector.size();
  if (frame.series_max != 0) count = std::min(count, frame.series_max);
  response.stream = std::make_shared<ResultBody>(std::move(result), count, std::move(tail), submit);
  return response;
}

}  // namespace tarsier::query
