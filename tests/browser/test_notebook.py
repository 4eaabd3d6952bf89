"""What a member, a colleague and an outsider see of a project's hub."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Error, expect

MARK = uuid.uuid4().hex


@pytest.fixture(scope="module")
def shared(setting):
    """A file in the project's folder that this run writes."""
    return f"/srv/data/projects/{setting.project}/browser-{MARK[:8]}.txt"


@pytest.fixture(scope="module")
def written(browsers, setting, shared):
    """The first member's work: a notebook on the project's kernel that writes to the shared folder."""
    with browsers.visitor(setting.members[0]) as member:
        member.log_in()
        member.open_lab()
        member.shot("1-launcher")
        member.new_notebook()
        prefix = member.run_cell("import sys; print(sys.prefix)")
        total = member.run_cell(
            f"import numpy\nwith open('{shared}', 'w') as out:\n"
            f"    out.write('{MARK} ' + str(numpy.arange(10).sum()))\nprint('sum', numpy.arange(10).sum())"
        )
        member.run_cell(f"import pathlib\npathlib.Path.home().joinpath('private.txt').write_text('{MARK}')")
        member.shot("2-cell-ran")
        return {"prefix": prefix, "total": total}


def test_member_runs_a_cell_in_the_projects_environment(written, setting):
    """The kernel is the project's, not the one of the server."""
    assert f"{setting.project}-{setting.environment}" in written["prefix"]
    assert written["total"].strip() == "sum 45"


def test_colleague_reads_and_edits_the_shared_file(browsers, setting, written, shared):
    """A second member reads what the first wrote, and writes to the same file."""
    with browsers.visitor(setting.members[1]) as colleague:
        colleague.log_in()
        colleague.open_lab()
        colleague.new_notebook()
        assert colleague.run_cell(f"print(open('{shared}').read())").strip() == f"{MARK} 45"
        assert colleague.run_cell(f"print(open('{shared}', 'a').write(' and more'))").strip() == "9"
        home = colleague.run_cell(f"open('/srv/data/home/{setting.members[0]}/private.txt').read()")
        assert "PermissionError" in home
        colleague.shot("3-reads-shared")


def test_colleague_is_kept_out_of_the_members_server(browsers, setting, written):
    """A shared project is not a shared server."""
    with browsers.visitor(setting.members[1]) as colleague:
        colleague.log_in()
        assert colleague.status(f"/user/{setting.members[0]}/lab") == 403
        colleague.shot("4-others-server")


def test_outsider_is_refused(browsers, setting):
    """A valid password of somebody in no project of this machine opens nothing."""
    with browsers.visitor(setting.outsider) as outsider:
        outsider.log_in()
        assert outsider.page.url.startswith(f"{setting.url}/hub/login")
        refusal = outsider.page.locator("body")
        expect(refusal).to_contain_text("Invalid username or password")
        outsider.shot("5-refused")
        assert outsider.status(f"/user/{setting.members[0]}/lab") in (200, 403)
        assert "/hub/login" in outsider.page.url


def test_wrong_password_is_refused(browsers, setting):
    """And the page says no more than that."""
    with browsers.visitor(setting.members[0]) as member:
        member.log_in(password=f"not {MARK}")
        expect(member.page.locator(".login_error")).to_have_text("Invalid username or password")
        member.shot("6-wrong-password")


def test_browser_without_the_authority_warns(stranger, setting):
    """The certificate is judged: without the authority the browser refuses to go on."""
    with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
        stranger.goto(setting.url)
