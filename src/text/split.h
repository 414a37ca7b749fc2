// Text of any length, cut lazily into pieces that a model with a limited input
// can speak: at paragraphs, else sentences, else clauses, else words, and never
// dropping anything. Reads and pronounces a little ahead, so memory stays flat
// and the first piece comes at once.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/phonemizer.h"

namespace mlx_audio::text {

struct SplitOptions {
  /// No chunk has more phonemes (code points of TextChunk::phonemes). 1 or
  /// more.
  size_t max_phonemes = 510;
  /// The first chunk ends here at the latest, at a sentence, clause or word, so
  /// that sound starts early (a quarter more if that finishes the paragraph).
  /// 0: as long as the others.
  size_t first_chunk_phonemes = 40;
  /// Later chunks double up to this; whole sentences may pass it.
  size_t target_phonemes = 240;
  /// Seconds of silence behind a chunk, by what ends there.
  double sentence_pause = 0.1;
  double line_pause = 0.3;
  double paragraph_pause = 0.6;
};

struct TextChunk {
  std::vector<PhonemeToken> tokens; ///< spans are bytes of the whole source
  std::string phonemes;
  size_t begin = 0, end = 0; ///< bytes of the whole source
  double pause_after = 0; ///< seconds; 0 inside a sentence and at the end
};

/// Fills the buffer with the next bytes of a source; 0 at its end.
using TextReader = std::function<size_t(char* buffer, size_t size)>;

class ChunkStream {
 public:
  /// @param text must stay until the last next(); it is checked as a whole now.
  /// @throws Error invalid_argument for text that is malformed or blank.
  ChunkStream(
      std::string_view text,
      Phonemizer& phonemizer,
      const SplitOptions& options = {});
  /// Reads as it goes; malformed text is found when it is reached.
  ChunkStream(
      TextReader reader,
      Phonemizer& phonemizer,
      const SplitOptions& options = {});
  ~ChunkStream();

  /// The next chunk, nothing at the end of the text.
  /// @throws Error of the phonemizer; invalid_argument if nothing at all in the
  ///   text can be spoken.
  std::optional<TextChunk> next();

 private:
  enum class Border { none, word, clause, sentence, line, paragraph };
  struct Item {
    PhonemeToken token;
    size_t size; // phonemes, with the blank behind it
    Border border; // what ends behind it
  };
  class Sentences; // ICU

  void refill(size_t wanted);
  bool read_block();
  void add_tokens(
      std::vector<PhonemeToken> tokens,
      size_t base,
      const std::vector<size_t>& sentence_ends,
      Border end);
  void push(PhonemeToken token, Border border);
  size_t find_paragraph_end(Border& kind, size_t& behind) const;
  size_t choose_cut(size_t target, bool first) const;
  TextChunk take(size_t count);

  TextReader reader_;
  Phonemizer& phonemizer_;
  SplitOptions options_;
  std::unique_ptr<Sentences> sentences_;
  std::string buffer_; // read, not yet pronounced
  size_t base_ = 0; // offset of buffer_ in the source
  std::string partial_; // of a code point at the end of what was read
  bool end_of_source_ = false;
  bool checked_ = false;
  std::deque<Item> items_; // pronounced, not yet handed out
  size_t target_ = 0;
  size_t blocks_ = 0;
  size_t chunks_ = 0;
};

/// Takes phonemes for text: words between blanks stand for themselves. Lets
/// text that is already phonemic go through a ChunkStream.
std::unique_ptr<Phonemizer> make_phoneme_reader(Language language);

} // namespace mlx_audio::text
