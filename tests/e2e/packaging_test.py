"""What packaging/ holds is sound, as far as it can be told without running it."""
import re
import subprocess
import sys
from pathlib import Path

from program import BUILD, ROOT

PACKAGING = ROOT / "packaging"
TOOLS = Path(sys.prefix) / "bin"


def output(*command, code=0):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_dockerfile():
    output(TOOLS / "hadolint", PACKAGING / "Dockerfile")
    text = (PACKAGING / "Dockerfile").read_text()
    # Its steps are CI's, and what it copies is there.
    for script in ("scripts/setup", "scripts/build", "scripts/test"):
        assert f"RUN {script}" in text and (ROOT / script).exists()
    assert "scripts/setup" in (ROOT / "scripts/test").read_text()
    for name in re.findall(r"^COPY (packaging/.*) /", text, re.M)[0].split():
        assert (ROOT / name).exists()
    assert "USER 10001" in text and "HEALTHCHECK" in text


def test_kubernetes_manifests():
    output(TOOLS / "kubernetes-validate", "--strict", PACKAGING / "kubernetes/mlx-audio.yaml")


def test_systemd_unit(tmp_path):
    text = (PACKAGING / "systemd/mlx-audio@.service").read_text()
    unit = tmp_path / "mlx-audio@.service"
    program = re.search(r"ExecStart=(\S+)", text).group(1)
    unit.write_text(text.replace(program, str(BUILD / "bin/mlx-audio")))
    assert output("systemd-analyze", "--man=no", "verify", unit).strip() == ""
    security = output("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert "OK" in security.splitlines()[-1]


def test_runtime_packages_cover_what_is_linked(tmp_path):
    subprocess.run(["cmake", "--install", BUILD, "--prefix", tmp_path], check=True,
                   stdout=subprocess.DEVNULL)
    files = [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_symlink()
             and (".so" in p.name or p.name == "mlx-audio")]
    own = {p.name for p in tmp_path.rglob("*.so*")}
    needed = set()
    for file in files:
        needed |= set(re.findall(r"NEEDED\s+(\S+)", output("objdump", "-p", file)))
    listed = set((PACKAGING / "runtime-packages.txt").read_text().split())
    base = {"libc6"}
    for library in needed - own:
        owners = output("dpkg", "-S", f"*/{library}").splitlines()
        packages = {line.split(":")[0] for line in owners}
        assert packages & (listed | base), (library, packages)
