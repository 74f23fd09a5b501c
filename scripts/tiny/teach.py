"""Teaches the embedded checkpoint its drawings: python scripts/tiny/teach.py STATE MINUTES [--resume] [--lr 1e-3] [--hold 0.5] [--kinds …] [--still …]

Muon for matrices and Adam for the rest, bfloat16 with float32 weights, an average of the weights (EMA) beside them. The learning rate is constant for
the share `--hold` of the time and then goes to zero. STATE is saved every 100 steps. Prints, for each kind, loss / tokens right / answers right.
"""
import argparse
import math
import os
import time

import torch
import torch.nn.functional as F

from batches import KINDS, batches
from model import initial, losses


def orthogonal(gradient):
    """Newton-Schulz iteration of Muon."""
    x = gradient.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).float()


class Optimizer:
    def __init__(self, parameters):
        self.parameters, self.step_count = parameters, 0
        self.momentum = {name: torch.zeros_like(p) for name, p in parameters.items()}
        self.square = {name: torch.zeros_like(p) for name, p in parameters.items()}

    @torch.no_grad()
    def step(self, rate, weight_decay=0.01, clip=1.0):
        self.step_count += 1
        changed = {name: p for name, p in self.parameters.items() if p.grad is not None}
        norm = torch.sqrt(sum((p.grad**2).sum() for p in changed.values())).item()
        scale = min(1.0, clip / (norm + 1e-6))
        for name, p in changed.items():
            m = self.momentum[name]
            if p.ndim == 2 and "embed" not in name and "cells" not in name:
                m.mul_(0.95).add_(p.grad)
                update = orthogonal(p.grad + 0.95 * m) * 0.2 * math.sqrt(max(p.shape))
                p.mul_(1 - rate * weight_decay).sub_(update, alpha=rate)
            else:
                v, gradient = self.square[name], p.grad * scale
                m.mul_(0.9).add_(gradient, alpha=0.1)
                v.mul_(0.98).addcmul_(gradient, gradient, value=0.02)
                p.sub_(rate * (m / (1 - 0.9**self.step_count)) / ((v / (1 - 0.98**self.step_count)).sqrt() + 1e-8))
            p.grad = None


def answers_right(batch, right, where):
    """For each sample, the share of its answers that are right as a whole."""
    wrong = torch.zeros(where.shape, dtype=torch.bool)
    wrong[where] = ~right
    starts = where & ~F.pad(where, (1, 0))[:, :-1]
    answer = starts.cumsum(1) * where
    for i in range(len(batch["kinds"])):
        bad = torch.zeros(int(answer[i].max()) + 1).index_add_(0, answer[i], wrong[i].float())
        yield (bad[1:] == 0).float().mean().item()


class Averages(dict):
    def add(self, kind, values, keep=0.97):
        before = self.get(kind, values)
        self[kind] = tuple(keep * b + (1 - keep) * v for b, v in zip(before, values))


def main():
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("state")
    cli.add_argument("minutes", type=float)
    cli.add_argument("--resume", action="store_true")
    cli.add_argument("--lr", type=float, default=1e-3)
    cli.add_argument("--hold", type=float, default=0.5)
    cli.add_argument("--kinds", default=KINDS)
    cli.add_argument("--still", help="beginning of the names of weights that stay as they are, such as vision_tower")
    cli.add_argument("--seed", type=int, default=int(time.time()))
    args = cli.parse_args()
    torch.manual_seed(args.seed)
    parameters = initial()
    optimizer, first = Optimizer(parameters), 0
    average = {name: p.detach().clone() for name, p in parameters.items()}
    if args.resume:
        saved = torch.load(args.state)
        for name, p in parameters.items():
            p.data.copy_(saved["p"].get(name, p.data))
        optimizer.momentum.update(saved["m"])
        optimizer.square.update(saved["v"])
        average.update(saved["ema"])
        optimizer.step_count, first = saved["t"], saved["step"]

    for name, p in parameters.items():
        p.requires_grad = not (args.still and name.startswith((args.still, "cells.weight", "cells.bias")))

    def save(step):
        state = dict(p={name: p.detach() for name, p in parameters.items()}, ema=average, step=step)
        torch.save(dict(state, m=optimizer.momentum, v=optimizer.square, t=optimizer.step_count), args.state + ".part")
        os.replace(args.state + ".part", args.state)

    figures, start = Averages(), time.time()
    for step, batch in enumerate(batches(args.seed, args.kinds), first + 1):
        spent = (time.time() - start) / (60 * args.minutes)
        if spent >= 1:
            break
        decay = 1 if spent < args.hold else 1 - 0.97 * (spent - args.hold) / (1 - args.hold)
        loss, right, where, cells, lookups = losses(parameters, batch)
        (loss.mean() + 0.5 * cells + 0.1 * lookups).backward()
        optimizer.step(args.lr * min(1, (step - first) / (20 if args.resume else 60)) * decay)
        with torch.no_grad():
            for name, p in parameters.items():
                average[name].lerp_(p, 1 - min(0.999, 1 - 1 / (step + 10)))
        who = where.nonzero()[:, 0]
        for i, (kind, exact) in enumerate(zip(batch["kinds"], answers_right(batch, right, where))):
            figures.add(kind, (loss[who == i].mean().item(), right[who == i].float().mean().item(), exact))
        if step % 50 == 0:
            shown = " ".join(f"{kind}:{a:.3f}/{b:.3f}/{c:.2f}" for kind, (a, b, c) in sorted(figures.items()))
            spent_on = f"{(time.time() - start) / 60:.1f} min, step {step}"
            print(f"{spent_on}, cells {cells.item():.2f}, lookups {lookups.item():.2f}, {shown}", flush=True)
        if step % 100 == 0:
            save(step)
    save(step)


if __name__ == "__main__":
    main()
