#!/usr/bin/python3
"""Models as PyTorch 1.13 exports them, with outputs: the .onnx and .json files next to this one.

Needs PyTorch and ../train/make_golden.py, whose counter() draws weights and examples.
"""
import json
import math
import pathlib
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "train"))
from make_golden import counter, np, torch  # noqa: E402  (it ends with 77 where PyTorch is missing)
from torch import nn  # noqa: E402


class Characters(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.embedding, self.gru, self.head = nn.Embedding(12, 6), nn.GRU(6, 8, batch_first=True), nn.Linear(8, 12)
        self.last = last

    def forward(self, x):
        steps = self.gru(self.embedding(x))[0]
        return self.head(steps[:, -1] if self.last else steps)


class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 7, batch_first=True), nn.Linear(7, 4)

    def forward(self, x):
        return self.head(self.lstm(x)[1][0][0])


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.GroupNorm(4, 8)
        self.depth, self.point = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1)
        self.side, self.batch = nn.Conv2d(8, 4, 1), nn.BatchNorm2d(12)
        self.layer, self.head = nn.LayerNorm([12, 8, 8]), nn.Linear(12, 5)

    def forward(self, x):
        x = nn.functional.gelu(self.norm(self.stem(x)))
        x = x + self.point(nn.functional.relu6(self.depth(x)))
        x = self.layer(self.batch(torch.cat([x, torch.tanh(self.side(x))], 1)))
        return self.head(nn.functional.leaky_relu(x, 0.2).mean([2, 3]))


def models():
    lenet = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
                          nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
                          nn.Linear(84, 10))
    waves = nn.Sequential(nn.Conv1d(3, 8, 5, stride=2, padding=2), nn.Sigmoid(), nn.MaxPool1d(2), nn.AvgPool1d(2),
                          nn.Conv1d(8, 6, 3), nn.Flatten(), nn.Dropout(0.3), nn.Linear(36, 4), nn.Softmax(1))
    yield "lenet", lenet, (1, 28, 28), None
    yield "waves", waves, (3, 64), None
    yield "residual", Residual(), (3, 8, 8), None
    yield "characters", Characters(False), (9,), 12
    yield "last_character", Characters(True), (9,), 12
    yield "memory", Memory(), (6, 3), None


def main():
    torch.set_num_threads(1)
    for name, model, shape, symbols in models():
        model.eval()
        with torch.no_grad():
            for index, (part, tensor) in enumerate(model.state_dict().items()):
                if tensor.dtype != torch.float32:
                    continue
                drawn = torch.from_numpy(counter(30, index, tensor.numel())).reshape(tensor.shape)
                scale = 1.0 if part.endswith("running_var") else 1.0 / math.sqrt(max(tensor[0].numel(), 4))
                tensor.copy_(drawn + 0.5 if scale == 1.0 else (drawn * 2 - 1) * scale)
        drawn = counter(31, 0, 2 * math.prod(shape)).reshape(2, *shape)
        x = torch.from_numpy(np.floor(drawn * symbols)).long() if symbols else torch.from_numpy(drawn * 2 - 1).float()
        torch.onnx.export(model, x[:1], str(HERE / (name + ".onnx")), opset_version=13, input_names=["input"],
                          output_names=["output"], dynamic_axes={"input": {0: "batch"}, "output": {0: "batch"}})
        # What stands before a softmax is what a model of ours gives.
        before = nn.Sequential(*list(model)[:-1]) if isinstance(model, nn.Sequential) and name == "waves" else model
        with torch.no_grad():
            outputs = before(x)
        # Ours has the channels before the steps.
        if outputs.dim() == 3:
            outputs = outputs.transpose(1, 2)
        said = {"outputs": [float(f"{value:.9g}") for value in outputs.reshape(-1).tolist()]}
        # And how ours takes the input: channels first.
        if name == "memory":
            said["steps_first"] = [6, 3]
        (HERE / (name + ".json")).write_text(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
