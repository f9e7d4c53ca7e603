"""Measures variants: a model runs with each of them asked for, and its problems are timed apart from each other."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ..library import create_session
from ..profile.events import Run, read
from .store import State, family, parse, watched
from .workloads import Phase, Workload

_WARM_SECONDS = 0.5  # A GPU that has been idle takes that long to reach its clock.
_BETWEEN = 2.0  # microseconds that a dependent dispatch costs beside its kernel; measured on an H100
_TOO_SLOW = 3.0  # a run that takes so many times as long as the default's is not timed again
_SHORT = 0.05  # seconds; but one that is over so soon is
_COMPILING = 5.0  # seconds that the kernels of a first run may take to compile
_APART = 0.05  # outputs may differ by so much of the largest value
_DEFAULT = ""  # the variants of a run that asks for none


@dataclass(frozen=True)
class Settings:
    """How to measure. `gpu`: by timestamps, which time each problem; else by the wall clock, which times whole runs."""

    device: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    gpu: bool = True
    rounds: int = 5
    margin: float = 0.03  # of the default's time, that has to be gained twice


@dataclass(frozen=True)
class Outcome:
    """The fastest variants of a problem, empty where that is the default. Times in microseconds."""

    problem: str
    phase: str
    default: str
    variants: str
    default_us: float
    best_us: float


@dataclass(frozen=True)
class _Sample:
    """A problem in one run: its time in microseconds, the code that ran, and what that is called."""

    time: float
    code: tuple[str, ...]
    name: str


_Times = dict[str, dict[str, list[_Sample]]]  # by variants and problem


@dataclass
class _Plan:
    """What is measured in one phase: what had a say for each problem, by the variants that are asked for. Without
    timestamps these are FAMILY:VARIANTS, to time one family at a time."""

    phase: str
    applied: dict[str, dict[str, str]]


@dataclass(frozen=True)
class _Done:
    """A run of a phase; rounds from 1 count, 0 compiles and warms up."""

    phase: int
    variants: str
    round: int
    wall: float


class _Unfit(Exception):
    """Variants that failed, or whose outputs are not the default's."""

    def __init__(self, phase: int, variants: str, reason: str) -> None:
        super().__init__(reason)
        self.phase, self.variants = phase, variants


def tune(workload: Workload, settings: Settings, report: Callable[[str], None]) -> list[Outcome]:
    """Every problem of the workload with what is fastest for it.

    All variants are timed, then those that were fastest once more in a session of their own, where their outputs are
    compared with the default's. The default is replaced by what was faster both times.
    """
    plans = _survey(workload, settings, report)
    first = _measure(workload, settings, plans, report)
    winners = [_winners(times, settings.margin) for times in first]
    finals = [
        _Plan(plan.phase, {v: plan.applied[v] for v in [_DEFAULT, *sorted(set(won.values()))]})
        for plan, won in zip(plans, winners, strict=True)
    ]
    second = _measure(workload, settings, finals, report, check=True)
    outcomes: dict[str, Outcome] = {}
    for plan, times, won in zip(finals, second, winners, strict=True):
        for problem in times[_DEFAULT]:
            chosen = _confirmed(problem, won.get(problem, _DEFAULT), times, settings.margin)
            outcomes.setdefault(problem, _outcome(problem, plan.phase, chosen, times))
    return list(outcomes.values())


def _survey(workload: Workload, settings: Settings, report: Callable[[str], None]) -> list[_Plan]:
    """The problems of each phase, and the variants that make a difference to any of them and are not far slower."""
    plans = []
    with watched(settings.options) as (options, file), _session(workload, settings, options) as (session, _):
        for phase in workload.phases(session):
            limit = max(_TOO_SLOW * min(_seconds(phase, _DEFAULT) for _ in range(2)), _SHORT)
            state = parse(file.read_text(encoding="utf-8"))
            plan = _Plan(phase.name, {_DEFAULT: state.problems})
            for asked in _choices(state, settings.gpu):
                try:
                    seconds = _seconds(phase, asked)
                    applied = parse(file.read_text(encoding="utf-8")).problems
                    if applied == state.problems or seconds > limit + _COMPILING:
                        continue
                    if seconds > limit:
                        seconds = _seconds(phase, asked)
                except Exception as e:
                    report(f"{asked} is left out: {' '.join(str(e).split())}")
                    continue
                if seconds <= limit:
                    plan.applied[asked] = applied
            report(f"{workload.name}, {phase.name}: {len(plan.applied) - 1} variants to measure")
            plans.append(plan)
    return plans


def _choices(state: State, gpu: bool) -> list[str]:
    """What can be asked for in runs that pose the problems of `state`."""
    families = sorted({family(p) for p in state.problems})
    asked = [c if gpu else f"{name}:{c}" for name in families for c in state.choices[name]]
    return list(dict.fromkeys(asked))


def _seconds(phase: Phase, variants: str) -> float:
    start = time.perf_counter()
    phase.call(_asking(variants))
    return time.perf_counter() - start


def _asking(variants: str) -> ort.RunOptions:
    """Options of a run that asks for variants."""
    options = ort.RunOptions()
    if variants:
        options.add_run_config_entry("variants", variants)
    return options


def _measure(
    workload: Workload,
    settings: Settings,
    plans: list[_Plan],
    report: Callable[[str], None],
    check: bool = False,
) -> list[_Times]:
    """The times of each phase. Variants that fail are left out, which starts anew."""
    while True:
        try:
            return _pass(workload, settings, plans, check)
        except _Unfit as e:
            report(f"{e.variants} is left out: {e}")
            del plans[e.phase].applied[e.variants]


def _pass(workload: Workload, settings: Settings, plans: list[_Plan], check: bool) -> list[_Times]:
    done: list[_Done] = []
    with _session(workload, settings, settings.options, profile=settings.gpu) as (session, runs):
        for index, phase in enumerate(workload.phases(session)):
            done += _rounds(index, phase, list(plans[index].applied), settings.rounds, check)
        profiled = runs()
    times: list[_Times] = [{} for _ in plans]
    for i, one in enumerate(done):
        if one.round == 0:
            continue
        by_problem = times[one.phase].setdefault(one.variants, {})
        samples = _timed(profiled[i]) if settings.gpu else _by_the_wall(one, plans[one.phase])
        for problem, sample in samples.items():
            by_problem.setdefault(problem, []).append(sample)
    return times


def _rounds(index: int, phase: Phase, variants: list[str], rounds: int, check: bool) -> list[_Done]:
    """Runs all variants in turn, so that a clock that drifts favours none."""
    done: list[_Done] = []

    def once(name: str, number: int) -> list[np.ndarray]:
        options = _asking(name)
        start = time.perf_counter()
        try:
            outputs = phase.call(options)
        except Exception as e:
            if name:
                raise _Unfit(index, name, " ".join(str(e).split())) from e
            raise
        done.append(_Done(index, name, number, (time.perf_counter() - start) * 1e6))
        return [o.numpy() if isinstance(o, ort.OrtValue) else o for o in outputs] if check else []

    end = time.perf_counter() + _WARM_SECONDS
    reference = once(_DEFAULT, 0)
    while time.perf_counter() < end:
        once(_DEFAULT, 0)
    left = list(variants)
    for number in range(rounds + 1):
        for name in left:
            outputs = once(name, number)
            if name and number == 0 and not all(map(_agree, outputs, reference)):
                raise _Unfit(index, name, "its outputs are not the default's")
        if number == 1:
            wall = {d.variants: d.wall for d in done if d.round == 1}
            left = [v for v in left if wall[v] <= max(_TOO_SLOW * wall[_DEFAULT], _SHORT * 1e6)]
    return done


def _agree(values: np.ndarray, reference: np.ndarray) -> bool:
    if not np.issubdtype(reference.dtype, np.floating):
        return bool(np.array_equal(values, reference))
    a, b = values.astype(np.float32), reference.astype(np.float32)
    odd = ~np.isfinite(b)
    if not np.array_equal(a[odd], b[odd], equal_nan=True):
        return False
    peak = np.abs(b[~odd]).max(initial=0.0)
    return bool((np.abs(a[~odd] - b[~odd]) <= _APART * peak).all())


def _timed(run: Run) -> dict[str, _Sample]:
    """The problems of a profiled run."""
    problems = dict.fromkeys(k.problem for k in run.kernels if k.problem)
    samples = {}
    for problem in problems:
        kernels = [k for k in run.kernels if k.problem == problem]
        code = tuple(f"{k.pipeline} {k.grid}" for k in kernels)
        name = " + ".join(dict.fromkeys(k.kernel for k in kernels))
        samples[problem] = _Sample(sum(k.duration + _BETWEEN for k in kernels), code, name)
    return samples


def _by_the_wall(done: _Done, plan: _Plan) -> dict[str, _Sample]:
    """The whole run, for each problem of the family that it asked variants for."""
    asked = done.variants.partition(":")[0]
    return {
        problem: _Sample(done.wall, (applied,), "run")
        for problem, applied in plan.applied[done.variants].items()
        if not asked or family(problem) == asked
    }


def _winners(times: _Times, margin: float) -> dict[str, str]:
    """For each problem the fastest variants that run other code than the default and gain more than the margin."""
    winners = {}
    for problem, samples in times[_DEFAULT].items():
        least = _median(samples) * (1 - margin)
        for variants, by_problem in times.items():
            others = by_problem.get(problem)
            if others and others[0].code != samples[0].code and _median(others) < least:
                winners[problem], least = variants, _median(others)
    return winners


def _confirmed(problem: str, variants: str, times: _Times, margin: float) -> str:
    """The variants where they win the problem against the default, else the default."""
    both = {v: times[v] for v in (_DEFAULT, variants) if v in times}
    return _winners(both, margin).get(problem, _DEFAULT)


def _outcome(problem: str, phase: str, chosen: str, times: _Times) -> Outcome:
    samples = times[_DEFAULT][problem]
    best = _median(times[chosen][problem])
    return Outcome(problem, phase, samples[0].name, chosen.rpartition(":")[2], _median(samples), best)


def _median(samples: list[_Sample]) -> float:
    return statistics.median(s.time for s in samples)


@contextmanager
def _session(
    workload: Workload, settings: Settings, options: Mapping[str, str], profile: bool = False
) -> Iterator[tuple[ort.InferenceSession, Callable[[], list[Run]]]]:
    """A session that knows no results of tuning, and what gives the runs of its profile."""
    with tempfile.TemporaryDirectory(prefix="daybreak-tune-") as folder:
        so = ort.SessionOptions()
        so.log_severity_level = 3
        so.enable_profiling = profile
        so.profile_file_prefix = str(Path(folder) / "profile")
        session = create_session(
            workload.model,
            device=settings.device,
            options={**options, "enableTuning": "0"},
            session_options=so,
        )
        ended = False

        def runs() -> list[Run]:
            nonlocal ended
            ended = True
            return read(Path(session.end_profiling())).runs if profile else []

        try:
            yield session, runs
        finally:
            if profile and not ended:
                session.end_profiling()
