# One run per job. `train.py` takes up what an earlier start left, and never repeats finished work.

RUN = f"{FLOW.layout.results}/runs/{{paper}}/{{row}}/{{variant}}/seed{{seed}}"


rule train:
    """One run: trained, or taken up where it was stopped; its networks, history and scores."""
    input:
        in_one_line(FLOW.train_inputs),
    output:
        [f"{RUN}/{name}" for name in FLOW.run_files],
    log:
        f"{FLOW.layout.results}/logs/train/{{paper}}.{{row}}.{{variant}}.seed{{seed}}.log",
    benchmark:
        f"{FLOW.layout.results}/logs/train/{{paper}}.{{row}}.{{variant}}.seed{{seed}}.bench"
    priority: FLOW.run_priority
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=FLOW.project.gpu,
    params:
        task=FLOW.train_task,
    message:
        "train {wildcards.paper} {wildcards.row}, {wildcards.variant}, seed {wildcards.seed}"
    script:
        "../workflow/scripts/train.py"
