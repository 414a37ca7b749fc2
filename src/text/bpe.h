// Byte-level byte-pair encoding (Sennrich et al. 2016; GPT-2's byte alphabet):
// text to token ids and back. How a vocabulary is read from files is in
// tokenizer_files.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mlx_audio::text {

/// The pattern by which GPT-2 and Whisper cut text before merging.
extern const char* const kGpt2Pattern;
/// The same of Qwen 2 and 3 (single digits, line breaks kept together).
extern const char* const kQwenPattern;

/// A regular expression that cuts text into pieces; what it does not match
/// stays a piece of its own.
class PieceSplitter {
 public:
  /// @throws Error corrupt_data if the pattern does not compile.
  explicit PieceSplitter(const std::string& pattern);
  ~PieceSplitter();
  PieceSplitter(PieceSplitter&&) noexcept;
  PieceSplitter& operator=(PieceSplitter&&) noexcept;

  /// Views into `text` (valid UTF-8), in order, that together are all of it.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What a tokenizer is made of.
struct BpeSpec {
  /// Bytes of each token by id; ids may have gaps (empty strings).
  std::vector<std::string> tokens;
  /// Pairs of ids in order of preference with the id that they become. Empty:
  /// two tokens merge if their joined bytes are a token, the lowest id first
  /// (tiktoken's rule).
  struct Merge {
    int left;
    int right;
    int merged;
  };
  std::vector<Merge> merges;
  /// Tokens that text never merges into; encode finds them verbatim.
  struct Special {
    std::string content;
    int id;
  };
  std::vector<Special> specials;
  std::string pattern = kGpt2Pattern;
  bool normalize_nfc = false;
  /// A whole piece that is a token is that token, whatever the merges say.
  bool ignore_merges = false;
};

class BpeTokenizer {
 public:
  explicit BpeTokenizer(BpeSpec spec);
  BpeTokenizer(BpeTokenizer&&) = default;
  BpeTokenizer& operator=(BpeTokenizer&&) = default;

  /// Ids of valid UTF-8. Specials in the text become their ids only if asked
  /// to: text of users must not command a model.
  std::vector<int> encode(std::string_view text, bool parse_specials = false)
      const;

  /// Bytes of all ids in a row; they may end within a character. Unknown ids
  /// give nothing, specials their content unless `skip_specials`.
  std::string decode(std::span<const int> ids, bool skip_specials = true) const;

  /// Bytes of one id; empty if there is none.
  std::string_view token(int id) const;
  /// The id whose bytes these are.
  std::optional<int> find(std::string_view bytes) const;
  std::optional<int> special(std::string_view content) const;
  bool is_special(int id) const {
    return special_ids_.count(id) != 0;
  }
  /// One more than the largest id.
  int size() const {
    return size_;
  }

 private:
  struct Target {
    int priority;
    int merged;
  };
  std::optional<Target> merge(int left, int right) const;
  void encode_piece(std::string_view piece, std::vector<int>& out) const;
  void encode_text(std::string_view text, std::vector<int>& out) const;

  BpeSpec spec_;
  PieceSplitter splitter_;
  std::unordered_map<std::string_view, int> ids_; // views into spec_.tokens
  std::unordered_map<uint64_t, Target> merges_;
  std::unordered_map<int, size_t> special_ids_; // index into spec_.specials
  int byte_ids_[256];
  int size_ = 0;
};

/// UTF-8 of the longest prefix that does not end within a character; malformed
/// bytes before that become U+FFFD, one each.
std::string valid_utf8(std::string_view bytes);

} // namespace mlx_audio::text
