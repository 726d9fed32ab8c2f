# Tables, figures and the page, from whatever runs there are; `snakemake --report` bundles them.


report: "../workflow/report/workflow.rst"


rule tabulate:
    """One paper's tables, ours beside the published numbers."""
    input:
        lambda w: FLOW.metrics(w.paper),
        lambda w: FLOW.published(w.paper),
    output:
        report(
            FLOW.layout.paper_table("{paper}", "csv"),
            caption="../workflow/report/table.rst",
            category="{paper}",
            subcategory="Tables",
            labels={"name": "cells", "shows": "ours beside the published numbers"},
        ),
        report(
            FLOW.layout.paper_table("{paper}", "differences.csv"),
            caption="../workflow/report/differences.rst",
            category="{paper}",
            subcategory="Tables",
            labels={"name": "differences", "shows": "rows subtracted from each other"},
        ),
        FLOW.layout.paper_table("{paper}", "md"),
        FLOW.layout.paper_table("{paper}", "tex"),
        FLOW.key("tables", "{paper}"),
    log:
        f"{FLOW.layout.results}/logs/tabulate/{{paper}}.log",
    group:
        "pages"
    conda:
        "../envs/report.yaml"
    params:
        task=lambda w: FLOW.report_task(w.paper),
    message:
        "tabulate {wildcards.paper}"
    script:
        "../workflow/scripts/tabulate.py"


for paper in FLOW.project.papers:

    rule:
        """All figures of one paper."""
        name:
            f"draw_{paper}"
        input:
            FLOW.metrics(paper),
            FLOW.trained(paper, "scores.h5"),
            FLOW.trained(paper, "examples.h5"),
            FLOW.trained(paper, "history.csv"),
        output:
            [
                report(
                    FLOW.layout.figure(paper, name),
                    caption="../workflow/report/figure.rst",
                    category=paper,
                    subcategory="Figures",
                    labels={"name": name, "shows": caption},
                )
                for name, caption in FLOW.captions(paper).items()
            ],
            FLOW.figures(paper, "svg"),
            FLOW.key("figures", paper),
        log:
            f"{FLOW.layout.results}/logs/draw/{paper}.log",
        group:
            "pages"
        conda:
            "../envs/report.yaml"
        params:
            task=FLOW.report_task(paper),
        message:
            f"draw the figures of {paper}"
        script:
            "../workflow/scripts/draw.py"


rule publish:
    """The results page: everything, in one file."""
    input:
        [FLOW.results(paper) for paper in FLOW.papers],
    output:
        report(
            FLOW.layout.report,
            caption="../workflow/report/page.rst",
            category="All papers",
            labels={"name": "results page", "shows": "everything, for a browser"},
        ),
        FLOW.key("report"),
    log:
        f"{FLOW.layout.results}/logs/publish.log",
    conda:
        "../envs/report.yaml"
    params:
        task=FLOW.report_task(),
    message:
        "publish {output[0]}"
    script:
        "../workflow/scripts/publish.py"
