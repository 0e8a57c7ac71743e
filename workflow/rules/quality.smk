rule quality:
    input:
        predictions=evaluations(config, compared(config), "predictions.jsonl"),
        config="<results>/config/quality.json",
    output:
        table=report(
            "<results>/table_quality.csv",
            caption="../report/quality.rst",
            category="Trajectory quality",
        ),
        pairs="<results>/table_quality.jsonl",
        png=report(
            "<results>/figures/quality.png",
            caption="../report/quality.rst",
            category="Trajectory quality",
        ),
        pdf="<results>/figures/quality.pdf",
    log:
        "<logs>/quality.log",
    benchmark:
        "<benchmarks>/quality.tsv"
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=480,
        gpu=int(config["quality"]["judge"]["kind"] == "local"),
    params:
        evaluations=subpath(output.table, parent=True),
        figure=subpath(output.png, strip_suffix=".png"),
    shell:
        "searchr2 quality --config {input.config} --evaluations {params.evaluations}/evaluate"
        " --out {output.table} --figure {params.figure} &> {log}"
