"""A Qwen3-TTS checkpoint of full size with random weights, to time: `make_checkpoint.py FOLDER [--bits 4]`.

The layout is mlx-community's. The tokenizer is the tiny one of tests/data/qwen3_tts. The codec's amplitudes are kept small, so that
nothing overflows; what is heard is noise.
"""
import argparse
import json
import pathlib
import shutil

import mlx.core as mx

from shapes import TINY, codec, codec_config, talker, talker_config


class Maker:
    def __init__(self, bits):
        self.bits, self.tensors, self.key = bits, {}, mx.random.key(0)

    def random(self, shape, scale):
        self.key, key = mx.random.split(self.key)
        return scale * mx.random.normal(shape, key=key)

    def add(self, name, shape, scale=None):
        scale = scale if scale is not None else (shape[-1] if len(shape) < 3 else shape[1] * shape[2]) ** -0.5
        self.tensors[name] = self.random(shape, scale).astype(mx.bfloat16)

    def linear(self, path, out, into, zero=None):
        weight = self.random((out, into), into ** -0.5).astype(mx.bfloat16)
        if zero is not None:
            weight[zero] = 0
        if self.bits == 16:
            self.tensors[path + ".weight"] = weight
            return
        parts = mx.quantize(weight, group_size=64, bits=self.bits)
        for suffix, part in zip(("weight", "scales", "biases"), parts):
            self.tensors[f"{path}.{suffix}"] = part

    def ones(self, name, *shape):
        self.tensors[name] = mx.ones(shape, mx.bfloat16)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--bits", type=int, default=4, choices=(3, 4, 5, 6, 8, 16))
    args = arguments.parse_args()
    (args.folder / "speech_tokenizer").mkdir(parents=True, exist_ok=True)
    config = json.loads((TINY / "config.json").read_text())
    config.update(tts_model_type="custom_voice", tts_model_size="0b6", talker_config=talker_config())
    if args.bits != 16:
        config["quantization"] = {"group_size": 64, "bits": args.bits}
    (args.folder / "config.json").write_text(json.dumps(config))
    (args.folder / "speech_tokenizer/config.json").write_text(json.dumps(codec_config()))
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json", "generation_config.json",
                 "speech_tokenizer/preprocessor_config.json"):
        shutil.copy(TINY / name, args.folder / name)
    m = Maker(args.bits)
    talker(m, config["talker_config"])
    mx.save_safetensors(str(args.folder / "model.safetensors"), m.tensors, {"format": "mlx"})
    m = Maker(16)
    codec(m, codec_config()["decoder_config"])
    tensors = {k: v.astype(mx.float32) for k, v in m.tensors.items()}
    mx.save_safetensors(str(args.folder / "speech_tokenizer/model.safetensors"), tensors, {"format": "pt"})


if __name__ == "__main__":
    main()
