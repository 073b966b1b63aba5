#!/usr/bin/python3
"""What PyTorch makes of every layer, every loss and every built-in model: the files next to this one.

  make_golden.py            writes *.json (needs PyTorch; in double precision, so that rounding is the C++ side's alone)
  make_golden.py --check    computes everything again and compares; ends with 77 where PyTorch or tomllib is missing

Each file says a model as a model file, and of three examples the outputs, the mean loss, the gradient of every tensor,
and every tensor after ten steps on all three. Weights and examples are not in the files: both sides draw them from the
generator that counter() is. Tensors of more than 64 values are there as their sum, the sum of their magnitudes, and 32
values at equal distances.
"""
import json
import math
import pathlib
import re
import sys

try:
    import tomllib
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    print(f"make_golden.py: {missing}")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parents[2] / "coordinator" / "config" / "builtin_models.cc"
EXAMPLES = 3
STEPS = 10
MASK = (1 << 64) - 1


def mix64(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def counter(key, part, count):
    """`count` numbers in [0, 1), multiples of 2^-24: CounterRng(derive_key(key, part)) of runtime/base/rng.h."""
    mixed = mix64(mix64(key ^ mix64(part)))
    low, high = np.uint32(mixed & 0xFFFFFFFF), np.uint32(mixed >> 32)
    value = np.arange(count, dtype=np.uint32) ^ low
    value = (value ^ (value >> np.uint32(16))) * np.uint32(0x7FEB352D)
    value = (value ^ (value >> np.uint32(15))) * np.uint32(0x846CA68B)
    value = (value ^ (value >> np.uint32(16))) + high
    value = (value ^ (value >> np.uint32(16))) * np.uint32(0x21F0AAAD)
    value = (value ^ (value >> np.uint32(15))) * np.uint32(0xD35A2D97)
    value = value ^ (value >> np.uint32(15))
    return (value >> np.uint32(8)).astype(np.float64) / 2**24


class Model:
    """A model file's layers over tensors [examples, channels, height, width]."""

    def __init__(self, text):
        self.file = tomllib.loads(text)
        shape = self.file["input"]
        self.input = tuple(shape) if len(shape) == 3 else (shape[0], 1, 1)
        self.tensors = []  # (name, tensor) in the layout's order
        self.statistics = set()
        with torch.no_grad():
            self.building = True
            self.forward(self.examples())
            self.building = False

    def examples(self):
        count = math.prod(self.input)
        values = counter(21, 0, EXAMPLES * count)
        first = self.file["layer"][0]
        values = np.floor(values * first["vocabulary"]) if first["kind"] == "embedding" else values * 2 - 1
        return torch.from_numpy(values).reshape(EXAMPLES, *self.input)

    def tensor(self, index, kind, part, shape, fan_in, initial=0.0):
        if self.building:
            count = math.prod(shape)
            values = counter(20, len(self.tensors), count)
            if fan_in:
                values = np.float32(math.sqrt(1.0 / fan_in)).astype(np.float64) * (2 * values - 1)
            else:
                values = initial + (values if part == "variance" else 0.25 * (values - 0.5))
            values = values.astype(np.float32).astype(np.float64)
            made = torch.from_numpy(values).reshape(shape).clone()
            statistic = part in ("mean", "variance")
            made.requires_grad_(not statistic)
            if statistic:
                self.statistics.add(len(self.tensors))
            self.tensors.append((f"{index}.{kind}.{part}", made))
            return made
        self.next += 1
        return self.tensors[self.next - 1][1]

    def forward(self, x):
        self.next = 0
        outputs, names = [x], {"input": 0}
        for index, layer in enumerate(self.file["layer"]):
            sources = layer.get("inputs", [])
            sources = [sources] if isinstance(sources, str) else sources
            find = lambda name: int(name[1:]) + 1 if name.startswith("#") else names[name]
            taken = [outputs[find(name)] for name in sources] or [outputs[-1]]
            outputs.append(self.apply(index, layer, taken))
            if "name" in layer:
                names[layer["name"]] = index + 1
        return outputs[-1]

    def apply(self, index, layer, inputs):
        kind, x = layer["kind"], inputs[0]
        channels, bias = x.shape[1], layer.get("bias", True)
        pair = lambda key, other, default: (
            [other, layer.get(key, default)] if kind.endswith("1d")
            else [layer.get(key, default)] * 2 if isinstance(layer.get(key, default), int) else layer[key])
        new = lambda name, part, shape, fan_in, initial=0.0: self.tensor(index, name, part, shape, fan_in, initial)
        if kind == "dense":
            weight = new(kind, "weight", (layer["units"], channels), channels)
            b = new(kind, "bias", (layer["units"],), 0) if bias else None
            return F.linear(x.flatten(1), weight, b)[:, :, None, None]
        if kind in ("conv2d", "conv1d", "depthwise_conv2d", "depthwise_conv1d"):
            groups = channels if kind.startswith("depthwise") else layer.get("groups", 1)
            units, kernel = layer.get("units", channels), pair("kernel", 1, None)
            fan_in = channels // groups * kernel[0] * kernel[1]
            weight = new("conv2d", "weight", (units, channels // groups, *kernel), fan_in)
            b = new("conv2d", "bias", (units,), 0) if bias else None
            return F.conv2d(x, weight, b, pair("stride", 1, 1), pair("padding", 0, 0), 1, groups)
        if kind in ("max_pool2d", "max_pool1d", "avg_pool2d", "avg_pool1d"):
            kernel = pair("kernel", 1, None)
            stride = pair("stride", 1, None) if "stride" in layer else kernel
            return (F.max_pool2d if kind.startswith("max") else F.avg_pool2d)(x, kernel, stride)
        if kind in ("batch_norm", "group_norm", "layer_norm"):
            shape = x.shape[1:] if kind == "layer_norm" else (channels,)
            scale, shift = new(kind, "scale", shape, 0, 1.0), new(kind, "shift", shape, 0)
            epsilon = float(np.float32(layer.get("epsilon", 1e-5)))
            if kind == "layer_norm":
                return F.layer_norm(x, shape, scale, shift, epsilon)
            if kind == "group_norm":
                return F.group_norm(x, layer["groups"], scale, shift, epsilon)
            mean, variance = new(kind, "mean", shape, 0), new(kind, "variance", shape, 0, 1.0)
            if self.building or not self.moving:  # what is only looked at moves no statistics
                mean, variance = mean.clone(), variance.clone()
            return F.batch_norm(x, mean, variance, scale, shift, True, 0.1, epsilon)
        if kind == "embedding":
            weight = new(kind, "weight", (layer["vocabulary"], layer["units"]), layer["units"])
            return F.embedding(x[:, 0, 0].long(), weight).transpose(1, 2)[:, :, None]
        if kind in ("gru", "lstm"):
            units = layer["units"]
            rows = units * (3 if kind == "gru" else 4)
            weights = [new(kind, "weight_input", (rows, channels), channels), new(kind, "weight_hidden", (rows, units), units)]
            if bias:
                weights += [new(kind, "bias_input", (rows,), 0), new(kind, "bias_hidden", (rows,), 0)]
            start = torch.zeros(1, x.shape[0], units)
            run = torch._VF.gru if kind == "gru" else torch._VF.lstm
            start = start if kind == "gru" else [start, start]
            steps = run(x[:, :, 0].transpose(1, 2), start, weights, bias, 1, 0.0, True, False, True)[0]
            steps = steps.transpose(1, 2)[:, :, None]
            return steps if layer.get("every_step") else steps[:, :, :, -1:]
        plain = {
            "relu": F.relu, "relu6": F.relu6, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu,
            "leaky_relu": lambda v: F.leaky_relu(v, float(np.float32(layer.get("slope", 0.01)))),
            "flatten": lambda v: v.flatten(1)[:, :, None, None],
            "dropout": lambda v: v,  # drops nothing here: which values it drops is for each side to draw
            "global_avg_pool": lambda v: v.mean((2, 3), keepdim=True),
            "global_max_pool": lambda v: v.amax((2, 3), keepdim=True),
            "add": lambda v: sum(inputs[1:], v), "concat": lambda v: torch.cat(inputs, 1),
            "reshape": lambda v: v.reshape(v.shape[0], *(layer["shape"] + [1, 1])[:3]),
        }
        return plain[kind](x)

    def targets(self, outputs):
        loss = self.loss_spec()
        values = lambda count: counter(22, 0, count)
        if loss["kind"] == "softmax":
            shape = (EXAMPLES, *outputs.shape[2:])
            return torch.from_numpy(np.floor(values(math.prod(shape)) * outputs.shape[1])).long().reshape(shape)
        if loss.get("target") == "input":
            return self.examples().reshape(outputs.shape)
        drawn = values(outputs.numel())
        drawn = np.floor(drawn * 2) if loss["kind"] == "binary" else drawn * 4 - 2
        return torch.from_numpy(drawn).reshape(outputs.shape)

    def loss_spec(self):
        loss = self.file.get("loss", "softmax")
        return {"kind": loss} if isinstance(loss, str) else loss

    def loss(self, outputs, targets):
        spec = self.loss_spec()
        if spec["kind"] == "softmax":
            return F.cross_entropy(outputs, targets, label_smoothing=float(np.float32(spec.get("label_smoothing", 0.0))))
        if spec["kind"] == "binary":
            return F.binary_cross_entropy_with_logits(outputs, targets)
        if spec["kind"] == "mse":
            return F.mse_loss(outputs, targets)
        return F.huber_loss(outputs, targets, delta=float(spec.get("delta", 1.0)))


def summary(tensor):
    values = tensor.detach().numpy().reshape(-1)
    rounded = lambda some: [float(f"{value:.9g}") for value in some]
    said = {"count": values.size, "largest": rounded([np.abs(values).max()])[0]}
    if values.size <= 64:
        return said | {"values": rounded(values)}
    places = [index * values.size // 32 for index in range(32)]
    return said | {"sum": rounded([values.sum()])[0], "magnitude": rounded([np.abs(values).sum()])[0],
                   "values": rounded(values[places])}


def golden(text, optimizer="sgd"):
    model = Model(text)
    x = model.examples()
    model.moving = False
    outputs = model.forward(x)
    targets = model.targets(outputs)
    loss = model.loss(outputs, targets)
    loss.backward()
    zero = lambda tensor: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    said = {"model": text, "optimizer": optimizer, "outputs": summary(outputs), "loss": float(f"{loss.item():.9g}"),
            "gradient": {name: summary(zero(tensor)) for name, tensor in model.tensors}}
    learnt = [tensor for _, tensor in model.tensors if tensor.requires_grad]
    steps = (torch.optim.SGD(learnt, lr=float(np.float32(0.02)), momentum=float(np.float32(0.9))) if optimizer == "sgd"
             else torch.optim.Adam(learnt, lr=float(np.float32(0.002)), betas=(float(np.float32(0.9)), float(np.float32(0.999))),
                                   eps=float(np.float32(1e-8))))
    model.moving = True
    for _ in range(STEPS):
        steps.zero_grad()
        model.loss(model.forward(x), targets).backward()
        steps.step()
    said["after"] = {name: summary(tensor) for name, tensor in model.tensors}
    return said


def single(name, shape, layers, classes, loss=None):
    lines = [f'name = "{name}"', f"input = {list(shape)}", f"{'classes' if loss is None else 'outputs'} = {classes}"]
    if loss:
        lines.append(f"loss = {loss}")
    lines += ["layer = ["] + ["  { " + layer + " }," for layer in layers] + ["]"]
    return "\n".join(lines) + "\n"


def cases():
    image, sequence = (3, 6, 6), (3, 1, 7)
    # In front of each layer another with weights, whose gradient shows the layer's own input gradient.
    before, after = 'kind = "conv2d", units = 4, kernel = 1', ['kind = "flatten"', 'kind = "dense", units = 3']
    alone = {
        "conv2d": 'kind = "conv2d", units = 6, kernel = [3, 2], stride = [1, 2], padding = [1, 0], groups = 2',
        "conv2d_5x5": 'kind = "conv2d", units = 3, kernel = 5, padding = 2, bias = false',
        "depthwise": 'kind = "depthwise_conv2d", kernel = 3, padding = 1, stride = 2',
        "max_pool2d": 'kind = "max_pool2d", kernel = 2', "max_pool2d_overlap": 'kind = "max_pool2d", kernel = 3, stride = 2',
        "avg_pool2d": 'kind = "avg_pool2d", kernel = [2, 3]', "global_avg_pool": 'kind = "global_avg_pool"',
        "global_max_pool": 'kind = "global_max_pool"', "relu": 'kind = "relu"', "relu6": 'kind = "relu6"',
        "leaky_relu": 'kind = "leaky_relu", slope = 0.1', "tanh": 'kind = "tanh"', "sigmoid": 'kind = "sigmoid"',
        "gelu": 'kind = "gelu"', "batch_norm": 'kind = "batch_norm"', "group_norm": 'kind = "group_norm", groups = 2',
        "layer_norm": 'kind = "layer_norm"', "reshape": 'kind = "reshape", shape = [12, 4, 3]',
    }
    for name, layer in alone.items():
        yield name, single(name, image, [before, layer] + after, 3), "sgd"
    for name in ("gru", "lstm"):
        steps = [before, f'kind = "{name}", units = 5, every_step = true', f'kind = "{name}", units = 4, bias = false'] + after
        yield name, single(name, sequence, steps, 3), "sgd"
    yield "embedding", single("embedding", (1, 1, 9), ['kind = "embedding", vocabulary = 6, units = 5',
                                                       'kind = "conv1d", units = 6, kernel = 1'], 6), "sgd"
    yield "join", single("join", image, ['kind = "conv2d", units = 3, kernel = 1, name = "a"', 'kind = "tanh", name = "b"',
                                         'kind = "add", inputs = ["a", "b", "input"], name = "c"',
                                         'kind = "concat", inputs = ["a", "c"]'] + after, 3), "sgd"
    dense = ['kind = "dense", units = 6', 'kind = "tanh"', 'kind = "dense", units = 4']
    for name, loss in {"binary": '"binary"', "mse": '"mse"', "huber": '{ kind = "huber", delta = 0.5 }'}.items():
        yield "loss_" + name, single("loss-" + name, (5,), dense, 4, loss), "sgd"
    smooth = single("loss-softmax", (5,), dense, 4).replace("layer = [", 'loss = { kind = "softmax", label_smoothing = 0.1 }\nlayer = [')
    yield "loss_softmax", smooth, "sgd"
    yield "adam", single("adam", image, [before, 'kind = "tanh"'] + after, 3), "adam"
    for name, text in re.findall(r'\{"([a-z0-9-]+)",\s*"[^"]*",\s*R"toml\((.*?)\)toml"', MODELS.read_text(), re.S):
        yield "model_" + name, text, "sgd"


def differs(a, b):
    """Where two golden values differ by more than rounding, or None."""
    if isinstance(a, dict):
        if a.keys() != b.keys():
            return "keys"
        return next((f"{key}: {found}" for key in a if (found := differs(a[key], b[key]))), None)
    if isinstance(a, list):
        return "length" if len(a) != len(b) else next((found for x, y in zip(a, b) if (found := differs(x, y))), None)
    same = math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) if isinstance(a, float) and isinstance(b, float) else a == b
    return None if same else f"{a} and {b}"


def main():
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    failed = False
    for name, text, optimizer in cases():
        path = HERE / (name + ".json")
        said = json.loads(json.dumps(golden(text, optimizer)))
        if "--check" not in sys.argv:
            path.write_text(json.dumps(said, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n")
        elif not path.exists() or (found := differs(json.loads(path.read_text()), said)):
            print(f"{path}: {found if path.exists() else 'is missing'}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
