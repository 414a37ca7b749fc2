// Vocabularies as files hold them. All of it is foreign bytes: what does not
// fit is an Error corrupt_data that names the place.
#pragma once

#include <string>
#include <string_view>

#include "text/bpe.h"

namespace mlx_audio::text {

/// Hugging Face's tokenizer.json with a byte-level BPE model.
/// @throws Error unsupported for another kind of model.
BpeSpec parse_tokenizer_json(std::string_view json);

/// vocab.json and merges.txt (GPT-2's files), with the special tokens of
/// tokenizer_config.json or added_tokens.json if that text is not empty.
BpeSpec parse_vocab_merges(
    std::string_view vocab_json,
    std::string_view merges_txt,
    std::string_view added_json = "");

/// tiktoken's lines of "base64 rank".
BpeSpec parse_tiktoken(std::string_view text);

/// The tokenizer of a checkpoint's folder: tokenizer.json, else vocab.json with
/// merges.txt, else a file that ends in .tiktoken.
/// @param pattern used where the files do not state one.
/// @throws Error not_found if the folder has none of them.
BpeSpec load_tokenizer(
    const std::string& folder,
    const std::string& pattern = kGpt2Pattern);

/// A file's bytes, at most `limit` of them. Throws not_found, io, too_large.
std::string read_text_file(const std::string& path, size_t limit);

} // namespace mlx_audio::text
