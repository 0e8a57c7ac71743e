"""The dense index folder: made in any number of goes, by any number of processes, or adopted."""

import json
import shutil
import subprocess
import sys

import faiss
import numpy as np
import pytest

from searchr2.cli.main import main
from searchr2.config import ConfigError, Encoding, Retrieval
from searchr2.files import ArtifactError, DataError, read_json, sha256, write_manifest
from searchr2.retrieval import building, shards, vectors
from searchr2.retrieval.dense import Dense
from searchr2.retrieval.encoder import Encoder, EncoderError
from searchr2.trajectory import Document
from tests.corpora import write_corpus
from tests.encoders import make_encoder

NAMES = [f"{a}{b}" for a in ("ar", "bo", "cu", "del", "ev") for b in ("vane", "lt", "rin", "mos")]
PASSAGES = [
    Document(f"p{i}", name.title(), f"{name} is a town near {NAMES[i - 1]} with {i} towers.", 0.0)
    for i, name in enumerate(NAMES)
]


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoder"), [d.text for d in PASSAGES])


@pytest.fixture
def settings(encoder_folder):
    return Retrieval(kind="dense", encoder=str(encoder_folder))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD", 4)


def corpus(folder, passages=PASSAGES):
    """A file of ``passages`` in a folder beside ``folder``."""
    name = "".join(one.id for one in passages)[:40]
    return write_corpus(folder.parent / "corpora" / f"{name}.jsonl", passages)


def build(folder, settings, passages=PASSAGES):
    return building.build(folder, corpus(folder, passages), settings)


@pytest.fixture
def index(tmp_path, settings):
    build(tmp_path / "task", settings)
    return tmp_path / "task"


def test_the_manifest_says_what_was_encoded_and_how(index, settings):
    manifest = read_json(index / "manifest.json")
    assert manifest["encoding"] == settings.encoding().model_dump()
    known = {"kind": "dense", "passages": 20, "dimension": 32, "metric": "inner product"}
    known |= {"factory": "Flat", "index": "IndexFlatIP", "corpus_sha256": sha256(corpus(index))}
    assert {key: manifest[key] for key in known} == known
    assert set(manifest["files"]) == {path.name for path in index.iterdir()} - {"manifest.json"}
    assert {path.name for path in index.parent.iterdir()} == {"task", "corpora"}


def test_every_passage_is_encoded_with_title_and_text(index, settings):
    rows = vectors.read_rows(index / "vectors.index")
    contents = [f'"{d.title}"\n{d.text}' for d in PASSAGES]
    expected = Encoder.load(settings.encoding()).passages(contents)
    assert np.allclose(rows, expected, atol=1e-5)
    assert [d.id for [d] in Dense.load(index).search([d.text for d in PASSAGES], 1)]


def test_encoding_goes_on_where_it_was_cut_off(tmp_path, settings, index, monkeypatch):
    encode = Encoder.passages
    encoded: list[str] = []

    def dying(self, contents):
        if len(encoded) == 8:
            raise KeyboardInterrupt
        encoded.extend(contents)
        return encode(self, contents)

    monkeypatch.setattr(Encoder, "passages", dying)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "again", settings)
    assert not (tmp_path / "again").exists()

    def noting(self, contents):
        encoded.extend(contents)
        return encode(self, contents)

    monkeypatch.setattr(Encoder, "passages", noting)
    build(tmp_path / "again", settings)
    assert len(encoded) == 20 == len(set(encoded)), "nothing is encoded twice"
    same = [(folder / "vectors.index").read_bytes() for folder in (index, tmp_path / "again")]
    assert same[0] == same[1]


def test_what_an_earlier_config_left_half_done_is_started_anew(tmp_path, settings, monkeypatch):
    other = settings.model_copy(update={"passage_prefix": ""})
    monkeypatch.setattr(shards, "encode", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "i", other)
    monkeypatch.undo()
    build(tmp_path / "i", settings)
    assert read_json(tmp_path / "i" / "manifest.json")["encoding"]["passage_prefix"] == "passage: "


def test_encoding_goes_on_with_a_corpus_that_has_moved(tmp_path, settings, index, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(shards, "encode", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "again", settings)
    laid_out = building.encoding_folder(tmp_path / "again") / "encoding.json"
    before = laid_out.stat().st_mtime_ns
    moved = corpus(tmp_path / "again").rename(tmp_path / "moved.jsonl")
    shards.prepare(laid_out.parent, moved, Encoder.load(settings.encoding()))
    assert laid_out.stat().st_mtime_ns == before, "nothing is started anew"
    assert building.build(tmp_path / "again", moved, settings) == 20
    assert (tmp_path / "again" / "passages.jsonl").resolve() == moved
    assert Dense.load(tmp_path / "again").search(["20 towers"], 1)[0]


def test_several_processes_share_the_work(tmp_path, encoder_folder, index):
    rows = [json.dumps({"id": d.id, "contents": f'"{d.title}"\n{d.text}'}) for d in PASSAGES]
    (tmp_path / "corpus.jsonl").write_text("\n".join(rows))
    code = (
        "import sys; from searchr2.retrieval import shards; shards.SHARD = 4\n"
        "from searchr2.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    options = ["--corpus", str(tmp_path / "corpus.jsonl"), "--encoder", str(encoder_folder)]
    command = [sys.executable, "-c", code, "encode", *options, "--out", str(tmp_path / "work")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    together = (tmp_path / "work" / "vectors.index").read_bytes()
    assert together == (index / "vectors.index").read_bytes()
    assert len([*(tmp_path / "work" / "shards").glob("*.done")]) == 5


def test_vectors_of_another_encoding_are_not_mixed_in(tmp_path, settings):
    encoder, work = Encoder.load(settings.encoding()), tmp_path / "work"
    shards.prepare(work, corpus(work), encoder)
    with pytest.raises(DataError, match=r"corpus_sha256 is '\w+' there, '\w+' here"):
        shards.prepare(work, corpus(work, PASSAGES[1:]), encoder)
    other = Encoder.load(settings.encoding().model_copy(update={"pooling": "cls"}))
    with pytest.raises(DataError, match="pooling is 'mean' there, 'cls' here"):
        shards.prepare(work, corpus(work), other)


@pytest.fixture
def prebuilt(tmp_path, index):
    """FAISS's own file of the vectors, in two parts, as wiki-18's index is distributed."""
    flat = faiss.IndexFlatIP(32)
    flat.add(np.array(vectors.read_rows(index / "vectors.index")))
    faiss.write_index(flat, str(tmp_path / "e5_Flat.index"))
    whole = (tmp_path / "e5_Flat.index").read_bytes()
    parts = [tmp_path / "part_aa", tmp_path / "part_ab"]
    for part, content in zip(parts, (whole[:1000], whole[1000:]), strict=True):
        part.write_bytes(content)
    return parts


def adopt(folder, files, settings, passages=PASSAGES):
    given = settings.model_copy(update={"vectors": [str(file) for file in files]})
    return building.adopt(folder, corpus(folder, passages), given)


def test_a_prebuilt_index_in_parts_is_taken_as_it_is(tmp_path, prebuilt, settings, index):
    assert adopt(tmp_path / "taken", prebuilt, settings) == 20
    assert adopt(tmp_path / "whole", [tmp_path / "e5_Flat.index"], settings) == 20
    queries = ["a town near arvane", "20 towers"]
    expected = Dense.load(index).search(queries, 5)
    assert Dense.load(tmp_path / "taken").search(queries, 5) == expected
    assert Dense.load(tmp_path / "whole").search(queries, 5) == expected
    assert read_json(tmp_path / "taken" / "manifest.json")["vectors"] == list(map(str, prebuilt))


def test_another_index_is_made_of_its_vectors(tmp_path, prebuilt, settings, index):
    smaller = settings.model_copy(update={"factory": "SQ8"})
    adopt(tmp_path / "sq8", prebuilt, smaller)
    assert read_json(tmp_path / "sq8" / "manifest.json")["index"] == "IndexScalarQuantizer"
    [found] = Dense.load(tmp_path / "sq8").search([PASSAGES[3].text], 3)
    [exact] = Dense.load(index).search([PASSAGES[3].text], 3)
    assert found[0].id == exact[0].id


def test_parts_that_are_cut_short_or_missing_are_named(tmp_path, prebuilt, settings):
    prebuilt[1].write_bytes(prebuilt[1].read_bytes()[:-7])
    with pytest.raises(DataError, match=r"FAISS cannot read it .* cut short; download"):
        adopt(tmp_path / "i", prebuilt, settings)
    prebuilt[1].unlink()
    with pytest.raises(DataError, match=r"part_ab: No such file"):
        adopt(tmp_path / "i", prebuilt, settings)
    assert not (tmp_path / "i").exists()


def test_what_is_no_index_is_named(tmp_path, settings):
    for content in (b"", b"<html>not found</html>" * 9):
        (tmp_path / "download").write_bytes(content)
        with pytest.raises(DataError, match=r"download: FAISS cannot read it"):
            adopt(tmp_path / "i", [tmp_path / "download"], settings)


def test_index_and_corpus_of_different_length_do_not_go_together(tmp_path, prebuilt, settings):
    with pytest.raises(ArtifactError, match="20 vectors for 19 passages"):
        adopt(tmp_path / "i", prebuilt, settings, PASSAGES[:-1])


def test_index_and_corpus_in_another_order_do_not_go_together(tmp_path, prebuilt, settings):
    with pytest.raises(DataError, match=r"row 0 is not what .* their cosine is 0\.\d+"):
        adopt(tmp_path / "i", prebuilt, settings, PASSAGES[::-1])


@pytest.mark.parametrize("number", [0, np.nan])
def test_vectors_of_nothing_are_refused(tmp_path, settings, number):
    made = faiss.IndexFlatIP(32)
    made.add(np.full((20, 32), number, dtype=np.float32))
    faiss.write_index(made, str(tmp_path / "given"))
    with pytest.raises(DataError, match=r"row 0 is not what .* their cosine is"):
        adopt(tmp_path / "i", [tmp_path / "given"], settings)


@pytest.mark.parametrize(
    "wrong", [{"passage_prefix": ""}, {"pooling": "cls"}, {"passage_tokens": 8}], ids=str
)
def test_conventions_that_are_not_the_indexs_are_noticed(tmp_path, prebuilt, settings, wrong):
    with pytest.raises(DataError, match="its prefixes, pooling or length"):
        adopt(tmp_path / "i", prebuilt, settings.model_copy(update=wrong))


def test_an_index_of_distances_or_another_dimension_is_refused(tmp_path, settings):
    for made, said in (
        (faiss.IndexFlatL2(32), "measures distances"),
        (faiss.IndexFlatIP(16), "vectors of 16 dimensions where 32 are wanted"),
    ):
        made.add(np.zeros((20, made.d), dtype=np.float32))
        faiss.write_index(made, str(tmp_path / "given"))
        with pytest.raises(ArtifactError, match=said):
            adopt(tmp_path / "i", [tmp_path / "given"], settings)


def seal(index, **changes):
    """Write the manifest again over what is there now, with ``changes``; ``None`` takes one out."""
    known = read_json(index / "manifest.json") | changes | {"files": None, "digest": None}
    write_manifest(index, {k: v for k, v in known.items() if v is not None})


def put(index, made, count=20):
    made.add(np.ones((count, made.d), dtype=np.float32))
    faiss.write_index(made, str(index / "vectors.index"))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda i: put(i, faiss.IndexFlatIP(16)), "16 dimensions where 32 are wanted"),
        (lambda i: put(i, faiss.IndexFlatL2(32)), "measures distances, not the inner product"),
        (lambda i: put(i, faiss.IndexFlatIP(32), 7), "7 vectors for 20 passages"),
        (lambda i: seal(i, passages=21), "not of these passages"),
        (lambda i: seal(i, metric="euclidean"), "not of these passages"),
        (lambda i: seal(i, kind="bm25"), "not an index of kind dense"),
        (lambda i: seal(i, dimension=7), "32 dimensions where 7 are wanted"),
        (lambda i: seal(i, encoding=None), r"manifest\.json: no encoding in it"),
        (lambda i: (i / "probe.npy").write_bytes(b"x"), r"probe\.npy: not a vector"),
        (lambda i: np.save(i / "probe.npy", np.ones(32)), "no longer encodes as it did"),
        (lambda i: np.save(i / "probe.npy", np.full(32, np.nan)), "no longer encodes as it did"),
    ],
)
def test_an_index_that_does_not_fit_its_manifest_is_refused(index, spoil, said):
    spoil(index)
    seal(index)
    with pytest.raises(ArtifactError, match=said) as error:
        Dense.load(index)
    assert "index_task" in str(error.value)


def test_a_truncated_index_is_noticed(index):
    path = index / "vectors.index"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=r"vectors\.index: does not match manifest\.json"):
        Dense.load(index)
    seal(index)
    with pytest.raises(DataError, match=r"vectors\.index: FAISS cannot read it"):
        Dense.load(index)


def test_an_encoder_with_other_weights_is_noticed(tmp_path, index, settings, encoder_folder):
    moved = shutil.copytree(encoder_folder, tmp_path / "encoder")
    own = settings.model_copy(update={"encoder": str(moved)})
    build(tmp_path / "i", own)
    make_encoder(moved, [d.text for d in PASSAGES], seed=1)
    with pytest.raises(ArtifactError, match="no longer encodes as it did"):
        Dense.load(tmp_path / "i")
    shutil.rmtree(moved)
    with pytest.raises(ConfigError, match=r"retrieval\.encoder: .*no config\.json"):
        Dense.load(tmp_path / "i")


def test_vectors_that_are_not_finite_stop_the_work(settings):
    encoder = Encoder.load(settings.encoding())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            encoder._model.embeddings.word_embeddings.weight,
            "data",
            encoder._model.embeddings.word_embeddings.weight.data * float("nan"),
        )
        with pytest.raises(EncoderError, match=r"the vector of 'query: a town' is not finite"):
            encoder.queries(["a town"])


@pytest.mark.parametrize("path", [None, "./nowhere"])
def test_a_missing_encoder_is_named_with_its_setting(path):
    with pytest.raises(ConfigError, match=r"retrieval\.encoder"):
        Encoder.load(Encoding(encoder=path))


def test_equal_scores_come_in_corpus_order(tmp_path, settings):
    twins = [Document(f"t{i}", "Twin", "twin towers", 0.0) for i in range(5)]
    build(tmp_path / "i", settings, twins)
    [found] = Dense.load(tmp_path / "i").search(["twin"], 5)
    assert [d.id for d in found] == ["t0", "t1", "t2", "t3", "t4"]


def test_the_commands_build_measure_and_search(tmp_path, encoder_folder, capsys):
    rows = [json.dumps({"id": d.id, "contents": f'"{d.title}"\n{d.text}'}) for d in PASSAGES]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(rows))
    dense = ["index", "--corpus", str(corpus), "--kind", "dense", "--encoder", str(encoder_folder)]
    assert main([*dense, "--out", str(tmp_path / "flat")]) == 0
    given = ["--vectors", str(tmp_path / "flat" / "vectors.index"), "--factory", "IVF2,Flat"]
    assert main([*dense, *given, "--out", str(tmp_path / "ivf")]) == 0
    questions = tmp_path / "nq.jsonl"
    lines = [{"id": d.id, "question": d.text, "golden_answers": ["x"]} for d in PASSAGES]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    capsys.readouterr()
    measure = ["recall", "--index", str(tmp_path / "ivf"), "--exact", str(tmp_path / "flat")]
    measure += ["--questions", str(questions), "--k", "1", "3"]
    assert main(measure) == 0
    assert main([*measure, "--search-parameters", "nprobe=2"]) == 0
    one, both = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(one) == ["queries", "recall_at_1", "recall_at_3", "ms_exact", "ms_approximate"]
    assert both["queries"] == 20
    assert both["recall_at_1"] == both["recall_at_3"] == 100
    assert 0 < one["recall_at_3"] <= 100
    table = tmp_path / "retrieval.csv"
    found = ["retrieval", "--index", str(tmp_path / "flat"), "--questions", str(questions)]
    assert main([*found, "--k", "1", "--out", str(table)]) == 0
    assert table.read_text().splitlines()[1].startswith("nq,20,0,,")
    assert main(["search", "--index", str(tmp_path / "flat"), "--k", "2", PASSAGES[5].text]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["score"] >= second["score"]
    assert main([*dense, "--factory", "Cube", "--out", str(tmp_path / "i")]) == 2
    assert "retrieval.factory: FAISS cannot make 'Cube'" in capsys.readouterr().err
    for factory in ("Flat", "HNSW8"):
        options = ["--factory", factory, "--search-parameters", "nprobe=2"]
        assert main([*dense, *options, "--out", str(tmp_path / "i")]) == 2
        assert "retrieval.search_parameters" in capsys.readouterr().err
    assert main([*dense, "--factory", "IVF99,Flat", "--out", str(tmp_path / "i")]) == 2
    assert "retrieval.factory: FAISS cannot train IndexIVFFlat on 20" in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_indexes_of_different_corpora_are_not_compared(tmp_path, index, settings, capsys):
    build(tmp_path / "others", settings, PASSAGES[::-1])
    questions = tmp_path / "nq.jsonl"
    questions.write_text('{"id": "1", "question": "q", "golden_answers": ["x"]}\n')
    compared = ["--index", str(tmp_path / "others"), "--exact", str(index)]
    assert main(["recall", *compared, "--questions", str(questions)]) == 2
    assert f"others: not of the passages of {index}" in capsys.readouterr().err
