"""The six out-of-domain styles: abstracts, numbers, plots, exam stories, slot filling and a textbook. They
have dev sets only.
"""

from __future__ import annotations

from benchmark.acquisition.sample_corpus.frames import plain
from benchmark.acquisition.sample_corpus.scenes import Scene, Style

BIOASQ = Style(
    "BioASQ",
    (
        Scene(
            "x:illness g:gene h:gene t:tissue u:tissue d:drug e:drug n:small m:small",
            (
                "BACKGROUND: {x} is an inherited disorder of the {t}. | "
                "BACKGROUND: The {t} is progressively damaged in {x}.",
                "We sequenced {n} patients and found mutations in {g}, whereas {h} was normal. | "
                "In {n} patients mutations were found in {g}, while {h} was normal.",
                "Expression of {h} was limited to the {u}. | {h} was expressed in the {u} only.",
                "CONCLUSIONS: {d}, unlike {e}, reduced symptoms in {m} patients. | "
                "CONCLUSIONS: {e} failed, while symptoms were reduced by {d} in {m} patients.",
            ),
            {
                "{g}": "Which gene is mutated in {x}? | Mutations in which gene cause {x}?",
                "{t} | the {t}": "Which organ is affected in {x}? | Which tissue is damaged by {x}?",
                "{u} | the {u}": "Where is {h} expressed? | In which tissue is {h} expressed?",
                "{d}": "Which drug reduces the symptoms of {x}? | What is the treatment of {x}?",
                "{n} | {n} patients": (
                    "How many patients with {x} were sequenced? | "
                    "How many patients were sequenced for {g} mutations?"
                ),
            },
        ),
        Scene(
            "x:drug z:drug i:illness l:illness s:side r:side g:gene h:gene",
            (
                "{x} is an inhibitor of {g} approved for {i}. | {x}, approved for {i}, inhibits {g}.",
                "{z}, which targets {h}, is under study for {l}. | "
                "For {l}, {z}, which targets {h}, is under study.",
                "The most common adverse event of {x} was {s}. | "
                "{s} was the most common adverse event of {x}.",
                "{r} occurred with {z}. | {z} led to {r}.",
            ),
            {
                "{g}": "What is inhibited by {x}? | Which protein does {x} inhibit?",
                "{h}": "What is the target of {z}? | Which protein is targeted by {z}?",
                "{i}": "For which disease is {x} approved? | {x} is approved for treatment of which disease?",
                "{l}": "For which disease is {z} studied? | Which disease could be treated with {z}?",
                "{s}": "What is the most common adverse event of {x}? | List the adverse events of {x}.",
                "{x}": "Which drug inhibits {g}? | Which drug is approved for {i}?",
            },
        ),
    ),
    plain,
)

DROP = Style(
    "DROP",
    (
        Scene(
            "x:team z:team a:person b:person c:person m:yards n:yards o:yards w:score v:score",
            (
                "The {x} hosted the {z}. | The {x} stayed at home for a game against the {z}.",
                "In the first quarter {a} kicked a {m}-yard field goal. | "
                "The first points came on a {m}-yard field goal by {a}.",
                "In the third quarter {b} caught a {n}-yard touchdown pass. | "
                "The lead changed on a {n}-yard touchdown pass to {b}.",
                "{c} answered with a {o}-yard run. | Then {c} scored on a {o}-yard run.",
                "The {z} won with {w} points, the {x} had {v}. | "
                "At the end the {z} had won with {w} points to {v} for the {x}.",
            ),
            {
                "{m} | {m} yards | {m}-yard": "How many yards was the field goal by {a}? | "
                "How many yards long was the field goal that {a} kicked?",
                "{n} | {n}-yard": (
                    "How many yards was the touchdown pass to {b}? | "
                    "How long was the touchdown pass that {b} caught?"
                ),
                "{o} | {o}-yard": "How many yards was the run of {c}? | How many yards did {c} run?",
                "{a}": (
                    "Who scored the {m}-yard field goal? | Which player kicked the field goal of {m} yards?"
                ),
                "{b}": (
                    "Who caught the {n}-yard touchdown pass? | "
                    "Which player caught a touchdown pass of {n} yards?"
                ),
                "{z} | the {z}": "Which team won the game against the {x}? | Which team had {w} points?",
                "{w} | {w} points": (
                    "How many points did the {z} have? | With how many points did the {z} win?"
                ),
            },
        ),
        Scene(
            "x:town z:town c:count d:count e:count y:year v:year n:small m:small",
            (
                "The census of {y} counted {c} residents and {d} houses in {x}. | "
                "In {x} {c} residents lived in {d} houses in {y}.",
                "By {v} the number of houses was {e}. | There were {e} houses by {v}.",
                "Of all families {n} percent owned a house, against {m} percent in {z}. | "
                "A house was owned by {n} percent of families, in {z} by {m} percent.",
            ),
            {
                "{c} | {c} residents": (
                    "How many residents did {x} have in {y}? | How many people lived in {x}?"
                ),
                "{d} | {d} houses": (
                    "How many houses were there in {x} in {y}? | How many houses were counted in {y}?"
                ),
                "{e} | {e} houses": (
                    "How many houses were there in {v}? | How many houses did {x} have by {v}?"
                ),
                "{n} | {n} percent": (
                    "What percent of families in {x} owned a house? | "
                    "How many percent of families owned a house in {x}?"
                ),
                "{m} | {m} percent": (
                    "What percent of families in {z} owned a house? | "
                    "How many percent of families owned a house in {z}?"
                ),
                "{y} | census of {y}": (
                    "In what year were {c} residents counted? | What year was the census with {c} residents?"
                ),
            },
        ),
    ),
    plain,
    questions_per_passage=4,
    fixed=True,
)

DUORC = Style(
    "DuoRC",
    (
        Scene(
            "a:person b:person c:person j:job i:job t:town g:gift h:gift p:place q:place",
            (
                "{a}, a {j} from {t}, falls in love with {b}, who works as a {i}. | "
                "In {t}, the {j} {a} meets {b}, a {i}, and falls in love.",
                "{c} steals a {g} from {b_last} and hides it in the {p}. | "
                "A {g} is stolen from {b_last} by {c}, who hides it in the {p}.",
                "Looking for it, {a_last} finds only a {h} in the {q}. | "
                "{a_last} looks everywhere but only finds a {h} in the {q}.",
                "In the end {c_last} confesses and leaves {t}.",
            ),
            {
                "{b} | {b_last}": "Who does {a} fall in love with? | Whom does the {j} love?",
                "{c} | {c_last}": "Who steals the {g}? | Who is the thief of the {g}?",
                "{g} | a {g}": "What does {c} steal? | What is stolen from {b}?",
                "{h} | a {h}": "What does {a} find? | What does the {j} find in the {q}?",
                "{p} | the {p}": "Where does {c} hide the {g}? | Where is the {g} hidden?",
                "{q} | the {q}": "Where does {a} find the {h}? | Where is the {h} found?",
                "{j} | a {j}": "What is {a}'s job? | What does {a} do for a living?",
            },
        ),
        Scene(
            "a:person b:person c:person s:ship r:ship f:animal h:animal t:town u:town g:gift p:part q:part",
            (
                "{a} wakes up aboard the {s} with no memory, next to a cage of {f}. | "
                "On the {s}, beside a cage of {f}, {a} wakes without any memory.",
                "The engineer {b} repairs the {p}, not the {q}, and says that they come from {t}. | "
                "While repairing the {p}, not the {q}, the engineer {b} says they come from {t}.",
                "{c}, an impostor from the {r} who fears {h}, wants to sell a {g} in {u}. | "
                "An impostor from the {r}, {c}, who fears {h}, plans to sell a {g} in {u}.",
                "After a fight {b_last} saves {a_last}. | {a_last} is saved by {b_last} after a fight.",
            ),
            {
                "{b} | {b_last}": "Who saves {a}? | Who repairs the {p}?",
                "{c}": "Who is the impostor on the {s}? | Who wants to sell the {g}?",
                "{s} | the {s}": (
                    "What is the name of the ship where {a} wakes up? | On what ship does {a} wake up?"
                ),
                "{t}": "Where does {a} come from? | Which town do {a} and {b} come from?",
                "{u}": "Where does {c} want to sell the {g}? | In which town is the {g} to be sold?",
                "{p} | the {p}": "What does {b} repair? | What is repaired by {b}?",
                "{f}": "Which animals are in the cage next to {a}? | What is kept in a cage on the {s}?",
            },
        ),
    ),
    plain,
    questions_per_passage=3,
    fixed=True,
)

RACE = Style(
    "RACE",
    (
        Scene(
            "a:person b:person t:town u:town i:instrument k:instrument d:dish e:dish p:place q:place "
            "w:weekday",
            (
                "When {a} was a child in {t}, there was no money for a {i}. | "
                "As a child in {t}, {a} dreamed of playing the {i}.",
                'A neighbour, {b}, said, "You may use my {k}, but not in the {q}, only in the {p}." | '
                'One day {b}, a neighbour, said, "Take my {k} and practise in the {p}, not in the {q}."',
                "Every {w} the child cooked {d} to say thank you. | "
                "To say thank you, the child brought {d} every {w}.",
                "Many years later {a_last} gave a big concert in {u}, and afterwards everyone ate {e}. | "
                "Years passed, and after a big concert in {u} {a_last} shared {e} with everyone.",
            ),
            {
                "{k} | {b_last}'s {k}": "{b} let the child play the _ . | The child was allowed to use _ .",
                "{p} | the {p}": "{a} had to practise in _ . | {b} told the child to play in _ .",
                "{d}": "To thank {b}, {a} cooked _ . | The child thanked {b} with _ .",
                "{e}": "After the concert {a} and the guests ate _ . | At the end {a} shared _ .",
                "{b} | a neighbour, {b}": (
                    "The neighbour who helped {a} was _ . | The person who helped {a} was called _ ."
                ),
                "{t}": "{a} grew up in _ . | When young, {a} lived in _ .",
            },
        ),
        Scene(
            "a:person b:person c:person t:town f:animal e:animal g:gift h:gift p:place q:place",
            (
                "Last winter our class in {t} was asked to help {f}, not {e}. | "
                "Our class in {t} wanted to do something for {f} and not for {e}.",
                "{a} collected money by selling a {g} at the {p}. | "
                "To collect money, {a} sold a {g} at the {p}.",
                "{b} forgot a {h} and cried, but {c} found it in the {q}. | "
                "{c} found the {h} in the {q} after {b} forgot it and cried.",
                '"Small steps matter," our teacher told us.',
            ),
            {
                "{a} | {a_last}": (
                    "The student who collected money for the {f} was _ . | The {g} was sold by _ ."
                ),
                "{b} | {b_last}": (
                    "The student who cried because of the {h} was _ . | The {h} was forgotten by _ ."
                ),
                "{c} | {c_last}": "The {h} was found by _ . | The student who found the {h} was _ .",
                "{p} | the {p}": "{a} sold the {g} at _ . | The place where {a} sold something was _ .",
                "{q} | the {q}": "{c} found the {h} in _ . | The {h} of {b} was in _ .",
                "{f}": "The class in {t} helped _ . | The money from the {g} was used to help _ .",
                "{g} | a {g}": "To collect money, {a} sold _ . | At the {p}, people could buy _ .",
            },
        ),
    ),
    plain,
    questions_per_passage=2,
    fixed=True,
)

RELATIONEXTRACTION = Style(
    "RelationExtraction",
    (
        Scene(
            "a:person b:person c:person t:town u:town y:birth v:death",
            (
                "{a} (born {y} in {t}, died {v} in {u}) was the child of {b} and studied under {c}. | "
                "Born in {t} in {y}, {a}, child of {b} and student of {c}, died in {u} in {v}.",
            ),
            {
                "{t}": "What was the birthplace of {a}? | Which place is {a} from?",
                "{u}": "In what place did {a} die? | What town was {a} in when death came?",
                "{b}": "Who was the parent of {a}? | Whose child is {a}?",
                "{c}": "Who was {a}'s teacher? | The teacher of {a} was who?",
                "{y}": "What year was {a} born? | In which year was {a}'s birth?",
                "{v}": "What year did {a} die? | In which year was {a}'s death?",
            },
        ),
        Scene(
            "x:ship c:company d:company t:town u:town a:person b:person",
            (
                "The {x} is a steamship built by {c} in {t} for {d} of {u}, named after {a} and "
                "commanded by {b}. | "
                ""
                "Named after {a} and commanded by {b}, the {x} was built in {t} by {c} for {d} of {u}.",
            ),
            {
                "{c}": "Which company manufactured the {x}? | What was the maker of the {x}?",
                "{d}": "What company was the {x} built for? | Which company was the owner of the {x}?",
                "{a}": "After whom is the {x} named? | Who is the namesake of the {x}?",
                "{b}": "Who was the captain of the {x}? | Who was in command of the {x}?",
                "{t}": "Where was the {x} built? | What town was the {x} made in?",
            },
        ),
        Scene(
            "x:title a:person b:person c:person p:company q:company",
            (
                "{x} is an opera by {a} to words by {b}, first conducted by {c}, printed by {p} and "
                "recorded by {q}. | "
                ""
                "Printed by {p} and recorded by {q}, {x} is an opera with music by {a} and words by "
                "{b}, first conducted by {c}.",
            ),
            {
                "{a}": "Who is the composer of {x}? | By which person was the music of {x} made?",
                "{b}": "Who wrote the words of {x}? | The words of {x} are by whom?",
                "{c}": "Who conducted {x}? | Who was the conductor of {x}?",
                "{p}": "What company printed {x}? | The publisher that printed {x} is what?",
                "{q}": "Which record label released {x}? | What label recorded {x}?",
            },
        ),
    ),
    plain,
)

TEXTBOOKQA = Style(
    "TextbookQA",
    (
        Scene(
            "a:term b:term c:term t:town",
            (
                "{a_means} is called {a}. | Scientists use the word {a} for {a_means}.",
                "It must not be confused with {b}, which is {b_means}. | By contrast, {b} is {b_means}.",
                "A class in {t} also studied {c}: {c_means}. | A class in {t} gave {c_means} its name, {c}.",
            ),
            {
                "{a}": "What is {a_means} called? | What is the term for {a_means}?",
                "{b}": "What is {b_means} called? | {b_means} is known as",
                "{c}": "What is {c_means} called? | Which word means {c_means}?",
            },
        ),
        Scene(
            "a:term b:term n:small m:small i:crop o:crop t:town u:town",
            (
                "{a} is {a_means}. | {a_means} is one example of a natural process, {a}.",
                "In an experiment in {t}, students put {i} in water of {n} degrees. | "
                "Students in {t} put {i} into water at {n} degrees.",
                "A second group in {u} used {o} and {m} degrees, and noted {b}. | "
                "In {u} another group noted {b} with {o} at {m} degrees.",
                "Remember that {b} is {b_means}. | {b_means}: this is what {b} means.",
            ),
            {
                "{a}": "What is {a_means} called? | Which term describes {a_means}?",
                "{b}": "What is {b_means} called? | What did the group that used {o} note?",
                "{i}": "What did students in {t} put in water? | What was put in water of {n} degrees?",
                "{o}": "What did the group in {u} use? | What was used at {m} degrees?",
                "{n} degrees | {n}": (
                    "How warm was the water with {i}? | What was the temperature of the water in {t}?"
                ),
                "{m} degrees | {m}": (
                    "How warm was the water with {o}? | What was the temperature of the water in {u}?"
                ),
            },
        ),
    ),
    plain,
    questions_per_passage=2,
    fixed=True,
)
