"""A CSM checkpoint of full size with random weights, to time: `make_checkpoint.py FOLDER [--bits 4]`.

Shapes are those of csm-1b (llama-1B, llama-100M) and of Mimi; the tokenizer is the tiny one of tests/data/csm. What is heard is noise.
"""
import argparse
import json
import math
import pathlib
import shutil

import mlx.core as mx
import numpy as np

TINY = pathlib.Path(__file__).resolve().parents[2] / "tests/data/csm/checkpoints/base"
CODEC = "tokenizer-e351c8d8-checkpoint125.safetensors"
BACKBONE = (16, 2048, 8192, 32, 8, 64)  # layers, hidden, intermediate, heads, kv_heads, head_dim
DEPTH = (4, 1024, 8192, 8, 2, 128)
TEXT, VOCAB, BOOKS = 128256, 2051, 32


class Maker:
    def __init__(self, bits):
        self.bits, self.tensors, self.key = bits, {}, mx.random.key(0)
        self.bytes = np.random.default_rng(0)

    def next_key(self):
        self.key, key = mx.random.split(self.key)
        return key

    def add(self, name, shape, scale, dtype=mx.bfloat16):
        self.tensors[name] = (scale * mx.random.normal(shape, key=self.next_key())).astype(dtype)

    def matrix(self, path, out, into, scale=None):
        """Packed weights are random bits: uniform values of about the scale that layers keep."""
        scale = scale or into ** -0.5
        if self.bits == 16:
            self.add(path + ".weight", (out, into), scale)
            return
        step = scale * math.sqrt(12) / 2**self.bits
        self.tensors[path + ".weight"] = mx.array(self.bytes.integers(0, 2**32, (out, into * self.bits // 32), np.uint32))
        self.tensors[path + ".scales"] = mx.full((out, into // 64), step, mx.bfloat16)
        self.tensors[path + ".biases"] = mx.full((out, into // 64), -step * (2**self.bits - 1) / 2, mx.bfloat16)


def talker(m):
    m.matrix("model.text_embeddings", TEXT, BACKBONE[1], 0.5)
    m.matrix("model.audio_embeddings", VOCAB * BOOKS, BACKBONE[1], 0.1)
    m.matrix("model.projection", DEPTH[1], BACKBONE[1])
    m.matrix("model.codebook0_head", VOCAB, BACKBONE[1])
    m.add("model.audio_head", (BOOKS - 1, DEPTH[1], VOCAB), DEPTH[1] ** -0.5)
    for prefix, (layers, hidden, inner, heads, kv_heads, dim) in (("model.backbone", BACKBONE), ("model.decoder", DEPTH)):
        for i in range(layers):
            at = f"{prefix}.layers.{i}"
            for name, out, into in (("self_attn.q_proj", heads * dim, hidden), ("self_attn.k_proj", kv_heads * dim, hidden),
                                    ("self_attn.v_proj", kv_heads * dim, hidden), ("self_attn.o_proj", hidden, heads * dim),
                                    ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
                                    ("mlp.down_proj", hidden, inner)):
                m.matrix(f"{at}.{name}", out, into)
            for name in ("input_layernorm", "post_attention_layernorm"):
                m.tensors[f"{at}.{name}.weight"] = mx.ones((hidden,), mx.bfloat16)
        m.tensors[prefix + ".norm.weight"] = mx.ones((hidden,), mx.bfloat16)


def codec(m):
    def add(name, *shape, scale=None):
        m.add(name, shape, scale if scale is not None else math.prod(shape[1:]) ** -0.5, mx.float32)

    def conv(name, out, into, kernel):
        add(name + ".weight", out, into, kernel)
        add(name + ".bias", out, scale=0.01)

    channels, index = 64, 1
    conv("encoder.model.0.conv.conv", 64, 1, 7)
    for ratio in (4, 5, 6, 8):
        conv(f"encoder.model.{index}.block.1.conv.conv", channels // 2, channels, 3)
        conv(f"encoder.model.{index}.block.3.conv.conv", channels, channels // 2, 1)
        conv(f"encoder.model.{index + 2}.conv.conv", 2 * channels, channels, 2 * ratio)
        channels, index = 2 * channels, index + 3
    conv("encoder.model.14.conv.conv", 512, 1024, 3)
    conv("decoder.model.0.conv.conv", 1024, 512, 7)
    index = 2
    for ratio in (8, 6, 5, 4):
        add(f"decoder.model.{index}.convtr.convtr.weight", channels, channels // 2, 2 * ratio, scale=(2 * channels) ** -0.5)
        add(f"decoder.model.{index}.convtr.convtr.bias", channels // 2, scale=0.01)
        channels //= 2
        conv(f"decoder.model.{index + 1}.block.1.conv.conv", channels // 2, channels, 3)
        conv(f"decoder.model.{index + 1}.block.3.conv.conv", channels, channels // 2, 1)
        index += 3
    add("decoder.model.14.conv.conv.weight", 1, 64, 3, scale=1e-3)
    add("decoder.model.14.conv.conv.bias", 1, scale=1e-3)
    for part in ("encoder_transformer", "decoder_transformer"):
        for i in range(8):
            at = f"{part}.transformer.layers.{i}"
            add(at + ".self_attn.in_proj_weight", 1536, 512)
            add(at + ".self_attn.out_proj.weight", 512, 512)
            add(at + ".linear1.weight", 2048, 512)
            add(at + ".linear2.weight", 512, 2048)
            for norm in ("norm1", "norm2"):
                m.tensors[f"{at}.{norm}.weight"] = mx.ones((512,))
                add(f"{at}.{norm}.bias", 512, scale=0.01)
            for scale in ("layer_scale_1", "layer_scale_2"):
                m.tensors[f"{at}.{scale}.scale"] = mx.full((512,), 0.01)
    add("downsample.conv.conv.conv.weight", 512, 512, 4)
    add("upsample.convtr.convtr.convtr.weight", 512, 1, 4, scale=0.5)
    for part, count in (("rvq_first", 1), ("rvq_rest", BOOKS - 1)):
        add(f"quantizer.{part}.input_proj.weight", 256, 512, 1)
        add(f"quantizer.{part}.output_proj.weight", 512, 256, 1)
        for i in range(count):
            at = f"quantizer.{part}.vq.layers.{i}._codebook"
            add(at + ".embedding_sum", 2048, 256, scale=0.3)
            m.tensors[at + ".cluster_usage"] = mx.ones((2048,))
            m.tensors[at + "._initialized"] = mx.ones((1,))


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--bits", type=int, default=4, choices=(3, 4, 6, 8, 16))
    args = arguments.parse_args()
    (args.folder / "mimi").mkdir(parents=True, exist_ok=True)
    config = {"model_type": "csm", "backbone_flavor": "llama-1B", "decoder_flavor": "llama-100M", "text_vocab_size": TEXT,
              "audio_vocab_size": VOCAB, "audio_num_codebooks": BOOKS}
    if args.bits != 16:
        config["quantization"] = {"group_size": 64, "bits": args.bits}
    (args.folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, args.folder)
    m = Maker(args.bits)
    talker(m)
    mx.save_safetensors(str(args.folder / "model.safetensors"), m.tensors, {"format": "mlx"})
    m = Maker(16)
    codec(m)
    mx.save_safetensors(str(args.folder / "mimi" / CODEC), m.tensors, {"format": "pt"})


if __name__ == "__main__":
    main()
