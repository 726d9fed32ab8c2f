# sedrepro: five sound-event papers, from download to the table beside the paper's numbers.
#
#     snakemake --cores 8 --use-conda all              everything
#     snakemake --cores 8 --use-conda lgc_sed          one paper's table and figures
#     snakemake all --workflow-profile profiles/slurm  on a cluster
#     snakemake all --cores 2 --configfile config/mini.yaml   the miniature

from snakemake.utils import min_version

min_version("9.27")


include: "rules/common.smk"
include: "rules/sources.smk"
include: "rules/mixtures.smk"
include: "rules/features.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/reporting.smk"


# Every run is asked for by name: tables, figures and page are there after a failure, too, and after
# `sedrepro report`.
rule all:
    """The tables and figures of every selected paper, and the page."""
    default_target: True
    input:
        FLOW.layout.report,
        [FLOW.results(paper) + FLOW.wholes(paper) for paper in FLOW.papers],
    localrule: True


rule data:
    """Everything that has to be downloaded and described; nothing is trained."""
    input:
        lambda w: FLOW.data(),
    localrule: True


for paper in FLOW.project.papers:

    rule:
        """The tables and figures of one paper, and every run they need."""
        name:
            paper
        input:
            FLOW.results(paper) + FLOW.wholes(paper),
        localrule: True


# Now that Snakemake has its locks, the next driver may look for them. (In a module Snakemake calls
# neither this nor the next.)
onstart:
    STARTING.close()
    # Without Snakemake's bound of 100 starts a second: for every job that has ended it looks at all
    # that wait once more a second, which after a hundred jobs takes a core.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


# A failure leaves a page too: it shows what there is and says what is missing. Where there can be
# none, that is the smaller trouble, and told in a line.
onerror:
    shell("{command} || true", command=FLOW.command("report"))
