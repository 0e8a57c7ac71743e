rule tokenizer:
    input:
        corpus=rules.world.output.corpus,
        texts=[rules.world.output.demonstrations, rules.world.output.train],
    output:
        "<results>/tokenizer/manifest.json",
    log:
        "<logs>/tokenizer.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        vocab_size=config["model"]["vocab_size"],
        out=subpath(output[0], parent=True),
    shell:
        "searchr2 tokenizer --corpus {input.corpus} --texts {input.texts}"
        " --vocab-size {params.vocab_size} --out {params.out} &> {log}"


rule base:
    input:
        config="<results>/config/base.json",
        start=rules.tokenizer.output[0],
        index=rules.index_world.output[0],
        demonstrations=rules.world.output.demonstrations,
        deepspeed=config["deepspeed"]["config"] or [],
    output:
        manifest="<results>/base/manifest.json",
        metrics="<results>/base/metrics.jsonl",
    log:
        "<logs>/base.log",
    benchmark:
        "<benchmarks>/base.tsv"
    priority: 2
    conda:
        "../../envs/searchr2.yaml"
    threads: processes(config)
    resources:
        mem_mb=3000,
        runtime=120,
        gpu=processes(config),
    params:
        start=subpath(input.start, parent=True),
        index=subpath(input.index, parent=True),
        out=subpath(output.manifest, parent=True),
    shell:
        "searchr2 base --config {input.config} --start {params.start}"
        " --index {params.index} --demonstrations {input.demonstrations}"
        " --out {params.out} &> {log}"


use rule base as instruct with:
    input:
        config="<results>/config/instruct.json",
        start=rules.base.output.manifest,
        index=rules.index_world.output[0],
        demonstrations=rules.world.output.demonstrations,
        deepspeed=config["deepspeed"]["config"] or [],
    output:
        manifest="<results>/instruct/manifest.json",
        metrics="<results>/instruct/metrics.jsonl",
    log:
        "<logs>/instruct.log",
    benchmark:
        "<benchmarks>/instruct.tsv"
