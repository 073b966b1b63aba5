#!/usr/bin/python3
"""Reads FOLDER/*.onnx with onnx.checker, and runs them with OpenCV where it knows the layers, against FOLDER/*.json.

Ends with 77 where onnx, numpy or OpenCV is missing, and prints only what is wrong.
"""
import json
import pathlib
import sys

try:
    import cv2
    import numpy as np
    import onnx
    import onnx.checker
    import onnx.shape_inference
except ImportError:
    sys.exit(77)

# OpenCV 4.6 takes no GRU with batches of unknown size, and no Clip whose bounds are inputs (operator set 11 and later).
UNKNOWN_TO_OPENCV = {"gru-char", "mobilenet-tiny"}


def main():
    failed = False
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
        said = json.loads(path.with_suffix(".json").read_text())
        model = onnx.load(str(path))
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0]
        sizes = [size.dim_value for size in inferred.type.tensor_type.shape.dim][1:]
        if np.prod(sizes) != len(said["outputs"]):
            print(f"{path.name}: an output of {sizes}")
            failed = True
        if path.stem in UNKNOWN_TO_OPENCV:
            continue
        shape = [max(size.dim_value, 1) for size in model.graph.input[0].type.tensor_type.shape.dim]
        network = cv2.dnn.readNetFromONNX(str(path))
        network.setInput(np.array(said["inputs"], dtype=np.float32).reshape(shape))
        difference = np.abs(network.forward().reshape(-1) - np.array(said["outputs"], dtype=np.float32)).max()
        if not difference < 1e-5:
            print(f"{path.name}: OpenCV's outputs differ by {difference}")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
