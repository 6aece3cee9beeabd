#!/usr/bin/env python3
"""Write examples/data/proteins.fasta from UniProtKB flat files, once their checksums hold.

Usage: scripts/proteins.py FLAT_FILE... > examples/data/proteins.fasta

An entry is kept when it is reviewed (Swiss-Prot) and a whole protein (not a fragment) of 20 to
1,000 residues in the twenty standard letters. Every entry's length and CRC64 must be those that its
SQ line states, or the run ends with an error. The first occurrence of an accession wins; output is
sorted by accession. `examples/data/README.md` says which files were read.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STANDARD = set("ACDEFGHIKLMNPQRSTVWY")
# CRC-64/ISO 3309, reflected, from 0: the checksum of the SQ line (UniProtKB user manual).
CRC64_POLYNOMIAL = 0xD800000000000000


@dataclass
class Entry:
    accession: str
    name: str
    reviewed: bool
    description: str
    organism: str
    fragment: bool
    length: int
    crc64: str
    sequence: str


def crc64(sequence: str) -> str:
    crc = 0
    for byte in sequence.encode("ascii"):
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ CRC64_POLYNOMIAL if crc & 1 else crc >> 1
    return f"{crc:016X}"


def entries(flat_file: Path) -> Iterator[Entry]:
    for block in re.split(r"^//\n", flat_file.read_text(encoding="utf-8"), flags=re.MULTILINE):
        if entry := parse(block):
            yield entry


def parse(block: str) -> Entry | None:
    """The entry of one `//`-terminated block; None where it is none, or of the form before 2008."""
    lines: dict[str, list[str]] = {}
    for line in block.splitlines():
        lines.setdefault(line[:2], []).append(line[5:])
    joined = {code: " ".join(text) for code, text in lines.items()}
    stated = re.search(r"SEQUENCE +(\d+) AA; +\d+ MW; +([0-9A-F]{16}) CRC64", joined.get("SQ", ""))
    described = re.search(r"(?:RecName|SubName): Full=([^;{]+)", joined.get("DE", ""))
    if not stated or not described:
        return None
    return Entry(
        accession=joined["AC"].split(";")[0],
        name=joined["ID"].split()[0],
        reviewed=" Reviewed;" in joined["ID"],
        description=described[1].strip(),
        organism=joined["OS"].rstrip("."),
        fragment=bool(re.search(r"Flags: (?:Precursor; )?Fragment", joined["DE"])),
        length=int(stated[1]),
        crc64=stated[2],
        sequence="".join(lines["  "]).replace(" ", ""),
    )


def wanted(entry: Entry) -> bool:
    """Whether the file takes the entry; ends the run where its checksum does not hold."""
    if len(entry.sequence) != entry.length or crc64(entry.sequence) != entry.crc64:
        sys.exit(f"{entry.accession}: the sequence is not the one that its SQ line states")
    whole = entry.reviewed and not entry.fragment and 20 <= entry.length <= 1000
    return whole and set(entry.sequence) <= STANDARD


def main() -> None:
    kept: dict[str, Entry] = {}
    for argument in sys.argv[1:]:
        for entry in entries(Path(argument)):
            if wanted(entry):
                kept.setdefault(entry.accession, entry)
    for _, entry in sorted(kept.items()):
        print(f">sp|{entry.accession}|{entry.name} {entry.description} OS={entry.organism}")
        for start in range(0, entry.length, 60):
            print(entry.sequence[start : start + 60])
    distinct = len({entry.sequence for entry in kept.values()})
    residues = sum(entry.length for entry in kept.values())
    print(f"{len(kept)} proteins, {distinct} distinct, {residues} residues", file=sys.stderr)


if __name__ == "__main__":
    main()
