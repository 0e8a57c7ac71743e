rule world:
    input:
        config="<results>/config/world.json",
    output:
        corpus="<results>/world/corpus.jsonl",
        demonstrations="<results>/world/demonstrations.jsonl",
        train="<results>/world/train.jsonl",
        validation="<results>/world/validation.jsonl",
        questions=expand("<results>/world/questions/{set}.jsonl", set=SETS),
    log:
        "<logs>/world.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        out=subpath(output.corpus, parent=True),
    shell:
        "searchr2 world --config {input.config} --out {params.out} &> {log}"


rule data:
    input:
        rules.world.output,
        files(config["data"]),
        config="<results>/config/data.json",
        corpus=rules.world.output.corpus,
    output:
        corpus="<results>/data/corpus.jsonl",
        train="<results>/data/train.jsonl",
        validation="<results>/data/validation.jsonl",
        questions=expand("<results>/data/questions/{set}.jsonl", set=sets(config)),
    log:
        "<logs>/data.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        world=subpath(input.corpus, parent=True),
        out=subpath(output.corpus, parent=True),
    shell:
        "searchr2 data --config {input.config} --world {params.world} --out {params.out} &> {log}"
