"""What the documents say of the program is what the program does."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent


def test_fields_of_a_request():
    source = (ROOT / "src/relay/relay_request.c").read_text()
    known = re.findall(r'^    \{"(\w+)", RELAY_LOCAL_', source, re.M)
    tables = (ROOT / "docs/api.md").read_text().split("| field |")[1:]
    assert fields_of(tables[0]) == known and len(known) > 30
    source = (ROOT / "src/relay/relay_request_text.c").read_text()
    found = re.findall(r"^static const struct relay_field (\w+)\[\] = \{\n(.*?)^\};", source, re.M | re.S)
    assert [name for name, _ in found] == ["completions", "embeddings", "rerank", "tokenize", "detokenize"]
    for (name, rows), table in zip(found, tables[1:], strict=True):
        known = ["model", *re.findall(r'^    [A-Z]+\("(\w+)"', rows, re.M)]
        assert fields_of(table) == known, name


def fields_of(table):
    return re.findall(r"^\| `(\w+)`", table.split("\n\n")[0], re.M)


def test_links_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "web/README.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
        for path in re.findall(r"`((?:src|docs|scripts|tests|bench|web|api|cmake)/[\w./-]+)`", page.read_text()):
            assert (ROOT / path).exists() or (page.parent / path).exists(), f"{page.name}: {path}"


def test_context_that_is_not_set():
    usual = re.search(r"CONTEXT_USUAL = (\d+)", (ROOT / "src/model/model_llama.c").read_text())[1]
    for name in ("src/base/config_table.c", "src/cli/weir_infer_settings.c", "docs/configuration.md", "docs/operations.md"):
        text = re.sub(r"[\s\"]+(\\n)?", " ", (ROOT / name).read_text().replace("\\n", " "))
        assert re.search(rf"trained for,( but)? (at most {usual}|{usual} at most)", text), name
