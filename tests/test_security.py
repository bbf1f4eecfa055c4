"""Nothing is unpickled, no data reaches a shell, and no text of data becomes markup."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("pipeline", "stages", "benchmarks")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
# They run code that a file names, or can be made to.
FORBIDDEN_MODULES = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"} | {
    "tarfile"
}
BUILTINS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    *("read_pickle", "to_pickle", "unpack_archive", "extractall", "extract"),
    *("torch.save", "torch.hub.load", "load_state_dict_from_url", "torch.jit.load"),
    *("os.system", "os.popen", "yaml.load", "getoutput", "getstatusoutput"),
}
# Weights that exist in no other form: the reader is told to take nothing but tensors.
TENSOR_READERS = {"pipeline/models/encoder_weights.py": 2}


def _calls():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield str(path.relative_to(ROOT)), ast.unparse(node.func), node


def _keywords(call: ast.Call) -> dict[str, object]:
    return {word.arg: getattr(word.value, "value", None) for word in call.keywords}


def _names(function: str) -> set[str]:
    return {function, function.rsplit(".", 1)[-1]}


def test_no_module_that_unpickles_is_imported():
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found |= {(path.name, n) for n in names if n.split(".")[0] in FORBIDDEN_MODULES}
    assert found == {("shards.py", "tarfile")}
    assert len(SOURCES) > 200


def test_tar_archives_are_written_and_never_unpacked():
    modes = {
        (where, ast.literal_eval(call.args[1]))
        for where, function, call in _calls()
        if function.startswith("tarfile.") and not function.endswith("TarInfo")
    }
    assert modes == {("pipeline/io/shards.py", "w")}


def test_nothing_is_called_that_runs_what_a_file_says():
    bad = {
        (where, function)
        for where, function, _ in _calls()
        if function in BUILTINS or _names(function) & FORBIDDEN_CALLS
    }
    assert bad == set()


def test_torch_reads_tensors_only():
    readers: dict[str, int] = {}
    for where, function, call in _calls():
        if function == "torch.load":
            assert _keywords(call).get("weights_only") is True, where
            readers[where] = readers.get(where, 0) + 1
    assert readers == TENSOR_READERS


def test_numpy_loads_no_objects():
    for where, function, call in _calls():
        if function in ("np.load", "numpy.load"):
            assert _keywords(call).get("allow_pickle", False) is False, where


def test_networks_are_read_from_safetensors():
    """Diffusers would fall back to a pickled .bin."""
    found = 0
    for where, function, call in _calls():
        if function.endswith(".from_pretrained"):
            found += 1
            assert _keywords(call).get("use_safetensors") is True, (where, function)
    assert found >= 3


def test_programs_are_started_without_a_shell():
    for where, function, call in _calls():
        if function.startswith("subprocess."):
            assert not _keywords(call).get("shell"), where
            assert not isinstance(call.args[0], ast.Constant | ast.JoinedStr), where


def test_commands_hold_no_text_of_the_data():
    """DVC gives `cmd` to a shell; in it stand only names that check-parameters has passed."""
    for name in ("dvc.yaml", "data/demo/dvc.yaml", "data/lemons/dvc.yaml"):
        content = YAML(typ="safe", pure=True).load((ROOT / name).read_text())
        for stage in content["stages"].values():
            places = set(re.findall(r"\$\{([^}]*)\}", stage["cmd"]))
            assert places <= {"item", "item.mix", "item.architecture"}, stage["cmd"]


def test_the_page_escapes_everything_and_quotes_every_attribute():
    template = (ROOT / "pipeline/reporting/page.html").read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape\s+false", template)
    assert not re.search(r"=\s*\{\{", template), "an attribute without quotes"
    script = "".join(re.findall(r"<script.*?</script>", template, re.DOTALL))
    assert "{{" not in script
    environments = [call for _, name, call in _calls() if name.endswith("Environment")]
    assert environments and all(_keywords(c).get("autoescape") is True for c in environments)


HOSTILE = ["<img src=x onerror=alert(1)>", "; rm -rf $HOME", "$(touch owned)", "-rf", "a'b\"c&d"]


@pytest.mark.parametrize("reader", ["folders", "coco"])
def test_hostile_names_of_photos_become_harmless_ids(reader, tmp_path, monkeypatch, capsys):
    import json

    from pipeline.io.manifests import read_manifest
    from tests.data import broken_sets as sets

    monkeypatch.chdir(tmp_path)
    runner = sets.Runner(tmp_path, capsys)
    content = sets.coco_content()
    for index, stem in enumerate(HOSTILE):
        for folder in ("images", "masks"):
            path = runner.root / folder / sets.name_of(index)
            path.rename(path.with_name(f"{stem}.png"))
        content["images"][index]["file_name"] = f"{stem}.png"
    (runner.root / "labels.json").write_text(json.dumps(content))
    result = runner(sets.FOLDERS if reader == "folders" else sets.COCO)
    assert result.code == 0
    frame = read_manifest(result.prepared)
    assert {f"images/{stem}.png" for stem in HOSTILE} <= set(frame["source"])
    for column in ("id", "image", "mask"):
        assert frame[column].str.fullmatch(r"[A-Za-z0-9._/-]+").all()
        assert not frame[column].str.contains("..", regex=False).any()
    assert not list(tmp_path.rglob("owned"))
