# DESED's synthetic soundscapes, where they are mixed here instead of downloaded ready-made.

if FLOW.mixes:

    rule mix:
        input:
            FLOW.layout.status("desed_soundbank"),
        output:
            f"{FLOW.layout.mixtures('desed', '{subset}')}/shard{{shard}}.tsv",
        log:
            f"{FLOW.layout.data}/logs/mix/{{subset}}.{{shard}}.log",
        conda:
            "../envs/data.yaml"
        params:
            soundscapes=FLOW.corpus_settings("desed"),
        message:
            "mix {wildcards.subset}, shard {wildcards.shard}"
        script:
            "../workflow/scripts/mix.py"

    rule collect:
        input:
            lambda w: FLOW.shards(w.subset),
        output:
            clips=FLOW.table("desed", "{subset}", "clips"),
            events=FLOW.table("desed", "{subset}", "events"),
            audit=FLOW.table("desed", "{subset}", "audit"),
        wildcard_constraints:
            subset=FLOW.mixed(),
        log:
            f"{FLOW.layout.data}/logs/collect/{{subset}}.log",
        conda:
            "../envs/data.yaml"
        message:
            "collect {wildcards.subset}"
        script:
            "../workflow/scripts/collect.py"
