"""Auction: prices of used machines, with dates, gaps, many codes, and a market that turns before the test period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, table_maker

__all__ = ["WORLD", "draw", "market"]

_KINDS = ("bulldozer", "crane", "excavator", "grader", "loader", "truck")
_KIND_LEVEL = np.array([0.35, 0.9, 0.3, 0.2, -0.1, -0.4])
_CABINS = ("open", "closed", "closed with air conditioning")
_CABIN_LEVEL = np.array([-0.12, 0.0, 0.14])
_N_MODELS, _N_MAKERS, _N_STATES = 320, 14, 40
_FIRST_DAY = np.datetime64("2009-01-01")
_TRAIN_DAYS, _TEST_DAYS, _PUBLIC_DAYS = 1095, 182, 60
_SPREAD = 0.17
#: Written where nobody knew the year; as in the data that this imitates.
_NO_YEAR = 1000


@dataclass(frozen=True)
class _Models:
    """The makers' catalogue."""

    kind: np.ndarray
    maker: np.ndarray
    level: np.ndarray
    codes: np.ndarray
    first_day: np.ndarray
    share: np.ndarray


def _catalogue(rng: np.random.Generator) -> _Models:
    kind, maker = rng.integers(0, len(_KINDS), _N_MODELS), rng.integers(0, _N_MAKERS, _N_MODELS)
    of_maker = rng.normal(0, 0.15, _N_MAKERS)
    level = 10.1 + _KIND_LEVEL[kind] + of_maker[maker] + rng.normal(0, 0.45, _N_MODELS)
    codes = np.array([f"{chr(65 + m)}{n}" for m, n in zip(maker, rng.permutation(900)[:_N_MODELS] + 100, strict=True)])
    # A tenth of the models come to market while the auctions run; the newest in the test period only.
    first = np.where(rng.random(_N_MODELS) < 0.12, rng.uniform(0, _TRAIN_DAYS + _TEST_DAYS, _N_MODELS), -1)
    share = rng.permutation(1 / np.arange(3, _N_MODELS + 3))
    return _Models(kind, maker, level, codes, first, share)


def market(day: np.ndarray) -> np.ndarray:
    """The level of prices, as a logarithm, by days since the first auction.

    It rises by 5 % a year, and falls by a fifth in the half year around the end of the training period. Spring is dear.
    """
    season = 0.04 * np.sin(2 * np.pi * (day - 30) / 365.25)
    slump = np.clip((day - (_TRAIN_DAYS - 120)) / 180, 0, 1)
    return 0.05 * day / 365.25 + season - 0.22 * slump


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale."""
    rng = np.random.default_rng([seed, 7])
    n_train, n_test = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=120)
    day = np.concatenate((rng.integers(0, _TRAIN_DAYS, n_train), _TRAIN_DAYS + rng.integers(0, _TEST_DAYS, n_test)))
    n, models = len(day), _catalogue(rng)
    model = _sold(rng, models, day)
    year = 2009 + day // 365 - rng.gamma(2.2, 3.2, n).astype(int).clip(0, 30)
    age = 2009 + day / 365.25 - year
    hours = np.rint(np.exp(rng.normal(6.3, 0.6, n)) * np.sqrt(age.clip(0.5))).astype(int)
    state, cabin = rng.choice(_N_STATES, n, p=_falling(_N_STATES)), rng.choice(3, n, p=[0.3, 0.4, 0.3])
    blade = np.round(rng.choice([10, 12, 14, 16], n) + rng.normal(0, 0.05, n), 1)
    level = models.level[model] + market(day) - 0.075 * age.clip(0, 14) - 0.02 * (age - 14).clip(0)
    level += _CABIN_LEVEL[cabin] + np.linspace(-0.12, 0.12, _N_STATES)[state] - 0.10 * (np.log(hours) - 7.4)
    level += np.where(np.isin(models.kind[model], (0, 3)), 0.06 * (blade - 13), 0.0)
    price = np.round(np.exp(level + rng.normal(0, _SPREAD, n)) / 50) * 50
    blank = _Blanks(rng, day)
    frame = pd.DataFrame(
        {
            "sale": ids_for(rng, n),
            "sold_on": (_FIRST_DAY + day.astype("timedelta64[D]")).astype(str),
            "model": models.codes[model],
            "kind": np.array(_KINDS)[models.kind[model]],
            "year_made": np.where(rng.random(n) < 0.09, _NO_YEAR, year),
            "hours": blank.hours(hours),
            "cabin": blank.some(np.array(_CABINS)[cabin].astype(object), 0.12),
            "blade_feet": np.where(np.isin(models.kind[model], (0, 3)), blade, np.nan),
            "state": np.array([f"S{i:02d}" for i in range(_N_STATES)])[state],
            "seller": blank.some(rng.choice(["bank", "dealer", "owner", "rental"], n).astype(object), 0.55),
            "inspector": [f"i{i}" for i in rng.choice(180, n, p=_falling(180))],
            "price": price.astype(int),
        }
    )
    train, test = frame[:n_train], frame[n_train:]
    is_public = day[n_train:] < _TRAIN_DAYS + _PUBLIC_DAYS
    return Drawn(
        train=train,
        test=test,
        id="sale",
        target="price",
        sample=test[["sale"]].assign(price=20_000),
        usage=pd.Series(np.where(is_public, "Public", "Private"), index=pd.Index(test["sale"])),
        best=test[["sale"]].assign(price=np.exp(level)[n_train:]),
    )


def _falling(n: int) -> np.ndarray:
    share = 1 / np.arange(2, n + 2)
    return share / share.sum()


def _sold(rng: np.random.Generator, models: _Models, day: np.ndarray) -> np.ndarray:
    """A model for each sale; one that is not on the market yet is drawn again."""
    chances = models.share / models.share.sum()
    model = rng.choice(_N_MODELS, len(day), p=chances)
    for _ in range(50):
        early = models.first_day[model] > day
        if not early.any():
            break
        model[early] = rng.choice(_N_MODELS, int(early.sum()), p=chances)
    return model


@dataclass(frozen=True)
class _Blanks:
    """What was not written down."""

    rng: np.random.Generator
    day: np.ndarray

    def some(self, values: np.ndarray, share: float) -> np.ndarray:
        return np.where(self.rng.random(len(values)) < share, np.array(None, dtype=object), values)

    def hours(self, values: np.ndarray) -> np.ndarray:
        """Meters were read more often from year to year: gaps tell the date, and drift."""
        share = 0.75 - 0.35 * self.day / (_TRAIN_DAYS + _TEST_DAYS)
        return np.where(self.rng.random(len(values)) < share, np.nan, values)


_COLUMNS = {
    "sale": "id",
    "sold_on": "date of the auction; those of the test rows are all later",
    "model, kind": "a maker's letter and number, and what it is; some models are new in the test period",
    "year_made": f"{_NO_YEAR} where nobody knew",
    "hours": "on the meter; mostly empty, and less so from year to year",
    "cabin, blade_feet": "equipment; blades are measured on bulldozers and graders only",
    "state, seller, inspector": "where, by whom, and who looked at it",
    "price": "in dollars; to predict",
}

WORLD: World = World(
    name="auction",
    slug="auction",
    title="Machine auctions (synthetic practice data)",
    task="regression",
    metric="rmsle",
    form="value",
    time="sold_on",
    n_train=6000,
    n_test=1800,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Auctioning machines"),
    summary="prices of used machines, dated, full of gaps and codes; the test period is later",
    teaches=(
        "In the manner of Kaggle's Blue Book for Bulldozers: dates, codes with hundreds of levels, columns that are "
        "mostly empty, a year 1000 that means unknown. Prices rose for years and turn down just before the test "
        "period; the public rows are its first two months. It teaches validation in time: random folds promise far "
        "more than the leaderboard gives, and trees cannot predict a level of prices that they never saw.\n\n"
        "Worth trying: random folds against folds in time, and what each says beside the public score. The age of "
        "the machine instead of two dates. Year 1000 as a gap. Does adversarial validation (kagglekit drift) find "
        "the columns that tell the date? Does training on the last year alone beat training on all? What is the "
        "last month's mean error worth as a correction?"
    ),
    best=(
        "a bound: someone who knew every machine, also what the table leaves empty, and the coming market would be "
        "off by the auctions' own noise (rmsle about 0.17)."
    ),
)
