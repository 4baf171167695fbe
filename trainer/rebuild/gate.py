"""The gate: whether a candidate may take the champion's place, as checks, each with its figures.

A difference between two models is judged by a bootstrap over speakers: 2,000 times all speakers, and the files of each,
get random weights (Rubin's, of an exponential distribution, so that no emotion ever drops out), and what counts is in
how many of these draws the difference is above a bound. "Better" asks for 95 of a hundred above 0, "not worse" for
every second one above the bound; a group, of which there are few files, must not be below its bound in 95 of a hundred.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data.snapshot_folders import CORPUS
from trainer.packaging.bundle import PARITY
from trainer.rebuild.checks import Bounds, Check
from trainer.rebuild.held_out import Heard, HeldOut
from undertone.analysis.metrics import ece
from undertone.analysis.prediction import Band

_DRAWS, _AT_ONCE, _SEED = 2000, 100, 0
_SURE, _RATHER, _PERHAPS = 0.95, 0.5, 0.05
# Fewer say more about themselves than about the next speaker.
_FEWEST_SPEAKERS, _FEWEST_FILES = 2, 8
_FEWEST_OF_GROUP = 10
# Fewer fill the fifteen bins of the ECE with chance.
_FEWEST_FOR_ECE = 50
_MOST_UNCERTAIN = 0.5

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Costs:
    """Microseconds of a core for half a second of a stream, and how far the export is from the trained network."""

    candidate_us: float
    champion_us: float
    parity: float


class Gate:
    """The checks of one candidate against one champion."""

    def __init__(self, held_out: HeldOut, candidate: Heard, champion: Heard, bounds: Bounds) -> None:
        self._held_out, self._candidate, self._champion, self._bounds = held_out, candidate, champion, bounds
        ours, theirs = candidate.card.labels, champion.card.labels
        self._shared = [label for label in ours if label in theirs]
        self._new = sorted(set(ours) - set(theirs))
        self._gone = sorted(set(theirs) - set(ours))
        self._said = held_out.corpora == CORPUS
        # A champion that knows the very calls is favoured, which is the safe side; whole corpora would decide it all.
        heard = np.array([corpus != CORPUS and champion.knows(corpus) for corpus in held_out.corpora], bool)
        # What both can be asked: two emotions at least that both know, and speakers that neither was trained on.
        both = len(self._shared) > 1
        self._comparable = np.isin(held_out.truth, self._shared) & ~heard if both else np.zeros(len(held_out), bool)

    def checks(self, costs: Costs, *, accept_new_labels: bool) -> list[Check]:
        """All of them; the candidate may go out if none has failed."""
        decisive = [check for check in (self._by_people(), self._on_corpora(), self._new_emotions()) if check]
        found = [self._same_labels(accept_new_labels), *decisive, *self._groups(), *self._ece(), *self._uncertain()]
        if not any(check.passed is not None for check in decisive):
            why = "there is nothing that the two could be compared on: no held-out file of an emotion that both know"
            found.append(Check(name="evidence", about="something to judge by", passed=False, why=why))
        return [*found, *_of_costs(costs, self._bounds.cost)]

    def _same_labels(self, accept: bool) -> Check:
        changes = [f"new: {', '.join(self._new)}"] if self._new else []
        changes += [f"gone: {', '.join(self._gone)}"] if self._gone else []
        why = "; ".join(changes) or "the champion's"
        if changes:
            why += "; accepted" if accept else "; --accept-new-labels accepts that, or `undertone models promote`"
        return Check(name="labels", about="emotions", passed=accept or not changes, why=why)

    def _by_people(self) -> Check | None:
        """What people have said: better, or where the candidate has learnt new emotions not worse on the others."""
        if not self._said.any():
            return None
        rows = self._said & self._comparable
        about = "UAR on what people said"
        if self._new and not rows.any():
            return None
        if fault := self._too_few(rows):
            return Check(name="people", about=about, passed=False, why=fault)
        bound, share = (-self._bounds.corpora, _RATHER) if self._new else (0.0, _SURE)
        return self._compared("people", about, rows, bound, share)

    def _on_corpora(self) -> Check | None:
        """Corpora: not worse; better, where they are all there is."""
        rows = ~self._said & self._comparable
        if not rows.any():
            return None
        alone = not self._said.any() and not self._new
        bound, share = (0.0, _SURE) if alone else (-self._bounds.corpora, _RATHER)
        return self._compared("corpora", "UAR on corpora", rows, bound, share)

    def _new_emotions(self) -> Check | None:
        """Emotions that the champion does not know: found among all of the candidate's, better than by chance."""
        if not self._new:
            return None
        name, about = "new_emotions", f"recall of {', '.join(self._new)}"
        rows = np.isin(self._held_out.truth, self._new)
        untested = sorted(set(self._new) - set(self._held_out.truth[rows]))
        fault = f"nobody tests {', '.join(untested)}" if untested else self._too_few(rows, emotions=len(self._new))
        if fault:
            return Check(name=name, about=about, passed=False, why=fault)
        right = self._right(self._candidate, rows, self._candidate.card.labels, masked=False)
        chance = 1 / max(2, len(self._new))
        draws = _uar_draws(right[:, None], self._held_out.truth[rows], self._held_out.speakers[rows])[:, 0]
        share = float((draws > chance).mean())
        return Check(
            name=name,
            about=about,
            passed=share >= _SURE,
            why=f"{self._told(rows)}; above chance in {share:.0%} of the draws, {_SURE:.0%} are asked for",
            candidate=_uar(right, self._held_out.truth[rows]),
            low=float(np.quantile(draws, 0.05)),
            high=float(np.quantile(draws, 0.95)),
            bound=chance,
        )

    def _groups(self) -> Iterator[Check]:
        held_out = self._held_out
        corpora, genders, languages = held_out.corpora, held_out.genders, held_out.languages
        for kind, names in (("corpus", corpora), ("gender", genders), ("language", languages)):
            for name in sorted(set(names[self._comparable]) - {""}):
                rows = self._comparable & (names == name)
                # A group that is all there is has been judged as such.
                if rows.sum() >= _FEWEST_OF_GROUP and rows.sum() < self._comparable.sum():
                    yield self._compared(f"group_{kind}", f"{kind} {name}", rows, -self._bounds.group, _PERHAPS)
        if self._comparable.sum() >= _FEWEST_OF_GROUP:
            rows, bound = self._comparable, -self._bounds.group
            yield self._compared("group_channel", "by telephone", rows, bound, _PERHAPS, Band.TELEPHONE)

    def _ece(self) -> Iterator[Check]:
        rows = self._comparable
        if not rows.any():
            return
        about = "ECE"
        if rows.sum() < _FEWEST_FOR_ECE:
            why = f"{rows.sum()} files; {_FEWEST_FOR_ECE} are the fewest that tell"
            yield Check(name="ece", about=about, passed=None, why=why)
            return
        truth = np.array([self._shared.index(emotion) for emotion in self._held_out.truth[rows]])
        ours, theirs = (
            ece(truth, heard.over(self._shared, self._allowed(self._shared), Band.CLEAN)[rows])
            for heard in (self._candidate, self._champion)
        )
        passed, why, bound = ours - theirs <= self._bounds.ece, self._at_most(rows, self._bounds.ece), self._bounds.ece
        yield Check(name="ece", about=about, passed=passed, why=why, candidate=ours, champion=theirs, bound=bound)

    def _uncertain(self) -> Iterator[Check]:
        rows = self._said if self._said.any() else np.ones(len(self._held_out), bool)
        ours = float(self._candidate.uncertain[rows].mean())
        about, why = "share of uncertain", f"{self._told(rows)}; at most {_MOST_UNCERTAIN:g}"
        both = rows & self._comparable
        if not both.any():
            passed = ours <= _MOST_UNCERTAIN
            yield Check(name="uncertain", about=about, passed=passed, why=why, candidate=ours, bound=_MOST_UNCERTAIN)
            return
        ours, theirs = (float(heard.uncertain[both].mean()) for heard in (self._candidate, self._champion))
        bound = self._bounds.uncertain
        passed = ours - theirs <= bound
        why = self._at_most(both, bound)
        yield Check(name="uncertain", about=about, passed=passed, why=why, candidate=ours, champion=theirs, bound=bound)

    def _compared(
        self, name: str, about: str, rows: Mask, bound: float, share: float, band: Band = Band.CLEAN
    ) -> Check:
        right = np.stack(
            [self._right(heard, rows, self._shared, band=band) for heard in (self._candidate, self._champion)], axis=1
        )
        truth = self._held_out.truth[rows]
        draws = _uar_draws(right, truth, self._held_out.speakers[rows])
        difference = draws[:, 0] - draws[:, 1]
        above = float((difference > bound).mean())
        return Check(
            name=name,
            about=about,
            passed=above >= share,
            why=f"{self._told(rows)}; {above:.0%} of the draws above {bound:+.2f}, {share:.0%} are asked for",
            candidate=_uar(right[:, 0], truth),
            champion=_uar(right[:, 1], truth),
            low=float(np.quantile(difference, 0.05)),
            high=float(np.quantile(difference, 0.95)),
            bound=bound,
        )

    def _right(
        self, heard: Heard, rows: Mask, labels: Sequence[str], *, band: Band = Band.CLEAN, masked: bool = True
    ) -> Mask:
        allowed = self._allowed(labels) if masked else np.ones((len(self._held_out), len(labels)), bool)
        guesses = np.array(labels)[heard.over(labels, allowed, band).argmax(axis=1)]
        return (guesses == self._held_out.truth)[rows]

    def _allowed(self, labels: Sequence[str]) -> NDArray[np.bool_]:
        """[n, labels]: what a corpus has no labels for is not asked of its files; people could have said anything."""
        known = self._held_out.known
        table = {corpus: [corpus == CORPUS or label in known[corpus] for label in labels] for corpus in known}
        return np.array([table[corpus] for corpus in self._held_out.corpora], bool).reshape(-1, len(labels))

    def _too_few(self, rows: Mask, emotions: int = 2) -> str:
        speakers, found = len(set(self._held_out.speakers[rows])), len(set(self._held_out.truth[rows]))
        if speakers >= _FEWEST_SPEAKERS and rows.sum() >= _FEWEST_FILES and found >= min(emotions, 2):
            return ""
        return (
            f"too few are held out: {self._told(rows)} of {found} emotions; "
            f"{_FEWEST_FILES} of {_FEWEST_SPEAKERS} speakers and 2 emotions are the fewest"
        )

    def _at_most(self, rows: Mask, bound: float) -> str:
        return f"{self._told(rows)}; at most {bound:g} above the champion's"

    def _told(self, rows: Mask) -> str:
        return f"{rows.sum()} files of {len(set(self._held_out.speakers[rows]))} speakers"


def _of_costs(costs: Costs, most: float) -> Iterator[Check]:
    passed = costs.parity <= PARITY
    why = f"at most {PARITY:g} from the trained network"
    yield Check(name="parity", about="TFLite parity", passed=passed, why=why, candidate=costs.parity, bound=PARITY)
    yield Check(
        name="cost",
        about="microseconds of a core for half a second",
        passed=costs.candidate_us <= most * costs.champion_us,
        why=f"at most {most:g} times the champion's, measured here one after the other",
        candidate=costs.candidate_us,
        champion=costs.champion_us,
        bound=most,
    )


def _uar(right: Mask, truth: NDArray[np.str_]) -> float:
    return float(np.mean([right[truth == emotion].mean() for emotion in sorted(set(truth))]))


def _uar_draws(right: Mask, truth: NDArray[np.str_], speakers: NDArray[np.str_]) -> NDArray[np.float64]:
    """UAR of each column of `right` [n, models] under random weights of speakers and files: [draws, models]."""
    rng = np.random.default_rng(_SEED)
    emotions, classes = np.unique(truth, return_inverse=True)
    names, whose = np.unique(speakers, return_inverse=True)
    of_class = np.eye(len(emotions))[classes]
    found = []
    for _ in range(_DRAWS // _AT_ONCE):
        weights = rng.exponential(size=(_AT_ONCE, len(names)))[:, whose] * rng.exponential(size=(_AT_ONCE, len(truth)))
        total = weights @ of_class
        hits = np.stack([(weights * column) @ of_class for column in right.T], axis=1)
        found.append((hits / total[:, None, :]).mean(axis=2))
    return np.concatenate(found)
