rule evaluate:
    input:
        lambda wildcards: made(config, config["rows"][wildcards.row]["checkpoint"], wildcards.seed),
        config="<results>/config/evaluate/{row}/seed{seed}.json",
        index=rules.index_task.output[0],
        questions=rules.data.output.questions,
    output:
        predictions="<results>/evaluate/{row}/seed{seed}/predictions.jsonl",
        metrics="<results>/evaluate/{row}/seed{seed}/metrics.json",
    log:
        "<logs>/evaluate/{row}/seed{seed}.log",
    benchmark:
        "<benchmarks>/evaluate/{row}/seed{seed}.tsv"
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=480,
        gpu=1,
    params:
        method=lambda wildcards: config["rows"][wildcards.row]["method"],
        checkpoint=lambda wildcards: checkpoint(
            config, config["rows"][wildcards.row]["checkpoint"], wildcards.seed
        ),
        index=subpath(input.index, parent=True),
        out=subpath(output.metrics, parent=True),
    shell:
        "searchr2 evaluate --method {params.method} --checkpoint {params.checkpoint}"
        " --index {params.index} --questions {input.questions} --config {input.config}"
        " --out {params.out} &> {log}"


# Snapshots of the weights during training (Fig. 5). The run's own manifest says that they are there.
use rule evaluate as evaluate_step with:
    output:
        predictions="<results>/evaluate/{row}/seed{seed}/steps/step{step}/predictions.jsonl",
        metrics="<results>/evaluate/{row}/seed{seed}/steps/step{step}/metrics.json",
    log:
        "<logs>/evaluate/{row}/seed{seed}/step{step}.log",
    benchmark:
        "<benchmarks>/evaluate/{row}/seed{seed}/step{step}.tsv"
    params:
        method=lambda wildcards: config["rows"][wildcards.row]["method"],
        checkpoint=lambda wildcards: snapshot(
            config, config["rows"][wildcards.row]["checkpoint"], wildcards.seed, wildcards.step
        ),
        index=subpath(input.index, parent=True),
        out=subpath(output.metrics, parent=True),
