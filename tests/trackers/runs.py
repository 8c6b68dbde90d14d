"""A run to follow, and a tracker that only notes what it is told."""

from dataclasses import dataclass, field

from distill_cli.trackers.tracker import Run

RUN = Run(
    name="mlp_24-digits-kd-t4-a0.9-s0-0123456789ab",
    stage="student",
    key="0123456789ab" + 52 * "0",
    command="distill run temperature=4",
    group="sweep_1",
    settings={
        "temperature": 4.0,
        "student": "mlp_24",
        "student.ema": None,
        "student.optimizer.nesterov": True,
    },
)
EPOCHS = ({"loss": 0.5, "lr": 0.1}, {"loss": 0.25, "lr": 0.05, "validation_top1": 0.75})


@dataclass(frozen=True)
class Notes:
    """Tracker and recorder at once."""

    told: list = field(default_factory=list)

    def start(self, run):
        self.told.append(("start", run.name))
        return self

    def record(self, epoch, figures):
        self.told.append((epoch, dict(figures)))

    def end(self, status):
        self.told.append(("end", status))


def follow(tracker) -> None:
    """All of a run, told to one tracker without a guard."""
    recorder = tracker.start(RUN)
    for epoch, figures in enumerate(EPOCHS, start=1):
        recorder.record(epoch, figures)
    recorder.end("finished")
