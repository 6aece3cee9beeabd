"""As much of the Hugging Face hub as the command needs."""

from __future__ import annotations

import hashlib
import http.server
import json
from typing import ClassVar


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one set of files as every model of facebook's."""

    files: ClassVar[dict[str, bytes]] = {
        "config.json": b"{}",
        "model.safetensors": b"weights",
        "README.md": b"",
        "pytorch_model.bin": b"",
    }
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        if "/facebook/" not in self.path:
            return self.send_error(404)
        name = self.path.rsplit("/", 1)[1]
        if self.path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in self.files]
            return self.answer(json.dumps({"siblings": siblings, "sha": "0123abcd"}).encode())
        return self.answer(self.files[name])

    def answer(self, body: bytes):
        tag = hashlib.sha256(body).hexdigest()
        asked = self.headers.get("Range")
        first = 0
        if asked:
            first, last = (
                int(part or len(body) - 1) for part in asked.removeprefix("bytes=").split("-")
            )
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
            body = body[first : last + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{tag}"')
        self.send_header("X-Repo-Commit", "0123abcd")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
