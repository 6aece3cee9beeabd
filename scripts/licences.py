#!/usr/bin/env python3
"""Prints the licences of the crates that are linked into toolpool's files, and their texts, each once."""

import json
import subprocess
from pathlib import Path

TEXTS = ("LICEN[CS]E*", "COPYING*", "NOTICE*", "COPYRIGHT*")
OURS = {"toolpool", "toolpool-torch", "toolpool-command"}


def metadata() -> dict:
    command = [
        "cargo",
        "metadata",
        "--locked",
        "--format-version=1",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def linked(data: dict) -> list[dict]:
    """The packages of others that ours lead to by normal dependencies: not by those of builds, tests and macros."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node["deps"] for node in data["resolve"]["nodes"]}
    waiting = [id for id, package in packages.items() if package["name"] in OURS]
    seen = set(waiting)
    while waiting:
        for dependency in nodes[waiting.pop()]:
            id = dependency["pkg"]
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and id not in seen and not is_macro(packages[id]):
                seen.add(id)
                waiting.append(id)
    others = (packages[id] for id in seen if packages[id]["source"])
    return sorted(others, key=lambda package: (package["name"], package["version"]))


def is_macro(package: dict) -> bool:
    return any("proc-macro" in target["kind"] for target in package["targets"])


def texts(package: dict) -> list[str]:
    folder = Path(package["manifest_path"]).parent
    files = {path for pattern in TEXTS for path in folder.glob(pattern) if path.is_file()}
    return [path.read_text(errors="replace").strip() for path in sorted(files)]


def main() -> None:
    packages = linked(metadata())
    users: dict[str, list[str]] = {}
    print(
        "toolpool's libraries and programs contain these works of others, under their licences:\n"
    )
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or package['license_file']}")
        for text in texts(package):
            users.setdefault(text, []).append(name)
    for text, names in users.items():
        print(f"\n{'=' * 100}\n{', '.join(names)}\n\n{text}")


main()
