"""What is done, in work and failed: a folder that several worker processes share."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

__all__ = ["STORE", "Ledger", "read_rows", "write_rows"]

#: All rows that are measured: what the tables and figures of the documentation are made of.
STORE = Path(__file__).parents[1] / "docs" / "results" / "studies" / "rows.jsonl"


def _write_whole(path, text):
    """Write a file so that it is never seen in part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    os.replace(part, path)


def read_rows(path):
    """Rows of a file of JSON lines: dict of key to row; empty where there is no such file."""
    path = Path(path)
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return {row["key"]: row for row in rows}


def write_rows(path, rows):
    """Write rows (dict of key to row) to a file of JSON lines, in the order of their keys."""
    text = "".join(json.dumps(rows[key], sort_keys=True) + "\n" for key in sorted(rows))
    _write_whole(Path(path), text)


class Ledger:
    """Rows, claims, checkpoints and failures in a folder, each by the key of a configuration.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        for name in ("rows", "claims", "checkpoints", "failures", "sharing"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def rows(self):
        """Finished rows, dict of key to row."""
        return {path.stem: json.loads(path.read_text()) for path in (self.folder / "rows").glob("*.json")}

    def finished(self, key):
        """Whether there is a row of this key."""
        return (self.folder / "rows" / f"{key}.json").exists()

    def failed(self, key):
        """Whether the configuration has raised an error in this call."""
        return (self.folder / "failures" / f"{key}.txt").exists()

    def claim(self, key):
        """Take a configuration; False if another worker has it."""
        try:
            os.close(os.open(self.folder / "claims" / key, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        return True

    def release(self, key):
        """Give a configuration back."""
        (self.folder / "claims" / key).unlink(missing_ok=True)

    def release_all(self):
        """Forget the claims and failures of an earlier call, whose workers are gone."""
        for name in ("claims", "failures"):
            for path in (self.folder / name).iterdir():
                path.unlink()

    def checkpoints(self, key):
        """Folder of the checkpoints of a configuration."""
        return self.folder / "checkpoints" / key

    def most_sharing(self, key, sharing):
        """Most workers of a device while a configuration was in work: `sharing` now, others in earlier calls.

        Of a training that goes on from a checkpoint the minutes before it count, too.
        """
        path = self.folder / "sharing" / key
        sharing = max(sharing, int(path.read_text()) if path.exists() else 1)
        if sharing > 1:
            _write_whole(path, str(sharing))
        return sharing

    def finish(self, row):
        """Keep a row, and nothing else of its configuration."""
        _write_whole(self.folder / "rows" / f"{row['key']}.json", json.dumps(row, sort_keys=True))
        shutil.rmtree(self.checkpoints(row["key"]), ignore_errors=True)
        (self.folder / "sharing" / row["key"]).unlink(missing_ok=True)

    def forget(self, key):
        """Drop the row of a configuration, so that it is run again."""
        (self.folder / "rows" / f"{key}.json").unlink(missing_ok=True)

    def fail(self, key, text):
        """Keep the text of an error."""
        _write_whole(self.folder / "failures" / f"{key}.txt", text)
