"""Disks that fail or hang when a test wants it. app/faults.c lists the faults."""
from application import FAULTS


class Faults:
    """Starts daemons, and switches faults on and off for them."""

    def __init__(self, stage):
        self.stage = stage
        self.folder = stage.folder / "faults"
        self.folder.mkdir()

    def on(self, fault, pattern):
        (self.folder / f"{fault}.met").unlink(missing_ok=True)
        new = self.folder / "new"
        new.write_text(pattern)
        new.rename(self.folder / fault)

    def off(self, fault):
        (self.folder / fault).unlink()

    def met(self, fault):
        return (self.folder / f"{fault}.met").exists()

    def replicate(self, *options, **more):
        return self.stage.replicate(*options, environment=self.environment(), **more)

    def environment(self):
        """Variables of a daemon that is to have faults."""
        return {"LD_PRELOAD": str(FAULTS), "FAULTS": str(self.folder)}

    def replicate_to(self, replicas, *options):
        """Starts a daemon that has several replicas of one database."""
        return self.replicate(*options, replica=replicas[0], also=replicas[1:], live=False)
