"""Write the README's table of figures from the shipped checkpoints' own descriptions, so that the two never disagree.

    python docs/numbers.py            rewrite README.md between <!-- numbers --> and <!-- /numbers -->
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playground.core.card import STDERR, headline  # noqa: E402

SECTION = re.compile(r"(<!-- numbers[^>]*-->\n).*?(<!-- /numbers -->)", re.DOTALL)


def table() -> str:
    """One row per shipped checkpoint: its first estimate with its standard error, and the command that made it."""
    rows = ["| checkpoint | trained on | metric | value | made by | in |", "|---|---|---|---|---|---|"]
    for path in sorted((ROOT / "checkpoints").glob("*/config.json")):
        config = json.loads(path.read_text("utf-8"))
        metric, value = headline(config["metrics"])
        error = config["metrics"].get(f"{metric}{STDERR}")
        rows.append(f"| [`{path.parent.name}`](checkpoints/{path.parent.name}/README.md) | {config['dataset']} "
                    f"| {metric or 'not measured yet'} | {'–' if metric is None else value if error is None else f'{value} ± {error}'} "
                    f"| `{config['command']}` | {config['made']['seconds']:,.0f} s on {config['made']['hardware']} |")
    return "\n".join(rows) + "\n"


def updated(text: str) -> str:
    """The README's text with today's table in it."""
    return SECTION.sub(lambda found: found.group(1) + table() + found.group(2), text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(updated(readme.read_text("utf-8")), "utf-8")
