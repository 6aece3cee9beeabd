#!/usr/bin/env python3
"""Writes src/signatures.jl of ToolPool.jl from include/toolpool.h, or with --check says whether it is fresh.

Needs pycparser. How C types become those of Julia:

  a handle (struct without fields) *   Ptr{Cvoid}
  char *                               Cstring
  a struct with fields *               Ptr{of it}
  T ** of any of these, void **        Ptr{Ptr{Cvoid}}
  a number *                           Ptr{of it}
  void *, a function pointer           Ptr{Cvoid}
"""

from __future__ import annotations

import sys

from pycparser import c_ast
from python_signatures import HEADER, ROOT, constants_of, parsed

TARGET = ROOT / "bindings/julia/ToolPool.jl/src/signatures.jl"

NUMBERS = {
    "size_t": "Csize_t",
    "int32_t": "Int32",
    "uint32_t": "UInt32",
    "int64_t": "Int64",
    "uint64_t": "UInt64",
    "double": "Float64",
    "char": "UInt8",
}

PREAMBLE = """\
# The C surface. Generated from include/toolpool.h by scripts/julia_signatures.py; do not edit.

# Where the functions are; `load_library` fills it in, in the order of NAMES.
const ADDRESSES = Ptr{Cvoid}[]
"""


def main() -> None:
    text = signatures(HEADER.read_text())
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET.relative_to(ROOT)} is stale; run: scripts/julia_signatures.py")
    else:
        TARGET.write_text(text)


def signatures(header: str) -> str:
    constants = constants_of(header)
    return PREAMBLE + Writer(constants).module(parsed(header, constants))


class Writer:
    """Lines of Julia for the declarations of a header, in its order."""

    def __init__(self, constants: dict[str, str]):
        self.constants = constants
        self.numbers = dict(NUMBERS)
        self.structs: set[str] = set()
        self.lines: list[str] = []
        self.names: list[str] = []

    def module(self, ast: c_ast.FileAST) -> str:
        self.lines += ["", *(f"const {name} = {value}" for name, value in self.constants.items())]
        for declaration in ast.ext:
            if isinstance(declaration, c_ast.Typedef) and declaration.name not in NUMBERS:
                self.typedef(declaration)
            elif isinstance(declaration, c_ast.Decl):
                self.function(declaration)
        self.lines += ["", "const NAMES = [", *(f"    :{name}," for name in self.names), "]"]
        return "\n".join(self.lines) + "\n"

    def typedef(self, declaration: c_ast.Typedef) -> None:
        kind, name = declaration.type, declaration.name
        if isinstance(kind, c_ast.PtrDecl):
            self.numbers[name] = "Ptr{Cvoid}"
        elif not isinstance(kind.type, c_ast.Struct):
            self.numbers[name] = self.numbers[kind.type.names[0]]
        elif kind.type.decls is not None:
            self.struct(name, kind.type.decls)

    def struct(self, name: str, fields: list[c_ast.Decl]) -> None:
        self.structs.add(name)
        self.lines += ["", f"struct {name}"]
        self.lines += [f"    {field.name}::{self.type(field.type)}" for field in fields]
        self.lines.append("end")

    def function(self, declaration: c_ast.Decl) -> None:
        name, parameters = declaration.name, declaration.type.args.params
        taken = [(one.name, self.type(one.type)) for one in parameters if one.name]
        self.names.append(name)
        names = [name for name, _ in taken]
        kinds = "".join(f"{kind}, " for _, kind in taken)
        values = "".join(f", {name}" for name in names)
        self.lines += [
            "",
            f"{name}({', '.join(names)}) =",
            f"    ccall(ADDRESSES[{len(self.names)}], {self.type(declaration.type.type)}, ({kinds.rstrip()}){values})",
        ]

    def type(self, kind: c_ast.Node) -> str:
        if isinstance(kind, c_ast.ArrayDecl):
            return f"NTuple{{{kind.dim.value}, {self.type(kind.type)}}}"
        if isinstance(kind, c_ast.PtrDecl):
            return self.pointer(kind.type)
        name = self.name(kind)
        return "Cvoid" if name == "void" else self.numbers.get(name, name)

    def pointer(self, target: c_ast.Node) -> str:
        if isinstance(target, c_ast.FuncDecl):
            return "Ptr{Cvoid}"
        if isinstance(target, c_ast.PtrDecl):
            return "Ptr{Ptr{Cvoid}}"
        name = self.name(target)
        if name == "char":
            return "Cstring"
        if name in self.structs or name in self.numbers:
            return f"Ptr{{{self.type(target)}}}"
        return "Ptr{Cvoid}"

    def name(self, kind: c_ast.TypeDecl) -> str:
        return kind.type.name if isinstance(kind.type, c_ast.Struct) else kind.type.names[0]


if __name__ == "__main__":
    main()
