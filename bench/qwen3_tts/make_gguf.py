"""Qwen3-TTS of full size with random weights in the layout that CrispASR reads, to time: `make_gguf.py FOLDER [--type q4_0]`.

Writes FOLDER/talker.gguf and FOLDER/codec.gguf with the shapes of make_checkpoint.py. Every linear layer of the talker and the
predictor has the type asked for, as in our checkpoints (CrispASR's own quantizer leaves the heads in f16); embeddings and the codec
are f16, as released. Needs `crispasr` (whose ggml quantizes) and `gguf`.
"""
import argparse
import ctypes
import json
import pathlib
import re

import crispasr
import gguf
import numpy as np

from shapes import TINY, codec, codec_config, talker, talker_config

F32, F16 = gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16
# Our names (of the released checkpoints) to CrispASR's, in this order.
TALKER = (
    (r"^talker\.code_predictor\.model\.codec_embedding", "code_pred.token_embd"), (r"^talker\.code_predictor\.lm_head", "code_pred.output"),
    (r"^talker\.code_predictor\.model", "code_pred"), (r"^talker\.model", "talker"), (r"\.layers\.", ".blk."),
    (r"\.norm\.", ".output_norm."), (r"\.codec_embedding", ".token_embd"), (r"\.text_embedding", ".token_embd_text"),
    (r"\.codec_head", ".output"), (r"\.text_projection\.linear_", ".text_proj."), (r"self_attn\.o_proj", "attn_output"),
    (r"self_attn\.([qkv])_proj", r"attn_\1"), (r"self_attn\.", "attn_"), (r"mlp\.(\w+)_proj", r"ffn_\1"),
    (r"input_layernorm", "attn_norm"), (r"post_attention_layernorm", "ffn_norm"))
CODEC = (
    (r"^decoder\.quantizer", "codec.dec"), (r"\.vq\.layers", ""), (r"rvq_first\.0\.", "rvq_first."),
    (r"_codebook\.embedding_sum", "codebook"), (r"^decoder\.pre_conv\.conv", "codec.dec.pre_conv"),
    (r"^decoder\.pre_transformer", "codec.dec.xfmr"), (r"\.layers\.", ".blk."), (r"self_attn_layer_scale\.scale", "attn_ls_w"),
    (r"mlp_layer_scale\.scale", "ffn_ls_w"), (r"self_attn\.(\w)_proj", r"attn_\1"), (r"mlp\.(\w+)_proj", r"ffn_\1"),
    (r"input_layernorm", "attn_norm"), (r"post_attention_layernorm", "ffn_norm"), (r"input_proj", "in_proj"), (r"output_proj", "out_proj"),
    (r"^decoder\.upsample\.(\d)\.0\.conv", r"codec.dec.up.\1.tconv"), (r"^decoder\.upsample\.(\d)\.1\.", r"codec.dec.up.\1.cnx."),
    (r"dwconv\.conv", "dw"), (r"pwconv", "pw"), (r"^decoder\.decoder\.0\.conv", "codec.dec.in_conv"),
    (r"^decoder\.decoder\.5\.", "codec.dec.out_snake."), (r"^decoder\.decoder\.6\.conv", "codec.dec.out_conv"),
    (r"^decoder\.decoder\.(\d)\.block", lambda m: f"codec.dec.blk.{int(m[1]) - 1}"), (r"(dec\.blk\.\d)\.0\.", r"\1.snake."),
    (r"(dec\.blk\.\d)\.1\.conv", r"\1.tconv"), (r"(dec\.blk\.\d)\.([234])", lambda m: f"{m[1]}.res.{int(m[2]) - 2}"),
    (r"(conv\d)\.conv", r"\1"), (r"\.weight$", "_w"), (r"\.bias$", "_b"), (r"\.alpha$", "_a"), (r"\.beta$", "_b"))
UNUSED = re.compile(r"cluster_usage|quantizer\.\w+\.input_proj")


class Writer:
    """Writes what talker() and codec() of shapes.py ask for: names by `renames`, linear layers of the type `quantized`."""

    def __init__(self, path, arch, renames, quantized=F16):
        self.file, self.renames, self.quantized = gguf.GGUFWriter(str(path), arch), renames, quantized
        self.random = np.random.default_rng(0)
        self.ggml = ctypes.CDLL(str(pathlib.Path(crispasr.__file__).with_name("libggml-base.so")))
        self.ggml.ggml_quantize_chunk.restype = ctypes.c_size_t

    def tensor(self, name, x, kind):
        if UNUSED.search(name):
            return
        for pattern, new in self.renames:
            name = re.sub(pattern, new, name)
        if kind in (F32, F16):
            self.file.add_tensor(name, x.astype(np.float32 if kind == F32 else np.float16), raw_dtype=kind)
            return
        block, size = gguf.GGML_QUANT_SIZES[kind]
        out = np.empty((x.shape[0], x.shape[1] // block * size), np.uint8)
        self.ggml.ggml_quantize_chunk(ctypes.c_int(kind), x.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
                                      ctypes.c_int64(0), ctypes.c_int64(x.shape[0]), ctypes.c_int64(x.shape[1]), None)
        self.file.add_tensor(name, out, raw_dtype=kind)

    def normal(self, shape, scale):
        return self.random.standard_normal(shape, np.float32) * np.float32(scale)

    def add(self, name, shape, scale=None):
        scale = scale if scale is not None else (shape[-1] if len(shape) < 3 else shape[1] * shape[2]) ** -0.5
        self.tensor(name, self.normal(shape, scale), F32 if len(shape) == 1 or "_codebook" in name else F16)

    def linear(self, path, out, into, zero=None):
        weight = self.normal((out, into), into ** -0.5)
        if zero is not None:
            weight[zero] = 0
        self.tensor(path + ".weight", weight, self.quantized)

    def ones(self, name, *shape):
        self.tensor(name, np.ones(shape, np.float32), F32)

    def close(self):
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()


def settings(writer, prefix, values):
    for key, value in values.items():
        {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string,
         list: writer.add_array}[type(value)](prefix + key, value)


def write_talker(path, kind):
    config, c = json.loads((TINY / "config.json").read_text()), talker_config()
    p = c["code_predictor_config"]
    w = Writer(path, "qwen3tts", TALKER, kind)

    def sizes(d):
        return {"n_layers": d["num_hidden_layers"], "d_model": d["hidden_size"], "n_heads": d["num_attention_heads"],
                "n_kv_heads": d["num_key_value_heads"], "vocab_size": d["vocab_size"]}

    settings(w.file, "qwen3tts.talker.", {
        **sizes(c), **{k: c[k] for k in c if k.startswith("codec_") and isinstance(c[k], int)}, "head_dim": c["head_dim"],
        "ff_dim": c["intermediate_size"], "text_vocab_size": c["text_vocab_size"], "text_hidden_size": c["text_hidden_size"],
        "n_code_groups": c["num_code_groups"], "max_pos": c["max_position_embeddings"], "rope_theta": float(c["rope_theta"]),
        "rms_norm_eps": c["rms_norm_eps"]})
    settings(w.file, "qwen3tts.code_pred.", {**sizes(p), "n_code_groups": p["num_code_groups"], "max_length": 20})
    ids = [key for key in config if re.fullmatch(r"(tts|im)_(bos|eos|pad|start|end)_token_id", key)]
    settings(w.file, "qwen3tts.", {
        **{key: config[key] for key in ids}, "assistant_token_id": config["assistant_token_id"], "tts_model_type": "custom_voice",
        "spk_names": list(c["spk_id"]), "spk_token_ids": list(c["spk_id"].values()), "spk_dialect_token_ids": [0],
        "codec_language_names": list(c["codec_language_id"]), "codec_language_ids": list(c["codec_language_id"].values())})
    vocabulary = json.loads((TINY / "vocab.json").read_text())
    w.file.add_token_list(sorted(vocabulary, key=vocabulary.get))
    w.file.add_token_merges([line for line in (TINY / "merges.txt").read_text().splitlines() if line and not line.startswith("#")])
    talker(w, c)
    w.close()


def write_codec(path):
    d = codec_config()["decoder_config"]
    w = Writer(path, "qwen3tts_tokenizer", CODEC)
    settings(w.file, "qwen3tts_codec.dec.", {
        "n_layers": d["num_hidden_layers"], "d_model": d["hidden_size"], "n_heads": d["num_attention_heads"],
        "ff_dim": d["intermediate_size"],
        "n_quantizers": d["num_quantizers"], "codebook_size": d["codebook_size"], "latent_dim": d["latent_dim"],
        "decoder_dim": d["decoder_dim"], "sliding_window": d["sliding_window"], "head_dim": d["head_dim"]})
    codec(w, d)
    w.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--type", default="q4_0", help="a type of ggml's: q4_0, q4_k, q8_0, f16 ...")
    args = arguments.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    write_talker(args.folder / "talker.gguf", gguf.GGMLQuantizationType[args.type.upper()])
    write_codec(args.folder / "codec.gguf")


if __name__ == "__main__":
    main()
