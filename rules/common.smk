# Settings, read and validated before anything is planned. `config` is what the command line gave.

import os
import sys

from snakemake.exceptions import WorkflowError

SOURCE = os.path.join(workflow.basedir, "src")
sys.path.insert(0, SOURCE)

from sedrepro.cli.driver import starting, undate
from sedrepro.cli.flow import Flow
from sedrepro.errors import SedreproError

# Data and results lie beside what makes them, and `sedrepro` looks for them there.
if not os.path.samefile(os.getcwd(), workflow.basedir):
    raise WorkflowError(
        f"sedrepro runs in its own folder, {workflow.basedir}: go there, and leave --directory out "
        "(`data.folder` moves the data to another disk)"
    )

try:
    FLOW = Flow.load(config, files=workflow.configfiles, root=workflow.basedir)
except SedreproError as error:
    raise WorkflowError(str(error))

# Jobs find the package in any environment, know their driver, and keep to one thread each.
os.environ.update(FLOW.environment(SOURCE))

if workflow.is_main_process:
    STARTING = starting(os.getcwd())
    # Dates say what has to be made again: none may lie in the future, where a clock that was wrong
    # put it.
    undate(FLOW.dated())


wildcard_constraints:
    **FLOW.wildcards(),
