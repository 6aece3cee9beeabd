"""signatures.jl of ToolPool.jl is what the header says, and what a C compiler makes of it. No Julia is needed."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIGNATURES = ROOT / "bindings/julia/ToolPool.jl/src/signatures.jl"


def written():
    return SIGNATURES.read_text()


def test_the_committed_file_is_what_the_script_makes():
    subprocess.run([sys.executable, ROOT / "scripts/julia_signatures.py", "--check"], check=True)


def test_the_script_sees_a_stale_file(tmp_path):
    scripts = ("scripts/julia_signatures.py", "scripts/python_signatures.py", "include/toolpool.h")
    for path in (*scripts, str(SIGNATURES.relative_to(ROOT))):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    stale = tmp_path / SIGNATURES.relative_to(ROOT)
    stale.write_text(stale.read_text().replace("Ptr{Cvoid}", "Int32", 1))
    command = [sys.executable, tmp_path / "scripts/julia_signatures.py", "--check"]
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_every_exported_function_is_called_at_its_own_address():
    exported = (ROOT / "tests/symbols.txt").read_text().split()
    names = re.findall(r"^    :(\w+),$", written(), re.MULTILINE)
    assert sorted(names) == sorted(exported)
    calls = re.findall(r"^(\w+)\(.*\) =\n    ccall\(ADDRESSES\[(\d+)\]", written(), re.MULTILINE)
    assert calls == [(name, str(number)) for number, name in enumerate(names, 1)]


def test_every_call_passes_as_many_values_as_it_declares():
    calls = re.findall(r"^(\w+)\((.*)\) =\n    ccall\((.*)\)$", written(), re.MULTILINE)
    assert len(calls) > 80
    for name, parameters, call in calls:
        kinds = re.search(r", \((.*,)?\)", call).group(1) or ""
        taken = [one for one in parameters.split(", ") if one]
        assert kinds.count(",") == len(taken), name


def test_structs_are_as_large_as_the_c_compiler_makes_them(tmp_path):
    """Natural alignment, which Julia and C share, over the sizes of the fields that were written."""
    structs = re.findall(r"^struct (\w+)\n(.*?)^end$", written(), re.MULTILINE | re.DOTALL)
    assert len(structs) >= 10
    sizes = {}
    for name, fields in structs:
        sizes[name] = laid_out([kind for _, kind in re.findall(r"(\w+)::(.*)", fields)], sizes)
    source = tmp_path / "sizes.c"
    lines = "".join(f'printf("%zu\\n", sizeof({name}));' for name in sizes)
    source.write_text(f"#include <stdio.h>\n#include <toolpool.h>\nint main(void) {{ {lines} }}\n")
    program = tmp_path / "sizes"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, f"-I{ROOT}/include", source, "-o", program], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    assert [size for size, _ in sizes.values()] == [int(line) for line in printed.split()]


def laid_out(kinds, sizes):
    """Size and alignment of a struct of these fields."""
    end, most = 0, 1
    for kind in kinds:
        size, align = of(kind, sizes)
        end = -(-end // align) * align + size
        most = max(most, align)
    return -(-end // most) * most, most


def of(kind, sizes):
    many = re.fullmatch(r"NTuple\{(\d+), (\w+)\}", kind)
    if many:
        size, align = of(many.group(2), sizes)
        return int(many.group(1)) * size, align
    if kind in sizes:
        return sizes[kind]
    bits = re.fullmatch(r"U?(?:Int|Float)(\d+)", kind)
    size = int(bits.group(1)) // 8 if bits else 8
    return size, size
