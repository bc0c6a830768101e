#include "server/ui.h"

#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "base/compression.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "base/keyed_hash.h"
#include "ingest/push_receiver.h"
#include "server/flags.h"
#include "server/handlers.h"
#include "server/http_answer.h"
#include "server/router.h"
#include "server/routes.h"
#include "server/version.h"

namespace tarsier::server {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{8} << 20;

/// Addresses of pages: all answer with the same document, which shows the page.
constexpr std::array kPages = {"/",
                               "/overview",
                               "/graph",
                               "/alerts",
                               "/alerts/*",
                               "/slos",
                               "/slos/*",
                               "/services",
                               "/services/*",
                               "/sampling",
                               "/rules",
                               "/targets",
                               "/status",
                               "/config",
                               "/tsdb-status",
                               "/cardinality",
                               "/flags",
                               "/traces",
                               "/trace/*",
                               "/search",
                               "/dependencies",
                               "/vmui",
                               "/vmui/",
                               "/objectives",
                               "/classic/graph",
                               "/classic/alerts",
                               "/classic/targets",
                               "/service-discovery",
                               "/alertmanager-discovery"};

/// What there is when the program was built without the files of the UI.
constexpr std::string_view kPlaceholder =
    "<!doctype html>\n<html lang=\"en\"><head><base href=\"/\" /><title>Tarsier</title>"
    "<script type=\"application/json\" id=\"boot\"></script></head>\n<body><h1>Tarsier</h1>\n"
    "<p>This program was built without its web UI. The API answers: <a "
    "href=\"api/v1/query?query=up\">api/v1/query</a>, <a href=\"metrics\">metrics</a>.</p>"
    "</body></html>\n";

std::string_view content_type_of(std::string_view path) {
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".svg")) return "image/svg+xml";
  if (path.ends_with(".html")) return "text/html; charset=utf-8";
  return "text/plain; charset=utf-8";
}

std::string text_of(const UiFile& file) {
  std::string text;
  const Status status = gzip_decompress(file.gzip, kFileBytesMax, text);
  CHECK(status.ok(), "a file of the UI was embedded damaged");
  return text;
}

/// A file as it is: nothing in it depends on who asks.
HttpResponse file_response(const HttpRequest& request, const UiFile& file) {
  HttpResponse response;
  response.content_type = content_type_of(file.path);
  // Asked anew each time, so that no browser mixes two versions; mostly the answer is 304.
  response.headers = {{"ETag", std::string(file.tag)},
                      {"Cache-Control", "no-cache"},
                      {"X-Content-Type-Options", "nosniff"}};
  if (request.header("If-None-Match").find(file.tag) != std::string_view::npos) {
    response.status = 304;
    return response;
  }
  if (preferred_coding(request.header("Accept-Encoding")) == ContentCoding::kGzip) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.headers.emplace_back("Vary", "Accept-Encoding");
    response.body.assign(reinterpret_cast<const char*>(file.gzip.data()), file.gzip.size());
  } else {
    response.body = text_of(file);
  }
  return response;
}

void replace(std::string& text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  CHECK(at != std::string::npos, "index.html lacks a place the server fills");
  text.replace(at, from.size(), to);
}

/// JSON that may stand inside a script element: nothing in it can end that.
std::string boot_json(const Doors& doors, std::string_view nonce) {
  std::string text;
  JsonWriter json(text);
  json.begin_object()
      .field("prefix", doors.external_path)
      .field("title", doors.flags.text("web.page-title"))
      .field("version", version())
      .field("lookbackDelta", format_duration(doors.flags.duration("query.lookback-delta")))
      .field("nonce", nonce)
      .end_object();
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
    text.replace(at, 1, "\\u003c");
  }
  return text;
}

HttpResponse page_response(const Doors& doors, std::string html) {
  const std::string nonce = fmt::format("{:016x}", draw_hash_key().words[0]);
  replace(html, "<base href=\"/\" />", fmt::format("<base href=\"{}/\" />", doors.external_path));
  replace(html, "id=\"boot\">", "id=\"boot\">" + boot_json(doors, nonce));
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = std::move(html);
  response.headers = {
      {"Content-Security-Policy",
       fmt::format("default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{}'; img-src "
                   "'self' data:; connect-src 'self'; font-src 'self'; base-uri 'self'; "
                   "form-action 'self'; frame-ancestors 'none'",
                   nonce)},
      {"Cache-Control", "no-store"},
      {"Referrer-Policy", "same-origin"},
      {"X-Content-Type-Options", "nosniff"}};
  return response;
}

}  // namespace

void add_ui(Router& router, const Doors& doors) {
  const auto add = [&](std::string path, Answer answer) {
    router.add({.path = std::move(path),
                .methods = {"GET", "HEAD"},
                .handler = inline_handler(std::move(answer)),
                .is_api = false,
                .needs_ready = false});
  };
  std::string html(kPlaceholder);
  for (const UiFile& file : ui_files()) {
    if (file.path == "index.html") {
      html = text_of(file);
      continue;
    }
    add("/" + std::string(file.path),
        [&file](const HttpRequest& request) { return file_response(request, file); });
  }
  // InfluxDB's clients ask at the same address.
  const bool has_influx = doors.flags.is_on("web.enable-influx-receiver");
  router.add({.path = "/query",
              .methods = has_influx ? std::vector<std::string>{"GET", "HEAD", "POST"}
                                    : std::vector<std::string>{"GET", "HEAD"},
              .handler = inline_handler([&doors, html, has_influx](const HttpRequest& request) {
                const bool is_influx = has_influx && request.parameter("q").has_value();
                return is_influx ? ingest::PushReceiver::influx_query(request)
                                 : page_response(doors, html);
              }),
              .is_api = false,
              .needs_ready = false});
  for (const char* path : kPages) {
    add(path, [&doors, html](const HttpRequest&) { return page_response(doors, html); });
  }
}

}  // namespace tarsier::server
