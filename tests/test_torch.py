"""PyTorch modules in and out: what is read from them, and what is refused.

Most tests need no PyTorch: a stand-in has as much of a module and its tensors as is asked of them.
"""

from __future__ import annotations

import builtins
import copy

import numpy as np
import pytest

import twonn
from twonn import Params

FULL = {"0.weight": [[0.5], [-1.5]], "0.bias": [0.25, -2.0], "2.weight": [[1.0, -3.0]]}


class Tensor:
    """What of torch.Tensor is used, on a NumPy array."""

    def __init__(self, values, dtype="float64"):
        self.array = np.array(values, dtype=dtype)

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return f"torch.{self.array.dtype}"

    def is_floating_point(self):
        return self.array.dtype.kind == "f"

    def detach(self):
        return self

    def numpy(self):
        return self.array

    def cpu(self):
        return self

    def double(self):
        return Tensor(self.array)

    def data_ptr(self):
        return self.array.ctypes.data

    def new_tensor(self, values):
        return Tensor(values, self.array.dtype)


class Module:
    """Two layers with an activation in between, in place of a torch.nn.Module."""

    def __init__(self, state, activation=lambda z: np.maximum(z, 0), dtype="float64", after=lambda f: f):
        self.state = {name: Tensor(values, dtype) for name, values in state.items()}
        self.activation, self.after = activation, after

    def state_dict(self):
        return self.state

    def cpu(self):
        return self

    def double(self):
        self.state = {name: Tensor(tensor.array) for name, tensor in self.state.items()}
        return self

    def __call__(self, x):
        tensors = {tensor.shape: tensor.array for tensor in self.state.values()}
        w = next(array for shape, array in tensors.items() if shape[0] == 2 and len(shape) == 2)
        z = self.activation(x.array @ w.T + tensors.get((2,), 0.0))
        return Tensor(self.after(z @ tensors[1, 2].T + tensors.get((1,), 0.0)))


def refused(module, *parts, error=ValueError):
    with pytest.raises(error) as refusal:
        Params.from_torch(module)
    message = str(refusal.value)
    assert message.startswith("module") and all(part in message for part in parts), message


# --------------------------------------------------------------------------------------------------
# Read from a stand-in

PROBLEM = twonn.Problem(x=[-1.0, 1.0], y=[-1, 1], step_size=0.1, train_output=True)


def test_state_dicts_are_read_by_their_shapes():
    states = [
        {name: Tensor(np.array(values) * (1 + row), "float32") for name, values in FULL.items()}
        for row in range(3)
    ]
    traj = twonn.Trajectory.from_params(PROBLEM, [0, 10, 20], states)
    for row in range(3):
        expected = Params(w=[0.5, -1.5], b=[0.25, -2.0], v=[1.0, -3.0]) * (1 + row)
        assert Params(traj.w[row], traj.b[row], traj.v[row]) == expected


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"0.bias": Tensor([1, 2], "int64")}, r"params\[1\]\.0\.bias: got dtype torch.int64"),
        ({"2.bias": Tensor([1.0])}, r"params\[1\]: got an output bias other than 0"),
        ({"2.weight": Tensor([[1.0, 2.0, 3.0]])}, r"params\[1\]\.2\.weight: got a tensor of shape \(1, 3\)"),
        ({"0.bias": Tensor([np.nan, 1.0])}, "b: got"),
    ],
)
def test_other_state_dicts_are_refused(changes, match):
    states = [{name: Tensor(values) for name, values in FULL.items()} for _ in range(2)]
    states[1] |= changes
    with pytest.raises((TypeError, ValueError), match=match):
        twonn.Trajectory.from_params(PROBLEM, [0, 1], states)


def test_state_dicts_that_were_not_copied_are_refused():
    state = {name: Tensor(values) for name, values in FULL.items()}
    with pytest.raises(ValueError, match="params: got state dicts that share their tensors"):
        twonn.Trajectory.from_params(PROBLEM, [0, 1], [state, dict(state)])


def test_all_tensors_are_read():
    assert Params.from_torch(Module(FULL)) == Params(w=[0.5, -1.5], b=[0.25, -2.0], v=[1.0, -3.0])


def test_biases_may_be_absent_and_an_output_bias_may_be_zero():
    state = {"w": [[0.5, 2.0, 1.0], [-1.5, 0.0, 3.0]], "v": [[1.0, -3.0]], "c": [0.0]}
    expected = Params(w=state["w"], v=[1.0, -3.0])
    assert Params.from_torch(Module(state)) == expected


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_narrow_numbers_are_read_exactly(dtype):
    seed = 20260302
    print("seed", seed)
    rng = np.random.default_rng(seed)
    shapes = {"0.weight": (2, 5), "0.bias": (2,), "2.weight": (1, 2)}
    module = Module({name: rng.standard_normal(shape) for name, shape in shapes.items()}, dtype=dtype)
    before = copy.deepcopy(module.state)
    params = Params.from_torch(module)
    for name, array in zip(shapes, (params.w, params.b, params.v), strict=True):
        assert array.dtype == np.float64
        assert array.tolist() == module.state[name].array.reshape(array.shape).tolist()
        assert module.state[name].dtype == before[name].dtype  # the caller's module is as it was


def test_the_question_whether_it_is_the_network_has_no_false_alarms():
    seed = 7
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for _ in range(300):
        d = int(rng.integers(1, 40))
        scale = 10.0 ** rng.uniform(-40, 40, 4)
        state = {
            "w": scale[:2, None] * rng.standard_normal((2, d)),
            "b": scale[2] * rng.standard_normal(2),
            "v": scale[3] * rng.standard_normal((1, 2)),
        }
        assert Params.from_torch(Module(state)).w.tolist() == state["w"].tolist()


def test_dead_and_constant_neurons_are_read():
    state = {"w": [[0.0], [0.0]], "b": [-1.0, 2.0], "v": [[0.0, 1.0]]}
    assert Params.from_torch(Module(state)) == Params(w=[0.0, 0.0], b=[-1.0, 2.0], v=[0.0, 1.0])


# --------------------------------------------------------------------------------------------------
# Refused


def relu(z):
    return np.maximum(z, 0)


@pytest.mark.parametrize(
    "activation",
    [
        lambda z: np.where(z > 0, z, 1e-6 * z),
        np.tanh,
        lambda z: np.minimum(relu(z), 6),
        lambda z: np.logaddexp(0, z),
        lambda z: z / (1 + np.exp(-np.clip(z, -700, None))),
        lambda z: np.where(z > 0.5, z, 0),
        abs,
        lambda z: z,
    ],
    ids=["leaky", "tanh", "relu6", "softplus", "silu", "hardshrink", "abs", "identity"],
)
def test_another_activation_is_refused(activation):
    refused(Module(FULL, activation), "something else", "relu(w_0·x + b_0)", "Use a ReLU")


@pytest.mark.parametrize("after", [np.tanh, lambda f: 2 * f, lambda f: f[:-1], lambda f: np.nan * f])
def test_something_behind_the_output_is_refused(after):
    refused(Module(FULL, after=after), "something else", "nothing before or after")


def test_a_forward_function_that_fails_is_named():
    def fail(f):
        raise RuntimeError("mat1 and mat2 cannot be multiplied")

    refused(Module(FULL, after=fail), "RuntimeError", "mat1 and mat2", "rows of 1 numbers")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"0.weight": np.ones((3, 1))}, ["module.0.weight", "shape (3, 1)", "(2, d)", "(1, 2)"]),
        ({"2.weight": np.ones((1, 3))}, ["module.2.weight", "shape (1, 3)"]),
        ({"2.weight": np.ones((3, 2))}, ["module.2.weight", "shape (3, 2)"]),
        ({"0.bias": np.ones(3)}, ["module.0.bias", "shape (3,)"]),
        ({"1.slope": 0.5}, ["module.1.slope", "shape ()"]),
        ({"3.weight": [[1.0, 1.0]]}, ["module.3.weight", "one more tensor", "shape (1, 2)"]),
        ({"v": [1.0, 1.0]}, ["module.v", "one more tensor", "shape (2,)"]),
        ({"2.bias": [0.5]}, ["output bias other than 0", "bias=False"]),
        ({"2.bias": [np.nan]}, ["output bias other than 0"]),
    ],
)
def test_other_shapes_are_refused(changes, parts):
    refused(Module({**FULL, **changes}), *parts)


@pytest.mark.parametrize(("missing", "said"), [("0.weight", "no tensor for w"), ("2.weight", "for v")])
def test_missing_tensors_are_named(missing, said):
    refused(Module({name: values for name, values in FULL.items() if name != missing}), said)


@pytest.mark.parametrize("dtype", ["int8", "complex64"])
def test_other_numbers_are_refused(dtype):
    refused(Module(FULL, dtype=dtype), f"torch.{dtype}", "module.double()", error=TypeError)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e60])
def test_what_no_start_may_hold_is_refused(bad):
    with pytest.raises(ValueError, match=r"(?s)^w: got .* expected "):
        Params.from_torch(Module({**FULL, "0.weight": [[bad], [1.0]]}))


@pytest.mark.parametrize("bad", [None, 3, "module", FULL, Module, object()])
def test_what_is_no_module_is_refused(bad):
    refused(bad, "torch.nn.Module", error=TypeError)


def test_without_pytorch_it_says_what_to_install(monkeypatch):
    imported = builtins.__import__

    def without_torch(name, *arguments, **keywords):
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return imported(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(ImportError, match="pip install torch"):
        Params(w=[1.0, -1.0]).to_torch()


def test_many_networks_are_no_module():
    with pytest.raises(ValueError, match=r"params: got 3 runs; expected one network"):
        twonn.initializers.sample("he_normal", runs=3, seed=0).to_torch()


# --------------------------------------------------------------------------------------------------
# With PyTorch, where it is installed


@pytest.mark.parametrize("d", [1, 3])
def test_there_and_back_to_the_last_bit(d):
    pytest.importorskip("torch")
    for name in ("torch_default", "balanced"):
        params = twonn.initializers.sample(name, runs=1, seed=5, d=d)[0]
        module = params.to_torch()
        assert Params.from_torch(module) == params
        assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_modules_of_every_precision_are_read(dtype, bias):
    torch = pytest.importorskip("torch")
    torch.manual_seed(3)
    module = torch.nn.Sequential(
        torch.nn.Linear(4, 2, bias=bias), torch.nn.ReLU(), torch.nn.Linear(2, 1, bias=False)
    ).to(getattr(torch, dtype))
    params = Params.from_torch(module)
    assert params.w.tolist() == module[0].weight.tolist()
    assert params.b.tolist() == (module[0].bias.tolist() if bias else [0.0, 0.0])
    assert [params.v.tolist()] == module[2].weight.tolist()
    assert module[0].weight.dtype == getattr(torch, dtype)


def test_modules_that_compute_something_else_are_refused():
    torch = pytest.importorskip("torch")
    linear, output = torch.nn.Linear(3, 2), torch.nn.Linear(2, 1, bias=False)
    for activation in (torch.nn.GELU(), torch.nn.LeakyReLU(), torch.nn.ReLU6(), torch.nn.Identity()):
        refused(torch.nn.Sequential(linear, activation, output), "something else")
    refused(torch.nn.Sequential(linear, torch.nn.ReLU(), torch.nn.Linear(2, 1)), "output bias")
    refused(torch.nn.Sequential(linear, torch.nn.PReLU(), output))
    refused(torch.nn.Linear, "torch.nn.Module", error=TypeError)


@pytest.mark.parametrize("train_output", [False, True])
def test_a_step_of_pytorch_is_a_step_of_ours(train_output):
    torch = pytest.importorskip("torch")
    problem = twonn.Problem(x=[[-1.0, 0.5], [1.0, 2.0]], y=[-1, 1], step_size=0.1, train_output=train_output)
    start = twonn.initializers.sample("small", runs=1, seed=11, d=2)[0]
    module = start.to_torch()
    module[2].weight.requires_grad_(train_output)
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=problem.step_size)
    x, y = torch.tensor(problem.x.tolist(), dtype=torch.float64), torch.tensor(problem.y.tolist())
    for _ in range(10):
        optimizer.zero_grad()
        torch.exp(-y * module(x)[:, 0]).mean().backward()
        optimizer.step()
    ours = twonn.run(problem, start, 10, engine="direct").final
    theirs = Params.from_torch(module)
    # Ten steps of some twenty roundings each, of numbers of order one.
    for name in ("w", "b", "v"):
        assert np.allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-13)


def test_a_training_in_pytorch_is_measured():
    torch = pytest.importorskip("torch")
    start = twonn.initializers.sample("small", runs=1, seed=11)[0]
    module = start.to_torch()
    optimizer = torch.optim.SGD(module.parameters(), lr=PROBLEM.step_size)
    x, y = torch.tensor(PROBLEM.x.tolist(), dtype=torch.float64), torch.tensor(PROBLEM.y.tolist())
    states = []
    for _ in range(11):
        states.append(copy.deepcopy(module.state_dict()))
        optimizer.zero_grad()
        torch.exp(-y * module(x)[:, 0]).mean().backward()
        optimizer.step()
    # The problem has biases, which the optimizer trains, and so does twonn.
    ours = twonn.run(PROBLEM, start, 10, sample_steps=range(10))
    theirs = twonn.Trajectory.from_params(PROBLEM, range(11), states)
    # Ten steps of some twenty roundings each, of numbers of order one.
    for name in ("w", "b", "v", "gap"):
        assert np.allclose(getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="share their tensors"):
        twonn.Trajectory.from_params(PROBLEM, range(2), [module.state_dict() for _ in range(2)])
