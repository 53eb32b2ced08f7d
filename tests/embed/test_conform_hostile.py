"""Programs that do not follow the conformance protocol: one sentence says what is wrong, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from embed import specified_program
from PIL import Image
from tiny_bundle import write_tiny_bundle

from aedeploy.bundle import Bundle
from aedeploy.parity.conform import ConformReport, conform

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the programs are shell scripts")

#: A program that shakes hands, and answers each request by what stands in place of …; it reads no tensors.
_ANSWERS = 'read line; echo "conform 1"; while read line; do …; done'
_LATENT = "tensor latent float32 2 1 16"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "tiny")


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def patience(script: str) -> float:
    """Seconds: few where it is to be waited for in vain, else as many as a busy machine may need."""
    return 2.0 if "sleep" in script else 60.0


def answering(bundle: Bundle, folder: Path, answer: str) -> list[str]:
    """A program that reads whole requests, and answers ``answer``: Python code that has ``role`` and ``out``."""
    script = folder / "program.py"
    script.write_text(
        "import math, sys\n"
        "source, out = sys.stdin.buffer, sys.stdout.buffer\n"
        "source.readline()\n"
        "out.write(b'conform 1\\n')\n"
        "out.flush()\n"
        "while line := source.readline():\n"
        "    role = line.split()[1].decode()\n"
        "    if line.startswith(b'run'):\n"
        "        source.read(4 * math.prod(map(int, source.readline().split()[4:])))\n"
        f"    {answer}\n"
        "    out.flush()\n",
        encoding="utf-8",
    )
    return [sys.executable, str(script)]


def honest(bundle: Bundle) -> list[str]:
    return [sys.executable, specified_program.__file__, str(bundle.path / "golden.safetensors")]


def test_one_that_follows_the_page_conforms(bundle: Bundle) -> None:
    report = conform(bundle, honest(bundle))
    assert report, report.failures()
    assert all(result.max_abs == 0.0 for result in report.results)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("exit 3", "ended with exit code 3 before it had answered"),
        ("kill -SEGV $$", "was ended by signal 11 before it had answered"),
        ("echo Model loaded.; cat > /dev/null", "to 'conform 1' it answered 'Model loaded.'"),
        ("read line; echo conform 2; cat > /dev/null", "to 'conform 1' it answered 'conform 2'"),
        ("yes", "to 'conform 1' it answered 'y'"),
        ("tr '\\0' x < /dev/zero", "sent b'xxxxxxxx"),
        ("exec sleep 60", "did not answer within 2 s"),
        # Which of the two depends on who was first: what is sent before it closes its input finds a place.
        ("exec < /dev/null; exec sleep 60", "closed its stdout, or its stdin|did not answer within 2 s"),
        ("exec > /dev/null; exec sleep 60", "closed its stdout, or its stdin"),
    ],
)
def test_what_goes_wrong_at_once_is_said_once(script: str, sentence: str, bundle: Bundle) -> None:
    report = conform(bundle, shell(script), timeout=patience(script))
    assert not report
    (failure,) = report.failures()
    assert failure.startswith("handshake: the program ")
    assert any(one in failure for one in sentence.split("|"))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("exit 4", "ended with exit code 4 before it had answered"),
        ("echo hello", "the program answered 'hello' where 'ok COUNT', 'error …' or 'skip …' was due"),
        ("echo", "the program answered '' where"),
        ("echo ok", "the program answered 'ok' where"),
        ("echo ok -1", "the program answered 'ok -1' where"),
        ("echo ok \u0661", "the program answered 'ok \u0661' where"),
        ("echo ok 17", "the program answered 'ok 17' where"),
        (
            "echo ok 1; echo tensor latent",
            "the program sent 'tensor latent' where 'tensor NAME DTYPE RANK D0 …' was due",
        ),
        ("echo ok 1; echo tensor latent float64 2 1 16", "float64 2 1 16' where"),
        ("echo ok 1; echo tensor latent float32 3 1 16", "float32 3 1 16' where"),
        ("echo ok 1; echo tensor latent float32 2 1 -16", "float32 2 1 -16' where"),
        ("echo ok 1; echo tensor latent float32 2 99999 99999", "which is more than any output has"),
        (f"echo ok 1; echo {_LATENT}; printf abc; exit 0", "ended with exit code 0 before it had answered"),
        (f"echo ok 1; echo {_LATENT}; printf abc; exec sleep 60", "within 2 s (it sent 3 bytes of it)"),
        ("echo ok 2; for i in 1 2; do echo tensor latent uint8 1 1; printf a; done", "gave 'latent' twice"),
        ("tr '\\0' x < /dev/zero", "sent b'xxxxxxxx"),
        ("echo error no memory left", "the program answered with an error: no memory left"),
    ],
)
def test_an_answer_that_is_none_is_said_in_one_sentence(answer: str, sentence: str, bundle: Bundle) -> None:
    report = conform(bundle, shell(_ANSWERS.replace("…", answer)), timeout=patience(answer))
    assert not report
    (failure,) = report.failures()
    assert failure.startswith("encoder, decoder, autoencoder: the program ")
    assert sentence in failure


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (f"out.write(b'ok 1\\n{_LATENT}\\n' + b'\\xff' * 64)", "it has NaN or infinity where PyTorch has none"),
        ("out.write(b'ok 1\\ntensor latent int64 2 1 16\\n' + b'\\0' * 128)", "its dtype is int64"),
        ("out.write(b'ok 1\\ntensor latent float32 2 16 1\\n' + b'\\0' * 64)", "its shape is [16, 1]"),
        (f"out.write(b'ok 1\\n{_LATENT}\\n' + b'\\0' * 64)", "max error"),
        ("out.write(b'ok 0\\n')", "the golden vectors have latent, the graph gives"),
        ("out.write(b'ok 1\\ntensor code float32 1 0\\n')", "the graph gives code"),
    ],
)
def test_an_answer_that_is_wrong_is_judged(answer: str, sentence: str, bundle: Bundle, tmp_path: Path) -> None:
    report = conform(bundle, answering(bundle, tmp_path, answer))
    assert not report
    first = report.results[0]
    assert (first.subject, first.batch, first.passed) == ("onnx encoder", 1, False)
    assert sentence in (first.reason or "")


def test_bytes_that_nobody_asked_for_spoil_the_next_answer(bundle: Bundle, tmp_path: Path) -> None:
    command = answering(bundle, tmp_path, "out.write(b'skip\\nand more\\n' if role == 'encoder' else b'skip\\n')")
    report = conform(bundle, command)
    assert report.failures() == [
        "decoder: the program answered 'and more' where 'ok COUNT', 'error …' or 'skip …' was due"
    ]


def test_a_message_cannot_command_the_terminal_nor_be_endless(bundle: Bundle, tmp_path: Path) -> None:
    command = answering(bundle, tmp_path, "out.write(b'error \\x1b[2J[/red]\\xff' + b'x' * 3000 + b'\\n')")
    found = aedeploy(bundle, command)
    assert found.returncode == 5
    assert "\x1b[2J" not in found.stdout + found.stderr
    assert "\ufffd[2J[/red]\ufffdxxx" in found.stderr
    assert len(found.stderr) < 1000


def aedeploy(bundle: Bundle, command: list[str], *options: str) -> subprocess.CompletedProcess[str]:
    ours = [sys.executable, "-m", "aedeploy", "conform", str(bundle.path), *options, "--", *command]
    return subprocess.run(ours, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 3", 5), ("exec sleep 60", 5), (_ANSWERS.replace("…", "echo skip"), 5)]
)
def test_the_command_ends_with_its_code_and_one_sentence(script: str, code: int, bundle: Bundle) -> None:
    found = aedeploy(bundle, shell(script), "--timeout", "1", "--json")
    assert found.returncode == code
    assert json.loads(found.stdout)["passed"] is False
    assert found.stderr.count("Error: ") == 1
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(("name", "content"), [("absent", None), ("no program", "exit 0\n"), (".", None)])
def test_what_cannot_be_started_is_no_program(name: str, content: str | None, bundle: Bundle, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    found = aedeploy(bundle, [str(tmp_path / name)])
    assert found.returncode == 1
    assert found.stderr.count("cannot be started") == 1
    assert found.stdout == ""


def test_it_is_started_once_and_again_where_it_ended(bundle: Bundle, tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    script = f"echo started >> '{starts}'; " + _ANSWERS
    conform(bundle, shell(script.replace("…", "echo skip")))
    assert starts.read_text(encoding="utf-8").count("started") == 1
    conform(bundle, shell(script.replace("…", "exit 0")))
    assert starts.read_text(encoding="utf-8").count("started") == 1 + 3


def test_one_that_skips_everything_has_proven_nothing(bundle: Bundle) -> None:
    report = conform(bundle, shell(_ANSWERS.replace("…", "echo skip")))
    assert report.failures() == ["the program skipped every graph, so nothing was proven"]


def test_a_graph_is_not_skipped_in_part(bundle: Bundle, tmp_path: Path) -> None:
    """One that is right of one image, and skips the case of three."""
    golden = bundle.path / "golden.safetensors"
    script = tmp_path / "program.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(specified_program.__file__).parents[1])!r})\n"
        "from embed import specified_program as honest\n"
        "def answer_run(sink, role, given, *rest, honestly=honest.answer_run):\n"
        "    (tensor,) = given.values()\n"
        "    if role == 'encoder' and tensor.shape[0] == 3:\n        sink.write(b'skip too many\\n')\n"
        "    else:\n        honestly(sink, role, given, *rest)\n"
        "honest.answer_run = answer_run\n"
        f"content = open({str(golden)!r}, 'rb').read()\n"
        "honest.serve(sys.stdin.buffer, sys.stdout.buffer, honest.golden_cases(honest.read_safetensors(content)))\n",
        encoding="utf-8",
    )
    report = conform(bundle, [sys.executable, str(script)])
    assert report.failures() == ["encoder: a graph is skipped whole, and this in part: skipped: too many"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")
@pytest.mark.parametrize("behind", ["sleep 60 & echo $! >> pids; wait", "sleep 60 & echo $! >> pids; exit 0"])
def test_nothing_that_it_started_stays_behind(
    behind: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert not conform(bundle, shell(behind), timeout=1.0)
    pids = (tmp_path / "pids").read_text(encoding="utf-8").split()
    assert len(pids) == 1
    deadline = time.monotonic() + 30
    while any(map(runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)  # a signal takes a moment
    assert not any(map(runs, pids))


def runs(pid: str) -> bool:
    try:
        stat = Path("/proc", pid, "stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class TestImages:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "images"
        folder.mkdir()
        for name in (b"a.png", b"b\xff.png", b"c\nd.png", "e ä.png".encode()):
            with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118  # bytes
                Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, "PNG")
        return folder

    def judged(self, bundle: Bundle, command: list[str], folder: Path) -> ConformReport:
        return conform(bundle, command, images=sorted(folder.iterdir()))

    def test_a_name_that_cannot_be_sent_is_told_and_the_others_go_on(
        self, bundle: Bundle, folder: Path, tmp_path: Path
    ) -> None:
        latent = "tensor latent float32 2 1 16\\n' + b'\\0' * 64"
        answer = f"out.write(b'ok 1\\n{latent} if line.startswith(b'image') else b'skip\\n')"
        found = self.judged(bundle, answering(bundle, tmp_path, answer), folder).images
        assert len(found) == 4
        reasons = [image.reason for image in found]
        assert sum(reason is None for reason in reasons) == 2
        assert sum("the protocol has no place for it" in (reason or "") for reason in reasons) == 2

    def test_one_that_reads_no_files_is_asked_once(self, bundle: Bundle, folder: Path) -> None:
        report = self.judged(bundle, honest(bundle), folder)
        assert report
        assert [image.reason for image in report.images] == ["skipped: it reads no image files"]

    def test_an_error_of_a_file_that_we_read_fails(self, bundle: Bundle, folder: Path, tmp_path: Path) -> None:
        answer = "out.write(b'error no such codec\\n')"
        report = self.judged(bundle, answering(bundle, tmp_path, answer), folder)
        errors = [image for image in report.images if image.passed is False]
        assert [image.reason for image in errors] == ["the program answered with an error: no such codec"] * 2

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            ("b'ok 0\\n'", "it gave no latent"),
            ("b'ok 1\\ntensor latent float32 1 1\\n' + b'\\0' * 4", "it gave a latent float32 [1]"),
            ("b'ok 1\\ntensor latent float32 2 1 16\\n' + b'\\xff' * 64", "its latent is not finite"),
        ],
    )
    def test_a_latent_that_is_none_fails(
        self, answer: str, sentence: str, bundle: Bundle, folder: Path, tmp_path: Path
    ) -> None:
        report = self.judged(bundle, answering(bundle, tmp_path, f"out.write({answer})"), folder)
        errors = [image for image in report.images if image.passed is False]
        assert len(errors) == 2
        assert all(sentence in (image.reason or "") for image in errors)
