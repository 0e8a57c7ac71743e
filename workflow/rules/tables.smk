rule table:
    input:
        predictions=lambda wildcards: evaluations(
            config, lines(config, config["tables"][wildcards.table]), "predictions.jsonl"
        ),
        config="<results>/config/tables/{table}.json",
    output:
        table=report(
            "<results>/{table}.csv",
            caption="../report/table.rst",
            category="Tables",
        ),
        page="<results>/{table}.md",
        cells="<results>/{table}_cells.csv",
        differences=report(
            "<results>/{table}_differences.csv",
            caption="../report/differences.rst",
            category="Tables",
        ),
    log:
        "<logs>/{table}.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        evaluations=subpath(output.table, parent=True),
    shell:
        "searchr2 table --config {input.config} --evaluations {params.evaluations}/evaluate"
        " --out {output.table} --differences {output.differences} &> {log}"


# Of tables over steps: where runs have cost the same, beside where they have made as many steps.
rule cost:
    input:
        lambda wildcards: list(ledgers(config, wildcards.table)),
        table="<results>/{table}.csv",
    output:
        report(
            "<results>/{table}_cost.csv",
            caption="../report/cost.rst",
            category="Training",
        ),
    log:
        "<logs>/{table}_cost.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        runs=lambda wildcards: [
            f"{name}={ledger}" for ledger, name in ledgers(config, wildcards.table).items()
        ],
    shell:
        "searchr2 cost --table {input.table} --runs {params.runs:q} --out {output} &> {log}"


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
        ledgers(config, CURVES),
        table=f"<results>/{CURVES}.csv",
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
        runs=[f"{name}={ledger}" for ledger, name in ledgers(config, CURVES).items()],
        out=subpath(output.png, strip_suffix=".png"),
    shell:
        "searchr2 figure --runs {params.runs:q} --table {input.table} --out {params.out} &> {log}"


rule revisions:
    input:
        revising(config),
        table=f"<results>/{REVISIONS}.csv",
    output:
        png=report(
            "<results>/figures/revisions.png",
            caption="../report/revisions.rst",
            category="Training",
        ),
        pdf="<results>/figures/revisions.pdf",
    log:
        "<logs>/revisions.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    params:
        runs=[f"{allowed}={ledger}" for ledger, allowed in revising(config).items()],
        out=subpath(output.png, strip_suffix=".png"),
    shell:
        "searchr2 revisions --runs {params.runs:q} --table {input.table} --out {params.out}"
        " &> {log}"
