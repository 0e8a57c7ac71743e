# Alone on the machine: other jobs at the same time would be measured too.
rule step_time:
    input:
        lambda wildcards: [
            file
            for run in config["step_time"]["runs"]
            for file in made(config, config["runs"][run]["start"], config["seeds"][0])
        ],
        rules.data.output.train,
        rules.data.output.validation,
        rules.index_task.output[0],
        config="<results>/config/step_time.json",
    output:
        report(
            "<results>/table_step_time.csv",
            caption="../report/step_time.rst",
            category="Training",
        ),
    log:
        "<logs>/step_time.log",
    conda:
        "../../envs/searchr2.yaml"
    threads: workflow.cores
    resources:
        mem_mb=6000,
        runtime=480,
        gpu=lambda wildcards: processes(config, config["step_time"]["runs"][0]),
    shell:
        "env OMP_NUM_THREADS=1 searchr2 steptime --config {input.config} --out {output} &> {log}"
