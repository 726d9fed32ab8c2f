# What networks read: one HDF5 store per subset and front end.


rule extract:
    input:
        FLOW.clip_sources,
    output:
        FLOW.store("{corpus}", "{subset}", "{front_end}"),
    log:
        f"{FLOW.layout.data}/logs/extract/{{corpus}}.{{subset}}.{{front_end}}.log",
    benchmark:
        f"{FLOW.layout.data}/logs/extract/{{corpus}}.{{subset}}.{{front_end}}.bench"
    conda:
        "../envs/data.yaml"
    threads: FLOW.extract_threads
    params:
        front_end=lambda w: FLOW.project.front_ends[w.front_end].model_dump(mode="json"),
    message:
        "extract {wildcards.front_end} of {wildcards.corpus} {wildcards.subset}"
    script:
        "../workflow/scripts/extract.py"
