"""Compiles RTEA's two small jars into the package: with javac if there is one, else with ecj.

`make setup` runs it after fetching the pinned jars. The sources are in `jars/src`; the classes that they extend come
from the apache-flink wheel and the Kafka connector. With the argument `test` it runs the tests in `tests/java` instead.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from rtea import config as configuration
from rtea.flink import jar
from rtea.stack import flink, jars, java

SOURCES = Path(__file__).resolve().parent / "src"
REPORTER = SOURCES.with_name("reporter")
TESTS = SOURCES.parents[1] / "tests" / "java"
BYTECODE = "11"

# A fixed time for every entry: equal sources give equal jars.
ENTRY_TIME = (2026, 1, 1, 0, 0, 0)


def compiler(ecj: Path) -> list[str]:
    """The command of a Java compiler: javac in JAVA_HOME, or in PATH if JAVA_HOME is not set, else ecj."""
    named = os.environ.get("JAVA_HOME")
    javac = shutil.which("javac", path=f"{named}/bin" if named else None)
    return [javac, "-Xlint:-options"] if javac else [str(java.find_home() / "bin" / "java"), "-jar", str(ecj)]


def library() -> list[Path]:
    """The jars that the sources are compiled with."""
    return [*(flink.find_home() / "lib").glob("*.jar"), *jars.locate(configuration.load().jars, "flink")]


def compile_java(folders: list[Path], classes: Path, class_path: list[Path]) -> str:
    """Compile every source below the folders; return what was done."""
    (ecj,) = jars.locate(configuration.load().jars, "build")
    command = compiler(ecj)
    sources = sorted(str(path) for folder in folders for path in folder.rglob("*.java"))
    level = ["-source", BYTECODE, "-target", BYTECODE, "-proc:none"]
    subprocess.run([*command, *level, "-cp", _joined(class_path), "-d", str(classes), *sources], check=True)
    return f"{len(sources)} sources, compiled by {Path(command[0]).name}"


def _joined(paths: list[Path]) -> str:
    return os.pathsep.join(map(str, paths))


def plugin() -> list[Path]:
    """The jars of the plugin that the reporter extends."""
    return list((flink.find_home() / "plugins" / "metrics-prometheus").glob("*.jar"))


def build() -> int:
    """Compile the sources and pack the classes of both jars; return the exit code."""
    for target, sources, class_path in (
        (jar.PATH, SOURCES, library()),
        (jar.REPORTER, REPORTER, [*library(), *plugin()]),
    ):
        with tempfile.TemporaryDirectory() as folder:
            classes = Path(folder)
            done = compile_java([sources], classes, class_path)
            services = {path: path.relative_to(sources) for path in sources.glob("META-INF/services/*")}
            compiled = {path: path.relative_to(classes) for path in classes.rglob("*.class")}
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
                for path, name in sorted((services | compiled).items(), key=lambda entry: entry[1]):
                    archive.writestr(zipfile.ZipInfo(str(name), ENTRY_TIME), path.read_bytes())
        print(f"{target.name}: {done}")
    return 0


def test() -> int:
    """Compile the sources with their tests and run the tests; return the exit code."""
    settings = configuration.load().jars
    jars.fetch(settings, ["test"])
    class_path = [*library(), *plugin(), *jars.locate(settings, "test")]
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder)
        compile_java([SOURCES, REPORTER, TESTS], classes, class_path)
        run = [str(java.find_home() / "bin" / "java"), "-cp", _joined([classes, *class_path])]
        junit = ["org.junit.platform.console.ConsoleLauncher", "execute", f"--scan-class-path={classes}"]
        quiet = ["--disable-banner", "--details=summary", "--fail-if-no-tests"]
        return subprocess.run([*run, *junit, *quiet]).returncode


if __name__ == "__main__":
    sys.exit(test() if sys.argv[1:] == ["test"] else build())
