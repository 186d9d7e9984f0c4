"""Which processes may be said to be gone: those of this very container, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from segsearch.storage.owners import (
    host_and_process,
    is_elsewhere,
    is_gone,
    owner_of_this_process,
)

pytestmark = pytest.mark.process

OWNER = "from segsearch.storage.owners import *; print(owner_of_this_process(), flush=True)"


def run_python(code: str, *before: str) -> str:
    done = subprocess.run(
        [*before, sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_process_of_here_is_known_to_live_and_to_be_gone() -> None:
    own = owner_of_this_process()
    assert not is_gone(own)
    assert not is_elsewhere(own)
    assert host_and_process(own) == (os.uname().nodename, os.getpid())
    assert is_gone(f"{own}1"), "our number, but it began at another time"
    ended = run_python(OWNER)
    assert is_gone(ended)
    assert not is_elsewhere(ended)


def test_a_killed_process_is_gone_before_anybody_has_waited_for_it() -> None:
    code = f"{OWNER}; import time; time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        owner = process.stdout.readline().strip()
        assert not is_gone(owner)
        process.kill()
        while process.poll() is None:
            assert is_gone(owner) in {True, False}
        assert is_gone(owner)


@pytest.mark.parametrize(
    "owner",
    [
        "{host}:1:90210",  # of a version that told containers apart by their names alone
        "{host}:1:0123-4026531836-90210",  # of another boot, or of a kernel elsewhere
        "elsewhere:1:{mark}",
    ],
)
def test_others_are_never_judged(owner: str) -> None:
    host, _, mark = owner_of_this_process().rsplit(":", 2)
    told = owner.format(host=host, mark=mark)
    assert is_elsewhere(told)
    assert not is_gone(told)


def test_containers_of_one_name_do_not_take_each_other_for_dead() -> None:
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    if os.geteuid() != 0 or shutil.which(apart[0]) is None:
        assert os.environ.get("CI") != "true", "the tests of CI run as root, with util-linux"
        pytest.skip("Only root makes namespaces, by `unshare`.")
    theirs = run_python(OWNER, *apart)
    assert theirs.rsplit(":", 2)[0] == os.uname().nodename
    assert is_elsewhere(theirs)
    assert not is_gone(theirs), "it has ended, but nobody here can know"
    own = owner_of_this_process()
    code = f"from segsearch.storage.owners import *; print(is_elsewhere({own!r}), is_gone({own!r}))"
    assert run_python(code, *apart) == "True False"
