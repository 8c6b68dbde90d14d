"""Knowledge distillation as its users write it today: the loop that ours is measured against.

Worker processes decode nothing but augment picture by picture with torchvision's transforms on PIL images; the
teacher runs beside the student in every step; everything is float32. What it leaves out (accuracies,
checkpoints) makes it faster than most.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

TEMPERATURE, ALPHA = 4.0, 0.9


class Pictures(Dataset[tuple[Tensor, int]]):
    """As torchvision's own CIFAR100: an array in memory, an item through PIL."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, padding: int) -> None:
        self.images, self.labels = images, labels
        mean, std = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(images.shape[1], padding=padding),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


@dataclass
class Textbook:
    """A loop with its models; `loader` keeps its workers from one epoch to the next."""

    teacher: nn.Module
    student: nn.Module
    loader: DataLoader[tuple[Tensor, int]]
    device: torch.device

    @classmethod
    def of(
        cls,
        teacher: nn.Module,
        student: nn.Module,
        data: Pictures,
        batch: int,
        workers: int,
        device: torch.device,
    ) -> Textbook:
        loader = DataLoader(
            data,
            batch,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
        )
        return cls(teacher.to(device).eval(), student.to(device).train(), loader, device)

    def rate(self) -> float:
        """Images a second of one epoch but for its first step, while which the workers get going."""
        optimizer = torch.optim.SGD(self.student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        seen, running, started = 0, 0.0, 0.0
        for number, (pictures, labels) in enumerate(self.loader):
            pictures, labels = pictures.to(self.device), labels.to(self.device)
            with torch.no_grad():
                teacher_logits = self.teacher(pictures)
            loss = distillation_loss(self.student(pictures), teacher_logits, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            running += loss.item()
            if number == 0:
                started = time.perf_counter()
            else:
                seen += len(labels)
        assert np.isfinite(running), running
        return seen / (time.perf_counter() - started)


class Apart:
    """The loop in a process of its own, where nothing that the product sets for itself reaches it."""

    def __init__(self, loop: Textbook) -> None:
        context = get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(loop, other))
        self.process.start()
        other.close()

    def rate(self) -> float:
        self.connection.send(True)
        return float(self.connection.recv())

    def end(self) -> None:
        self.connection.send(False)
        self.process.join()


def _serve(loop: Textbook, connection: Connection) -> None:
    while connection.recv():
        connection.send(loop.rate())


def distillation_loss(logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    soft = F.kl_div(
        F.log_softmax(logits / TEMPERATURE, dim=1),
        F.softmax(teacher_logits / TEMPERATURE, dim=1),
        reduction="batchmean",
    )
    return ALPHA * TEMPERATURE**2 * soft + (1 - ALPHA) * F.cross_entropy(logits, labels)
