"""`mlx-audio models` and downloads on the way, against a hub of our own and beside Python's huggingface_hub."""
import json
import os
import pathlib
import pty
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from hub_server import Hub, Repo, blob_hash
from program import PROGRAM, ROOT, fails, run
from server_program import serving

REPO = "org/tiny-whisper"
TINY = ROOT / "tests/data/qwen3_tts/checkpoints/custom_voice_q4"


def weights(size, seed=1):
    """A true safetensors file of about `size` bytes."""
    count = size // 4
    head = json.dumps({"a": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + random.Random(seed).randbytes(4 * count)


def files(size=300_000, seed=1):
    return {"config.json": b'{"model_type": "whisper"}', "README.md": b"---\nlicense: mit\n---\n",
            "tokenizer.json": b"{}", "model.safetensors": weights(size, seed), "voices/a b.json": b"[1]",
            "pytorch_model.bin": b"x" * 200_000, "logo.png": b"png", ".gitattributes": b"*", "onnx/m.onnx": b"onnx"}


def tiny_files():
    found = [pathlib.Path(folder, name) for folder, _, names in os.walk(TINY, followlinks=True) for name in names]
    return {str(path.relative_to(TINY)): path.read_bytes() for path in found}


NEEDED = {"config.json", "README.md", "tokenizer.json", "model.safetensors", "voices/a b.json"}


@pytest.fixture
def hub():
    with Hub({REPO: Repo(files())}) as it:
        yield it


@pytest.fixture
def env(hub, tmp_path):
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "MLX_AUDIO_HOME": str(tmp_path / "store"),
            "HF_HUB_OFFLINE": "0", "HF_TOKEN": "", "HF_HUB_CACHE": str(tmp_path / "hf/hub"), "no_proxy": "127.0.0.1",
            "HF_HUB_DISABLE_TELEMETRY": "1"}


def repo_folder(env, repo=REPO):
    return pathlib.Path(env["HF_HOME"]) / "hub" / ("models--" + repo.replace("/", "--"))


def pull(env, *more, repo=REPO):
    done = run("models", "pull", repo, *more, env=env)
    assert done.returncode == 0, done.stderr.decode()
    return pathlib.Path(done.stdout.decode().strip())


def snapshot_files(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def check_whole(env, hub, folder, names=None):
    """Every link leads to a blob with the right bytes, and nothing else is left behind."""
    sha, expected = hub.repos[REPO].revisions["main"]
    assert folder == repo_folder(env) / "snapshots" / sha
    assert snapshot_files(folder) == (names or NEEDED)
    for name in names or NEEDED:
        link = folder / name
        assert link.is_symlink() and not os.path.isabs(os.readlink(link))
        assert link.read_bytes() == expected[name]
        assert link.resolve().name == blob_hash(expected[name])
    assert (repo_folder(env) / "refs/main").read_text() == sha
    assert not list(repo_folder(env).rglob("*.incomplete"))


def test_pull_makes_the_shared_layout_with_needed_files_only(hub, env):
    check_whole(env, hub, pull(env))
    before = len(hub.log)
    pull(env)
    assert [entry["path"] for entry in hub.log[before:]] == [f"/api/models/{REPO}/revision/main?blobs=true"]
    assert set(snapshot_files(pull(env, "--all"))) == set(hub.repos[REPO].revisions["main"][1])


def test_hashes_are_looked_up_where_the_listing_has_none(hub, env):
    hub.listing_hashes = False
    check_whole(env, hub, pull(env))
    assert {entry["method"] for entry in hub.requests("/resolve/")} == {"HEAD", "GET"}


def test_the_token_goes_to_the_hub_alone(hub, env, tmp_path):
    hub.repos[REPO].gated = True
    fails(7, "gated", "models", "pull", REPO, env=env)
    done = run("models", "pull", REPO, env=env)
    assert hub.url + "/" + REPO in done.stderr.decode() and "HF_TOKEN" in done.stderr.decode()
    pull({**env, "HF_TOKEN": "hf_secret\n"})
    assert all(entry["token"] == "Bearer hf_secret" for entry in hub.log[-6:] if not entry["store"])
    assert hub.requests("/store/") and not any(entry["token"] for entry in hub.log if entry["store"])
    # From the file that `hf auth login` writes.
    shutil.rmtree(repo_folder(env))
    (tmp_path / "hf/token").write_text("hf_secret\n")
    check_whole(env, hub, pull(env))
    assert not any(entry["token"] for entry in hub.log if entry["store"])
    fails(7, "gated", "models", "pull", REPO, "--all", env={**env, "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"})
    fails(2, "characters that no token has", "models", "pull", REPO, env={**env, "HF_TOKEN": "a b\r\nX: y"})


def test_large_files_come_in_parallel_ranges(hub, env):
    hub.repos[REPO].commit("main", files(40_000_000))
    check_whole(env, hub, pull(env))
    ranges = {entry["range"] for entry in hub.requests("/store/")}
    assert len(ranges) == 5 and all(entry.startswith("bytes=") for entry in ranges)


def test_dropped_connections_are_taken_up_where_they_broke(hub, env):
    hub.repos[REPO].commit("main", files(20_000_000))
    hub.drop_after = 3_000_000
    check_whole(env, hub, pull(env))
    assert hub.served < 21_000_000
    assert len(hub.requests("/store/")) > 5


def test_a_hub_without_ranges_serves_as_well(hub, env):
    hub.repos[REPO].commit("main", files(20_000_000))
    hub.ranges, hub.drop_after, hub.drops = False, 5_000_000, 2
    check_whole(env, hub, pull(env))


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_download_goes_on(hub, env, end):
    hub.repos[REPO].commit("main", files(20_000_000))
    hub.bytes_per_second = 5_000_000
    process = subprocess.Popen([PROGRAM, "models", "pull", REPO], env={**os.environ, **env})
    left = repo_folder(env) / "blobs"
    deadline = time.time() + 60
    while time.time() < deadline and not any(p.stat().st_size > 3_000_000 for p in left.glob("*.incomplete")):
        time.sleep(0.05)
    process.send_signal(end)
    assert process.wait() == (130 if end == signal.SIGINT else -signal.SIGKILL)
    assert run("models", "list", env=env).stdout.decode().find(REPO) < 0  # no half model
    (half,) = left.glob("*.incomplete")
    size = half.stat().st_size
    hub.bytes_per_second, hub.served = None, 0
    check_whole(env, hub, pull(env))
    assert hub.served <= 20_000_200 - size


def test_wrong_bytes_are_fetched_again_then_refused(hub, env):
    hub.wrong = 1
    check_whole(env, hub, pull(env))
    shutil.rmtree(repo_folder(env))
    hub.wrong = 10**9
    fails(4, "'model.safetensors' came with wrong bytes twice", "models", "pull", REPO, env=env)
    assert not list(repo_folder(env).glob("snapshots/*/*")) and not (repo_folder(env) / "refs/main").exists()
    assert blob_hash(hub.repos[REPO].revisions["main"][1]["model.safetensors"]) not in os.listdir(repo_folder(env) / "blobs")
    assert not list(repo_folder(env).rglob("*.incomplete"))


def test_a_broken_start_of_a_download_is_noticed(hub, env):
    data = hub.repos[REPO].revisions["main"][1]["model.safetensors"]
    blobs = repo_folder(env) / "blobs"
    blobs.mkdir(parents=True)
    (blobs / (blob_hash(data) + ".incomplete")).write_bytes(b"rubbish" * 1000)
    check_whole(env, hub, pull(env))


def test_rate_limits_are_waited_for(hub, env):
    hub.refusals = [(429, {"Retry-After": "1"}), (503, {}), (429, {"RateLimit": '"resolvers";r=0;t=1'}), (500, {})]
    start = time.time()
    check_whole(env, hub, pull(env, "--connections", "1"))
    assert time.time() - start >= 2
    shutil.rmtree(repo_folder(env))
    hub.refusals = [(429, {"Retry-After": "7200"})] * 50
    done = fails(9, "too many requests", "models", "pull", REPO, env=env)
    assert "7200 seconds" in done.stderr.decode()


def test_what_is_missing_is_named(hub, env):
    fails(3, "'org/none' is not on " + hub.url, "models", "pull", "org/none", env=env)
    fails(3, "no such revision", "models", "pull", REPO, "--revision", "v9", env=env)
    hub.missing = {"tokenizer.json"}
    fails(3, "with all its files", "models", "pull", REPO, env=env)
    fails(2, "is no name of a model", "models", "pull", "../../etc", env=env)
    fails(2, "is no revision", "models", "pull", REPO, "--revision", "../x", env=env)
    fails(7, "HF_HUB_OFFLINE is set", "models", "pull", REPO, env={**env, "HF_HUB_OFFLINE": "1"})
    fails(7, "cannot fetch", "models", "pull", REPO, env={**env, "HF_ENDPOINT": "http://127.0.0.1:9"})
    fails(2, "HF_ENDPOINT is 'ftp://x'", "models", "pull", REPO, env={**env, "HF_ENDPOINT": "ftp://x"})
    done = fails(3, "is not on", "stt", "x.wav", "--model", "org/tiny-whispr", env=env)
    assert done.stderr.decode().count("\n") <= 2
    fails(3, "no model 'kokro'", "tts", "x", "--model", "kokro", env=env)
    assert not hub.requests("kokro")


@pytest.mark.parametrize("path", ["../evil.json", "/tmp/evil.json", "a/../../evil.json", "a//b.json", "./a.json", "a\\b.json",
                                  "a\nb.json", "", "x" * 300 + ".json", "a/" * 600 + "b.json"])
def test_hostile_paths_are_refused(hub, env, path):
    hub.listing = lambda sha: json.dumps({"sha": sha, "siblings": [
        {"rfilename": "config.json", "size": 1, "blobId": "0" * 40}, {"rfilename": path, "size": 1, "blobId": "0" * 40}]}).encode()
    fails(4, "unsafe path", "models", "pull", REPO, env=env)
    assert not repo_folder(env).exists()


@pytest.mark.parametrize("listing", [
    b"", b"[]", b"{", b'{"sha": "main", "siblings": []}', b'{"sha": "../../../x", "siblings": []}',
    b'{"sha": "%s"}' % (b"0" * 40),
    b'{"sha": "%s", "siblings": [1]}' % (b"0" * 40),
    b'{"sha": "%s", "siblings": [{"rfilename": "a.json", "size": 1, "blobId": "../../../../evil"}]}' % (b"0" * 40),
    b'{"sha": "%s", "siblings": [{"rfilename": "a.json"}, {"rfilename": "a.json"}]}' % (b"0" * 40),
    b'{"sha": "%s", "siblings": [{"rfilename": "a.json"}, {"rfilename": "a.json/b.json"}]}' % (b"0" * 40),
    b"[" * 100_000])
def test_hostile_listings_are_refused(hub, env, listing):
    hub.listing = listing
    fails(4, "listing", "models", "pull", REPO, env=env)
    assert not repo_folder(env).exists()


def test_links_in_the_cache_lead_nowhere_else(hub, env, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    snapshot = repo_folder(env) / "snapshots" / hub.repos[REPO].revisions["main"][0]
    snapshot.mkdir(parents=True)
    (snapshot / "voices").symlink_to(outside)
    fails(6, "is in the way", "models", "pull", REPO, env=env)
    assert not list(outside.iterdir())
    data = hub.repos[REPO].revisions["main"][1]["model.safetensors"]
    shutil.rmtree(repo_folder(env))
    (repo_folder(env) / "blobs").mkdir(parents=True)
    (outside / "target").write_text("mine")
    (repo_folder(env) / "blobs" / (blob_hash(data) + ".incomplete")).symlink_to(outside / "target")
    fails(6, "cannot open", "models", "pull", REPO, env=env)
    assert (outside / "target").read_text() == "mine"


def test_redirects_go_to_the_web_only_and_end(hub, env):
    for target, words in [("file:///etc/passwd", "where this program does not go"), (f"/{REPO}/resolve/main/model.safetensors", "circle")]:
        hub.redirect = target
        fails(7, words, "models", "pull", REPO, env=env)
        assert not list(repo_folder(env).glob("snapshots/*"))


def test_a_full_disk_is_named_and_the_rest_kept(hub, env):
    hub.listing = lambda sha: json.dumps({"sha": sha, "siblings": [
        {"rfilename": "model.safetensors", "lfs": {"sha256": "0" * 64, "size": 10**14}}]}).encode()
    fails(6, "needs 100000000000000 bytes more", "models", "pull", REPO, env=env)
    hub.listing = None
    hub.repos[REPO].commit("main", files(20_000_000))

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))

    done = subprocess.run([PROGRAM, "models", "pull", REPO], env={**os.environ, **env}, preexec_fn=limit,
                          capture_output=True, check=False)
    assert done.returncode == 6 and b"cannot write" in done.stderr and b"free some space" in done.stderr
    hub.served = 0
    check_whole(env, hub, pull(env))
    assert hub.served < 16_000_000


def test_two_pulls_at_once_fetch_once(hub, env):
    hub.repos[REPO].commit("main", files(20_000_000))
    hub.bytes_per_second = 20_000_000
    both = [subprocess.Popen([PROGRAM, "models", "pull", REPO], env={**os.environ, **env}, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert hub.served < 21_000_000
    check_whole(env, hub, repo_folder(env) / "snapshots" / hub.repos[REPO].revisions["main"][0])


def test_revisions_and_updates(hub, env):
    first = pull(env)
    old = hub.repos[REPO].revisions["main"][0]
    new = hub.repos[REPO].commit("main", {**files(), "tokenizer.json": b'{"new": 1}'})
    assert pull(env, "--revision", old) == first
    before = len(hub.requests("/resolve/"))
    assert pull(env).name == new
    assert len(hub.requests("/resolve/")) - before == 1  # what changed
    hub.repos[REPO].commit("refs/pr/1", {**files(), "tokenizer.json": b'{"pr": 1}'})
    assert (pull(env, "--revision", "refs/pr/1") / "tokenizer.json").read_bytes() == b'{"pr": 1}'
    assert (repo_folder(env) / "refs/refs/pr/1").exists()


def test_list_info_and_rm(hub, env, tmp_path):
    far = json.loads(run("models", "info", REPO, "--json", env=env).stdout)
    assert far["license"] == "mit" and far["parameters"] == 1234567 and far["architecture"] == "whisper"
    assert not hub.requests("/resolve/")
    pull(env)
    shutil.copytree(TINY, tmp_path / "store/models/me/tiny")
    (listed,) = [line for line in run("models", "list", env=env).stdout.decode().splitlines() if REPO in line]
    assert "whisper" in listed and "hub cache" in listed and "32.0" in listed
    models = json.loads(run("models", "list", "--json", env=env).stdout)
    assert [(m["name"], m["place"]) for m in models] == [("me/tiny", "store"), (REPO, "hub cache")]
    text = run("models", "info", REPO, env=env).stdout.decode()
    for words in ["architecture   whisper", "parameters     0.1 M", "bits           32.0", "float32", "memory needed  about 400.6 MB", "licence        mit"]:
        assert words in text, text
    assert "affine 4-bit, groups of" in run("models", "info", "me/tiny", env=env).stdout.decode()
    assert b"freed" in run("models", "rm", REPO, env=env).stdout
    assert not repo_folder(env).exists()
    assert run("models", "rm", "me/tiny", env=env).returncode == 0
    fails(3, "no model 'me/tiny' on this machine", "models", "rm", "me/tiny", env=env)
    fails(3, "no model", "models", "rm", str(tmp_path), env=env)
    assert tmp_path.exists()


def test_commands_fetch_on_the_way_and_show_a_bar(hub, env):
    hub.repos["org/talks"] = Repo(tiny_files())
    hub.bytes_per_second = 2_000_000  # time for a few steps of the bar
    primary, secondary = pty.openpty()
    process = subprocess.Popen([PROGRAM, "models", "voices", "org/talks"], env={**os.environ, **env},
                               stdout=subprocess.PIPE, stderr=secondary)
    out = process.stdout.read().decode()
    assert process.wait() == 0
    os.close(secondary)
    shown = os.read(primary, 65536).decode()
    assert "[#" in shown and "MB of 1.3 MB" in shown
    names = set(json.loads((TINY / "config.json").read_text())["talker_config"]["spk_id"])
    assert {line.split()[0] for line in out.splitlines()} == names
    requests = len(hub.log)
    assert run("models", "voices", "org/talks", env=env).stdout.decode() == out
    assert len(hub.log) == requests  # what is here needs no hub


PYTHON = """
import sys
from huggingface_hub import scan_cache_dir, snapshot_download, try_to_load_from_cache
{}
"""


def python(code, env):
    done = subprocess.run([sys.executable, "-c", PYTHON.format(code)], env={**os.environ, **env}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def test_huggingface_hub_reads_what_we_wrote(hub, env):
    folder = pull(env)
    offline = {**env, "HF_HUB_OFFLINE": "1"}
    assert python(f"print(snapshot_download({REPO!r}))", offline) == str(folder)
    assert python(f"print(try_to_load_from_cache({REPO!r}, 'voices/a b.json'))", offline) == str(folder / "voices/a b.json")
    assert python("c = scan_cache_dir(); print(len(c.repos), len(c.warnings), [len(r.revisions) for r in c.repos])", env) == "1 0 [1]"
    gets = len([e for e in hub.log if e["method"] == "GET" and "/resolve/" in e["path"]])
    names = sorted(NEEDED)
    assert python(f"print(snapshot_download({REPO!r}, allow_patterns={names!r}))", env) == str(folder)
    assert len([e for e in hub.log if e["method"] == "GET" and "/resolve/" in e["path"]]) == gets


def test_we_read_what_huggingface_hub_wrote(hub, env):
    folder = pathlib.Path(python(f"print(snapshot_download({REPO!r}))", env))
    offline = {**env, "HF_HUB_OFFLINE": "1"}
    assert f"folder         {folder}" in run("models", "info", REPO, env=offline).stdout.decode()
    assert REPO in run("models", "list", env=offline).stdout.decode()
    before = len(hub.requests("/resolve/"))
    assert pull(env) == folder
    assert len(hub.requests("/resolve/")) == before
    check_whole(env, hub, folder, set(hub.repos[REPO].revisions["main"][1]))


def test_a_snapshot_that_python_fetched_in_part_is_completed(hub, env):
    hub.repos["org/talks"] = Repo(tiny_files())
    python("print(snapshot_download('org/talks', allow_patterns=['config.json']))", env)
    assert run("models", "voices", "org/talks", env=env).returncode == 0


def post_json(url, body):
    head = {"content-type": "application/json"}
    return urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), head), timeout=60)


def test_a_server_pulls_with_progress(hub, env):
    with serving(env=env) as s:
        with post_json(s.url + "/v1/models/pull", {"model": REPO}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            events = [json.loads(line[6:]) for line in response.read().decode().splitlines() if line.startswith("data: ")]
    assert events[-1] == {"type": "model.pull.done", "id": REPO}
    progress = [e for e in events if e["type"] == "model.pull.progress"]
    assert progress and all(e["received_bytes"] <= e["total_bytes"] for e in progress if e["total_bytes"])
    assert NEEDED <= {str(p.relative_to(next((repo_folder(env) / "snapshots").iterdir())))
                      for p in next((repo_folder(env) / "snapshots").iterdir()).rglob("*")}


def test_a_server_says_what_cannot_be_pulled(hub, env):
    with serving(env=env) as s:
        for model, status in (("org/none", 404), ("../etc", 400), ("a" * 200, 400)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                post_json(s.url + "/v1/models/pull", {"model": model})
            assert caught.value.code == status
            assert json.loads(caught.value.read())["error"]["param"] == "model"
