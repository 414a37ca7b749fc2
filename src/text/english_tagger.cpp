#include "text/english_tagger.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "mlx_audio/error.h"
#include "text/unicode.h"

namespace mlx_audio::text {

namespace {

constexpr size_t kCacheEntries = 20000;

// MurmurHash64A by Austin Appleby (public domain), seed 1.
uint64_t murmur64(std::string_view text) {
  constexpr uint64_t m = 0xc6a4a7935bd1e995ull;
  uint64_t h = 1 ^ (text.size() * m);
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t k;
    std::memcpy(&k, text.data() + i, 8);
    k *= m;
    k ^= k >> 47;
    k *= m;
    h ^= k;
    h *= m;
  }
  if (i < text.size()) {
    uint64_t k = 0;
    std::memcpy(&k, text.data() + i, text.size() - i);
    h ^= k;
    h *= m;
  }
  h ^= h >> 47;
  h *= m;
  h ^= h >> 47;
  return h;
}

// The 128-bit MurmurHash3 of one 64-bit id: four rows of a hashed table.
std::array<uint32_t, 4> hash_rows(uint64_t id, uint32_t seed) {
  auto mix = [](uint64_t h) {
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdull;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ull;
    return h ^ (h >> 33);
  };
  uint64_t h1 = id * 0x87c37b91114253d5ull;
  h1 = (h1 << 31) | (h1 >> 33);
  h1 *= 0x4cf5ad432745937full;
  h1 ^= seed;
  h1 ^= 8;
  uint64_t h2 = seed ^ 8u;
  h1 += h2;
  h2 += h1;
  h1 = mix(h1);
  h2 = mix(h2);
  h1 += h2;
  h2 += h1;
  return {
      static_cast<uint32_t>(h1),
      static_cast<uint32_t>(h1 >> 32),
      static_cast<uint32_t>(h2),
      static_cast<uint32_t>(h2 >> 32)};
}

// Strings that spaCy numbers itself (spacy/symbols.pyx), as far as a word, its
// ends or its shape can equal one.
const std::unordered_map<std::string_view, uint64_t>& reserved_names() {
  static const auto* names = [] {
    auto* map = new std::unordered_map<std::string_view, uint64_t>();
    auto add = [&](uint64_t first, std::string_view list) {
      while (!list.empty()) {
        size_t cut = list.find(' ');
        map->emplace(list.substr(0, cut), first++);
        list = cut == std::string_view::npos ? std::string_view()
                                             : list.substr(cut + 1);
      }
    };
    add(64,
        "ID ORTH LOWER NORM SHAPE PREFIX SUFFIX LENGTH CLUSTER LEMMA POS "
        "TAG DEP");
    add(79, "HEAD");
    add(81,
        "SPACY PROB LANG ADJ ADP ADV AUX CONJ CCONJ DET INTJ NOUN NUM PART "
        "PRON PROPN PUNCT SCONJ SYM VERB X EOL SPACE");
    add(380, "PERSON NORP FACILITY ORG GPE LOC PRODUCT EVENT");
    add(389,
        "LANGUAGE LAW DATE TIME PERCENT MONEY QUANTITY ORDINAL CARDINAL "
        "acomp advcl advmod agent amod appos attr aux auxpass cc ccomp "
        "complm conj cop csubj csubjpass dep det dobj expl hmod hyph "
        "infmod intj iobj mark meta neg nmod nn npadvmod nsubj nsubjpass "
        "num number oprd obj obl parataxis partmod pcomp pobj poss "
        "possessive preconj prep prt punct quantmod relcl rcmod root "
        "xcomp acl");
    add(453, "MORPH");
    add(455, "IDX _");
    return map;
  }();
  return *names;
}

// Marks and currencies that spaCy treats alike (spacy/lang/norm_exceptions.py).
std::string_view norm_of_mark(std::string_view word) {
  struct Alike {
    std::string_view norm, marks; // marks in blanks
  };
  static constexpr Alike kAlike[] = {
      {"'s", " 's 'S ’s ’S "},
      {"'", " ’ ‘ ´ ` "},
      {"\"", " ” “ '' `` ´´ „ » « ‘‘ ’’ "},
      {"?", " ？ "},
      {"!", " ！ "},
      {",", " ， "},
      {";", " ； "},
      {":", " ： "},
      {".", " 。 । "},
      {"...", " … "},
      {"-", " — – -- --- —— "},
      {"$", " € £ ¥ ฿ US$ C$ A$ ₺ ₹ ৳ ₩ Mex$ ₣ E£ "},
  };
  if (word.size() > 8 || word.find(' ') != std::string_view::npos) {
    return {};
  }
  std::string key = " " + std::string(word) + " ";
  for (const Alike& alike : kAlike) {
    if (alike.marks.find(key) != std::string_view::npos) {
      return alike.norm;
    }
  }
  return {};
}

std::string shape_of(const std::u32string& word) {
  if (word.size() >= 100) {
    return "LONG";
  }
  std::string out;
  char32_t last = 0;
  int run = 0;
  for (char32_t c : word) {
    char32_t kind = is_alpha(c) ? (is_upper(c) ? U'X' : U'x')
        : is_digit(c)           ? U'd'
                                : c;
    run = kind == last ? run + 1 : 0;
    last = kind;
    if (run < 4) {
      append_utf8(out, kind);
    }
  }
  return out;
}

} // namespace

uint64_t spacy_string_id(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const auto& names = reserved_names();
  auto it = names.find(text);
  return it != names.end() ? it->second : murmur64(text);
}

EnglishTagger::Layer EnglishTagger::read_layer(
    const SectionFile& file,
    const std::string& name,
    size_t in) {
  return {
      file.floats(name + ".weight", in * kPieces * kWidth),
      file.floats(name + ".bias", kPieces * kWidth),
      file.floats(name + ".scale", kWidth),
      file.floats(name + ".shift", kWidth)};
}

EnglishTagger::EnglishTagger(const SectionFile& file) : norms_(file, "norms") {
  std::string_view labels = file.bytes("labels");
  while (!labels.empty()) {
    size_t cut = labels.find('\n');
    labels_.emplace_back(labels.substr(0, cut));
    labels.remove_prefix(std::min(labels.size(), cut + 1));
  }
  auto seeds = file.u32s("seeds");
  // The last layer is padded to a multiple of 16 outputs.
  size_t padded = (labels_.size() + 15) / 16 * 16;
  bool good = seeds.size() == kFeatures && !labels_.empty();
  for (size_t i = 0; good && i < kFeatures; ++i) {
    seeds_[i] = seeds[i];
    tables_[i] = file.floats("embed" + std::to_string(i));
    good = !tables_[i].empty() && tables_[i].size() % kWidth == 0;
  }
  if (!good) {
    throw Error(
        ErrorKind::corrupt_data,
        "'" + file.path() + "' does not hold a tagger",
        "delete it and build again");
  }
  mix_ = read_layer(file, "mix", kFeatures * kWidth);
  for (size_t i = 0; i < kDepth; ++i) {
    convolutions_[i] = read_layer(file, "conv" + std::to_string(i), 3 * kWidth);
  }
  out_weight_ = file.floats("out.weight", kWidth * padded);
  out_bias_ = file.floats("out.bias", padded);
}

std::string EnglishTagger::norm_of(std::string_view word) const {
  std::string_view mark = norm_of_mark(word);
  if (!mark.empty()) {
    return std::string(mark);
  }
  uint64_t id = spacy_string_id(word);
  std::string key(8, '\0');
  for (int i = 0; i < 8; ++i) {
    key[static_cast<size_t>(i)] = static_cast<char>(id >> (56 - 8 * i));
  }
  std::string_view norm = norms_.find(key);
  if (norm.data() != nullptr) {
    return std::string(norm);
  }
  return to_utf8(to_lower(to_u32(word)));
}

const EnglishTagger::Vector&
EnglishTagger::embed(std::string_view word, std::string_view norm, bool space) {
  std::string key(word);
  key += space ? '\x01' : '\x02';
  key += norm;
  auto it = cache_.find(key);
  if (it != cache_.end()) {
    return it->second;
  }
  std::u32string chars = to_u32(word);
  size_t tail = chars.size() > 3 ? chars.size() - 3 : 0;
  bool blank = std::all_of(
      chars.begin(), chars.end(), [](char32_t c) { return is_space(c); });
  const uint64_t ids[kFeatures] = {
      spacy_string_id(norm.empty() ? norm_of(word) : std::string(norm)),
      spacy_string_id(to_utf8(chars.substr(0, 1))),
      spacy_string_id(to_utf8(chars.substr(tail))),
      spacy_string_id(shape_of(chars)),
      space ? 1u : 0u,
      blank ? 1u : 0u};
  std::array<float, kFeatures * kWidth> sums{};
  for (size_t f = 0; f < kFeatures; ++f) {
    size_t rows = tables_[f].size() / kWidth;
    for (uint32_t hash : hash_rows(ids[f], seeds_[f])) {
      const float* row = tables_[f].data() + (hash % rows) * kWidth;
      for (size_t i = 0; i < kWidth; ++i) {
        sums[f * kWidth + i] += row[i];
      }
    }
  }
  if (cache_.size() >= kCacheEntries) {
    cache_.clear();
  }
  Vector& out = cache_[key];
  run(mix_, sums.data(), 1, sums.size(), out.data());
  return out;
}

// `x` rows overlap: each is a window that moves on by one word.
void EnglishTagger::run(
    const Layer& layer,
    const float* x,
    size_t rows,
    size_t in,
    float* y) {
  constexpr size_t kOut = kPieces * kWidth;
  scratch_.resize(rows * kOut);
  affine(
      x,
      kWidth,
      layer.weight.data(),
      layer.bias.data(),
      scratch_.data(),
      rows,
      in,
      kOut);
  for (size_t r = 0; r < rows; ++r) {
    const float* s = scratch_.data() + r * kOut;
    float* out = y + r * kWidth;
    float mean = 0;
    for (size_t i = 0; i < kWidth; ++i) {
      out[i] = std::max({s[i], s[kWidth + i], s[2 * kWidth + i]});
      mean += out[i];
    }
    mean /= kWidth;
    float variance = 0;
    for (size_t i = 0; i < kWidth; ++i) {
      variance += (out[i] - mean) * (out[i] - mean);
    }
    float inverse = 1.0f / std::sqrt(variance / kWidth + 1e-8f);
    for (size_t i = 0; i < kWidth; ++i) {
      out[i] = (out[i] - mean) * inverse * layer.scale[i] + layer.shift[i];
    }
  }
}

std::vector<const std::string*> EnglishTagger::tag(
    std::string_view text,
    const std::vector<EnglishToken>& tokens) {
  // Four zero rows on either side, as in training: they too pass the layers.
  // One more at each end stands for what lies outside the window.
  constexpr size_t kPad = kDepth;
  size_t rows = tokens.size() + 2 * kPad;
  std::vector<float> x((rows + 2) * kWidth, 0.0f);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const EnglishToken& token = tokens[i];
    const Vector& v = embed(
        text.substr(token.begin, token.end - token.begin),
        token.norm,
        token.space);
    std::copy(
        v.begin(),
        v.end(),
        x.begin() + static_cast<std::ptrdiff_t>((1 + kPad + i) * kWidth));
  }
  std::vector<float> y(rows * kWidth);
  for (const Layer& layer : convolutions_) {
    run(layer, x.data(), rows, 3 * kWidth, y.data());
    for (size_t i = 0; i < y.size(); ++i) {
      x[kWidth + i] += y[i];
    }
  }
  size_t padded = out_bias_.size();
  std::vector<float> scores(tokens.size() * padded);
  affine(
      x.data() + (1 + kPad) * kWidth,
      kWidth,
      out_weight_.data(),
      out_bias_.data(),
      scores.data(),
      tokens.size(),
      kWidth,
      padded);
  std::vector<const std::string*> tags;
  tags.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float* s = scores.data() + i * padded;
    auto best = std::max_element(s, s + labels_.size()) - s;
    tags.push_back(&labels_[static_cast<size_t>(best)]);
  }
  return tags;
}

} // namespace mlx_audio::text
