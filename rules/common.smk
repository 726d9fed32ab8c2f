# Settings, read and validated before anything is planned. `config` is what the command line gave.

import os
import sys

from snakemake.exceptions import WorkflowError

# `workflow.basedir` would be the folder of the Snakefile that imports this one as a module.
CHECKOUT = os.path.dirname(workflow.current_basedir.get_path_or_uri(secret_free=True))
SOURCE = os.path.join(CHECKOUT, "src")
sys.path.insert(0, SOURCE)

from sedrepro import places
from sedrepro.pipeline.driver import outdate, starting, reset_future_mtimes
from sedrepro.pipeline.flow import DATA_FIRST, Flow, in_one_line
from sedrepro.errors import SedreproError

# In a module `config` is what the importing workflow gives it, be that one part of its files.
OWN = workflow.modifier.is_main_snakefile()

# Code and defaults come from the checkout; data, results and a `config/` of one's own from the
# working folder.
try:
    FLOW = Flow.load(
        config,
        files=workflow.configfiles if OWN else [],
        root=CHECKOUT,
        folder=os.getcwd(),
    )
except SedreproError as error:
    raise WorkflowError(str(error))

# Jobs find the package in any environment, know their driver, and keep to one thread each.
os.environ.update(FLOW.environment(SOURCE))

if workflow.is_main_process:
    places.mark(os.getcwd(), CHECKOUT)
    if OWN:
        STARTING = starting(os.getcwd())
    # Dates say what has to be made again: none may lie in the future, where a clock that was wrong
    # put it.
    reset_future_mtimes(FLOW.dated())
    # The same for tables that were made with other settings, or of a tree of one's own that is no
    # longer what they describe.
    outdate(FLOW.seals())


wildcard_constraints:
    **FLOW.wildcards(),
