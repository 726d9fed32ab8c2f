"""Planning needs pydantic and yaml, and nothing that takes seconds or a GPU to import."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = ("torch", "torchaudio", "numpy", "pandas", "h5py", "scipy", "librosa", "matplotlib")

PROGRAM = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())

from sedrepro.papers import settings_models
from sedrepro.settings import Layout, Run, load, plan

models = settings_models()
count = 0
for files in [(), ("config/mini.yaml",)]:
    project = load(papers=models, files=files)
    layout = Layout.of(project)
    for paper, spec in project.papers.items():
        for row in spec.table:
            for condition in spec.conditions:
                planned = plan(project, Run(paper, row, condition, 42), models[paper])
                assert planned.describe() and planned.grid.frames > 0 and planned.classes
                assert all(layout.store(*part).endswith(".h5") for part in planned.inputs())
                count += 1
print(count)
"""


def test_everything_is_resolved_without_the_heavy_packages(root):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 12
