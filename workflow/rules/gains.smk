# What was sampled stands in results/table_gains/, one file a checkpoint, and is no declared output:
# a stage that was killed goes on from there.
rule gains:
    input:
        made(config, config["gains"]["run"], config["seeds"][0]),
        config="<results>/config/gains.json",
        index=rules.index_task.output[0],
        questions=rules.data.output.validation,
    output:
        table=report(
            "<results>/table_gains.csv",
            caption="../report/gains.rst",
            category="Theory",
        ),
        png=report(
            "<results>/figures/gains.png",
            caption="../report/gains.rst",
            category="Theory",
        ),
        pdf="<results>/figures/gains.pdf",
    log:
        "<logs>/gains.log",
    benchmark:
        "<benchmarks>/gains.tsv"
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=480,
        gpu=1,
    params:
        checkpoints=[f"{step}={path}" for step, path in measured(config).items()],
        index=subpath(input.index, parent=True),
        figure=subpath(output.png, strip_suffix=".png"),
    shell:
        "searchr2 gains --config {input.config} --checkpoints {params.checkpoints}"
        " --index {params.index} --questions {input.questions}"
        " --out {output.table} --figure {params.figure} &> {log}"
