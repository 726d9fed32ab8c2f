# What networks read: one HDF5 store per subset and front end.


rule extract:
    """What the networks read of one subset, computed from its recordings."""
    input:
        FLOW.clip_sources,
    output:
        FLOW.store("{corpus}", "{subset}", "{front_end}"),
    log:
        f"{FLOW.layout.data}/logs/extract/{{corpus}}.{{subset}}.{{front_end}}.log",
    benchmark:
        f"{FLOW.layout.data}/logs/extract/{{corpus}}.{{subset}}.{{front_end}}.bench"
    wildcard_constraints:
        front_end=FLOW.extracted(),
    priority: DATA_FIRST
    conda:
        "../envs/data.yaml"
    threads: FLOW.extract_threads
    params:
        task=FLOW.store_task,
    message:
        "extract {wildcards.front_end} of {wildcards.corpus} {wildcards.subset}"
    script:
        "../workflow/scripts/extract.py"


# Frozen networks hear and see a clip once; what they say of it is kept in a store too.
rule embed:
    """What a frozen network says of one subset's clips."""
    input:
        FLOW.embed_inputs,
    output:
        FLOW.store("{corpus}", "{subset}", "{front_end}"),
    log:
        f"{FLOW.layout.data}/logs/embed/{{corpus}}.{{subset}}.{{front_end}}.log",
    benchmark:
        f"{FLOW.layout.data}/logs/embed/{{corpus}}.{{subset}}.{{front_end}}.bench"
    wildcard_constraints:
        front_end=FLOW.embedded(),
    priority: DATA_FIRST
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        gpu=FLOW.project.gpu,
    params:
        task=FLOW.store_task,
    message:
        "embed {wildcards.corpus} {wildcards.subset} with {wildcards.front_end}"
    script:
        "../workflow/scripts/embed.py"
