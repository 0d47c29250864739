"""The words the sample corpus is made of, the seeded draw, and the cut between train and dev.

Every name is invented. A pool is cut once: each third word is for dev, the others for train, and numbers are
cut by their remainder modulo 3. Whatever holds at least one such word or number, an answer, a sentence or a
question, can therefore not stand on both sides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def pools(text: str) -> dict[str, tuple[str, ...]]:
    """Lines `pool: word, word`, wrapped lines included, as pool -> words."""
    entries = re.findall(r"(\w+): ([^:]+)(?:\n|$)", text)
    return {key: tuple(" ".join(words.split()).split(", ")) for key, words in entries}


# Cut between train and dev. A kind below may also use SHARED words, but never those alone.
POOLS = pools(
    """
    first: Maria, Tomas, Elin, Jakob, Nadia, Søren, Clara, Viktor, Ingrid, Paul, Amélie, Henrik, Rosa, Martin,
        Zoë, Daniel, Helena, Oskar, Miriam, Lukas, Sofia, Anton, Greta, Samuel, Beatriz, Karl, Łucja, Simon,
        Judith, Peter, Irène, Robert, Agnes, Felix, Dorothea, José
    last: Tarvik, Oslund, Brennick, Calderwyn, Marsk, Vendel, Hollar, Quistgren, Ravnholt, Perrow, Łazicki,
        Dunmarrow, Estervane, Kolbrun, Ferrand, Ibbotsen, Ljungvar, Morwick, Nordane, Pelletane, Ruskova,
        Sandorik, Thornvale, Ulmgard, Velazco, Wexholm, Ybarrin, Zelnick, Ålsted, Branwick, Corvelle, Drummel,
        Ekström-Vale, Farrowby, Grünlich, Havelka, Jorvald, Kestrane, Lindqvale, Müllrose, Navarcz, Ottmark
    head: Halm, Brack, Wind, Ost, Kirk, Lang, Marl, Sten, Fair, Thorn, Wolf, Red, Ash, Green, Stone, Silver,
        Whit, Rock, Elm, North, Ald, Har, Bram, Clif, Dun, East, Fern, Glen, Hazel, Iver, King, Lind, Mill,
        New, Oak, Pem
    country: Norvia, Taldania, Esteria, Moravelle, Quentara, Sundria, Balkovia, Ardonia, Velmark, Kestria,
        Ombara, Lusatane
    stem: Ander, Bellow, Carrow, Dover, Ellis, Falmer, Garron, Hesper, Isol, Jarrow, Kelvar, Lorran, Meridan,
        Nessel, Orrin, Pallas, Quill, Rowan, Selden, Tamar, Umber, Varrow, Wenlow, Yarrow
    quality: Silent, Golden, Broken, Distant, Crimson, Hidden, Winter, Wandering, Burning, Hollow, Painted,
        Restless, Velvet, Frozen, Paper, Scarlet, Lonely, Borrowed, Midnight, Salted, Gentle
    noun: Harbour, Orchard, Lantern, Mirror, River, Garden, Letter, Crown, Station, Window, Forest, Bridge,
        Compass, Tower, Feather, Meadow, Staircase, Violin, Balloon, Island, Clock
    beast: Wolves, Falcons, Bears, Otters, Lions, Ravens, Badgers, Herons, Stallions, Sharks, Owls, Panthers
    brand: Corvane, Meltrix, Sandoval, Brightwell, Torvex, Halden, Pexley, Norring, Quantrell, Vantage,
        Ruddock, Zephyra, Lumens, Kordal, Fennimore
    month: January, March, April, June, July, September, October, November, February, December, May, August
    weekday: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday
    material: granite, limestone, cedar, marble, copper, brick, sandstone, steel, slate, bronze, timber,
        concrete, glass, basalt, clay
    crop: barley, rye, hops, tobacco, flax, lentils, wheat, potatoes, saffron, cotton, maize, grapes, rice,
        sugar beet, hemp
    animal: foxes, hares, geese, swallows, lizards, moths, deer, beavers, frogs, crabs, squirrels, bats,
        sparrows, trout, snails
    part: brakes, engines, cables, valves, pumps, batteries, doors, sensors, boilers, hinges, radios, rudders
    job: chemist, surgeon, teacher, lawyer, sailor, botanist, baker, painter, geologist, priest, miner, judge
    dish: plum soup, fish pie, walnut bread, bean stew, pepper cake, honey pudding, onion tart, cabbage broth,
        lamb curry, cherry jam, mushroom salad, cheese bake
    instrument: cello, harp, trumpet, piano, flute, zither, viola, clarinet, guitar, lute, bassoon, drums
    """
)
# What a textbook explains: true, and for dev alone, as are the words that only out-of-domain styles use.
MEANINGS = {
    "erosion": "the wearing away of rock by wind and water",
    "condensation": "the change of a gas into a liquid",
    "evaporation": "the change of a liquid into a gas at its surface",
    "sublimation": "the change of a solid straight into a gas",
    "photosynthesis": "the making of sugar from light, water and carbon dioxide",
    "respiration": "the release of energy from food in cells",
    "osmosis": "the movement of water through a membrane",
    "diffusion": "the spreading of particles to less crowded places",
    "refraction": "the bending of light as it enters another material",
    "reflection": "the bouncing of light off a surface",
    "inertia": "the tendency of an object to keep its motion",
    "friction": "the force that opposes sliding between surfaces",
    "convection": "the transfer of heat by a moving fluid",
    "conduction": "the transfer of heat between touching objects",
    "radiation": "the transfer of energy by waves",
    "pollination": "the transfer of pollen between flowers",
    "germination": "the growth of a young plant out of a seed",
    "metamorphosis": "the change of body form from larva to adult",
    "magma": "melted rock below the surface of a planet",
    "chlorophyll": "the green substance that absorbs light in leaves",
    "gravity": "the attraction between all masses",
    "humidity": "the amount of water vapour in the air",
    "mitosis": "the division of a cell nucleus into two equal ones",
    "symbiosis": "a close and lasting relation between two species",
}
DEV_POOLS = {"term": tuple(MEANINGS)} | pools(
    """
    place: kitchen, barn, library, cellar, chapel, bakery, garage, attic, garden, market, theatre, boathouse
    gift: watch, ring, map, whistle, medal, kite, diary, coat, knife, puppet, lamp, basket, drum, necklace,
        scarf
    gene: KRV2, TLM9, DRX4, PSN7, HBL3, CQF1, MVT6, ZNK8, GRP5, WDL2, FOS9, BAX4
    drug: Velomab, Tarsiline, Corvastin, Melopram, Zendiparin, Luxazole, Nortimide, Pralucel, Dexafinib,
        Oxitrane, Bivarol, Setrimab
    illness: Rinke syndrome, marrow fever, Auvik disease, lattice anaemia, Sotter palsy, salt-wasting colitis,
        Dorran myopathy, Pelz ataxia, recurrent keratosis, Vonn nephritis, grey-lung disease, Kassel
        neuropathy
    tissue: liver, kidney, spleen, retina, pancreas, thyroid, bone marrow, skin, heart muscle, small
        intestine, brain stem, lung
    side: nausea, headache, rash, dizziness, fatigue, fever, insomnia, cough, joint pain, vomiting, weight
        loss, blurred vision
    """
)
SHARED = {
    "tail": ("ford", "stead", "ton", "wick", "haven", "field"),
    "house": ("Observatory", "Conservatory", "Museum", "Library", "Academy"),
    "firm": ("Works", "Brothers", "Motors", "Press"),
}
# kind: how it is written. Words in braces come from a pool, SHARED or NUMBERS.
KINDS = {
    "person": "{first} {last}",
    "town": "{head}{tail}",
    "institute": "{head}{tail} {house}",
    "team": "{head}{tail} {beast}",
    "title": "The {quality} {noun}",
    "ship": "{quality} {noun}",
    "company": "{brand} {firm}",
    "river": "River {stem}",
    "mount": "Mount {stem}",
    "isle": "{stem} Island",
    "bridge": "{stem} Bridge",
    "comet": "Comet {stem}",
    "mineral": "{stem}ite",
    "date": "{day} {month}",
    "count": "{thousands}",
    "votes": "{thousands}",
}
# number: lowest, highest. Cut by remainder: 2 (mod 3) is dev's.
NUMBERS = {
    "year": (1742, 1991),
    "modern": (1931, 1991),
    "birth": (1840, 1880),
    "death": (1901, 1940),
    "thousands": (1100, 98000),
    "small": (12, 98),
    "metres": (120, 990),
    "day": (2, 28),
    "score": (3, 39),
    "yards": (18, 77),
    "feet": (4100, 24900),
}


def kept(split: str, index: int) -> bool:
    """Whether the word at `index` of a pool, or the number `index`, belongs to `split` ("train" or "dev")."""
    return (index % 3 == 2) == (split == "dev")


class Draw:
    """A stream of choices that depends on `key` alone: sha256 of the key and a counter, on every Python
    alike.
    """

    def __init__(self, *key: str | int) -> None:
        self._key = "/".join(str(part) for part in key)
        self._count = 0

    def below(self, limit: int) -> int:
        """An integer in 0 .. limit - 1, uniform (up to 2^-64)."""
        self._count += 1
        digest = hashlib.sha256(f"{self._key}/{self._count}".encode()).digest()
        return int.from_bytes(digest[:12], "big") % limit

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """`items` in a random order (Fisher–Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order


class Cast:
    """The fillers of one passage: no pool word and no number of its `split` is given out twice."""

    def __init__(self, draw: Draw, split: str) -> None:
        self._draw, self._split = draw, split
        self._taken: set[str] = set()

    def name(self, kind: str) -> dict[str, str]:
        """A new name of `kind`: its parts by pool, and the whole under "whole"."""
        pattern = KINDS.get(kind, "{" + kind + "}")
        parts = {
            key: self._part(key)
            for key in (*SHARED, *POOLS, *DEV_POOLS, *NUMBERS)
            if "{" + key + "}" in pattern
        }
        return {**parts, "whole": pattern.format(**parts)}

    def _part(self, key: str) -> str:
        if key in SHARED:
            return self._draw.pick(SHARED[key])
        while True:  # pools are several times larger than a passage needs
            if key in NUMBERS:
                low, high = NUMBERS[key]
                index = low + self._draw.below(high - low + 1)
                word = f"{index:,}" if high > 2000 else str(index)
            else:
                pool = POOLS.get(key) or DEV_POOLS[key]
                index = self._draw.below(len(pool))
                word = pool[index]
            if (key in DEV_POOLS or kept(self._split, index)) and word.lower() not in self._taken:
                self._taken.add(word.lower())
                return word
