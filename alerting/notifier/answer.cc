#include "alerting/notifier/answer.h"

#include "alerting/matcher_text.h"

namespace tarsier::alerting {

HttpResponse v2_response(const std::function<void(JsonWriter&)>& write) {
  HttpResponse response;
  JsonWriter json(response.body);
  write(json);
  response.body += "\n";
  return response;
}

HttpResponse v2_failure(int status, std::string_view text) {
  HttpResponse response;
  response.status = status;
  append_json_string(response.body, text);
  response.body += "\n";
  return response;
}

HttpResponse v2_failure(const Status& status) {
  switch (status.code()) {
    case Code::kNotFound: return v2_failure(404, status.message());
    case Code::kInvalid: return v2_failure(400, status.message());
    default: return v2_failure(500, status.message());
  }
}

void write_v2_labels(JsonWriter& json, const tsdb::Labels& labels) {
  json.begin_object();
  for (const tsdb::LabelView label : labels) json.key(label.name).value(label.value);
  json.end_object();
}

Result<std::vector<tsdb::Matcher>> v2_matchers(const HttpRequest& request, std::string_view name) {
  std::vector<tsdb::Matcher> out;
  for (const std::string_view text : request.parameter_values(name)) {
    out.push_back(TRY(parse_alert_matcher(text)));
  }
  return out;
}

}  // namespace tarsier::alerting
