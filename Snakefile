include: "workflow/Snakefile"


# The default target is this file's first rule, whatever an included file says.
rule default:
    input:
        rules.all.input,
