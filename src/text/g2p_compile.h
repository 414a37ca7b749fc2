// Compiles the published sources of the English front end into the files that
// it maps at run time.
#pragma once

#include <string>

namespace mlx_audio::text {

/// misaki's lexicon of an accent.
/// @param gold, silver JSON files: word -> phonemes, or word -> {tag: phonemes}
/// @throws Error not_found, corrupt_data or io.
void compile_lexicon(
    const std::string& gold,
    const std::string& silver,
    const std::string& output);

/// spaCy's English tokenizer and tagger.
/// @param model folder of en_core_web_sm that holds tokenizer, tok2vec/model,
///   tagger/model, tagger/cfg and vocab/lookups.bin
void compile_tagger(const std::string& model, const std::string& output);

} // namespace mlx_audio::text
