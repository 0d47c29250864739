"""Web documents, in-domain: trivia (TriviaQA), news reports (NewsQA), jeopardy clues on search results
(SearchQA).
"""

from __future__ import annotations

from benchmark.acquisition.sample_corpus.frames import report, snippets, trivia
from benchmark.acquisition.sample_corpus.scenes import Scene, Style

TRIVIAQA = Style(
    "TriviaQA",
    (
        Scene(
            "x:isle a:person b:person y:year s:ship q:ship k:country l:country f:animal h:animal",
            (
                "{x} :: {x} was discovered by the explorer {a}, who sailed on the {s}. | "
                "The explorer {a} discovered {x} while sailing on the {s}.",
                "In {y} {a} claimed the island for {k}, but {l} protested. | "
                "Although {l} protested, {a} claimed it for {k} in {y}.",
                "{b} drew the first map and came on the {q}. | "
                "The first map was drawn by {b}, who came on the {q}.",
                "It is known for its {f}, while {h} are rare, as {a_last} wrote. | "
                "{a_last} wrote that {h} are rare, but it is known for its {f}.",
            ),
            {
                "{a} | {a_last} | Captain {a}": (
                    "Which explorer discovered {x}? | Who discovered {x} from the ship {s}?"
                ),
                "{s} | the {s}": (
                    "On which ship was the discoverer of {x} sailing? | "
                    "What was the name of the ship that {a} sailed on?"
                ),
                "{b} | {b}, mapmaker": (
                    "Who drew the first map of {x}? | Which person drew the first map of {x}?"
                ),
                "{k} | the Republic of {k}": (
                    "For which country was {x} claimed? | {x} was claimed for which country?"
                ),
                "{f}": "For which animals is {x} known? | Which animals is {x} known for?",
            },
        ),
        Scene(
            "x:title a:person b:person c:person t:town u:town y:year j:job i:job",
            (
                "{x} :: {x} is a novel by {a}, first printed in {y}. | "
                "The novel {x} was written by {a} and first printed in {y}.",
                "Its hero is a {j} named {b}. | {b}, a {j}, is the hero of the story.",
                "The story is set in {t}, where {a} lived. | {a} lived in {t}, where the story is set.",
                "A stage play of {x} was produced in {u} by {c}, a {i}. | "
                "{c}, a {i} in {u}, produced a stage play of {x}.",
            ),
            {
                "{a} | {a_last} | {a} (writer)": "Who wrote the novel {x}? | Which author wrote {x}?",
                "{b} | {b_last}": "Who is the hero of the novel {x}? | What is the name of the hero of {x}?",
                "{c} | {c_last}": (
                    "Who produced a stage play of {x}? | Which person produced the stage play of {x}?"
                ),
                "{t} | {t}, where {a_last} lived": (
                    "In which town is the novel {x} set? | {x} is set in which town?"
                ),
                "{j} | a {j}": "What is the profession of the hero of {x}? | The hero of {x} works as what?",
            },
        ),
        Scene(
            "x:team z:team a:person b:person t:town y:year v:year n:score",
            (
                "{x} :: The {x} first won the cup in {y}, beating the {z}. | "
                "In {y} the {x} beat the {z} and won their first cup.",
                "Their coach was {a}, a native of {t}. | {a}, a native of {t}, was their coach.",
                "{b} scored {n} goals that season for the {x}. | "
                "That season {b} scored {n} goals for the {x}.",
                "The {x} lost the final of {v}. | In the final of {v} the {x} lost.",
            ),
            {
                "{a} | {a_last} | Coach {a}": "Who was the coach of the {x} when they won the cup? | "
                "Which coach led the {x} to their first cup?",
                "{b} | {b_last}": (
                    "Which player scored {n} goals for the {x}? | "
                    "Who scored {n} goals in a season for the {x}?"
                ),
                "{y}": "In which year did the {x} win their first cup? | When did the {x} first win the cup?",
                "{v}": "In which year did the {x} lose the final? | When was the final that the {x} lost?",
                "{z} | the {z}": (
                    "Which team did the {x} beat for their first cup? | "
                    "Whom did the {x} beat when they first won the cup?"
                ),
            },
        ),
    ),
    trivia,
)

NEWSQA = Style(
    "NewsQA",
    (
        Scene(
            "x:ship t:town u:town v:town k:country a:person b:person c:person n:small m:small "
            "d:weekday p:part q:part",
            (
                "{t} , {k} :: The ferry {x} sank near {u} on {d} with {n} passengers on board, "
                "officials said. | "
                ""
                "Officials said {n} passengers were on board when the ferry {x} sank near {u} on {d}.",
                "The captain, {a}, was rescued with {m} others. | "
                "Coast guards rescued the captain, {a}, and {m} others.",
                "Transport minister {b} blamed faulty {p}, not the {q}. | "
                "Not the {q} but faulty {p} were to blame, transport minister {b} said.",
                "Survivors were taken to a hospital in {v}, where {c} treated them. | "
                "Doctor {c} treated survivors at a hospital in {v}.",
            ),
            {
                "{a} | {a_last} | the captain , {a}": (
                    "Who was captain of the {x}? | Who was the captain rescued from the {x}?"
                ),
                "{b} | minister {b}": "Who blamed faulty {p}? | Which minister blamed the {p}?",
                "{c} | Doctor {c}": "Who treated survivors in {v}? | Who treated the survivors of the {x}?",
                "{u} | near {u}": "Where did the {x} sink? | Near which town did the ferry {x} sink?",
                "{v} | a hospital in {v}": (
                    "Where were survivors of the {x} taken? | Where was the hospital for the {x} survivors?"
                ),
                "{m} | {m} others": (
                    "How many people were rescued with {a}? | How many others were rescued from the {x}?"
                ),
                "{n} | {n} passengers": (
                    "How many passengers were on the {x}? | How many were on board the {x}?"
                ),
                "{p} | faulty {p}": "What did {b} blame? | What was faulty on the {x}?",
            },
        ),
        Scene(
            "x:town t:town k:country a:person b:person c:person n:votes m:votes j:job i:job d:weekday",
            (
                "{t} , {k} :: {a} won the election for mayor of {x} on {d}, results showed. | "
                "Results showed on {d} that {a} won the election for mayor of {x}.",
                "The former {j} got {n} votes, while {b}, a {i}, got {m}. | "
                "With {n} votes the former {j} beat the {i} {b}, who got {m}.",
                "Judge {c} rejected a complaint about the count. | "
                "A complaint about the count was rejected by judge {c}.",
                '{b_last} said: "We will be back." | "We will be back," said {b_last}.',
            ),
            {
                "{a}": "Who won the election in {x}? | Who is the new mayor of {x}?",
                "{b} | {b_last}": "Who lost the election in {x}? | Who got {m} votes?",
                "{c} | judge {c}": (
                    "Who rejected a complaint in {x}? | Which judge rejected the complaint about {x}?"
                ),
                "{n} | {n} votes": "How many votes did {a} get? | How many votes did the winner in {x} get?",
                "{m}": "How many votes did {b} get? | How many votes did {b_last} get?",
                "{j} | former {j} | the former {j}": (
                    "What did {a} do before? | What is the former job of {a}?"
                ),
            },
        ),
        Scene(
            "x:company t:town u:town k:country a:person b:person c:person n:count m:small d:weekday "
            "p:part q:part",
            (
                "{t} , {k} :: {x} will close its factory in {u} and cut {n} jobs, it said on {d}. | "
                "The factory of {x} in {u} will close, with {n} jobs cut, it said on {d}.",
                "Chief executive {a} named weak sales of {p}, not of {q}. | "
                "Sales of {p} are weak, those of {q} good, chief executive {a} said.",
                "Union leader {b} called a strike of {m} days. | "
                "A strike of {m} days was called by union leader {b}.",
                "Mayor {c} asked for help from the state. | The state should help, mayor {c} asked.",
            ),
            {
                "{a} | chief executive {a}": (
                    "Who is the chief executive of {x}? | Who named weak sales at {x}?"
                ),
                "{b} | union leader {b}": "Who called a strike at {x}? | Who is the union leader at {x}?",
                "{c} | mayor {c}": (
                    "Who asked the state to help {u}? | Which mayor asked for help after {x} cut jobs?"
                ),
                "{n} | {n} jobs": "How many jobs will {x} cut? | How many jobs are cut in {u}?",
                "{m} | {m} days": "How long is the strike at {x}? | How many days is the strike against {x}?",
                "{u} | in {u}": "Where will {x} close a factory? | Where is the factory of {x}?",
                "{p} | weak sales of {p}": "What does {x} sell too little of? | Which sales of {x} are weak?",
            },
        ),
    ),
    report,
    questions_per_passage=2,
)

SEARCHQA = Style(
    "SearchQA",
    (
        Scene(
            "x:comet z:comet a:person b:person y:year v:year j:job i:job t:town",
            (
                "{x} - Lexicon :: {x} was discovered in {y} by {a}, a {j} from {t} | "
                "In {y} {a}, a {j} from {t}, saw {x}",
                "{z} - Lexicon :: {z} was discovered in {v} by {b}, a {i} | In {v} {b}, a {i}, saw {z}",
                "{a} - Biography :: A {j} who looked for comets at night | "
                "As a {j} and astronomer, looked for comets at night",
                "Comets over {t} :: {b} saw a comet brighter than that of {y} | "
                "Brighter than the comet of {y} was that of {b}",
            ),
            {
                "{a}": "This {j} discovered {x} | {x} was discovered by this {j} from {t}",
                "{b}": "This {i} discovered {z} | In {v}, this {i} & astronomer saw {z}",
                "{y}": "{a} discovered {x} in this year | It's the year when {x} was discovered by {a}",
                "{v}": "{b} discovered {z} in this year | It's the year when {z} was discovered by {b}",
                "{x} | {x} ({y})": (
                    "In {y} {a} discovered this comet | {a}, a {j}, is remembered for this comet"
                ),
                "{z}": "In {v} {b} discovered this comet | {b}, a {i}, is remembered for this comet",
            },
        ),
        Scene(
            "x:dish z:dish t:town u:town g:crop h:crop a:person b:person d:date",
            (
                "Recipes from {t} :: {t} is famous for its {x}, made with {g} | "
                "The {x} of {t} is made with {g}",
                "Recipes from {u} :: {u} is famous for its {z}, made with {h} | "
                "The {z} of {u} is made with {h}",
                "Cooking with {a} :: {a} wrote the oldest recipe for {x} | "
                "The oldest recipe for {x} is by {a}",
                "Feasts of {u} :: {z} is eaten on {d} in honour of the cook {b} | "
                "In honour of the cook {b}, {z} is eaten on {d}",
            ),
            {
                "{t}": "{x} made with {g} comes from this town | This town is famous for its {x}",
                "{u}": "{z} made with {h} comes from this town | This town is famous for its {z}",
                "{g}": "{x} from {t} is made with this crop | This crop goes into {x}",
                "{h}": "{z} from {u} is made with this crop | This crop goes into {z}",
                "{x}": (
                    "{t} is famous for this dish made with {g} | {a} wrote the oldest recipe for this dish"
                ),
                "{a}": (
                    "This person wrote the oldest recipe for {x} | "
                    "The oldest recipe for {x} is by this writer"
                ),
                "{b}": "{z} is eaten in honour of this cook | On {d}, {u} honours this cook",
            },
        ),
        Scene(
            "x:mount z:mount a:person b:person k:country l:country y:year v:year c:feet",
            (
                "{x} - Atlas :: {x} is a mountain in {k}, {c} feet high | {x} rises to {c} feet in {k}",
                "{z} - Atlas :: {z} is a mountain in {l} and a volcano | {z} is a volcano in {l}",
                "First ascents in {k} :: {x} was first climbed by {a} in {y} | "
                "In {y} {a} was first to climb {x}",
                "{b} - Biography :: {b} climbed {z} in {v} and lost a boot | "
                "{b} lost a boot when climbing {z} in {v}",
            ),
            {
                "{a}": "In {y} this climber was first to climb {x} | {x} was first climbed by this person",
                "{b}": "This climber lost a boot on {z} | In {v} this climber climbed {z}",
                "{k}": "{x} is a mountain in this country | At {c} feet, {x} rises in this country",
                "{l}": "{z}, a volcano, is found in this country | {b} lost a boot in this country",
                "{x}": (
                    "At {c} feet, it's the mountain first climbed by {a} | "
                    "{a} was first to climb this mountain in {k}"
                ),
                "{z}": "It's the mountain where {b} lost a boot | In {v} {b} climbed this volcano in {l}",
                "{y}": "{a} climbed {x} in this year | It's the year when {x} was first climbed",
            },
        ),
    ),
    snippets,
    alias=str.lower,
)
