"""Trains small networks on noisy measurements of y = sin(3x), each on its own, for the examples `ensemble` and `compare`.

    python examples/python/export_ensemble.py FOLDER [N]

writes FOLDER/member_0.pt … as TorchScript, and the first as an AOTInductor package too, member_0.pt2. Each takes x, fp32
[batch, 1], and returns y, fp32 [batch, 1].
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import nn


def member(seed: int) -> nn.Module:
    """A network fitted to measurements of its own noise."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    x = torch.rand(60, 1) * 2 - 1
    y = torch.sin(3 * x) + 0.3 * torch.randn_like(x)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return model.eval()


def compile_package(model: nn.Module, path: Path) -> None:
    """Writes an AOTInductor package for this machine, for any number of x but a single one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shapes = ({0: torch.export.Dim("batch", max=4096)},)
    with torch.no_grad():
        example = (torch.zeros(2, 1, device=device),)
        program = torch.export.export(model.to(device), example, dynamic_shapes=shapes)
        torch._inductor.aoti_compile_and_package(program, package_path=str(path))


def main() -> None:
    """Writes them."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    folder, count = Path(sys.argv[1]), int((sys.argv[2:] or ["3"])[0])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        torch.jit.script(member(seed)).save(folder / f"member_{seed}.pt")
    compile_package(member(0), folder / "member_0.pt2")


if __name__ == "__main__":
    main()
