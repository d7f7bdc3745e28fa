"""Compiles RTEA's small jar into the package: with javac if there is one, else with ecj.

`make setup` runs it after fetching the pinned jars. The sources are in `jars/src`; the classes that they extend come
from the apache-flink wheel and the Kafka connector.
"""

import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from rtea import config as configuration
from rtea.flink import jar
from rtea.stack import flink, jars, java

SOURCES = Path(__file__).resolve().parent / "src"
BYTECODE = "11"

# A fixed time for every entry: equal sources give equal jars.
ENTRY_TIME = (2026, 1, 1, 0, 0, 0)


def compiler(ecj: Path) -> list[str]:
    """The command of a Java compiler: javac in JAVA_HOME, or in PATH if JAVA_HOME is not set, else ecj."""
    named = os.environ.get("JAVA_HOME")
    javac = shutil.which("javac", path=f"{named}/bin" if named else None)
    return [javac, "-Xlint:-options"] if javac else [str(java.find_home() / "bin" / "java"), "-jar", str(ecj)]


def main() -> None:
    """Compile every source and pack the classes."""
    settings = configuration.load().jars
    (ecj,) = jars.locate(settings, "build")
    library = [*(flink.find_home() / "lib").glob("flink-dist-*.jar"), *jars.locate(settings, "flink")]
    command = compiler(ecj)
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
    main()
