rule index_world:
    input:
        rules.world.output.corpus,
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
        **pick(config["retrieval"], "kind", "k1", "b"),
        out=subpath(output[0], parent=True),
    shell:
        "searchr2 index --corpus {input} --kind {params.kind} --k1 {params.k1} --b {params.b}"
        " --out {params.out} &> {log}"


use rule index_world as index_task with:
    input:
        rules.data.output.corpus,
    output:
        "<results>/index/task/manifest.json",
    log:
        "<logs>/index_task.log",
