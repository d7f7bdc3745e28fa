"""Compile our small jar into the package: with javac where there is one, else with ecj.

Run by `make`, after the extension is built and the pinned jars are fetched. Sources lie in
`jars/src`; the classes they extend come from the apache-flink wheel and the Kafka connector.
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
BYTECODE = "11"

# A fixed time of every entry: equal sources give an equal jar.
ENTRY_TIME = (2026, 1, 1, 0, 0, 0)


def compiler(ecj: Path) -> list[str]:
    """The command of a Java compiler: javac of JAVA_HOME, else of the path, else ecj."""
    named = os.environ.get("JAVA_HOME")
    javac = shutil.which("javac", path=f"{named}/bin" if named else None)
    return [javac, "-Xlint:-options"] if javac else [str(java.find_home() / "bin" / "java"), "-jar", str(ecj)]


def main(only: str = "") -> None:
    """Compile every source and pack the classes; `only="ecj"` leaves a javac unused."""
    settings = configuration.load().jars
    (ecj,) = jars.locate(settings, "build")
    library = [*(flink.find_home() / "lib").glob("flink-dist-*.jar"), *jars.locate(settings, "flink")]
    command = [str(java.find_home() / "bin" / "java"), "-jar", str(ecj)] if only == "ecj" else compiler(ecj)
    sources = sorted(str(path) for path in SOURCES.rglob("*.java"))
    with tempfile.TemporaryDirectory() as classes:
        level = ["-source", BYTECODE, "-target", BYTECODE, "-proc:none"]
        class_path = os.pathsep.join(map(str, library))
        subprocess.run([*command, *level, "-cp", class_path, "-d", classes, *sources], check=True)
        with zipfile.ZipFile(jar.PATH, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(Path(classes).rglob("*.class")):
                name = str(path.relative_to(classes))
                archive.writestr(zipfile.ZipInfo(name, ENTRY_TIME), path.read_bytes())
    print(f"{jar.PATH.name}: {len(sources)} sources, compiled by {Path(command[0]).name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
