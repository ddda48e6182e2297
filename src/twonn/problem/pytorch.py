"""Modules of PyTorch: made from arrays, and read into them once it is sure that they compute the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twonn.arguments import ArgumentTypeError, ArgumentValueError, Verbatim, real_array

if TYPE_CHECKING:
    import torch

#: Pre-activations at which a module is asked whether it is the network: an activation that is no ReLU differs
#: from it near its kink (GELU), below it (leaky ReLU), or far above it (ReLU6).
_PROBED = tuple(sign * size for size in (2.0**-20, 1.0, 2.0**20) for sign in (-1.0, 1.0))


_EXPECTED = "a torch.nn.Module such as Sequential(Linear(d, 2), ReLU(), Linear(2, 1, bias=False))"


def module_of(w: NDArray[np.float64], b: NDArray[np.float64], v: NDArray[np.float64]) -> torch.nn.Sequential:
    """Return a module with these parameters, as `Params.to_torch` says."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("Params.to_torch needs PyTorch; install it with: pip install torch") from error
    hidden = torch.nn.Linear(w.shape[1], 2, dtype=torch.float64)
    output = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        # As lists: a tensor would share the memory of these read-only arrays.
        hidden.weight.copy_(torch.tensor(w.tolist(), dtype=torch.float64))
        hidden.bias.copy_(torch.tensor(b.tolist(), dtype=torch.float64))
        output.weight.copy_(torch.tensor([v.tolist()], dtype=torch.float64))
    return torch.nn.Sequential(hidden, torch.nn.ReLU(), output)


def read_from_torch(module: Any) -> dict[str, NDArray[np.float64]]:
    """Return w, b and v of a PyTorch module that computes f; refuse any other."""
    if isinstance(module, type) or not (callable(module) and hasattr(module, "state_dict")):
        raise ArgumentTypeError("module", module, _EXPECTED, "Pass the module itself.")
    _check_dtypes(module.state_dict(), "module")
    # A copy in binary64 on the CPU: nothing is rounded any more, and the module stays as it is.
    module = copy.deepcopy(module).cpu().double()
    params = _parameters(module.state_dict(), "module")
    _check_computes(module, **params)
    return params


def read_states(argument: str, states: Sequence[Mapping[str, Any]]) -> list[dict[str, NDArray[np.float64]]]:
    """Return w, b and v in state dicts of such a module, which do not say what the module computes."""
    found, places = [], set()
    for index, state in enumerate(states):
        called = f"{argument}[{index}]"
        for name, tensor in state.items():
            if not hasattr(tensor, "is_floating_point"):
                raise ArgumentTypeError(f"{called}.{name}", tensor, "a tensor", "Use module.state_dict().")
        _check_dtypes(state, called)
        found.append(_parameters({name: tensor.cpu().double() for name, tensor in state.items()}, called))
        places.add(tuple(tensor.data_ptr() for tensor in state.values()))
    if len(places) < len(states):  # a state dict refers to the module's own tensors, which training changes
        raise ArgumentValueError(
            argument,
            Verbatim("state dicts that share their tensors, so that all of them hold the latest numbers"),
            "one copy of the module's tensors for each sample",
            "Save copy.deepcopy(module.state_dict()).",
        )
    return found


def _check_dtypes(state: Mapping[str, Any], argument: str) -> None:
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            raise ArgumentTypeError(
                f"{argument}.{name}",
                Verbatim(f"dtype {tensor.dtype}"),
                "real floating-point numbers",
                "Convert the module with module.double() first.",
            )


def _parameters(state: Mapping[str, Any], argument: str) -> dict[str, NDArray[np.float64]]:
    """Return w, b and v of tensors in binary64, finite, and without an output bias."""
    found = _by_shape(state, argument)
    if np.any(found.pop("output bias", np.zeros(1)) != 0):
        raise ArgumentValueError(
            argument,
            Verbatim("an output bias other than 0"),
            "a network without output bias",
            "Build its last layer with bias=False.",
        )
    params = {"b": np.zeros(2), **found}
    for name, array in params.items():
        real_array(name, array)  # refuses what is not finite before it is computed with
    return params


def _by_shape(state: Mapping[str, Any], argument: str) -> dict[str, NDArray[np.float64]]:
    """Return the tensors of a module by what their shapes say they are; w and v are there for certain."""
    found: dict[str, NDArray[np.float64]] = {}
    for name, tensor in state.items():
        shape = tuple(tensor.shape)
        role = {(1, 2): "v", (2,): "b", (1,): "output bias"}.get(shape)
        if role is None and len(shape) == 2 and shape[0] == 2 and shape[1] >= 1:
            role = "w"
        if role is None or role in found:
            what = "one more tensor" if role in found else "a tensor"
            raise ArgumentValueError(
                f"{argument}.{name}",
                Verbatim(f"{what} of shape {shape}"),
                "one of shape (2, d), one of shape (1, 2), and for the biases at most one of shape (2,)",
                f"Build {_EXPECTED.removeprefix('a ')}.",
            )
        found[role] = tensor.detach().numpy().reshape(2) if role == "v" else tensor.detach().numpy()
    if missing := {"w": "(2, d)", "v": "(1, 2)"}.keys() - found.keys():
        names = " and ".join(f"no tensor for {name}" for name in sorted(missing))
        raise ArgumentValueError(
            argument, Verbatim(names), _EXPECTED, "Give it a hidden and an output layer."
        )
    return found


def _check_computes(
    module: Any, w: NDArray[np.float64], b: NDArray[np.float64], v: NDArray[np.float64]
) -> None:
    """Refuse a module that is not the network with these parameters, by its values at some points."""
    points = _probes(w, b)
    tensor = next(iter(module.state_dict().values()))
    try:
        got = module(tensor.new_tensor(points.tolist())).detach().numpy()
    except Exception as error:  # whatever a forward function may raise
        raise ArgumentValueError(
            "module",
            Verbatim(f"{type(error).__name__} when called ({error})"),
            f"a module of rows of {w.shape[1]} numbers",
            "Let its forward function take a tensor of shape (n, d).",
        ) from error
    f = np.maximum(points @ w.T + b, 0) @ v
    # Two sums of d + 1 products, their two multiples by v and the sum of these: d + 4 roundings by 2^-53 at
    # most on the way to a value, in the module and here, and as much again to spare.
    bound = (np.abs(points) @ np.abs(w).T + np.abs(b)) @ np.abs(v) * (4 * (w.shape[1] + 4)) * 2.0**-53
    if got.size != len(f) or not np.all(np.abs(got.reshape(-1) - f) <= bound):
        raise ArgumentValueError(
            "module",
            Verbatim("a module that computes something else"),
            "v_0 relu(w_0·x + b_0) + v_1 relu(w_1·x + b_1), by the parameters it holds",
            "Use a ReLU between the two layers, and nothing before or after them.",
        )


def _probes(w: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points at which every neuron is on both sides of its kink, near and far."""
    points = [np.zeros(w.shape[1]), np.cos(np.arange(1.0, w.shape[1] + 1))]
    for row, bias in zip(w, b, strict=True):
        if np.any(row != 0):
            points += [(z - bias) * row / (row @ row) for z in _PROBED]
    return np.array(points)
