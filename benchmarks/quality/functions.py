"""Black-box functions of the BBOB suite, in the formulas of Hansen et al. 2009, "Real-Parameter Black-Box Optimization
Benchmarking 2009: Noiseless Functions Definitions" (INRIA RR-6829), and one that the suite has not (Ackley's).

Every world has its own optimum and rotation, drawn at random where the report draws them, not with its generator: the
figures are not those of the COCO platform. Each optimum is worth 0. Two functions are mixed, in the manner of
bbob-mixint (Tušar et al. 2019, "Mixed-Integer Benchmark Problems for Single- and Bi-Objective Optimization"): some
coordinates take few values only, and the optimum is on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsearch import Choice, Config, Float, Int, Space
from quality.problem import Problem, drawing

Vector = NDArray[np.float64]
Function = Callable[[Vector, int], float]  # of a point and the world

_LETTERS = "abcdefgh"
_PLACES = np.linspace(-5, 5, len(_LETTERS))


def problems() -> list[Problem]:
    return [
        _continuous("ellipsoid", "rotated ellipsoid, condition 1e6 (BBOB f10), 10 floats", 10, ellipsoid),
        _continuous("rosenbrock", "a bent valley (BBOB f8), 5 floats", 5, rosenbrock),
        Problem(
            "rastrigin-mixed",
            "many local optima (BBOB f3), 4 floats and 4 integers",
            Space(
                {f"x{i}": Float(-5.0, 5.0) for i in range(4)},
                **{f"x{i}": Int(-5, 5) for i in range(4, 8)},
            ),
            budget=1,
            curve=lambda config, world: [(1.0, rastrigin(_point(config), world))],
            score=lambda config, world: rastrigin(_point(config), world),
            best=lambda world: 0.0,
        ),
        Problem(
            "ackley-categorical",
            "many local optima around one (Ackley 1987, not of BBOB), 4 floats and 2 choices of 8 without an order",
            Space(
                {f"x{i}": Float(-5.0, 5.0) for i in range(4)},
                **{f"c{i}": Choice(*_LETTERS) for i in range(2)},
            ),
            budget=1,
            curve=lambda config, world: [(1.0, lettered_ackley(config, world))],
            score=lettered_ackley,
            best=lambda world: 0.0,
        ),
    ]


def ellipsoid(x: Vector, world: int) -> float:
    """f10, with f_opt = 0, as the others here."""
    z = oscillated(_rotation(len(x), world) @ (x - _optimum(len(x), world, 4.0)))
    return float(10 ** (6 * np.arange(len(x)) / (len(x) - 1)) @ z**2)


def rosenbrock(x: Vector, world: int) -> float:
    """f8; its optimum lies in [-3, 3]."""
    z = max(1.0, math.sqrt(len(x)) / 8) * (x - _optimum(len(x), world, 3.0)) + 1
    return float(np.sum(100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2))


def rastrigin(x: Vector, world: int) -> float:
    """f3. The later half of the optimum is whole numbers, for the mixed variant."""
    optimum = _optimum(len(x), world, 4.0)
    optimum = np.where(np.arange(len(x)) < len(x) // 2, optimum, np.round(optimum))
    z = 10 ** (np.arange(len(x)) / (len(x) - 1) / 2) * asymmetric(oscillated(x - optimum), 0.2)
    return float(10 * (len(x) - np.sum(np.cos(2 * np.pi * z))) + z @ z)


def lettered_ackley(config: Config, world: int) -> float:
    """Ackley's function; a letter stands for a coordinate, each choice with an alphabet of its own."""
    rng = drawing(world, 3)
    shift, values = rng.uniform(-4.0, 4.0, 4), dict(config)
    z = [_number(values[f"x{i}"]) - shift[i] for i in range(4)]
    for name in ("c0", "c1"):
        alphabet, best = rng.permutation(_PLACES), rng.integers(len(_LETTERS))
        z.append(float(alphabet[_LETTERS.index(str(values[name]))] - alphabet[best]))
    return ackley(np.array(z))


def ackley(z: Vector) -> float:
    """Ackley 1987, "A Connectionist Machine for Genetic Hillclimbing"."""
    hole = -20 * np.exp(-0.2 * math.sqrt(float(np.mean(z**2))))
    return float(hole - np.exp(np.mean(np.cos(2 * np.pi * z))) + 20 + math.e)


def oscillated(x: Vector) -> Vector:
    """T_osz: smooth local irregularities that keep the sign."""
    logs = np.log(np.abs(x), where=x != 0, out=np.zeros_like(x))
    first, second = np.where(x > 0, 10.0, 5.5), np.where(x > 0, 7.9, 3.1)
    return np.asarray(np.sign(x) * np.exp(logs + 0.049 * (np.sin(first * logs) + np.sin(second * logs))))


def asymmetric(x: Vector, beta: float) -> Vector:
    """T_asy: positive coordinates grow faster, the later ones more so."""
    positive = np.maximum(x, 0.0)
    return np.where(x > 0, positive ** (1 + beta * np.arange(len(x)) / (len(x) - 1) * np.sqrt(positive)), x)


@lru_cache(maxsize=256)
def _optimum(dimensions: int, world: int, reach: float) -> Vector:
    return drawing(world, 1).uniform(-reach, reach, dimensions)


@lru_cache(maxsize=256)
def _rotation(dimensions: int, world: int) -> Vector:
    """An orthogonal matrix, from Gaussian vectors made orthonormal."""
    return np.asarray(np.linalg.qr(drawing(world, 2).normal(size=(dimensions, dimensions))).Q)


def _continuous(name: str, about: str, dimensions: int, function: Function) -> Problem:
    return Problem(
        name,
        about,
        Space({f"x{i}": Float(-5.0, 5.0) for i in range(dimensions)}),
        budget=1,
        curve=lambda config, world: [(1.0, function(_point(config), world))],
        score=lambda config, world: function(_point(config), world),
        best=lambda world: 0.0,
    )


def _point(config: Config) -> Vector:
    return np.array([_number(config[f"x{i}"]) for i in range(len(config))])


def _number(value: Any) -> float:
    return float(value)
