"""Check the shape of Table 1, and that searching pays: Direct Inference < RAG < Search-R1."""

import csv
import sys

SETS = ["nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle"]
AVERAGE = ["average", "average_ci_low", "average_ci_high"]
COLUMNS = ["method", "backbone", *SETS, *AVERAGE]
METHODS = ["Direct Inference", "CoT", "IRCoT", "Search-o1", "RAG", "SFT", "R1-base", "R1-instruct"]
METHODS += ["Rejection Sampling", "Search-R1", "Search-R2"]

with open(sys.argv[1], encoding="utf-8", newline="") as file:
    header, *lines = csv.reader(file)
rows = {line[0]: dict(zip(header, line, strict=True)) for line in lines}

assert header == COLUMNS, f"columns: {header}"
assert list(rows) == METHODS, f"rows: {list(rows)}"
for method, row in rows.items():
    figures = [float(row[column]) for column in COLUMNS[2:]]
    assert all(0 <= figure <= 100 for figure in figures), f"{method}: {figures}"
    assert abs(sum(figures[:7]) / 7 - figures[7]) < 0.1, f"{method}: the average is not the mean"
    assert figures[8] <= figures[7] <= figures[9], f"{method}: the average is outside its interval"

direct, rag, trained = (
    float(rows[method]["average"]) for method in ("Direct Inference", "RAG", "Search-R1")
)
assert direct < rag < trained, f"averages: Direct {direct}, RAG {rag}, Search-R1 {trained}"
print(f"Table 1 has its shape, and {direct} < {rag} < {trained}.")
