"""How many of eight modes the default game in the plane finds within twenty seconds, over ten seeds; and what the plain ones find.

    python tests/benchmarks/gan_ring.py [--seconds S] [--seeds N] [--games stable minimax ...] [--threads T]

Each game is trained as the page does it, in slices on one thread, and looked at in between; what the looks take counts. "covered" is a
mode that at least 2 % of 2,000 fakes are within three standard deviations of. "first" is when all eight were covered first, "at the end"
what is covered when the time is over. The last line printed is JSON.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playground.core import device  # noqa: E402
from playground.gan import toy as toys  # noqa: E402
from playground.gan.views.game import SLICE  # noqa: E402


@torch.no_grad()
def race(game: str, seed: int, seconds: float) -> dict:
    toy = toys.begin("ring", "", toys.GAMES[game], seed)
    begun, cpu, first = time.perf_counter(), time.process_time(), None
    while time.perf_counter() - begun < seconds and not toy.done:
        toy.advance(SLICE)
        if first is None and toy.covered() == 8:
            first = round(time.perf_counter() - begun, 2)
    return {"game": game, "seed": seed, "updates": toy.step, "seconds": round(time.perf_counter() - begun, 1), "cpu": round(time.process_time() - cpu, 1),
            "first": first, "covered": toy.covered(), "near": round(toy.shares().sum().item(), 3), "js": round(toy.js(), 3), "collapsed": toy.collapsed()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--games", nargs="+", choices=tuple(toys.GAMES), default=["stable"])
    parser.add_argument("--threads", type=int, default=device.threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for game in options.games:
        for seed in range(options.seeds):
            rows.append(race(game, seed, options.seconds))
            row = rows[-1]
            print(f"{game}, seed {seed}: {row['covered']} of 8 after {row['seconds']} s ({row['updates']:,} updates, {row['cpu']} s of processor), all eight first after {row['first']} s, "
                  f"{100 * row['near']:.0f} % within 3 sigma, JS {row['js']}" + (", collapsed" if row["collapsed"] else ""), flush=True)
    summary = {game: {"all_eight": sum(row["covered"] == 8 for row in rows if row["game"] == game), "seeds": options.seeds,
                      "first": statistics.median([row["first"] or float("inf") for row in rows if row["game"] == game])} for game in options.games}
    for game, found in summary.items():
        print(f"{game}: 8 of 8 modes at the end for {found['all_eight']} of {found['seeds']} seeds; median of the first time {found['first']} s")
    print(json.dumps({**vars(options), "summary": summary, "rows": rows}))


if __name__ == "__main__":
    main()
