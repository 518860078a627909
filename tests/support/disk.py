"""A disk as a power cut may leave it. app/journal.c has recorded the changes that a daemon made. Here they are made again, up to the
moment of the power cut. Of the changes that were not synced by then, some are lost: bytes of files, by blocks, and names in folders."""
import random
from dataclasses import dataclass, field
from pathlib import Path

BLOCKS = (512, 4096)   # sizes that a disk writes whole


@dataclass
class File:
    synced: bytes = b""
    since: list = field(default_factory=list)   # its contents after each change since the last sync

    def now(self):
        return self.since[-1] if self.since else self.synced

    def becomes(self, content):
        self.since.append(content)

    def sync(self):
        self.synced, self.since = self.now(), []


@dataclass
class Folder:
    synced: dict = field(default_factory=dict)   # name -> File or Folder
    names: dict = field(default_factory=dict)

    def sync(self):
        self.synced = dict(self.names)


@dataclass
class Entry:
    kind: str
    inode: int
    offset: int
    path: str
    to: str
    content: bytes


def read_journal(path):
    entries = []
    with open(path, "rb") as file:
        while line := file.readline():
            numbers, name, to = line.decode().rstrip("\n").split("\t")
            kind, inode, offset, length = numbers.split(" ")
            entries.append(Entry(kind, int(inode), int(offset), name, to, file.read(int(length))))
    return entries


class Luck:
    """Decides which changes that were not synced survive."""

    def __init__(self, name, seed=None):
        self.name, self.random = name, random.Random(seed)

    def __str__(self):
        return self.name

    def keeps(self):
        return {"nothing": False, "everything": True}.get(self.name, self.random.random() < 0.5)

    def content(self, file):
        if self.name == "nothing" or not file.since:
            return file.synced
        if self.name == "everything":
            return file.now()
        versions = [file.synced, *file.since]
        size, block = len(self.random.choice(versions)), self.random.choice(BLOCKS)
        blocks = (self.random.choice(versions)[at:at + block] for at in range(0, size, block))
        return b"".join(content.ljust(block, b"\0") for content in blocks)[:size]


class Disk:
    """The folder `root`, which holds a replica and the state file. The database, which is there too, is left out."""

    def __init__(self, root, state):
        self.root, self.state = Path(root), Path(state)
        self.inodes, self.told, self.linked = {}, {}, {}
        self.database_changed = False
        self.top = self.load(self.root)

    def load(self, folder):
        """Takes what the folder holds now as synced."""
        loaded = Folder()
        for path in folder.iterdir():
            if path.is_dir():
                loaded.names[path.name] = self.load(path)
            elif folder != self.root or path == self.state:
                loaded.names[path.name] = self.inodes[path.stat().st_ino] = File(path.read_bytes())
        loaded.sync()
        return loaded

    def is_taken_over(self):
        """Another process continues with the files. They were written again by the test, so they have other inodes."""
        self.inodes, self.linked, self.database_changed = {}, {}, False
        self.meet(self.top, self.root)

    def meet(self, folder, path):
        for name, node in folder.names.items():
            if isinstance(node, Folder):
                self.meet(node, path / name)
            else:
                self.inodes[(path / name).stat().st_ino] = node

    def folder_of(self, path):
        node = self.top
        for part in Path(path).relative_to(self.root).parts[:-1]:
            node = node.names[part]
        return node.names

    def find(self, path):
        return self.top if Path(path) == self.root else self.folder_of(path).get(Path(path).name)

    def does(self, entry):
        """Makes one change of the journal."""
        getattr(self, f"on_{entry.kind}")(entry, Path(entry.path).name)

    def on_create(self, entry, name):
        file = self.inodes[entry.inode] = File()
        if not isinstance(self.find(entry.path), Folder):   # a folder is opened for a file without a name (O_TMPFILE)
            self.folder_of(entry.path)[name] = file

    def on_write(self, entry, _):
        before = self.inodes[entry.inode].now().ljust(entry.offset, b"\0")
        self.inodes[entry.inode].becomes(before[:entry.offset] + entry.content + before[entry.offset + len(entry.content):])

    def on_length(self, entry, _):
        self.inodes[entry.inode].becomes(self.inodes[entry.inode].now()[:entry.offset].ljust(entry.offset, b"\0"))

    def on_grow(self, entry, _):
        self.inodes[entry.inode].becomes(self.inodes[entry.inode].now().ljust(entry.offset, b"\0"))

    def on_sync(self, entry, _):
        node = self.find(entry.path)
        (node if isinstance(node, Folder) else self.inodes[entry.inode]).sync()

    def on_link(self, entry, _):
        self.folder_of(entry.to)[Path(entry.to).name] = self.inodes[entry.inode]
        self.linked[entry.inode] = entry.to

    def on_rename(self, entry, name):
        self.folder_of(entry.to)[Path(entry.to).name] = self.folder_of(entry.path).pop(name)

    def on_unlink(self, entry, name):
        self.folder_of(entry.path).pop(name, None)

    def on_mkdir(self, entry, name):
        self.folder_of(entry.path)[name] = Folder()

    def on_close(self, entry, _):
        """The process closes a file that has its final name. It now believes that the file is durable."""
        if entry.inode in self.linked:
            path = self.linked.pop(entry.inode)
            self.told[str(Path(path).relative_to(self.root))] = self.inodes[entry.inode].now()

    def on_database(self, *_):
        self.database_changed = True

    def on_state(self, entry, _):
        """Bytes of the state file, which the process changed by stores to mapped memory."""
        self.inodes[entry.inode].becomes(entry.content)

    def survives(self, luck, folder=None):
        """The content of the folder after a power cut now: name -> bytes, or name -> content of a folder."""
        folder = folder or self.top
        found = {}
        for name in sorted(folder.synced.keys() | folder.names.keys()):
            before, now = folder.synced.get(name), folder.names.get(name)
            node = before if before is now or not luck.keeps() else now
            if isinstance(node, Folder):
                found[name] = self.survives(luck, node)
            elif node is not None:
                found[name] = luck.content(node)
        return found


def write_tree(folder, tree):
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            write_tree(folder / name, content)
        else:
            (folder / name).write_bytes(content)


def write_in_place(path, content):
    """Replaces the content and keeps the inode, as after a power cut."""
    with open(path, "r+b") as file:
        file.truncate(len(content))
        file.write(content)


class Kept:
    """A file that can be away for a while and then comes back with the same inode. It always has exactly one name."""

    def __init__(self, path, folder):
        self.path = Path(path)
        self.inode = self.path.stat().st_ino
        self.away = Path(folder) / f"kept-{self.inode}"

    def put(self, content):
        """Puts the file in its place with this content. None: takes the file away."""
        if self.path.exists() and self.path.stat().st_ino == self.inode:
            self.path.rename(self.away)
        self.path.unlink(missing_ok=True)   # a file that the program made at this path
        if content is not None:
            self.away.rename(self.path)
            write_in_place(self.path, content)
