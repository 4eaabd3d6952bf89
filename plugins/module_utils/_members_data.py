"""Read-only data folders of a project: readable by its members, writable by the named writers and nobody else."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ansible_collections.atelier.datalab.plugins.module_utils._hosts import HostError, attributes, make_directory
from ansible_collections.atelier.datalab.plugins.module_utils._members import reader_acl

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"


def acl(target: int | Path, kind: str) -> bytes | None:
    """An access list as the kernel gives it, None where there is none."""
    try:
        return os.getxattr(target, kind)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


class Folders:
    """The read-only folders of one project on one host.

    :param base: directory of the project's folders; the name of each is the folder's.
    :param gid: number of the project's group.
    :param check: only say what would change.
    """

    def __init__(self, base: Path, gid: int, check: bool) -> None:
        self.base, self.gid, self.check = base, gid, check

    def converge(self, wanted: dict[str, list[int]]) -> list[str]:
        """Make the folders so, close the others; return what was (or would be) changed, in words.

        :param wanted: uids of the writers by name of the folder.
        :raises HostError: when something else stands at the path of a folder.
        """
        there = sorted(p.name for p in self.base.iterdir() if p.is_dir()) if self.base.is_dir() else []
        said = []
        if wanted or there:
            said += make_directory(self.base.parent, 0, 0, 0o711, self.check)
            said += make_directory(self.base, 0, self.gid, 0o750, self.check)
        for name, writers in wanted.items():
            said += self.open(self.base / name, writers)
        for name in there:
            if name not in wanted:
                said += make_directory(self.base / name, 0, 0, 0o700, self.check)
        return said

    def open(self, path: Path, writers: list[int]) -> list[str]:
        """One folder for its readers and writers; its content is gone through when the writers change."""
        now = attributes(path)
        if now is not None and now["kind"] != "directory":
            raise HostError(f"{path} exists and is not a directory; move it away, then run again")
        wanted = reader_acl(self.gid, writers, execute=True)
        if now is not None and self.settled(path, wanted):
            return []
        if not self.check:
            if now is None:
                path.mkdir(mode=0o700)
            self.settle_tree(path, writers)
        return [f"{path}: created" if now is None else f"{path}: readers and writers, with all that is in it"]

    def settled(self, path: Path, wanted: bytes) -> bool:
        """Whether a folder is as it should be, apart from what is in it."""
        found = path.stat()
        return (
            (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, self.gid, 0o2770)
            and acl(path, ACCESS) == wanted
            and acl(path, DEFAULT) == wanted
        )

    def settle_tree(self, path: Path, writers: list[int]) -> None:
        """Give everything below its access list; what is not a writer's becomes root's.

        By descriptors and never through links, so that nobody who writes there meanwhile can lead root astray. The
        folder is closed to writers first and gets its last mode last: an interrupted run is seen by the next one.
        """
        top = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        try:
            os.fchown(top, 0, self.gid)
            os.setxattr(top, ACCESS, reader_acl(self.gid, [], execute=True))
            os.fchmod(top, 0o0770)
            for _, names, files, here in os.fwalk(path, topdown=True, follow_symlinks=False):
                for name in (*names, *files):
                    self.settle_entry(name, here, writers)
            self.settle(top, writers)
        finally:
            os.close(top)

    def settle_entry(self, name: str, here: int, writers: list[int]) -> None:
        """One entry of the directory open as ``here``."""
        try:
            inside = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
        except OSError:  # a link, a socket, or gone: it has no content that a list could protect
            return
        try:
            self.settle(inside, writers)
        finally:
            os.close(inside)

    def settle(self, target: int, writers: list[int]) -> None:
        """Owner, group and access list of one open file or directory."""
        found = os.fstat(target)
        directory = stat.S_ISDIR(found.st_mode)
        if not directory and not stat.S_ISREG(found.st_mode):
            return
        os.fchown(target, found.st_uid if found.st_uid in writers else 0, self.gid)
        wanted = reader_acl(self.gid, writers, execute=directory or bool(found.st_mode & stat.S_IXUSR))
        os.setxattr(target, ACCESS, wanted)
        if directory:
            os.setxattr(target, DEFAULT, wanted)
            os.fchmod(target, 0o2770)  # the middle digit is the list's mask: what the group may do is in the list
