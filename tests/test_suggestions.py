"""Wrong names: the error says which name is meant, and accepts none but its own."""

import importlib
import inspect
import pickle
import re
from typing import get_args

import pytest

import twonn
from twonn import _core, initializers, optimizers
from twonn.arguments import closest, one_of, suggesting
from twonn.engine import kernel
from twonn.initializers import InitializerName
from twonn.optimizers import OptimizerName
from twonn.problem import losses, problem, runspec
from twonn.problem.losses import LossName
from twonn.problem.runspec import Engine, Sliding

POINTS = {"x": [-1.0, 1.0], "y": [-1, 1]}
PROBLEM = twonn.Problem(**POINTS, step_size=0.01)
START = twonn.Params(w=[0.5, -0.5])

#: argument -> what others call a value -> the name here, or a part of the sentence.
MEANT = {
    "loss": {
        "bce": "logistic",
        "cross_entropy": "logistic",
        "Cross-Entropy": "logistic",
        "log_loss": "logistic",
        "BCEWithLogits": "logistic",
        "exp": "exponential",
        "Exponential": "exponential",
        "expnential": "exponential",
    },
    "reduction": {"avg": "mean", "total": "sum"},
    "name": {
        "kaiming_normal": "he_normal",
        "kaiming_normal_": "he_normal",
        "kaiming_uniform": "he_uniform",
        "kaiming": "he_normal",
        "xavier_normal": "glorot_normal",
        "xavier normal": "glorot_normal",
        "xavier_uniform": "glorot_uniform",
        "Xavier": "glorot_normal",
        "xavier_norml": "glorot_normal",
        "glorot": "glorot_normal",
        "lecun": "lecun_normal",
        "lecun_uniform": "Of LeCun's there is 'lecun_normal'",
        "pytorch": "torch_default",
    },
    "optimizer": {
        "ngd": "normalized_gd",
        "sgd": "gd",
        "GD": "gd",
        "heavy-ball": "momentum",
        "nesterov": "Nesterov's method is not built in: give a function, or take 'momentum'",
        "adamw": "Weight decay is not built in",
    },
    "engine": {"exact": "direct", "Auto": "auto", "leaping": "leap", "step": "direct"},
    "sliding": {"mean": "average", "direct": "step"},
}

CALLS = {
    "loss": lambda value: twonn.Problem(**POINTS, step_size=0.01, loss=value),
    "reduction": lambda value: twonn.Problem(**POINTS, step_size=0.01, reduction=value),
    "name": lambda value: initializers.sample(value, 1, 42),
    "optimizer": lambda value: twonn.run(PROBLEM, START, 10, optimizer=value),
    "engine": lambda value: twonn.run(PROBLEM, START, 10, engine=value),
    "sliding": lambda value: twonn.sweep(PROBLEM, START, 10, sliding=value),
}


@pytest.mark.parametrize(
    ("argument", "value"), [(argument, value) for argument, values in MEANT.items() for value in values]
)
def test_the_names_of_others_lead_to_the_name_here(argument, value):
    meant = MEANT[argument][value]
    hint = re.escape(meant) if " " in meant else f"Did you mean '{meant}'\\?$"
    with pytest.raises(ValueError, match=f"^{argument}: got '{value}'; expected one of .*{hint}"):
        CALLS[argument](value)


KEYWORDS = [
    (twonn.Problem, POINTS, "lr", "Did you mean 'step_size'?"),
    (twonn.Problem, POINTS, "learning_rate", "Did you mean 'step_size'?"),
    (twonn.Problem, POINTS, "eta", "Did you mean 'step_size'?"),
    (twonn.Problem, POINTS, "stepsize", "Did you mean 'step_size'?"),
    (twonn.Problem, {}, "X", "Did you mean 'x'?"),
    (twonn.Problem, POINTS, "zzz", "Choose one of these."),
    (twonn.run, {"problem": PROBLEM, "params": START}, "n_steps", "Did you mean 'steps'?"),
    (twonn.run, {"problem": PROBLEM, "params": START}, "lr", "an argument of twonn.Problem: step_size."),
    (twonn.sweep, {"problem": PROBLEM, "params": START}, "epochs", "Did you mean 'steps'?"),
    (twonn.resume, {"path": "file"}, "n_steps", "Did you mean 'steps'?"),
    (twonn.Adam, {}, "eps", "Did you mean 'epsilon'?"),
    (twonn.Adam, {}, "lr", "an argument of twonn.Problem: step_size."),
    (twonn.Momentum, {}, "momentum", "Did you mean 'beta'?"),
    (initializers.sample, {"name": "he_normal", "runs": 1}, "random_state", "Did you mean 'seed'?"),
]


@pytest.mark.parametrize(("thing", "given", "keyword", "hint"), KEYWORDS)
def test_an_unknown_keyword_leads_to_the_right_one(thing, given, keyword, hint):
    names = ", ".join(repr(name) for name in inspect.signature(thing).parameters)
    sentence = f"{thing.__name__}: got the keyword {keyword!r}; expected one of {names}. "
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}.*{re.escape(hint)}$"):
        thing(**given, **{keyword: 0.1})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "adam", "eps": 1e-8}, "the option 'eps'; expected .*Did you mean 'epsilon'?"),
        ({"name": "momentum", "lr": 0.1}, "the option 'lr'; .* an argument of twonn.Problem: step_size"),
        ({"name": "gd", "lr": 0.1}, "options of gd: none. .* an argument of twonn.Problem: step_size"),
        ({"name": "gd", "momentum": 0.1}, "options of gd: none. Leave it out"),
    ],
)
def test_an_unknown_option_leads_to_the_right_one(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        twonn.run(PROBLEM, START, 10, optimizer=options)


def test_a_similar_name_counts_before_a_synonym():
    """A synonym has to be spelt almost right; short ones are similar to much."""
    synonyms = {"lr": "step_size", "nesterov": "There is none."}
    assert closest("lr_", ("step_size", "loss"), synonyms) == "Did you mean 'step_size'?"
    assert closest("los", ("step_size", "loss"), synonyms) == "Did you mean 'loss'?"
    assert closest("xr", ("step_size", "loss"), synonyms) == "Choose one of these."
    assert closest("Nestrov", ("momentum",), synonyms) == "There is none."


SYNONYMS = [
    (losses.LOSS_SYNONYMS, losses.LOSS_NAMES),
    (problem._REDUCTION_SYNONYMS, problem.REDUCTIONS),
    (problem.PROBLEM_SYNONYMS, tuple(inspect.signature(twonn.Problem).parameters)),
    (runspec.ENGINE_SYNONYMS, runspec.ENGINES),
    (runspec._SLIDING_SYNONYMS, runspec.SLIDING),
    (runspec.RUN_SYNONYMS, tuple(inspect.signature(twonn.run).parameters)),
    (optimizers._SYNONYMS, optimizers.OPTIMIZERS),
    (optimizers._OPTION_SYNONYMS, ("beta", "beta1", "beta2", "epsilon")),
    (initializers._SYNONYMS, initializers.NAMES),
    (initializers.SAMPLE_SYNONYMS, tuple(inspect.signature(initializers.sample).parameters)),
]


@pytest.mark.parametrize(("synonyms", "names"), SYNONYMS)
def test_synonyms_stand_for_names_and_are_none(synonyms, names):
    for synonym, meant in synonyms.items():
        assert synonym == synonym.lower().replace(" ", "_")  # else it would never be found
        assert meant in names or meant.endswith(".")
        with pytest.raises(ValueError, match="expected one of"):
            one_of("name", synonym, names, synonyms)


@pytest.mark.parametrize(
    ("alias", "names"),
    [
        (LossName, losses.LOSSES),
        (LossName, _core.LOSSES),
        (Engine, kernel._ENGINES),
        (Sliding, runspec.SLIDING),
        (OptimizerName, ("gd", *optimizers._KINDS)),
        (InitializerName, initializers._SCHEMES),
        (InitializerName, initializers.NAMES),
    ],
)
def test_types_have_the_names_that_are_known(alias, names):
    assert set(get_args(alias)) == set(names)


@pytest.mark.parametrize(
    ("thing", "types"),
    [
        (twonn.run, {"engine": "Engine", "sliding": "Sliding"}),
        (twonn.sweep, {"engine": "Engine", "sliding": "Sliding"}),
        (twonn.Problem, {"loss": "LossName", "reduction": "Reduction"}),
        (initializers.sample, {"name": "InitializerName"}),
    ],
)
def test_signatures_are_those_that_were_written(thing, types):
    parameters = inspect.signature(thing).parameters
    assert {name: parameters[name].annotation for name in types} == types
    assert pickle.loads(pickle.dumps(thing)) is thing
    assert thing.__doc__ and importlib.import_module(thing.__module__)


def test_the_refusal_is_the_functions_own():
    @suggesting({"amount": "count"})
    def function(count: int, *, text: str = "") -> tuple[int, str]:
        return count, text

    assert function(3, text="x") == function(count=3, text="x") == (3, "x")
    with pytest.raises(TypeError, match=r"^function: got the keyword 'amount'.* Did you mean 'count'\?$"):
        function(amount=3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'count'"):
        function(text="x")
