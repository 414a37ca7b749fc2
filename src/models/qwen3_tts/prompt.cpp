#include "models/qwen3_tts/prompt.h"

#include "mlx_audio/error.h"

namespace mlx_audio::qwen3_tts {

namespace {

// The assistant turn: 3 ids of role, the text, 5 ids of endings.
constexpr size_t kRole = 3;
constexpr size_t kTextEnd = 5;
constexpr size_t kReferenceEnd = 2;

std::span<const int>
inner(const std::vector<int>& ids, size_t end, const char* what) {
  if (ids.size() <= kRole + end) {
    throw Error(
        ErrorKind::invalid_argument, std::string(what) + " is empty", "");
  }
  return std::span(ids).subspan(kRole, ids.size() - kRole - end);
}

mx::array repeated(const mx::array& row, int count) { // [1, dim]
  return mx::broadcast_to(row, {count, row.shape(1)});
}

mx::array rows(const mx::array& x, int from, int to) {
  return mx::slice(x, {from, 0}, {to, x.shape(1)});
}

mx::array join(std::vector<mx::array> parts) {
  return mx::concatenate(std::move(parts), 0);
}

} // namespace

std::optional<int> language_code(
    const Config& config,
    const std::string& language,
    const std::string& speaker) {
  auto dialect = config.dialects.find(speaker);
  if (dialect != config.dialects.end() &&
      (language == "auto" || language == "chinese")) {
    return config.languages.at(dialect->second);
  }
  if (language == "auto") {
    return std::nullopt;
  }
  auto found = config.languages.find(language);
  if (found == config.languages.end()) {
    std::string known = "auto";
    for (const auto& [name, code] : config.languages) {
      known += ", " + name;
    }
    throw Error(
        ErrorKind::invalid_argument,
        "the model does not speak '" + language + "'",
        "languages: " + known);
  }
  return found->second;
}

Prompt make_prompt(
    const Talker& talker,
    const Config& config,
    const PromptRequest& request) {
  auto code = [&](int id) { return talker.embed_codes(std::vector<int>{id}); };
  auto special = talker.embed_text(
      std::vector<int>{config.tts_bos, config.tts_eos, config.tts_pad});
  auto bos = rows(special, 0, 1);
  auto eos = rows(special, 1, 2);
  auto pad = rows(special, 2, 3);
  auto codec_pad = code(config.codec_pad);
  auto codec_bos = code(config.codec_bos);
  auto text = inner(request.text_ids, kTextEnd, "the text");

  std::vector<mx::array> parts;
  if (!request.instruct_ids.empty()) {
    parts.push_back(talker.embed_text(request.instruct_ids));
  }
  parts.push_back(talker.embed_text(std::span(request.text_ids).first(kRole)));

  // Language, speaker and a pad under tts_pad; the last under tts_bos.
  auto language = language_code(config, request.language, request.speaker);
  std::vector<int> tags = language
      ? std::vector<
            int>{config.codec_think, config.codec_think_bos, *language, config.codec_think_eos}
      : std::vector<int>{
            config.codec_nothink,
            config.codec_think_bos,
            config.codec_think_eos};
  std::vector<mx::array> head{talker.embed_codes(tags)};
  if (request.voice) {
    // In the talker's type: another would promote all that follows.
    head.push_back(
        mx::reshape(mx::astype(*request.voice, talker.dtype()), {1, -1}));
  } else if (!request.speaker.empty()) {
    head.push_back(code(config.speakers.at(request.speaker)));
  }
  head.push_back(codec_pad);
  auto control = join(head);
  parts.push_back(join({repeated(pad, control.shape(0) - 1), bos}) + control);

  if (request.context != nullptr) {
    auto reference =
        inner(request.context->text_ids, kReferenceEnd, "the reference text");
    std::vector<int> words(reference.begin(), reference.end());
    words.insert(words.end(), text.begin(), text.end());
    auto said = join({talker.embed_text(words), eos});
    auto heard = join({codec_bos, talker.embed_frames(request.context->codes)});
    int n_said = said.shape(0);
    int n_heard = heard.shape(0);
    if (request.whole_text_first) {
      parts.push_back(said + codec_pad);
      parts.push_back(heard + pad);
      return {join(parts), pad, pad};
    }
    if (n_said > n_heard) {
      parts.push_back(rows(said, 0, n_heard) + heard);
      return {join(parts), rows(said, n_heard, n_said), pad};
    }
    if (n_said < n_heard) {
      said = join({said, repeated(pad, n_heard - n_said)});
    }
    parts.push_back(said + heard);
    return {join(parts), pad, pad};
  }

  auto said = join({talker.embed_text(text), eos});
  if (request.whole_text_first) {
    parts.push_back(said + codec_pad);
    parts.push_back(pad + codec_bos);
    return {join(parts), pad, pad};
  }
  parts.push_back(rows(said, 0, 1) + codec_bos);
  return {join(parts), rows(said, 1, said.shape(0)), pad};
}

} // namespace mlx_audio::qwen3_tts
