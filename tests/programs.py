"""What the tests of programs share: they are compiled against include/ and the library that was built, and run on one
core without GPUs, so on one worker."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ROOT / "target/release"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
COMPILERS = {
    ".c": [os.environ.get("CC", "cc"), "-std=c11"],
    ".cpp": [os.environ.get("CXX", "c++"), "-std=c++17"],
}


def compiled(folder, *sources, link=()):
    """The program that C and C++ sources make, in `folder`."""
    objects = [folder / f"{source.name}.o" for source in sources]
    for source, made in zip(sources, objects, strict=True):
        succeed(
            [*COMPILERS[source.suffix], *STRICT, f"-I{ROOT / 'include'}", "-c", source, "-o", made]
        )
    libraries = [f"-L{LIBRARIES}", "-ltoolpool", f"-Wl,-rpath,{LIBRARIES}", "-pthread", "-lm"]
    program = folder / "program"
    succeed([COMPILERS[".cpp"][0], *objects, "-o", program, *libraries, *link])
    return program


def hub_cache(folder, model):
    """A Hugging Face cache in which the 8M model is another."""
    cache = folder / "models--facebook--esm2_t6_8M_UR50D"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs/main").write_text("random")
    (cache / "snapshots").mkdir()
    (cache / "snapshots/random").symlink_to(Path(model).resolve())
    return folder


def run_on_one_worker(command, **environment):
    """What it prints."""
    core = min(os.sched_getaffinity(0))
    environment = {key: str(value) for key, value in environment.items()}
    return succeed(
        command,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )


def succeed(command, **options):
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
