"""load_dictionary of another repository: what git and DVC have at a commit, and what is said where they do not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from sparse_coding.errors import BadInput
from sparse_coding.load import load_dictionary
from tests.formats.test_golden import GOLDEN
from tests.pages import Clone, blocks
from tests.test_load import SITE, chosen, written
from tests.workspace import ROOT

NAME = "tied_r4_l1-0.002_s0"
PATH = f"results/dictionaries/{SITE}/{NAME}.safetensors"
WISH = {"site": SITE, "architecture": "tied", "l0": 10}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Of this test alone; and no test runs in a checkout."""
    monkeypatch.setenv("SPARSE_CODING_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def git(folder: Path, *words: str) -> str:
    own = ["-c", "user.name=n", "-c", "user.email=n@n", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def dvc(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a step")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def clones(tmp_path_factory) -> tuple[Path, str]:
    """This repository, and then a commit in which nothing of its results is on the remote; and the first commit."""
    clone = Clone.make(tmp_path_factory.mktemp("elsewhere") / "sparse_coding").folder
    first = git(clone, "rev-parse", "HEAD")
    git(clone, "tag", "-am", "with results", "v1")
    git(clone, "branch", "first")
    git(clone, "branch", "-m", "later")
    git(clone, "branch", "main")
    shutil.rmtree(clone / "vendored/files")
    (clone / "vendored/empty").touch()
    commit(clone)
    return clone, first


def stored(clone: Path, commit: str, path: str) -> bytes:
    """The bytes of a result, found by dvc.lock in the remote that the commit holds."""
    lock = yaml.safe_load(git(clone, "show", f"{commit}:dvc.lock"))
    stage = path.split("/")[1]
    (out,) = [out for out in lock["stages"][stage]["outs"] if path.startswith(out["path"])]

    def content(md5: str) -> bytes:
        return subprocess.check_output(["git", "show", f"{commit}:vendored/files/md5/{md5[:2]}/{md5[2:]}"], cwd=clone)

    listed = json.loads(content(out["md5"]))
    (md5,) = [each["md5"] for each in listed if f"{out['path']}/{each['relpath']}" == path]
    return content(md5)


@pytest.mark.parametrize(
    ("url", "revision"), [("{}", "v1"), ("{}", "{:.9}"), ("file://{}", "v1"), ("file://{}", "first")]
)
def test_two_lines_by_a_path_or_url_at_a_commit_whose_objects_are_in_it(clones, url, revision, capsys):
    clone, first = clones
    found = load_dictionary(**WISH, repo=url.format(clone), revision=revision.format(first))
    assert (found.name, found.site, found.kind) == (NAME, SITE, "tied")
    assert found.l0 == pytest.approx(10, rel=0.2)
    assert 0 < found.fvu < 1
    assert Path(found.path).read_bytes() == stored(clone, first, PATH)
    assert capsys.readouterr().err == ""  # stamps lay beside, and spoke of these bytes
    git(clone, "diff", "--exit-code")


@pytest.mark.parametrize("url", ["{}", "file://{}"])
def test_what_was_not_pushed_is_named(clones, url, cache):
    with pytest.raises(
        BadInput, match=r"sparse_coding at HEAD: results/evaluation\S*: found nothing on its DVC remote .*dvc push"
    ):
        load_dictionary(**WISH, repo=url.format(clones[0]))
    assert not list(cache.rglob("*.part"))
    assert not list(cache.rglob("*.safetensors"))


def test_what_the_page_says(clones, monkeypatch):
    (clones[0].parent / "mine").mkdir()
    monkeypatch.chdir(clones[0].parent / "mine")
    (block,) = (one for one in blocks(ROOT / "docs/versions.md") if "repo=" in one)
    exec(block + "assert d.atoms.shape[1] == 128")


def test_by_a_path_inside_with_its_variant(clones):
    clone, first = clones
    plain = load_dictionary(PATH, repo=clone, revision=first)
    refit = load_dictionary(PATH, repo=clone, revision=first, variant="gain_refit")
    assert plain.l0 == pytest.approx(refit.l0)
    assert refit.fvu < plain.fvu
    assert not torch.equal(refit.gain, plain.gain)
    with pytest.raises(BadInput, match="a path that leads out of the repository"):
        load_dictionary("../sparse_coding/README.md", repo=clone)
    with pytest.raises(BadInput, match="no such file or folder"):
        load_dictionary("results/dictionaries/nothing", repo=clone, revision=first)


def test_a_whole_commit_is_found_in_the_cache_without_its_repository(clones, tmp_path, cache):
    clone, first = clones
    git(tmp_path, "clone", "-q", str(clone), "other")
    url = f"file://{tmp_path / 'other'}"
    before = load_dictionary(**WISH, repo=url, revision=first)
    git(clone, "-C", str(tmp_path / "other"), "status")
    shutil.rmtree(tmp_path / "other")
    again = load_dictionary(**WISH, repo=url, revision=first)
    assert torch.equal(again.atoms, before.atoms)
    with pytest.raises(BadInput, match="none that git can read"):
        load_dictionary(**WISH, repo=url)
    with pytest.raises(BadInput, match="none that git can read"):  # another one is not there
        load_dictionary(site="layer4_residual", architecture="tied", l0=10, repo=url, revision=first)


def test_what_is_damaged_in_the_cache_is_fetched_again(clones, cache):
    clone, first = clones
    found = load_dictionary(PATH, repo=clone, revision=first)
    whole = Path(found.path).read_bytes()
    Path(found.path).write_bytes(whole[:-1])  # a link to the content
    again = load_dictionary(PATH, repo=clone, revision=first)
    assert Path(again.path).read_bytes() == whole


def test_results_of_other_settings_than_those_of_the_commit(clones, tmp_path):
    git(tmp_path, "clone", "-qb", "first", str(clones[0]), "changed")
    changed = tmp_path / "changed"
    params = changed / "params.yaml"
    params.write_text(params.read_text().replace("steps: 1000", "steps: 1500"))
    commit(changed)
    with pytest.raises(BadInput, match=r"params.yaml: found other settings than those its results were made with"):
        load_dictionary(**WISH, repo=changed)
    assert load_dictionary(**WISH, repo=changed, stale=True).name == NAME


@pytest.fixture
def small(tmp_path) -> Path:
    """A repository with a few dictionaries, its remote a folder beside it."""
    root = tmp_path / "small"
    written(root)
    git(root, "init", "-q")
    dvc(root, "init", "-q")
    dvc(root, "remote", "add", "-q", "-d", "store", "../store")
    dvc(root, "add", "-q", "results/dictionaries", "results/evaluation", "results/baselines")
    dvc(root, "push", "-q")
    shutil.copytree(GOLDEN / "saelens" / "standard", root / "published")
    commit(root)
    return root


def test_a_remote_beside_the_repository_and_a_dictionary_of_another_library_in_git(small):
    shutil.rmtree(small / ".dvc/cache")
    found = load_dictionary(**WISH, repo=small)
    assert chosen(found) == NAME
    assert load_dictionary("published", repo=small).kind.startswith("saelens")
    assert load_dictionary("published/sae_weights.safetensors", repo=small).kind.startswith("saelens")
    with pytest.raises(BadInput, match=r"site: found 'nowhere'; wanted one of layer2_residual"):
        load_dictionary(site="nowhere", architecture="tied", repo=small)


def test_this_repository_at_a_revision_and_what_is_not_committed_does_not_count(small, monkeypatch):
    monkeypatch.chdir(small)
    shutil.rmtree(small / "results")
    assert chosen(load_dictionary(**WISH, revision="HEAD")) == NAME
    with pytest.raises(BadInput, match="no revision HEAD~7"):
        load_dictionary(**WISH, revision="HEAD~7")


def test_damaged_objects_leave_nothing_behind(small, cache):
    shutil.rmtree(small / ".dvc/cache")
    (md5,) = [
        each["md5"]
        for listing in (small.parent / "store/files/md5").rglob("*.dir")
        for each in json.loads(listing.read_text())
        if each["relpath"] == f"{SITE}/{NAME}.safetensors"
    ]
    place = small.parent / "store/files/md5" / md5[:2] / md5[2:]
    place.chmod(0o644)
    place.write_bytes(b"x" * 100)
    with pytest.raises(BadInput, match=f"{NAME}.safetensors: found content of MD5 .* wanted {md5}"):
        load_dictionary(PATH, repo=small)
    assert not list(cache.rglob(f"*{NAME}*"))
    assert not (cache / "files" / md5[:2] / md5[2:]).exists()
    place.unlink()
    with pytest.raises(BadInput, match=f"{NAME}.safetensors: found nothing on its DVC remote"):
        load_dictionary(PATH, repo=small)


def test_what_is_no_repository_has_no_dvc_or_no_results(tmp_path):
    with pytest.raises(BadInput, match=r"repository .*nothing: found none that git can read"):
        load_dictionary(**WISH, repo=tmp_path / "nothing")
    bare = tmp_path / "bare"
    bare.mkdir()
    git(bare, "init", "-q")
    with pytest.raises(BadInput, match="found no revision HEAD"):
        load_dictionary(**WISH, repo=bare)
    (bare / "a").touch()
    commit(bare)
    for repo in (bare, f"file://{bare}"):
        with pytest.raises(BadInput, match=r"found no DVC \(no .dvc in it\)"):
            load_dictionary(**WISH, repo=repo)
    dvc(bare, "init", "-q")
    commit(bare)
    with pytest.raises(BadInput, match=r"bare at HEAD: results/evaluation: found nothing evaluated yet"):
        load_dictionary(**WISH, repo=bare)
