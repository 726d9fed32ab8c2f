# Tables, figures and the page, from whatever runs there are.


rule tabulate:
    input:
        lambda w: FLOW.metrics(w.paper),
        lambda w: FLOW.published(w.paper),
    output:
        FLOW.layout.paper_table("{paper}", "csv"),
        FLOW.layout.paper_table("{paper}", "differences.csv"),
        FLOW.layout.paper_table("{paper}", "md"),
        FLOW.layout.paper_table("{paper}", "tex"),
    log:
        f"{FLOW.layout.results}/logs/tabulate/{{paper}}.log",
    conda:
        "../envs/report.yaml"
    params:
        paper=lambda w: FLOW.printed(w.paper),
    message:
        "tabulate {wildcards.paper}"
    script:
        "../workflow/scripts/tabulate.py"


for paper in FLOW.project.papers:

    rule:
        name:
            f"draw_{paper}"
        input:
            FLOW.metrics(paper),
            FLOW.trained(paper, "scores.h5"),
            FLOW.trained(paper, "examples.h5"),
            FLOW.trained(paper, "history.csv"),
        output:
            FLOW.figures(paper),
        log:
            f"{FLOW.layout.results}/logs/draw/{paper}.log",
        conda:
            "../envs/report.yaml"
        params:
            paper=paper,
            figures=FLOW.printed(paper)["figures"],
        message:
            f"draw the figures of {paper}"
        script:
            "../workflow/scripts/draw.py"


rule publish:
    input:
        [FLOW.results(paper) for paper in FLOW.papers],
    output:
        FLOW.layout.report,
    log:
        f"{FLOW.layout.results}/logs/publish.log",
    conda:
        "../envs/report.yaml"
    message:
        "publish {output}"
    script:
        "../workflow/scripts/publish.py"
