rule index_world:
    input:
        corpus=rules.world.output.corpus,
    output:
        "<results>/index/world/manifest.json",
    log:
        "<logs>/index_world.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        options=index_options(config["retrieval"], "bm25"),
        out=subpath(output[0], parent=True),
    shell:
        "searchr2 index --corpus {input.corpus} {params.options} --out {params.out} &> {log}"


use rule index_world as index_task with:
    input:
        corpus=rules.data.output.corpus,
        vectors=config["retrieval"]["vectors"],
    output:
        "<results>/index/task/manifest.json",
    log:
        "<logs>/index_task.log",
    params:
        options=index_options(config["retrieval"], config["retrieval"]["kind"]),
        out=subpath(output[0], parent=True),
