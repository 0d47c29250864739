"""Encyclopaedia text, in-domain: passages (SQuAD), two hops with distractors (HotpotQA), search queries
(NaturalQuestions).
"""

from __future__ import annotations

from benchmark.acquisition.sample_corpus.frames import hops, page, plain, query
from benchmark.acquisition.sample_corpus.scenes import Scene, Style

SQUAD = Style(
    "SQuAD",
    (
        Scene(
            "x:institute t:town u:town v:town a:person b:person y:year z:year w:year",
            (
                "{x} is among the oldest public institutions in {t}. | "
                "{x} stands at the northern edge of {t}.",
                "It was founded in {y} by {a}, who had earlier worked in {u}. | "
                "{a}, who had earlier worked in {u}, founded it in {y}.",
                "Its main hall was designed by {b} and completed in {z}. | "
                "{b} designed the main hall, which was completed in {z}.",
                "After a fire in {w} the collection was moved to {v}. | "
                "In {w} a fire forced the collection to move to {v}.",
            ),
            {
                "{a} | {a_last}": (
                    "Who founded {x}? | Which person founded {x}? | Who was the founder of {x}?"
                ),
                "{b}": "Who designed the main hall of {x}? | Which architect designed the main hall of {x}?",
                "{y}": "When was {x} founded? | In what year was {x} founded?",
                "{z}": (
                    "When was the main hall of {x} completed? | "
                    "In what year was the main hall of {x} completed?"
                ),
                "{w}": "In which year was there a fire at {x}? | When did a fire strike {x}?",
                "{u}": (
                    "Where had the founder of {x} worked earlier? | "
                    "In which town did the founder of {x} work before?"
                ),
                "{v}": (
                    "Where was the collection of {x} moved after the fire? | "
                    "To which town was the collection of {x} moved?"
                ),
            },
        ),
        Scene(
            "x:bridge r:river a:person b:person y:year z:year m:material n:material l:metres c:count",
            (
                "{x} carries the old coast road across the {r}. | {x} is a road bridge over the {r}.",
                "Construction began in {y} under the engineer {a}, although {b} had proposed a tunnel. | "
                "The engineer {a} began construction in {y}, while {b} had proposed a tunnel.",
                "It was opened to traffic in {z}. | Traffic has used it since it opened in {z}.",
                "Its arches are made of {m}, while the towers are built of {n}. | "
                "The towers are built of {n} and the arches are made of {m}.",
                "It is {l} metres long and carries {c} vehicles a day. | "
                "Some {c} vehicles a day use its {l} metres.",
            ),
            {
                "{a} | {a_last}": (
                    "Who was the engineer of {x}? | Under which engineer did construction of {x} begin?"
                ),
                "{b}": (
                    "Who proposed a tunnel instead of {x}? | "
                    "Which person had proposed a tunnel in place of {x}?"
                ),
                "{y}": (
                    "When did construction of {x} begin? | In what year did the construction of {x} begin?"
                ),
                "{z}": "When was {x} opened? | In what year did {x} open to traffic?",
                "{m}": "What are the arches of {x} made of? | Of which material are the arches of {x} made?",
                "{n}": (
                    "What are the towers of {x} built of? | Of which material are the towers of {x} built?"
                ),
                "{l} metres | {l}": "How long is {x}? | How many metres long is {x}?",
                "{c}": "How many vehicles use {x} every day? | How many vehicles does {x} carry a day?",
            },
        ),
        Scene(
            "x:mineral t:town u:town a:person b:person y:year z:year m:mount c:company d:company p:material",
            (
                "{x} is a rare mineral found on {m}. | {x} is a soft mineral that occurs on {m}.",
                "It was discovered in {y} by {a} and named by {b}. | "
                "{a} discovered it in {y}, and {b} gave it its name.",
                "Commercial mining began in {z} near {t}. | Near {t}, commercial mining began in {z}.",
                "It is mined by {c} and sold to {d} of {u}. | {c} mines it, and {d} of {u} buys most of it.",
                "When heated it turns as hard as {p}. | It becomes as hard as {p} when it is heated.",
            ),
            {
                "{a} | {a_last}": (
                    "Who discovered {x}? | Who was the discoverer of {x}? | By whom was {x} discovered?"
                ),
                "{b}": "Who named {x}? | Which person gave {x} its name?",
                "{y}": "When was {x} discovered? | In what year was {x} discovered?",
                "{z}": (
                    "When did commercial mining of {x} begin? | In which year did the mining of {x} begin?"
                ),
                "{c}": "Which company mines {x}? | By which company is {x} mined?",
                "{d}": "Which company buys {x}? | To which company is {x} sold?",
                "{t}": "Near which town did commercial mining of {x} begin? | Where did mining of {x} begin?",
            },
        ),
    ),
    plain,
    questions_per_passage=3,
)

HOTPOTQA = Style(
    "HotpotQA",
    (
        Scene(
            "x:title z:title a:person b:person t:town u:town y:modern v:modern i:instrument j:instrument",
            (
                "{x} :: A drama film of {y}, directed by {a}. | A drama film that {a} directed in {y}.",
                "{z} :: A comedy film of {v}, directed by {b}. | A comedy film that {b} directed in {v}.",
                "{a} :: A film director who was born in {t} and plays the {i}. | "
                "Born in {t}, a film director who plays the {i}.",
                "{b} :: A film director who was born in {u} and plays the {j}. | "
                "Born in {u}, a film director who plays the {j}.",
            ),
            {
                "{t}": (
                    "In which town was the director of {x} born? | "
                    "Where was the director of the film {x} born?"
                ),
                "{i}": (
                    "Which instrument does the director of {x} play? | "
                    "What does the director of the film {x} play?"
                ),
                "{a} | {a_last}": (
                    "Which director born in {t} made a drama film? | Who, born in {t}, directed {x}?"
                ),
                "{y}": "In which year did the director born in {t} make a drama film? | "
                "When did the director who was born in {t} make {x}?",
            },
        ),
        Scene(
            "x:company z:company a:person b:person t:institute u:institute v:town w:town g:crop h:crop",
            (
                "{x} :: A company in {v}, founded by {a}. | Founded by {a}, a company with its seat in {v}.",
                "{z} :: A company in {w}, founded by {b}. | Founded by {b}, a company with its seat in {w}.",
                "{a} :: {a} studied at {t} and grew {g}. | {a}, who grew {g}, studied at {t}.",
                "{b} :: {b} studied at {u} and grew {h}. | {b}, who grew {h}, studied at {u}.",
            ),
            {
                "{t}": (
                    "Where did the founder of {x} study? | At which institution did the founder of {x} study?"
                ),
                "{g}": "What did the founder of {x} grow? | Which crop did the founder of {x} grow?",
                "{v}": (
                    "In which town is the company of {a}, who studied at {t}? | "
                    "Where is the company that {a} founded?"
                ),
                "{x}": (
                    "Which company was founded by the person who studied at {t}? | "
                    "Which company did the grower of {g} found?"
                ),
            },
        ),
        Scene(
            "x:river z:river t:town u:town k:country l:country c:count d:count a:person b:person",
            (
                "{x} :: A river that flows through {t} to the sea. | "
                "Flowing through {t}, it ends in a delta.",
                "{z} :: A river that flows through {u} to the sea. | "
                "Flowing through {u}, it ends in a delta.",
                "{t} :: A town in {k} with {c} inhabitants; its mayor is {a}. | "
                "With {c} inhabitants, a town in {k}. Its mayor is {a}.",
                "{u} :: A town in {l} with {d} inhabitants; its mayor is {b}. | "
                "With {d} inhabitants, a town in {l}. Its mayor is {b}.",
            ),
            {
                "{c}": (
                    "How many inhabitants has the town on the {x}? | "
                    "What is the population of the town that the {x} flows through?"
                ),
                "{k}": (
                    "In which country is the town that the {x} flows through? | "
                    "In what country lies the town on the {x}?"
                ),
                "{a} | {a_last}": (
                    "Who is the mayor of the town on the {x}? | "
                    "Which mayor governs the town that the {x} flows through?"
                ),
                "the {x} | {x}": "Which river flows through the town whose mayor is {a}? | "
                "Which river flows through the town of mayor {a}?",
            },
        ),
    ),
    hops,
)

NATURALQUESTIONS = Style(
    "NaturalQuestions",
    (
        Scene(
            "x:title t:town u:town a:person b:person c:person y:modern z:modern p:company q:company",
            (
                "{x} is a television series created by {a} . | "
                "{x} , created by {a} , is a television series .",
                "The leading role is played by {b} , and {c} of {u} sings the title song . | "
                "{c} of {u} sings the title song and {b} plays the leading role .",
                "It was filmed in {t} and first shown in {y} by {q} . | "
                "First shown in {y} by {q} , it was filmed in {t} .",
                "The last episode was shown in {z} by {p} . | {p} showed the last episode in {z} .",
            ),
            {
                "{a} | {a_last}": "who created {x} | who created the series {x}",
                "{b}": "who plays the leading role in {x} | who plays the lead in the series {x}",
                "{c}": "who sings the title song of {x} | who sings the song in {x}",
                "{t}": "where was {x} filmed | where did they film {x}",
                "{y}": "when was {x} first shown | when did {x} first come out",
                "{z}": "when was the last episode of {x} shown | when did the last episode of {x} come out",
                "{p}": "who showed the last episode of {x} | what company showed the last episode of {x}",
            },
        ),
        Scene(
            "x:team t:town u:town a:person b:person y:year n:count m:count c:company d:company z:year",
            (
                "The {x} play their home games in {t} , where their stadium holds {n} people . | "
                "The stadium of the {x} is in {t} and holds {n} people , who see their home games .",
                "The club was started in {y} by {a} . | {a} started the club in {y} .",
                "The current owner is {b} ; {c} pays for the shirts and {d} for the buses . | "
                "{d} pays for the buses and {c} for the shirts , and {b} is the current owner .",
                "Until {z} the team trained in {u} before {m} fans . | "
                "Before {m} fans , the team trained in {u} until {z} .",
            ),
            {
                "{t}": "where do the {x} play home games | where is the stadium of the {x}",
                "{u}": "where did the {x} train until {z} | where did the {x} train",
                "{a}": "who started the {x} | who started the {x} club",
                "{b}": "who is the owner of the {x} | who is the current owner of the {x}",
                "{n} | {n} people": (
                    "how many people does the {x} stadium hold | how many people can see the {x} at home"
                ),
                "{y}": "when were the {x} started | when was the {x} club started",
                "{c}": "who pays for the {x} shirts | what company pays for the shirts of the {x}",
            },
        ),
        Scene(
            "x:river t:town u:town m:mount n:mount l:metres r:count a:animal b:animal c:crop d:crop",
            (
                "The {x} starts on {m} , passes {n} and ends at {t} . | "
                "From {m} , where it starts , the {x} passes {n} to its end at {t} .",
                "It is {l} kilometres long and moves {r} barges a year . | "
                "Each year {r} barges use its {l} kilometres .",
                "{a} live on its banks , and {b} cross it in spring . | "
                "In spring {b} cross it , while {a} live on its banks .",
                "Farmers near {u} use its water for {c} but not for {d} . | "
                "For {c} but not for {d} , farmers near {u} use its water .",
            ),
            {
                "{m} | on {m}": "where does the {x} start | where is the start of the {x}",
                "{t} | at {t}": "where does the {x} end | what town is at the end of the {x}",
                "{l} | {l} kilometres": "how long is the {x} | how many kilometres is the {x}",
                "{r} | {r} barges": "how many barges use the {x} | how many barges are on the {x} each year",
                "{a}": "what lives on the banks of the {x} | which animals live on the banks of the {x}",
                "{b}": "what crosses the {x} in spring | which animals cross the {x} in spring",
                "{c}": "what crop is grown with water from the {x} | what do farmers near the {x} grow",
                "{u} | near {u}": (
                    "where do farmers use water from the {x} | where are the farmers on the {x}"
                ),
            },
        ),
    ),
    page,
    question=query,
)
