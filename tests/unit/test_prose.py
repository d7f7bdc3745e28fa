"""Promise: what we write avoids the words that docs/STYLE.md bans."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
STYLE = ROOT / "docs" / "STYLE.md"
TEXTS = ("*.md", "*.py", "*.rs", "*.java", "*.toml", "*.yml", "Makefile")
ELSEWHERE = {STYLE, ROOT / "LICENSE.md", Path(__file__).resolve()}


def banned() -> list[str]:
    table = STYLE.read_text().split("## Words that we do not use")[1].split("##")[0]
    rows = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)[2:]
    return [word for row in rows for word in row.split(", ")]


def test_no_text_of_ours_has_a_banned_word() -> None:
    assert {"anew", "mended", "spoken to"} <= set(banned())
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, banned()))})\b", re.IGNORECASE)
    files = subprocess.check_output(["git", "ls-files", *TEXTS], cwd=ROOT, text=True).splitlines()
    found = [
        f"{name}:{number}: {match[0]}"
        for name in files
        if (ROOT / name) not in ELSEWHERE
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1)
        for match in [pattern.search(line)]
        if match
    ]
    assert found == []
