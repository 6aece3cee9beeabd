"""_signatures.py is what the header says, and what a C compiler makes of it."""

import ctypes
import os
import subprocess
import sys

from conftest import ROOT
from toolpool import _signatures as c


def structs():
    """Every struct with visible fields."""
    return [
        kind
        for kind in vars(c).values()
        if isinstance(kind, type) and issubclass(kind, ctypes.Structure) and kind is not c.Structure
    ]


def test_the_committed_file_is_what_the_script_makes():
    subprocess.run([sys.executable, ROOT / "scripts/python_signatures.py", "--check"], check=True)


def test_the_script_sees_a_stale_file(tmp_path):
    for path in ("scripts/python_signatures.py", "include/toolpool.h"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    package = tmp_path / "bindings/python/toolpool"
    package.mkdir(parents=True)
    (package / "_signatures.py").write_text("FUNCTIONS = {}\n")
    command = [sys.executable, tmp_path / "scripts/python_signatures.py", "--check"]
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_every_struct_is_laid_out_as_by_the_c_compiler(tmp_path):
    assert len(structs()) >= 10
    lines = []
    for kind in structs():
        name = kind.__name__
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, *_ in kind._fields_:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n#include <toolpool.h>\nint main(void) {\n"
        + "\n".join(lines)
        + "\nreturn 0; }\n"
    )
    program = tmp_path / "layout"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, f"-I{ROOT}/include", source, "-o", program], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    by_compiler = {name: int(value) for name, value in map(str.split, printed.splitlines())}
    by_ctypes = {}
    for kind in structs():
        by_ctypes[kind.__name__] = ctypes.sizeof(kind)
        for field, *_ in kind._fields_:
            by_ctypes[f"{kind.__name__}.{field}"] = getattr(kind, field).offset
    assert by_ctypes == by_compiler


def test_every_exported_function_has_a_signature():
    exported = (ROOT / "tests/symbols.txt").read_text().split()
    assert sorted(c.FUNCTIONS) == sorted(name for name in exported if name.startswith("toolpool_"))
