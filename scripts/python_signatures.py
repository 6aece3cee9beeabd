#!/usr/bin/env python3
"""Writes bindings/python/toolpool/_signatures.py from include/toolpool.h, or with --check says whether it is fresh.

Needs pycparser. How C types become those of ctypes:

  a handle (struct without fields) *   c_void_p, an address; None is NULL
  char *                               c_char_p
  a struct with fields *               POINTER(of it)
  T ** of any of these, void **        POINTER(c_void_p)
  a number *, void *                   c_void_p, so that addresses, arrays and byref() all do
  a function pointer                   CFUNCTYPE
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pycparser import c_ast, c_parser

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include/toolpool.h"
TARGET = ROOT / "bindings/python/toolpool/_signatures.py"

NUMBERS = {
    "size_t": "c_size_t",
    "int32_t": "c_int32",
    "uint32_t": "c_uint32",
    "int64_t": "c_int64",
    "uint64_t": "c_uint64",
    "double": "c_double",
    "char": "c_char",
}

PREAMBLE = '''"""The C surface for ctypes. Generated from include/toolpool.h by scripts/python_signatures.py; do not edit."""

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)

'''


def main() -> None:
    text = signatures(HEADER.read_text())
    if "--check" in sys.argv[1:]:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET.relative_to(ROOT)} is stale; run: scripts/python_signatures.py")
    else:
        TARGET.write_text(text)


def signatures(header: str) -> str:
    constants = constants_of(header)
    return PREAMBLE + Writer(constants).module(parsed(header, constants))


def constants_of(header: str) -> dict[str, str]:
    return dict(re.findall(r"^#define (TOOLPOOL_\w+) (-?\d+)$", header, re.MULTILINE))


def parsed(header: str, constants: dict[str, str]) -> c_ast.FileAST:
    """The declarations, after the little that the preprocessor has to do in this header."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    code = re.sub(r"#ifdef __cplusplus.*?#endif[^\n]*", "", code, flags=re.DOTALL)
    code = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*$", "", code, flags=re.MULTILINE)
    code = re.sub(r"\bTOOLPOOL_\w+", lambda name: constants[name.group()], code)
    standard = "".join(f"typedef int {name};" for name in NUMBERS if name.endswith("_t"))
    return c_parser.CParser().parse(standard + code)


class Writer:
    """Lines of Python for the declarations of a header, in its order."""

    def __init__(self, constants: dict[str, str]):
        self.constants = constants
        self.numbers = dict(NUMBERS)
        self.structs: set[str] = set()
        self.handles: set[str] = set()
        self.lines: list[str] = []
        self.functions: list[str] = []

    def module(self, ast: c_ast.FileAST) -> str:
        self.lines += [f"{name} = {value}" for name, value in self.constants.items()]
        for declaration in ast.ext:
            if isinstance(declaration, c_ast.Typedef) and declaration.name not in NUMBERS:
                self.typedef(declaration)
            elif isinstance(declaration, c_ast.Decl):
                self.function(declaration)
        table = [
            "",
            "# Name: what it returns, what it takes.",
            "FUNCTIONS = {",
            *self.functions,
            "}",
        ]
        return "\n".join(self.lines + table) + "\n"

    def typedef(self, declaration: c_ast.Typedef) -> None:
        kind, name = declaration.type, declaration.name
        if isinstance(kind, c_ast.PtrDecl):
            self.lines += ["", f"{name} = {self.callback(kind.type)}"]
        elif isinstance(kind.type, c_ast.Struct) and kind.type.decls is None:
            self.handles.add(name)
        elif isinstance(kind.type, c_ast.Struct):
            self.struct(name, kind.type.decls)
        else:
            self.numbers[name] = self.numbers[kind.type.names[0]]
            self.lines += ["", f"{name} = {self.numbers[name]}"]

    def struct(self, name: str, fields: list[c_ast.Decl]) -> None:
        # First, since a struct may hold functions that take it.
        self.structs.add(name)
        self.lines += ["", "", f"class {name}(Structure):"]
        self.lines += [f'    """{name}."""', "", "    _fields_ = ("]
        self.lines += [f'        ("{field.name}", {self.type(field.type)}),' for field in fields]
        self.lines.append("    )")

    def function(self, declaration: c_ast.Decl) -> None:
        returned = self.type(declaration.type.type)
        taken = ", ".join(self.parameters(declaration.type))
        self.functions.append(f'    "{declaration.name}": ({returned}, [{taken}]),')

    def callback(self, function: c_ast.FuncDecl) -> str:
        return f"CFUNCTYPE({', '.join([self.type(function.type), *self.parameters(function)])})"

    def parameters(self, function: c_ast.FuncDecl) -> list[str]:
        kinds = [self.type(parameter.type) for parameter in function.args.params]
        return [] if kinds == ["None"] else kinds

    def type(self, kind: c_ast.Node) -> str:
        if isinstance(kind, c_ast.ArrayDecl):
            return f"{self.type(kind.type)} * {kind.dim.value}"
        if isinstance(kind, c_ast.PtrDecl):
            return self.pointer(kind.type)
        name = self.name(kind)
        return "None" if name == "void" else self.numbers.get(name, name)

    def pointer(self, target: c_ast.Node) -> str:
        if isinstance(target, c_ast.FuncDecl):
            return self.callback(target)
        if isinstance(target, c_ast.PtrDecl):
            return "POINTER(c_void_p)"
        name = self.name(target)
        if name == "char":
            return "c_char_p"
        return f"POINTER({name})" if name in self.structs else "c_void_p"

    def name(self, kind: c_ast.TypeDecl) -> str:
        return kind.type.name if isinstance(kind.type, c_ast.Struct) else kind.type.names[0]


if __name__ == "__main__":
    main()
