"""A VibeVoice-ASR checkpoint of full size with random weights, to time: `make_checkpoint.py FOLDER [--bits 4]`.

Shapes are those of microsoft/VibeVoice-ASR (Qwen2.5-7B, two encoders of 3200 samples a frame); the layout is mlx-community's: the language
model is quantized, the rest is bfloat16. Written layer by layer, so that it takes little memory. The tokenizer is the tiny one of
tests/data/vibevoice_asr under the real vocabulary's size; what is heard is noise.
"""
import argparse
import json
import pathlib
import shutil

import mlx.core as mx

TINY = pathlib.Path(__file__).resolve().parents[2] / "tests/data/vibevoice_asr/q4/checkpoint"
HIDDEN, LAYERS, HEADS, KV, FFN, VOCAB = 3584, 28, 28, 4, 18944, 152064
RATIOS, DEPTHS, FILTERS = [8, 5, 5, 4, 2, 2], [3, 3, 3, 3, 3, 3, 8], 32


def config(bits):
    tiny = json.loads((TINY / "config.json").read_text())
    for kind, dim in (("acoustic", 64), ("semantic", 128)):
        tiny[f"{kind}_vae_dim"] = dim
        tiny[f"{kind}_tokenizer_config"].update(vae_dim=dim, encoder_n_filters=FILTERS, encoder_ratios=RATIOS,
                                                encoder_depths="-".join(map(str, DEPTHS)))
    tiny["decoder_config"].update(hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV,
                                  intermediate_size=FFN, vocab_size=VOCAB, rope_theta=1e6, tie_word_embeddings=False)
    tiny["speech_tok_compress_ratio"] = 3200
    for key in ("quantization", "quantization_config"):
        tiny.pop(key, None)
        if bits < 16:
            tiny[key] = {"group_size": 64, "bits": bits, "mode": "affine"}
    return tiny


class Writer:
    """Shards of a few layers each, and their index."""

    def __init__(self, folder, bits):
        self.folder, self.bits, self.tensors, self.index, self.key = folder, bits, {}, {}, mx.random.key(0)

    def random(self, shape, scale):
        self.key, key = mx.random.split(self.key)
        return (scale * mx.random.uniform(-1.7, 1.7, shape, key=key)).astype(mx.bfloat16)

    def add(self, name, shape, scale=None):
        scale = scale if scale is not None else (shape[-1] if len(shape) < 3 else shape[1] * shape[2]) ** -0.5
        self.tensors[name] = self.random(shape, scale)

    def ones(self, name, dim, value=1.0):
        self.tensors[name] = mx.full((dim,), value, mx.bfloat16)

    def packed(self, path, out, into):
        weight = self.random((out, into), into ** -0.5)
        if self.bits == 16:
            self.tensors[path + ".weight"] = weight
            return
        for suffix, part in zip(("weight", "scales", "biases"), mx.quantize(weight, group_size=64, bits=self.bits)):
            self.tensors[f"{path}.{suffix}"] = part

    def linear(self, path, out, into):
        self.add(path + ".weight", (out, into))
        self.add(path + ".bias", (out,), 0.01)

    def conv(self, path, out, into, kernel):
        self.add(path + ".weight", (out, kernel, into))
        self.add(path + ".bias", (out,), 0.01)

    def flush(self):
        name = f"model-{len(set(self.index.values())) + 1:05d}.safetensors"
        mx.save_safetensors(str(self.folder / name), self.tensors, {"format": "mlx"})
        self.index.update({tensor: name for tensor in self.tensors})
        self.tensors = {}

    def finish(self):
        (self.folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": self.index}))


def encoder(w, kind, dim):
    at = f"{kind}_tokenizer.encoder"
    w.conv(f"{at}.downsample_layers.0.conv", FILTERS, 1, 7)
    for i, stride in enumerate(reversed(RATIOS)):
        w.conv(f"{at}.downsample_layers.{i + 1}.conv", FILTERS << (i + 1), FILTERS << i, 2 * stride)
    for i, depth in enumerate(DEPTHS):
        width = FILTERS << i
        for j in range(depth):
            p = f"{at}.stages.{i}.{j}"
            w.ones(p + ".norm.weight", width)
            w.ones(p + ".ffn_norm.weight", width)
            w.ones(p + ".gamma", width, 0.1)
            w.ones(p + ".ffn_gamma", width, 0.1)
            w.conv(p + ".mixer.conv.conv", width, 1, 7)
            w.linear(p + ".ffn.linear1", 4 * width, width)
            w.linear(p + ".ffn.linear2", width, 4 * width)
    w.conv(f"{at}.head.conv", dim, FILTERS << len(RATIOS), 7)
    for name, into in (("fc1", dim), ("fc2", HIDDEN)):
        w.linear(f"{kind}_connector.{name}", HIDDEN, into)
    w.ones(f"{kind}_connector.norm.weight", HIDDEN)
    w.flush()


def language_model(w):
    at, head = "language_model.model", HIDDEN // HEADS
    w.packed(at + ".embed_tokens", VOCAB, HIDDEN)
    w.ones(at + ".norm.weight", HIDDEN)
    w.flush()
    w.packed("language_model.lm_head", VOCAB, HIDDEN)
    w.flush()
    for i in range(LAYERS):
        p = f"{at}.layers.{i}"
        for name, out in (("q", HEADS * head), ("k", KV * head), ("v", KV * head)):
            w.packed(f"{p}.self_attn.{name}_proj", out, HIDDEN)
            w.add(f"{p}.self_attn.{name}_proj.bias", (out,), 0.01)
        w.packed(p + ".self_attn.o_proj", HIDDEN, HEADS * head)
        for name, out, into in (("gate", FFN, HIDDEN), ("up", FFN, HIDDEN), ("down", HIDDEN, FFN)):
            w.packed(f"{p}.mlp.{name}_proj", out, into)
        w.ones(p + ".input_layernorm.weight", HIDDEN)
        w.ones(p + ".post_attention_layernorm.weight", HIDDEN)
        w.flush()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--bits", type=int, default=4, choices=(3, 4, 5, 6, 8, 16))
    args = arguments.parse_args()
    mx.set_default_device(mx.cpu)
    mx.set_cache_limit(0)
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, args.folder / name)
    (args.folder / "config.json").write_text(json.dumps(config(args.bits), indent=1))
    writer = Writer(args.folder, args.bits)
    for kind, dim in (("acoustic", 64), ("semantic", 128)):
        encoder(writer, kind, dim)
    language_model(writer)
    writer.finish()


if __name__ == "__main__":
    main()
