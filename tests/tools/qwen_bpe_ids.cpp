// Ids of texts by the tokenizer of a Qwen checkpoint's folder: one JSON string
// a line in, one JSON array a line out. For comparison with other tokenizers.
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "models/qwen3_tts/text_ids.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: qwen_bpe_ids FOLDER < texts\n";
    return 2;
  }
  mlx_audio::qwen3_tts::Config config;
  config.im_start = -1;
  config.im_end = -2;
  config.text_vocab = 1 << 24;
  mlx_audio::qwen3_tts::TextIds ids(argv[1], config);
  for (std::string line; std::getline(std::cin, line);) {
    auto text = nlohmann::json::parse(line).get<std::string>();
    std::cout << nlohmann::json(ids.said(text)).dump() << '\n';
  }
  return 0;
}
