# From stored scores to numbers; re-evaluated rows decode another row's scores.


rule evaluate:
    """The numbers of one run, with the intervals they have over clips."""
    input:
        in_one_line(FLOW.evaluate_inputs),
    output:
        metrics=f"{RUN}/metrics.json",
        resamples=f"{RUN}/resamples.npz",
    log:
        f"{FLOW.layout.results}/logs/evaluate/{{paper}}.{{row}}.{{variant}}.seed{{seed}}.log",
    priority: FLOW.run_priority
    group:
        "evaluation"
    conda:
        "../envs/report.yaml"
    params:
        task=FLOW.evaluate_task,
    message:
        "evaluate {wildcards.paper} {wildcards.row}, {wildcards.variant}, seed {wildcards.seed}"
    script:
        "../workflow/scripts/evaluate.py"
