#include "models/csm/voices.h"

#include <algorithm>
#include <filesystem>

#include "mlx_audio/error.h"
#include "models/request_checks.h"
#include "text/tokenizer_files.h"
#include "text/unicode.h"

namespace mlx_audio::csm {

namespace {

namespace fs = std::filesystem;

constexpr int kRate = 24000;
constexpr size_t kMostText = 1 << 16; // bytes
const char* const kDefault = "conversational_a";

// What is said in the recordings of sesame/csm-1b, which come without texts.
std::string released_text(const std::string& name) {
  if (name == "conversational_a") {
    return "like revising for an exam I'd have to try and like keep up the "
           "momentum because I'd start really early I'd be like okay I'm gonna "
           "start revising now and then like you're revising for ages and then "
           "I just like start losing steam I didn't do that for the exam we "
           "had recently to be fair that was a more of a last minute scenario "
           "but like yeah I'm trying to like yeah I noticed this yesterday "
           "that like Mondays I sort of start the day with this not like a "
           "panic but like a";
  }
  if (name == "conversational_b") {
    return "like a super Mario level. Like it's very like high detail. And "
           "like, once you get into the park, it just like, everything looks "
           "like a computer game and they have all these, like, you know, if, "
           "if there's like a, you know, like in a Mario game, they will have "
           "like a question block. And if you like, you know, punch it, a coin "
           "will come out. So like everyone, when they come into the park, "
           "they get like this little bracelet and then you can go punching "
           "question blocks around.";
  }
  return "";
}

} // namespace

Voices::Voices(const Network& network, const std::string& folder)
    : network_(network), folder_(folder + "/prompts/") {
  if (!fs::is_directory(folder_)) {
    return;
  }
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path().extension() == ".wav") {
      names_.push_back(entry.path().stem().string());
    }
  }
  std::sort(names_.begin(), names_.end());
}

std::string Voices::default_name() const {
  return std::binary_search(names_.begin(), names_.end(), kDefault) ? kDefault
                                                                    : "";
}

std::shared_ptr<const Voice> Voices::built_in(const std::string& name) {
  // A name that is listed is a file of that folder, so none leads out of it.
  if (!std::binary_search(names_.begin(), names_.end(), name)) {
    std::string known;
    for (const auto& one : names_) {
      known += (known.empty() ? "voices: " : ", ") + one;
    }
    throw Error(
        ErrorKind::invalid_argument,
        "the model has no voice '" + name + "'",
        known.empty() ? "it has none built in: give a recording (--ref-audio) "
                        "and its text (--ref-text)"
                      : known);
  }
  std::string text_file = folder_ + name + ".txt";
  VoiceReference reference;
  reference.text = fs::exists(text_file)
      ? text::read_text_file(text_file, kMostText)
      : released_text(name);
  text::check_text(reference.text);
  if (text::is_blank(reference.text)) {
    throw Error(
        ErrorKind::corrupt_data,
        "the voice '" + name + "' lacks its text, '" + text_file + "'",
        "write there what is said in the recording");
  }
  reference.audio = read_audio(folder_ + name + ".wav");
  return get(reference);
}

std::shared_ptr<const Voice> Voices::get(const VoiceReference& reference) {
  return recent_.get(reference, [&] {
    if (text::is_blank(reference.text)) {
      throw Error(
          ErrorKind::invalid_argument,
          "the reference audio has no text",
          "say what is spoken in it (--ref-text)");
    }
    auto samples = reference_samples(reference.audio, kRate);
    auto signal = mx::array(samples.data(), {static_cast<int>(samples.size())});
    return std::make_shared<const Voice>(
        Voice{reference.text, network_.codec->encode(signal)});
  });
}

} // namespace mlx_audio::csm
