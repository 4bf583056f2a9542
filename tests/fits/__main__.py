"""``python -m tests.fits``: fits the receivers' laws, and prints real and made-up tracks side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from stream.simulate.receivers import FOOT, VEHICLE, Receiver
from tests.fits import roads, search, standing, walks
from tests.fits.tracks import buses, couriers

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def main() -> None:
    """Prints both fits."""
    asked = argparse.ArgumentParser(prog="python -m tests.fits", description=__doc__)
    asked.add_argument("--data", type=Path, default=DATA, help="folder of the real tracks")
    asked.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="seeds of made-up errors")
    given = asked.parse_args()
    tracks = couriers(given.data)
    runs, walked = standing.stands(tracks), walks.walks(tracks)
    aside = roads.residuals(buses(given.data))
    for seed in given.seeds:
        print(f"seed {seed}")
        print("  on foot  ", told(search.on_foot(walked, runs, seed)))
        print("  driven   ", told(search.driven(aside, seed)))
    print("the simulator's constants")
    print("  FOOT     ", told(FOOT))
    print("  VEHICLE  ", told(VEHICLE))
    stands = standing.made_up(FOOT, [len(run) for run in runs], given.seeds[0])
    for name, walk in (("real", walked), ("made up", walks.made_up(FOOT, given.seeds[0]))):
        line = walks.across(walk)
        apart = ", ".join(f"{each:.2f}" for each in line.apart_m)
        print(f"walking, {name}: {line.walks} walks; apart after 5, 10, 15 s: {apart} m", end="; ")
        print(f"95% / 50%: {line.tail:.1f}")
    for name, some in (("real", runs), ("made up", stands)):
        stand = standing.structure(some)
        apart = ", ".join(f"{each:.2f}" for each in stand.apart_m)
        print(f"standing, {name}: {stand.stands} stands of {stand.spread_m:.2f} m", end="; ")
        print(
            f"still after 5, 30 s: {stand.still[0]:.0%}, {stand.still[1]:.0%}; "
            f"apart after 5, 10, 15, 30, 60 s: {apart} m"
        )
    others = roads.sideways(roads.made_up(VEHICLE, aside, given.seeds[0]))
    for name, side in (("real", roads.sideways(aside)), ("made up", others)):
        apart = ", ".join(f"{each:.2f}" for each in side.apart_m)
        print(f"sideways, {name}: {side.count} residuals of {side.spread_m:.2f} m", end="; ")
        print(f"apart within 30, 60, 120, 300 s: {apart} m; 95% / 50%: {side.tail:.1f}")


def told(law: Receiver) -> str:
    """A law in a line."""
    return (
        f"σ {law.sigma_m:.2f} m, τ {law.memory_s:.1f} s, w {law.white_m:.2f} m, s {law.swing:.2f}, "
        f"held {law.held:.2f} for {law.held_s:.0f} s"
    )


if __name__ == "__main__":
    main()
