"""Short lists of English words that the edits need. They are examples, not dictionaries."""

from __future__ import annotations

NEGATIONS = frozenset(
    "no not never none nothing nobody nowhere neither nor without hardly n't cannot".split()
)
TEMPORAL = frozenset(
    "before after during while when since until ago now then today yesterday tomorrow soon later "
    "always often once".split()
)
POSSESSIVE = frozenset("my your his her its our their mine yours hers ours theirs whose".split())
QUANTIFIERS = frozenset(
    "all every each some any many much most few several both half more less enough".split()
)
STOP_WORDS = frozenset(
    "a an the this that these those i you he she it we they me him her us them my your his its "
    "our their is are was were be been being am do does did have has had will would can could "
    "shall should may might must of in on at by for with from to as into about and or but if then "
    "than so what which who whom whose where when why how there please tell".split()
)
AUXILIARIES = (
    "is", "are", "was", "were", "am", "can", "could", "will", "would", "should", "must", "may",
    "might", "does", "do", "did", "has", "have", "had",
)  # fmt: skip
OPPOSITES = {
    "good": "bad", "great": "awful", "happy": "sad", "funny": "dull", "fresh": "stale",
    "clever": "stupid", "warm": "cold", "strong": "weak", "bright": "dim", "rich": "poor",
    "true": "false", "right": "wrong", "fast": "slow", "easy": "hard", "new": "old",
}  # fmt: skip
SYNONYMS = {
    "good": ("fine", "solid"), "great": ("terrific", "superb"), "bad": ("poor", "lousy"),
    "awful": ("dreadful", "terrible"), "film": ("movie", "picture"), "movie": ("film", "picture"),
    "funny": ("amusing", "comical"), "big": ("large", "huge"), "small": ("little", "tiny"),
    "fast": ("quick", "rapid"), "happy": ("glad", "cheerful"), "sad": ("unhappy", "gloomy"),
    "smart": ("clever", "bright"), "story": ("tale", "plot"), "begin": ("start",),
    "end": ("finish",), "buy": ("purchase",), "help": ("assist", "aid"), "show": ("display",),
    "show's": ("display's",), "dull": ("boring", "tedious"), "boring": ("dull", "tedious"),
    "car": ("automobile",), "child": ("kid",), "house": ("home",), "important": ("vital",),
    "hard": ("difficult",), "answer": ("reply",), "best": ("finest",), "worst": ("poorest",),
    "beautiful": ("lovely", "gorgeous"), "ugly": ("unsightly",), "often": ("frequently",),
    "also": ("too",), "very": ("really", "truly"), "work": ("labour",), "company": ("firm",),
    "money": ("cash",), "price": ("cost",), "profit": ("gain",), "rise": ("climb",),
}  # fmt: skip
HYPERNYMS = {
    "dog": "animal", "cat": "animal", "bird": "animal", "car": "vehicle", "train": "vehicle",
    "film": "work", "movie": "work", "novel": "book", "doctor": "person", "teacher": "person",
    "lawyer": "person", "apple": "fruit", "rose": "flower", "piano": "instrument", "son": "child",
    "daughter": "child", "king": "ruler", "queen": "ruler", "table": "furniture",
}  # fmt: skip
COMPOUNDS = {
    "new": "brand-new", "old": "age-old", "known": "well-known", "made": "well-made",
    "white": "snow-white", "cold": "ice-cold", "free": "trouble-free", "long": "year-long",
    "clear": "crystal-clear", "hard": "rock-hard", "green": "grass-green", "sweet": "honey-sweet",
    "dark": "pitch-dark", "light": "feather-light", "quick": "lightning-quick",
}  # fmt: skip
DERIVED = {
    "killed": "slain", "teacher": "educator", "writer": "penman", "helpful": "helping",
    "funny": "fun", "beautiful": "beauteous", "tiring": "tiresome", "comic": "comical",
    "classic": "classical", "historic": "historical", "magic": "magical", "boring": "boresome",
}  # fmt: skip
SHORT = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't",
    "are not": "aren't", "was not": "wasn't", "were not": "weren't", "can not": "can't",
    "cannot": "can't", "could not": "couldn't", "will not": "won't", "would not": "wouldn't",
    "should not": "shouldn't", "has not": "hasn't", "have not": "haven't", "had not": "hadn't",
    "it is": "it's", "that is": "that's", "there is": "there's", "i am": "I'm",
    "you are": "you're", "we are": "we're", "they are": "they're", "i have": "I've",
    "i will": "I'll", "let us": "let's",
}  # fmt: skip
CASUAL = {
    "going to": "gonna", "want to": "wanna", "got to": "gotta", "kind of": "kinda",
    "because": "cuz", "you": "ya", "yes": "yeah", "very": "super", "film": "flick",
    "movie": "flick", "people": "folks", "friend": "buddy", "money": "bucks", "hello": "hey",
}  # fmt: skip
MARKERS = ("Well,", "So,", "Actually,", "Now,", "In fact,", "After all,")
DIALECT = ("lah", "leh", "lor", "sia")
APPRAISAL = ("I must say,", "I feel that", "In my humble opinion,", "To my mind,")
OLDEN = {
    "movie": "motion picture", "film": "photoplay", "phone": "telephone", "car": "motor-car",
    "radio": "wireless", "plane": "aeroplane", "glasses": "spectacles", "computer": "calculator",
    "shop": "emporium", "often": "oft", "before": "ere", "you": "thou", "your": "thy",
    "today": "this day", "among": "amongst", "while": "whilst", "fridge": "icebox",
}  # fmt: skip
PLACES = {
    "london": "Nairobi", "paris": "Jakarta", "berlin": "Lima", "york": "Delhi",
    "america": "Nigeria", "american": "Nigerian", "england": "Vietnam", "english": "Vietnamese",
    "france": "Peru", "french": "Peruvian", "john": "Tariq", "mary": "Amina", "james": "Hiroshi",
    "anna": "Mei", "peter": "Kofi", "emma": "Lakshmi", "hollywood": "Bollywood",
    "dollar": "rupee", "dollars": "rupees", "europe": "Africa", "european": "African",
}  # fmt: skip
TWINS = {
    "their": ("there",), "there": ("their",), "your": ("you're",), "its": ("it's",),
    "then": ("than",), "than": ("then",), "to": ("too",), "too": ("to",), "affect": ("effect",),
    "effect": ("affect",), "were": ("where",), "where": ("were",), "lose": ("loose",),
    "quite": ("quiet",), "quiet": ("quite",), "form": ("from",), "from": ("form",),
    "accept": ("except",), "principal": ("principle",), "weather": ("whether",),
    "whether": ("weather",), "right": ("write",), "write": ("right",), "hear": ("here",),
    "here": ("hear",), "cash": ("cache",), "sum": ("some",), "some": ("sum",),
}  # fmt: skip
PARTICIPLES = {
    "saw": "seen", "wrote": "written", "made": "made", "ate": "eaten", "took": "taken",
    "gave": "given", "broke": "broken", "found": "found", "built": "built", "bought": "bought",
    "sold": "sold", "won": "won", "lost": "lost", "beat": "beaten", "hit": "hit", "held": "held",
}  # fmt: skip
