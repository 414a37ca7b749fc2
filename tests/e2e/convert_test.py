"""`mlx-audio convert` on a checkpoint far larger than the memory it may take."""
import json
import os
import subprocess

import pytest

from program import PROGRAM

LAYERS, ROWS, COLUMNS = 24, 4096, 8192  # 24 tensors of 134 MB: 3.2 GB
TENSOR = 4 * ROWS * COLUMNS


def big_checkpoint(folder):
    """Sharded float32, holes for zeros, so that the disk holds little of it."""
    folder.mkdir()
    names, shards = {}, 3
    for shard in range(shards):
        head, at = {"__metadata__": {"format": "mlx"}}, 0
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        for layer in range(shard, LAYERS, shards):
            name = f"layers.{layer}.mlp.down_proj.weight"
            head[name] = {"dtype": "F32", "shape": [ROWS, COLUMNS], "data_offsets": [at, at + TENSOR]}
            names[name] = file
            at += TENSOR
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / file, "wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            out.write(os.urandom(1 << 20))
            out.truncate(8 + len(text) + at)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": LAYERS * TENSOR}, "weight_map": names}))
    (folder / "config.json").write_text('{"model_type": "test"}')


def peak_of(*arguments):
    """Exit code and largest resident size in bytes of a process of its own."""
    process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024


@pytest.mark.parametrize("flags", [("-q", "--q-bits", 4), ("--dtype", "float16", "--shard-gb", 0.5)])
def test_memory_is_three_times_the_largest_tensor(tmp_path, flags):
    big_checkpoint(tmp_path / "big")
    code, plan = peak_of("convert", "--hf-path", tmp_path / "big", "--mlx-path", tmp_path / "out", *flags, "--dry-run")
    assert code == 0 and plan < 300e6 and not (tmp_path / "out").exists()
    code, peak = peak_of("convert", "--hf-path", tmp_path / "big", "--mlx-path", tmp_path / "out", *flags)
    assert code == 0
    print(f"{LAYERS * TENSOR / 1e9:.2f} GB {flags}: peak {peak / 1e6:.0f} MB, limit {(3 * TENSOR + 300e6) / 1e6:.0f} MB")
    assert peak <= 3 * TENSOR + 300e6
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
    assert len({name.removesuffix(".scales").removesuffix(".biases").removesuffix(".weight") for name in index["weight_map"]}) == LAYERS
    shards = list((tmp_path / "out").glob("*.safetensors"))
    assert (len(shards) == 1) == ("-q" in flags) and all(path.stat().st_size < 0.51e9 for path in shards)
