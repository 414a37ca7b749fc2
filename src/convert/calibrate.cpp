#include "convert/calibrate.h"

#include "kernels/linear.h"
#include "mlx_audio/speech.h"
#include "mlx_audio/transcription.h"
#include "models/kokoro/speech_model.h"
#include "models/whisper/load.h"

namespace mlx_audio::convert {

namespace {

namespace mx = mlx::core;

// In Kokoro's phonemes, so that no lexicon is needed.
const char* const sentences[] = {
    "plˈiz sˈɛnd ðə ɹəpˈɔɹt bəfˈɔɹ nˈun, ænd kˈɔl mˌi ɪf ˈɛniθˌɪŋ "
    "ɪz mˈɪsɪŋ.",
    "ðə mjuzˈiəm ˈOpᵊnz æt nˈIn θˈɜɹTi ˌɔn wˈikdˌAz, bˌʌt ɪt ɪz "
    "klˈOzd ˈɛvəɹi sˈɛkənd mˈʌndˌA ɪn wˈɪntəɹ.",
    "ʃˌi lˈæft, ʃˈʊk hɜɹ hˈɛd, ænd ˈæskt wˈɛðəɹ ˈɛniwˌʌn hæd sˈin "
    "ðə kˈiz.",
    "ɪn nˌIntˈin ˈATi fˈɔɹ ðə kˈʌmpᵊni sˈOld əbˈWt twˈɛlv θˈWzᵊnd "
    "kˈɑɹz əkɹˈɔs jˈʊɹəp.",
    "wˌI wʊd ɐ ɹˈɪvəɹ ʧˈAnʤ ɪts kˈɔɹs ˈæftəɹ ˈOnli θɹˈi dˈAz ʌv "
    "hˈɛvi ɹˈAn?",
    "ðə dˈɑktəɹ mˈɛʒəɹd hɪz pˈʌls, ɹˈOt dˌWn ɐ nˈʌmbəɹ, ænd sˈɛd "
    "nˈʌθɪŋ fɔɹ ɐ wˌIl.",
    "ˌWəɹ tɹˈAn lˈivz fɹʌm plˈætfˌɔɹm sˈɛvən, sˌO wi ʃˌʊd wˈɔk θɹu "
    "ðə tˈʌnᵊl nˈW.",
    "θˈWzᵊndz ʌv smˈɔl bˈɜɹdz ɡˈæðəɹd əbˈʌv ðə hˈɑɹbəɹ ænd vˈænɪʃt "
    "tˈɔɹdz ðə sˈWθ.",
    "ˌI kˈænt bəlˈiv ju fˈɪnəʃt ðə hˈOl pˈʌzᵊl wɪðˈWt lˈʊkɪŋ æt ðə "
    "pˈɪkʧəɹ!",
    "ðə ʤˈʌʤ ɹˈɛd ðə sˈɛntᵊns əlˈWd, ænd ɐ mˈɜɹməɹ wˈɛnt θɹu ðə "
    "kɹˈWdᵻd ɹˈum.",
    "mˈɪks ðə flˈWəɹ wɪð wˈɔɹm wˈɔTəɹ, ˈæd ɐ pˈɪnʧ ʌv sˈɔlt, ænd "
    "lˈɛt ðə dˈO ɹˈɛst fɔɹ ɐn ˈWəɹ.",
    "mˈɑdəɹn ˈɛnʤənz bˈɜɹn lˈɛs fjˈuᵊl, jˈɛt tɹˈæfɪk kˈips ɡɹˈOɪŋ "
    "ɪn mˈOst lˈɑɹʤ sˈɪTiz.",
    "hˌi wˈɪspəɹd ɐ kwˈɪk ɡˌʊdbˈI, klˈOzd ðə ɡˈAt, ænd fˈɑlOd ðə "
    "pˈæθ ˈɪntu ðə wˈʊdz.",
    "kwˈɔɹTəɹli pɹˈɑfəts fˈɛl bI sˈɪks pəɹsˈɛnt, lˈɑɹʤli bəkˈʌz ʌv "
    "hˈIəɹ ˈɛnəɹʤi pɹˈIsᵻz.",
    "wˌɛn ðə mjˈuzɪk stˈɑpt, ˈɛvɹiwən tˈɜɹnd tˈɔɹdz ðə dˈɔɹ æt "
    "ɪɡzˈæktli ðə sˈAm mˈOmᵊnt.",
    "jˌu kʊd hˈɪɹ ði ˈOld klˈɑk tˈɪkɪŋ ɪn ðə hˈɔlwˌA ʌv mI "
    "ɡɹˈændmˌʌðəɹz hˈWs."};
constexpr int sentence_count = static_cast<int>(std::size(sentences));

class Moments {
 public:
  void add(const std::vector<std::string>& paths, const mx::array& x) {
    if (paths.empty()) {
      return;
    }
    int width = x.shape(-1);
    auto rows = mx::astype(mx::reshape(x, {-1, width}), mx::float32);
    auto product = mx::matmul(mx::transpose(rows), rows);
    product.eval();
    for (const auto& path : paths) {
      auto [found, fresh] = sums_.try_emplace(path, Sum{product, 0});
      if (!fresh) {
        found->second.product = found->second.product + product;
      }
      found->second.count += rows.shape(0);
      found->second.product.eval();
    }
  }

  std::map<std::string, std::vector<float>> means() const {
    std::map<std::string, std::vector<float>> result;
    for (const auto& [path, sum] : sums_) {
      auto mean = mx::contiguous(sum.product / static_cast<float>(sum.count));
      mean.eval();
      result[path].assign(mean.data<float>(), mean.data<float>() + mean.size());
    }
    return result;
  }

 private:
  struct Sum {
    mx::array product;
    int64_t count;
  };
  std::map<std::string, Sum> sums_;
};

// The built-in sentences in several voices, as one recording: a recognizer
// should not hear silence for the most part of its windows.
Audio speak(SpeechModel& model) {
  std::vector<std::string> voices;
  for (const auto& voice : model.voices()) {
    if (voice.language.rfind("en", 0) == 0) {
      voices.push_back(voice.id);
    }
  }
  Audio spoken;
  for (int i = 0; i < sentence_count; ++i) {
    SpeechRequest request{.text = sentences[i], .seed = 0, .phonemes = true};
    if (!voices.empty()) {
      request.voice = voices[static_cast<size_t>(i) * 7 % voices.size()];
    }
    auto stream = model.synthesize(request);
    while (auto chunk = stream->next()) {
      spoken.sample_rate = chunk->sample_rate;
      spoken.samples.insert(
          spoken.samples.end(), chunk->samples.begin(), chunk->samples.end());
    }
  }
  return spoken;
}

std::string sentences_text() {
  return std::to_string(sentence_count) + " sentences";
}

} // namespace

bool calibrates(
    const std::string& model_type,
    const std::vector<std::string>& recordings,
    const std::string& speaker) {
  return model_type == "kokoro" ||
      (model_type == "whisper" && (!recordings.empty() || !speaker.empty()));
}

Calibration calibrate(
    const std::string& model_type,
    const std::string& folder,
    const std::vector<std::string>& recordings,
    const std::string& speaker) {
  bool hears = model_type == "whisper";
  std::vector<Audio> heard;
  if (hears && recordings.empty()) {
    heard.push_back(speak(*kokoro::load_speech_model(speaker, {})));
  }
  for (size_t i = 0; hears && i < recordings.size(); ++i) {
    heard.push_back(read_audio(recordings[i]));
  }
  Calibration result;
  Moments moments;
  kernels::ScopedLinearObserver observer(
      [&](const kernels::LinearWeight& weight, const mx::array& x) {
        moments.add(weight.paths, x);
      });
  if (!hears) {
    speak(*kokoro::load_speech_model(folder, {}));
    result.source = sentences_text();
  } else {
    // 8 bits keep the decoder's products apart, where they are seen; others run
    // in one kernel.
    auto model =
        whisper::load_whisper(folder, {.dtype = "float32", .decoder_bits = 8});
    for (const auto& audio : heard) {
      TranscriptionRequest request{.audio = &audio};
      request.options.temperatures = {0};
      auto stream = model->transcribe(request);
      while (stream->next()) {
      }
    }
    result.source = recordings.empty()
        ? sentences_text() + " said by Kokoro"
        : std::to_string(recordings.size()) + " recordings";
  }
  result.moments = moments.means();
  return result;
}

} // namespace mlx_audio::convert
