rule table:
    input:
        predictions=evaluations(config, "predictions.jsonl"),
        metrics=evaluations(config, "metrics.json"),
        config="<results>/config/table.json",
    output:
        table=report(
            "<results>/table1.csv",
            caption="../report/table1.rst",
            category="Table 1",
        ),
        page="<results>/table1.md",
        differences=report(
            "<results>/differences.csv",
            caption="../report/differences.rst",
            category="Table 1",
        ),
    log:
        "<logs>/table.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        evaluations=lambda wildcards, input: Path(input.metrics[0]).parents[2],
    shell:
        "searchr2 table --config {input.config} --evaluations {params.evaluations}"
        " --out {output.table} --differences {output.differences} &> {log}"


rule retrieval:
    input:
        index=rules.index_task.output[0],
        questions=rules.data.output.questions,
    output:
        report(
            "<results>/retrieval.csv",
            caption="../report/retrieval.rst",
            category="Retrieval",
        ),
    log:
        "<logs>/retrieval.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        index=subpath(input.index, parent=True),
    shell:
        "searchr2 retrieval --index {params.index} --questions {input.questions} --k 3 10"
        " --out {output} &> {log}"


rule figure:
    input:
        curves(config),
    output:
        png=report(
            "<results>/figures/training_dynamics.png",
            caption="../report/training_dynamics.rst",
            category="Training",
        ),
        pdf="<results>/figures/training_dynamics.pdf",
    log:
        "<logs>/figure.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        runs=[f"{name}={ledger}" for ledger, name in curves(config).items()],
        out=subpath(output.png, strip_suffix=".png"),
    shell:
        "searchr2 figure --runs {params.runs:q} --out {params.out} &> {log}"
