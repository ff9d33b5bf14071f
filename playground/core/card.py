"""A checkpoint's model card: all of it from config.json, so that the two never disagree."""

import json
import re
from collections.abc import Mapping
from typing import Any

LICENCES = {
    "mnist": "MNIST (LeCun, Cortes, Burges), CC BY-SA 3.0",
    "fashionmnist": "FashionMNIST (Zalando Research), MIT",
    "kmnist": "KMNIST (ROIS-DS Center for Open Data in the Humanities), CC BY-SA 4.0",
    "notoemoji": "Noto Emoji (Google), Apache-2.0, composited on white",
    "lego": "lego of the NeRF paper's synthetic scenes (Mildenhall et al. 2020), model by Heinzelnisse, CC BY 3.0",
    "cifar10": "CIFAR-10 (Krizhevsky), free to use with citation; no licence is stated",
}
BUILT_IN = "drawn by this project's own code, or a visitor's own pictures or scene"
STDERR = "_stderr"           # `x_stderr` is the standard error of the metric `x`


def headline(metrics: Mapping[str, Any]) -> tuple[str | None, Any]:
    """A checkpoint's first estimate (a metric with a standard error) as (name, value); (None, None) where there is none."""
    flat = _flat(metrics)
    return next(((key, value) for key, value in flat.items() if key + STDERR in flat), (None, None))


def card(name: str, config: Mapping[str, Any]) -> str:
    """The model card in Markdown, all of it from config.json: what, from which data, by which command, how good."""
    family, dataset, made, train = (config[key] for key in ("family", "dataset", "made", "train"))
    licence = LICENCES.get(re.sub("[^a-z0-9]", "", dataset.lower()), BUILT_IN)
    seconds = made.get("seconds")
    took = f"{seconds:,.0f} s" if isinstance(seconds, (int, float)) else "an unknown time"
    bits = f", of which matrices and kernels keep {made['bits']} bits a weight" if isinstance(made.get("bits"), int) else ""
    return f"""# {name}

A `{family}` model of the Generative Playground, trained on `{dataset}` ({licence}).

Made by

```
{config["command"]}
```

with seed {train.get("seed", "?")} in {took} on {made.get("hardware", "?")} \
(torch {made.get("torch", "?")}, {made.get("date", "?")}).

## Metrics

{_table(config["metrics"])}

Measure them again with `python -m playground evaluate {name}`.

## Training configuration

```json
{json.dumps(dict(train), indent=1, ensure_ascii=False, default=dict)}
```

## Files

`weights.safetensors` holds the network ("model.…"{bits}) and what was derived from the data ("derived.…"); \
`config.json` holds what rebuilds it. Neither contains code.

## 中文说明

本检查点（checkpoint）是 Generative Playground 的 `{family}` 模型，在 `{dataset}` 上训练，随机种子为 {train.get("seed", "?")}。\
上面的命令可以重新训练它；`python -m playground evaluate {name}` 可以重新测量上表中的指标。
"""


def _table(metrics: Mapping[str, Any]) -> str:
    flat = _flat(metrics)
    if not flat:
        return "Not measured yet."
    rows = [f"| {key} | {_figure(value)} | {_figure(flat.get(key + STDERR, '–'))} |"
            for key, value in flat.items() if not (key.endswith(STDERR) and key.removesuffix(STDERR) in flat)]
    return "\n".join(["| metric | value | standard error |", "|---|---|---|", *rows])


def _flat(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value})
    return flat


def _figure(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
