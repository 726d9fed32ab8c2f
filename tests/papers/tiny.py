"""Papers at a size where a training step takes milliseconds: plans, batches, methods."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sedrepro.papers import method_of, settings_models
from sedrepro.papers.contract import Batch, Method
from sedrepro.settings import Plan, Run, load, merge, plan

ROOT = Path(__file__).resolve().parents[2]

TINY_WAVE = {"tiny_wave": {"kind": "waveform", "seconds": 1.0, "n_mels": 16, "n_fft": 512}}
TINY_BATCH = {"settings": {"batch": {"synth": 3, "weak": 2, "unlabelled": 4}}}

OVERLAYS: dict[str, dict[str, Any]] = {
    "lgc_sed": {
        "front_ends": {"mel128": {"seconds": 1.0, "n_mels": 16, "n_fft": 512}, **TINY_WAVE},
        "papers": {
            "lgc_sed": {
                "settings": {
                    "batch": {"synth": 3, "weak": 3, "unlabelled": 4},
                    "network": {
                        "filters": [4, 6],
                        "pooling": [[2, 4], [2, 4]],
                        "hidden": 5,
                        "projection": 8,
                    },
                    "mean_teacher": {"ramp_epochs": 2},
                    # An untrained network is never sure: every frame between the thresholds.
                    "pgc": {
                        "start_epoch": 0,
                        "prototypes": 2,
                        "confident": 0.5,
                        "background": 0.5,
                        "uncertain": 0.55,
                    },
                    "training": {"epochs": 3},
                },
                "table": {"lgc_rct": {"settings": {"front_end": "tiny_wave"}}},
            }
        },
    },
    "weak_mtl": {
        "front_ends": {"logmel64": {"seconds": 0.5, "n_fft": 1024, "n_mels": 12}},
        "data": {"snr_mix": {"classes": ["Bark", "Gong", "Meow"]}},
        "papers": {
            "weak_mtl": {
                "settings": {
                    "batch": 4,
                    "network": {
                        "channels": [2, 3, 4, 5],
                        "vgg_channels": [2, 3, 4, 4],
                        "atrous_channels": [3, 4, 5],
                        "gwrp_decay": 0.99,
                    },
                    "training": {"epochs": 3},
                }
            }
        },
    },
    "cross_task_sod": {
        "front_ends": TINY_WAVE,
        "papers": {
            "cross_task_sod": {
                "settings": {
                    "front_end": "tiny_wave",
                    "batch": {"synth": 3, "weak": 2, "unlabelled": 4},
                    "backbone": {
                        "filters": [4, 4, 5, 6, 6],
                        "pooling": [[2, 1], [2, 2], [1, 2], [1, 2], [1, 1], [1, 2]],
                        "hidden": 5,
                    },
                    "crnn": {"filters": [4, 6], "pooling": [[2, 4], [2, 4]], "hidden": 5},
                    "mean_teacher": {"ramp_epochs": 2},
                    "training": {"epochs": 3},
                },
                "table": {
                    row: TINY_BATCH
                    for row in ("rct", "rct_time_mask", "rct_pitch_shift", "rct_time_shift")
                },
            }
        },
    },
    "mtda_hsed": {
        "front_ends": {
            "wave": {"kind": "waveform", "seconds": 1.0, "n_mels": 16, "n_fft": 512},
            "tokens": {"kind": "beats", "seconds": 1.0, "channels": 24, "steps": 15},
            "strips": {"kind": "atst_frame", "seconds": 1.0, "channels": 64, "steps": 15},
        },
        "papers": {
            "mtda_hsed": {
                "settings": {
                    "front_end": "wave",
                    "batch": {"maestro": 3, "synth": 2, "strong": 2, "weak": 2, "unlabelled": 3},
                    "network": {"filters": [4, 6], "pooling": [[2, 4], [2, 4]], "hidden": 5},
                    "encoder": {"front_end": "tokens", "width": 24, "depth": 2},
                    "adapter": {"long": 12, "short": 6, "inner": 4},
                    "dbmf": {"stages": [[0, 1], [1, 2]]},
                    "shown_block": 1,
                    "mean_teacher": {"ramp_epochs": 2, "decay_epoch": 3},
                    "training": {"epochs": 5},
                },
                "methods": {
                    "atst_sed": {
                        "front_end": "wave",
                        "network": {"filters": [4, 6], "pooling": [[2, 4], [2, 4]], "hidden": 5},
                        "encoder": {"front_end": "strips", "width": 64, "depth": 2},
                        "shown_block": 1,
                    }
                },
                "table": {
                    "dbmf_1": {"settings": {"dbmf": {"stages": [[0, 1]]}}},
                    "dbmf_2": {"settings": {"dbmf": {"stages": [[0, 1], [1, 2]]}}},
                    **{
                        row: {
                            "settings": {
                                "batch": {
                                    "maestro": 3,
                                    "synth": 2,
                                    "strong": 2,
                                    "weak": 2,
                                    "unlabelled": 3,
                                },
                                "training": {"epochs": 5},
                                "mean_teacher": {"ramp_epochs": 1},
                            }
                        }
                        for row in ("atst_sed_stage1", "atst_sed")
                    },
                },
            }
        },
    },
}
"""What makes each paper tiny; a new paper adds its own."""


def tiny_plan(
    paper: str,
    row: str,
    changes: Mapping[str, Any] | None = None,
    *,
    classes: list[str] | None = None,
) -> Plan:
    """The plan of a row at tiny size, with `changes` to the paper's settings and classes of one's
    own in place of DESED's."""
    overlay = merge(copy.deepcopy(OVERLAYS[paper]), {"run": [paper]})
    if classes:
        overlay = merge(overlay, {"data": {"desed": {"classes": classes}}})
    models = settings_models()
    if changes:
        named = load(papers=models, root=ROOT).papers[paper].table[row].method
        place = {"methods": {named: changes}} if named else {"settings": changes}
        overlay = merge(overlay, {"papers": {paper: place}})
    project = load(overlay, papers=models, root=ROOT)
    condition = next(iter(project.papers[paper].conditions))
    return plan(project, Run(paper, row, condition, seed=1), models[paper])


def random_batch(plan: Plan, seed: int = 0) -> Batch:
    """Random inputs as networks get them, with random targets where a stream has labels."""
    draw = np.random.default_rng(seed)
    inputs: dict[str, list[np.ndarray]] = {name: [] for name in plan.front_ends}
    frames, clips, parts, start = [], [], {}, 0
    for stream in plan.settings.streams():
        group, shape = stream.group, (stream.group, plan.grid.frames, len(plan.classes))
        for name in stream.inputs:
            front_end = plan.front_ends[name]
            if front_end.kind == "waveform":
                sound = np.clip(draw.normal(scale=0.1, size=(group, front_end.samples)), -1, 1)
            else:
                sound = draw.gamma(1.0, size=(group, *front_end.shape))
            inputs[name].append(sound)
        labels = (draw.random(shape) < 0.3) * (stream.labels == "frames")
        tags = (draw.random((group, shape[2])) < 0.3) * (stream.labels == "clips")
        frames.append(labels)
        clips.append(np.maximum(tags, labels.max(1)))
        parts[stream.name] = slice(start, start + group)
        start += group
    return Batch(
        inputs={
            name: torch.from_numpy(np.concatenate(v)).float() for name, v in inputs.items() if v
        },
        frames=torch.from_numpy(np.concatenate(frames)).float(),
        clips=torch.from_numpy(np.concatenate(clips)).float(),
        parts=parts,
    )


def tiny_method(plan: Plan, steps_per_epoch: int = 2, seed: int = 0) -> Method:
    """The paper's method on the CPU, in training mode."""
    torch.manual_seed(seed)
    method = method_of(plan.run.paper, plan.method)(
        plan, steps_per_epoch=steps_per_epoch, device=torch.device("cpu"), amp=False
    )
    method.networks.train()
    return method
