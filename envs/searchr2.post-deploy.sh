# Runs in the new environment, from the folder snakemake was started in.
pip install --no-deps --editable .
