rule reference:
    input:
        predictions=[
            file
            for table in printed(config)
            for file in evaluations(
                config, lines(config, config["tables"][table]), "predictions.jsonl"
            )
        ],
        config=expand("<results>/config/tables/{table}.json", table=printed(config)),
        data="<results>/config/data.json",
        paper=[PAPER / f"{table}.csv" for table in (*printed(config), "sets")],
        others=rivals(config),
    output:
        page="<results>/comparison.md",
        cells=report(
            "<results>/comparison.csv",
            caption="../report/comparison.rst",
            category="Against the paper",
        ),
    log:
        "<logs>/reference.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        paper=PAPER,
        evaluations=subpath(output.page, parent=True),
    shell:
        "searchr2 reference --config {input.config} --reference {params.paper} --data {input.data}"
        " --evaluations {params.evaluations}/evaluate --others {input.others}"
        " --out {output.page} &> {log}"


rule page:
    input:
        outcomes(config),
        captions=sorted(CAPTIONS.glob("*.rst")),
    output:
        "<results>/report.html",
    log:
        "<logs>/report.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        results=subpath(output[0], parent=True),
        captions=CAPTIONS,
    shell:
        "searchr2 report --results {params.results} --captions {params.captions} --out {output}"
        " &> {log}"
