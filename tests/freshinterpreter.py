"""Code as in a new interpreter, without waiting for imports: in forks of one that has made those of others.

usage: python freshinterpreter.py, which answers each line of JSON on standard input by one on standard output
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback

#: What takes long to import, and is neither this package nor specutils.
SLOW = ("astropy.table", "gwcs", "ndcube")


class FreshInterpreter:
    """Runs code in a process of its own that has imported nothing of specvit or specutils before."""

    def __init__(self):
        self._server = None

    def __call__(self, code):
        """The words that `code` prints; it must not fail."""
        if not hasattr(os, "fork"):  # on Windows
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
            status, out, err = done.returncode, done.stdout, done.stderr
        else:
            if self._server is None:
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
                self._server = subprocess.Popen([sys.executable, __file__], **pipes)
            self._server.stdin.write(json.dumps(code) + "\n")
            self._server.stdin.flush()
            status, out, err = json.loads(self._server.stdout.readline())
        assert status == 0, err
        return out.split()

    def close(self):
        if self._server is not None:
            self._server.communicate()


def forked(code):
    """Exit status, output and messages of code in a fork of this process."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            status = 1
            try:
                exec(code, {"__name__": "__main__"})
                status = 0
            except BaseException:  # whatever it is, the child must end here
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


if __name__ == "__main__":
    for name in SLOW:
        __import__(name)
    assert not {"specvit", "specutils"} & set(sys.modules)
    for line in sys.stdin:
        print(json.dumps(forked(json.loads(line))), flush=True)
