#!/usr/bin/env python3
"""PyTorch as a contestant of train_bench: the same two models, one thread, plain SGD, batches ready in memory.

Reads "MODEL BATCH SECONDS" a line and answers "<images a second, best tenth> <KiB resident at most>"; see
train_server.h.
"""
import resource
import sys
import time

import torch
from torch import nn

IMAGES = 1024


def model_of(name):
    if name == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
                             nn.Linear(64, 10))
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Flatten(), nn.Linear(1568, 128), nn.ReLU(), nn.Linear(128, 10))


def rate_of(name, batch, seconds):
    model = model_of(name)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    loss_of = nn.CrossEntropyLoss()
    images = torch.rand(IMAGES, 1, 28, 28).split(batch)
    labels = torch.randint(0, 10, (IMAGES,)).split(batch)
    whole = IMAGES // batch

    def run(steps, first):
        for step in range(first, first + steps):
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(images[step % whole]), labels[step % whole]).backward()
            optimizer.step()

    run(5, 0)
    begin = time.process_time()
    run(5, 5)
    once = (time.process_time() - begin) / 5
    steps = max(1, int(max(seconds / 10, 0.002) / once))
    best = float("inf")
    for part in range(10):
        begin = time.process_time()
        run(steps, part * steps)
        best = min(best, time.process_time() - begin)
    return steps * batch / best


def main():
    torch.manual_seed(1)
    torch.set_num_threads(1)
    for line in sys.stdin:
        words = line.split()
        if len(words) != 3:
            print("none", flush=True)
            continue
        rate = rate_of(words[0], int(words[1]), float(words[2]))
        print(f"{rate:.1f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}", flush=True)


if __name__ == "__main__":
    main()
