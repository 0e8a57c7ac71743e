# Rolling checkpoints stand beside the outputs, in state/: Snakemake deletes what is declared
# before a job starts and after it fails, and a run must be able to go on.
rule train:
    input:
        lambda wildcards: made(config, config["runs"][wildcards.run]["start"], wildcards.seed),
        lambda wildcards: of_run(config, wildcards.run)["deepspeed"]["config"] or [],
        "<results>/index/task/manifest.json",
        rules.data.output.train,
        rules.data.output.validation,
        config="<results>/config/train/{run}/seed{seed}.json",
    output:
        manifest="<results>/train/{run}/seed{seed}/manifest.json",
        metrics="<results>/train/{run}/seed{seed}/metrics.jsonl",
    log:
        "<logs>/train/{run}/seed{seed}.log",
    benchmark:
        "<benchmarks>/train/{run}/seed{seed}.tsv"
    priority: 2
    conda:
        "../../envs/searchr2.yaml"
    threads: lambda wildcards: processes(config, wildcards.run)
    resources:
        mem_mb=4000,
        runtime=1440,
        gpu=lambda wildcards: processes(config, wildcards.run),
        mpi="",  # what a profile puts in front, to start one task on each of several nodes
    params:
        out=subpath(output.manifest, parent=True),
    shell:
        "{resources.mpi} searchr2 train --config {input.config} --out {params.out} &> {log}"
