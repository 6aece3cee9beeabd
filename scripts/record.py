"""Runs a command in a pseudo terminal, and draws what stands on its screen after some seconds as an SVG.

Usage: record.py SVG SECONDS COMMAND...
"""

from __future__ import annotations

import codecs
import fcntl
import io
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROWS, COLUMNS = 24, 110
# A control sequence, or one character.
TOKEN = re.compile(r"\x1b\[[?]?([0-9;]*)([A-Za-z])|\x1b.|(.)", re.DOTALL)


class Screen:
    """As much of a terminal as progress needs: cursor up and down, erasing, colours kept as they came."""

    def __init__(self) -> None:
        self.rows: list[list[tuple[str, str]]] = [[]]
        self.row = self.column = 0
        self.style = ""

    def feed(self, text: str) -> None:
        """Shows what a program wrote."""
        for match in TOKEN.finditer(text):
            argument, command, letter = match.groups()
            if command:
                self._control(argument, command)
            elif letter:
                self._put(letter)

    def _put(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self._down(1)
        elif letter >= " ":
            if self.column == COLUMNS:
                self.column = 0
                self._down(1)
            row = self.rows[self.row]
            row.extend([(" ", "")] * (self.column + 1 - len(row)))
            row[self.column] = (letter, self.style)
            self.column += 1

    def _down(self, count: int) -> None:
        self.row += count
        self.rows.extend([] for _ in range(self.row + 1 - len(self.rows)))

    def _control(self, argument: str, command: str) -> None:
        count = int(argument) if argument.isdigit() else 1
        if command == "A":
            self.row = max(0, self.row - count)
        elif command == "B":
            self._down(count)
        elif command == "G":
            self.column = count - 1
        elif command == "K":
            del self.rows[self.row][0 if argument == "2" else self.column :]
        elif command == "J":
            del self.rows[self.row][self.column :]
            del self.rows[self.row + 1 :]
        elif command == "m":
            self.style = "" if argument in ("", "0") else self.style + f"\x1b[{argument}m"

    def text(self) -> str:
        """What stands there, with its colours."""
        lines = ("".join(f"{style}{letter}\x1b[0m" for letter, style in row) for row in self.rows)
        return "\n".join(lines).rstrip()


def watch(command: list[str], seconds: float) -> Screen:
    """The screen of a command so long after its begin; the command is ended then."""
    screen, decoder = Screen(), codecs.getincrementaldecoder("utf-8")("replace")
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.environ.pop("NO_COLOR", None)
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            break
        try:
            screen.feed(decoder.decode(os.read(terminal, 1 << 16)))
        except OSError:  # the command has ended
            break
    os.kill(child, 9)
    os.waitpid(child, 0)
    return screen


def main() -> None:
    svg, seconds, *command = sys.argv[1:]
    screen = watch(command, float(seconds))
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    shown = ["toolpool", *(os.path.basename(word) if "/" in word else word for word in command[1:])]
    console.print(Text("$ " + " ".join(shown), style="bold"))
    console.print(Text.from_ansi(screen.text()), soft_wrap=True)
    Path(svg).write_text(console.export_svg(title="toolpool embed"))


if __name__ == "__main__":
    main()
