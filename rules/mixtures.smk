# DESED's synthetic soundscapes, where they are mixed here instead of downloaded ready-made; and the
# recipes of mixtures at fixed SNRs, whose audio exists only while it is read.

if FLOW.mixes:

    rule mix:
        """A share of a subset's soundscapes, mixed from the sound bank."""
        input:
            FLOW.layout.status("desed_soundbank"),
        output:
            f"{FLOW.layout.mixtures('desed', '{subset}')}/shard{{shard}}.tsv",
        log:
            f"{FLOW.layout.data}/logs/mix/{{subset}}.{{shard}}.log",
        priority: DATA_FIRST
        group:
            "tables"
        conda:
            "../envs/data.yaml"
        params:
            task=FLOW.mix_task,
        message:
            "mix {wildcards.subset}, shard {wildcards.shard}"
        script:
            "../workflow/scripts/mix.py"

    rule collect:
        """The shares of a subset joined, and its tables."""
        input:
            lambda w: FLOW.shards(w.subset),
        output:
            clips=FLOW.table("desed", "{subset}", "clips"),
            events=FLOW.table("desed", "{subset}", "events"),
            audit=FLOW.table("desed", "{subset}", "audit"),
            key=FLOW.tables_key("desed", "{subset}"),
        log:
            f"{FLOW.layout.data}/logs/collect/{{subset}}.log",
        wildcard_constraints:
            subset=FLOW.mixed(),
        priority: DATA_FIRST
        group:
            "tables"
        conda:
            "../envs/data.yaml"
        params:
            task=lambda w: FLOW.adapt_task("desed", w.subset),
        message:
            "collect {wildcards.subset}"
        script:
            "../workflow/scripts/collect.py"


rule recipe:
    """By which recipe the clips of one SNR are mixed while they are read, and their tables."""
    input:
        statuses=lambda w: FLOW.statuses_of("snr_mix", w.subset),
        own=FLOW.own_trees_mixed,
    output:
        recipe=FLOW.recipe("{subset}"),
        clips=FLOW.table("snr_mix", "{subset}", "clips"),
        events=FLOW.table("snr_mix", "{subset}", "events"),
        audit=FLOW.table("snr_mix", "{subset}", "audit"),
        key=FLOW.tables_key("snr_mix", "{subset}"),
    log:
        f"{FLOW.layout.data}/logs/recipe/{{subset}}.log",
    wildcard_constraints:
        subset=FLOW.snrs(),
    priority: DATA_FIRST
    group:
        "tables"
    conda:
        "../envs/data.yaml"
    params:
        task=lambda w: FLOW.adapt_task("snr_mix", w.subset),
    message:
        "draw the recipe of snr_mix {wildcards.subset}"
    script:
        "../workflow/scripts/recipe.py"


# Only on request, by name: nothing in the pipeline reads these files.
rule wavs:
    """The mixtures of one SNR as files, for those who want to hear them."""
    input:
        FLOW.recipe("{subset}"),
        FLOW.table("snr_mix", "{subset}", "clips"),
    output:
        directory(f"{FLOW.layout.mixtures('snr_mix', '{subset}')}.wavs"),
    log:
        f"{FLOW.layout.data}/logs/wavs/{{subset}}.log",
    wildcard_constraints:
        subset=FLOW.snrs(),
    conda:
        "../envs/data.yaml"
    params:
        task=lambda w: FLOW.adapt_task("snr_mix", w.subset),
    message:
        "write the mixtures of snr_mix {wildcards.subset} as wav files"
    script:
        "../workflow/scripts/wavs.py"
