// Part-of-speech tags by the small convolutional network of spaCy's
// en_core_web_sm (hashed embeddings of a word's norm, prefix, suffix and shape;
// four residual maxout convolutions over three words; one linear layer), run
// here without spaCy. 6 MB of float32 weights are read in place.
// Facts: spaCy MultiHashEmbed.v2 and MaxoutWindowEncoder.v2, thinc (MIT).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/english_tokenizer.h"
#include "text/sections.h"

namespace mlx_audio::text {

class EnglishTagger {
 public:
  static constexpr size_t kWidth = 96;
  static constexpr size_t kPieces = 3; // maxout
  static constexpr size_t kFeatures = 6;
  static constexpr size_t kDepth = 4;

  explicit EnglishTagger(const SectionFile& file);

  /// One Penn Treebank tag a token, e.g. "VBD"; static life time.
  std::vector<const std::string*> tag(
      std::string_view text,
      const std::vector<EnglishToken>& tokens);

 private:
  struct Layer { // maxout, then layer norm
    std::span<const float> weight; // [inputs, kPieces * kWidth]
    std::span<const float> bias; // [kPieces * kWidth]
    std::span<const float> scale, shift; // [kWidth]
  };
  using Vector = std::array<float, kWidth>;

  Layer read_layer(const SectionFile& file, const std::string& name, size_t in);
  /// y [rows, kWidth] = norm(maxout(x [rows, in]))
  void
  run(const Layer& layer, const float* x, size_t rows, size_t in, float* y);
  const Vector& embed(std::string_view word, std::string_view norm, bool space);
  std::string norm_of(std::string_view word) const;

  StringTable norms_;
  std::vector<std::string> labels_;
  std::array<std::span<const float>, kFeatures> tables_; // [rows, kWidth]
  std::array<uint32_t, kFeatures> seeds_{};
  Layer mix_;
  std::array<Layer, kDepth> convolutions_;
  std::span<const float> out_weight_; // [kWidth, labels]
  std::span<const float> out_bias_; // [labels]
  std::unordered_map<std::string, Vector> cache_;
  std::vector<float> scratch_;
};

/// spaCy's 64-bit id of a string: a fixed small number for the names it
/// reserves, else MurmurHash64A.
uint64_t spacy_string_id(std::string_view text);

/// y [rows, out] = x [rows, in] * weight [in, out] + bias [out]; `x` rows start
/// every `stride` floats (a window over neighbours is a smaller stride than
/// `in`). `out` must be a multiple of 16.
void affine(
    const float* x,
    size_t stride,
    const float* weight,
    const float* bias,
    float* y,
    size_t rows,
    size_t in,
    size_t out);

} // namespace mlx_audio::text
