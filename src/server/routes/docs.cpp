// /openapi.json, and /docs: the same for people.
#include "server/json.h"
#include "server/openapi.h"
#include "server/routes/routes.h"

namespace mlx_audio::server {

namespace {

std::string escaped(const std::string& text) {
  std::string out;
  for (char c : text) {
    out += c == '<' ? "&lt;"
        : c == '>'  ? "&gt;"
        : c == '&'  ? "&amp;"
        : c == '"'  ? "&quot;"
                    : std::string(1, c);
  }
  return out;
}

std::string type_of(const Json& schema) {
  if (schema.contains("enum")) {
    std::string names;
    for (const auto& value : schema["enum"]) {
      if (value.is_string()) {
        names += (names.empty() ? "" : ", ") + value.get<std::string>();
      }
    }
    return names;
  }
  std::string type = "string or object";
  if (schema.contains("type")) {
    const auto& given = schema["type"];
    type = given.is_array() ? given[0].get<std::string>()
                            : given.get<std::string>();
  }
  if (schema.value("format", "") == "binary") {
    type = "file";
  }
  if (schema.contains("minimum")) {
    type += ", " + schema["minimum"].dump() + " to " + schema["maximum"].dump();
  }
  if (schema.contains("default")) {
    type += ", default " + schema["default"].dump();
  }
  return type;
}

std::string row(
    const std::string& name,
    const std::string& type,
    bool required,
    const std::string& text) {
  return "<tr><th scope=\"row\"><code>" + escaped(name) + "</code>" +
      (required ? " <strong>required</strong>" : "") + "</th><td>" +
      escaped(type) + "</td><td>" + escaped(text) + "</td></tr>\n";
}

std::string fields(const Json& operation) {
  std::string rows;
  for (const auto& p : operation.value("parameters", Json::array())) {
    rows +=
        row(p["name"].get<std::string>(),
            type_of(p["schema"]) + ", in the " + p["in"].get<std::string>(),
            p.value("required", false),
            p.value("description", ""));
  }
  if (operation.contains("requestBody")) {
    for (const auto& [media, content] :
         operation["requestBody"]["content"].items()) {
      const auto& schema = content["schema"];
      for (const auto& [name, field] : schema["properties"].items()) {
        bool required = false;
        for (const auto& wanted : schema.value("required", Json::array())) {
          required = required || wanted == name;
        }
        rows +=
            row(name, type_of(field), required, field.value("description", ""));
      }
    }
  }
  return rows.empty() ? ""
                      : "<table><thead><tr><th>Field</th><th>Value</th>"
                        "<th>Meaning</th></tr></thead><tbody>\n" +
          rows + "</tbody></table>\n";
}

std::string page() {
  Json api = Json::parse(openapi());
  std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\">"
      "<title>mlx-audio API</title><style>"
      ":root{color-scheme:light dark}"
      "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:auto;"
      "padding:1rem}table{border-collapse:collapse;width:100%;display:block;"
      "overflow-x:auto}th,td{text-align:left;vertical-align:top;padding:.25rem "
      ".75rem .25rem 0;border-top:1px solid #8884;font-weight:normal}"
      "code{font-size:.95em}h2{margin-top:2.5rem}</style></head><body><main>"
      "<h1>mlx-audio API</h1>\n<p>" +
      escaped(api["info"]["description"].get<std::string>()) +
      "</p>\n<p>For programs: <a href=\"/openapi.json\">openapi.json</a>.</p>"
      "\n<pre><code>curl http://localhost:8000/v1/audio/speech -H "
      "'content-type: application/json' \\\n  -d "
      "'{\"model\":\"kokoro\",\"input\":\"Hello.\",\"voice\":\"af_heart\"}' "
      "-o hello.mp3\ncurl http://localhost:8000/v1/audio/transcriptions -F "
      "model=whisper-base -F file=@hello.mp3</code></pre>\n";
  for (const auto& [path, methods] : api["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      std::string name = method;
      for (char& c : name) {
        c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      }
      html += "<h2 id=\"" + operation["operationId"].get<std::string>() +
          "\"><code>" + name + " " + escaped(path) + "</code></h2>\n<p>" +
          escaped(operation["summary"].get<std::string>()) + "</p>\n" +
          fields(operation);
    }
  }
  return html + "</main></body></html>\n";
}

} // namespace

void add_docs_routes(Router& router, Services& /* services */) {
  router.add(
      {.method = "GET",
       .pattern = "/openapi.json",
       .handler =
           [](const ExchangePtr& x) {
             x->respond({.body = std::string(openapi())});
           },
       .open = true});
  router.add(
      {.method = "GET",
       .pattern = "/docs",
       .handler =
           [](const ExchangePtr& x) {
             x->respond(
                 {.type = "text/html; charset=utf-8",
                  .body = page(),
                  .headers = {
                      {"content-security-policy",
                       "default-src 'none'; style-src 'unsafe-inline'"}}});
           },
       .open = true});
}

} // namespace mlx_audio::server
