# Raw data: fetched (or, in the miniature, rendered), then described by one set of tables per subset.


rule fetch:
    """A resource is brought here and checked, or its status says why it cannot be had."""
    input:
        lambda w: FLOW.placed(w.resource),
        lambda w: [FLOW.layout.status(name) for name in FLOW.registry[w.resource].after],
    output:
        FLOW.layout.status("{resource}"),
    log:
        f"{FLOW.layout.data}/logs/fetch/{{resource}}.log",
    priority: FLOW.fetch_priority
    retries: 0  # it has waited for days before it fails
    localrule: True
    conda:
        "../envs/data.yaml"
    threads: FLOW.fetch_threads
    params:
        task=FLOW.fetch_task,
    message:
        "fetch {wildcards.resource}"
    script:
        "../workflow/scripts/fetch.py"


rule adapt:
    """The tables of a subset: its clips, its events, and how many were expected and found."""
    input:
        statuses=FLOW.statuses,
        own=FLOW.own_trees,
    output:
        clips=FLOW.table("{corpus}", "{subset}", "clips"),
        events=FLOW.table("{corpus}", "{subset}", "events"),
        audit=FLOW.table("{corpus}", "{subset}", "audit"),
        key=FLOW.tables_key("{corpus}", "{subset}"),
    log:
        f"{FLOW.layout.data}/logs/adapt/{{corpus}}.{{subset}}.log",
    wildcard_constraints:
        subset=FLOW.adapted(),
    priority: DATA_FIRST
    group:
        "tables"
    conda:
        "../envs/data.yaml"
    params:
        task=lambda w: FLOW.adapt_task(w.corpus, w.subset),
    message:
        "describe {wildcards.corpus} {wildcards.subset}"
    script:
        "../workflow/scripts/adapt.py"


rule plan:
    """Print what would be downloaded."""
    log:
        f"{FLOW.layout.data}/logs/plan.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        command=FLOW.command("plan"),
    message:
        "what would be downloaded"
    shell:
        "{params.command} 2>&1 | tee {log}"


rule audit:
    """Print what data there is, and what that means for each paper."""
    log:
        f"{FLOW.layout.data}/logs/audit.log",
    localrule: True
    conda:
        "../envs/data.yaml"
    params:
        command=FLOW.command("audit"),
    message:
        "what data is there"
    shell:
        "{params.command} 2>&1 | tee {log}"
